import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { notBuilt } from './errors.ts';

/** The build's output folder, found alike from the source (in tests) and from the compiled module in it. */
const dist = new URL(import.meta.url.endsWith('.ts') ? '../dist/' : '../', import.meta.url);

export const kernelFile = (name: string): string => artifact(`kernels/${name}.wasm`);

export const workerFile = (): string => artifact('workers/thread.cjs');

/** The path of a built file. Throws NOT_BUILT where it does not exist. */
function artifact(name: string): string {
  const path = fileURLToPath(new URL(name, dist));
  if (!existsSync(path)) throw notBuilt(path);
  return path;
}
