import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { notBuilt } from './errors.ts';

/** Where this module lies; a bundler that makes CommonJS leaves nothing here. */
const here: string | undefined = import.meta.url;

export const kernelFile = (name: string): string => artifact(`kernels/${name}.wasm`);

export const workerFile = (): string => artifact('workers/thread.cjs');

/**
 * The path of a file in the build's output folder, found alike from the source (in tests) and from the compiled
 * module in it. Throws NOT_BUILT where it does not exist.
 */
function artifact(name: string): string {
  if (here === undefined) throw notBuilt(name);
  const path = fileURLToPath(new URL(`${here.endsWith('.ts') ? '../dist/' : '../'}${name}`, here));
  if (!existsSync(path)) throw notBuilt(path);
  return path;
}
