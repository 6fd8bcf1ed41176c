/** Where the build puts what is not TypeScript: found alike from the sources (in tests) and from dist/. */
const dist = new URL(import.meta.url.endsWith('.ts') ? '../dist/' : '../', import.meta.url);

export const kernelFile = (name: string): URL => new URL(`kernels/${name}.wasm`, dist);

export const workerFile: URL = new URL('workers/thread.cjs', dist);
