import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { notBuilt } from './errors.ts';

/** Where the build puts what is not TypeScript: found alike from the sources (in tests) and from dist/. */
const dist = new URL(import.meta.url.endsWith('.ts') ? '../dist/' : '../', import.meta.url);

export const kernelFile = (name: string): string => artifact(`kernels/${name}.wasm`);

export const workerFile = (): string => artifact('workers/thread.cjs');

/** Throws NOT_BUILT. */
function artifact(name: string): string {
  const path = fileURLToPath(new URL(name, dist));
  if (!existsSync(path)) throw notBuilt(path);
  return path;
}
