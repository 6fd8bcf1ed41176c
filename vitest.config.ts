import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{engine,workers,cli,properties,benchmarks}/**/*.test.ts'],
    // Each test file starts worker threads of its own: more files at once only oversubscribes the cores.
    maxWorkers: 2,
    testTimeout: 180_000,
    hookTimeout: 180_000,
    globalSetup: ['properties/draw-seed.ts'],
  },
});
