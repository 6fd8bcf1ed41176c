import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/**
 * Which kernel OpenBLAS computes with. It goes by the processor's model, and one that is newer than the library gets a
 * kernel for processors of twenty years ago, several times slower than this one can do. Nobody is to win by that: the
 * right kernel is then asked for, for PyTorch and for our own BLAS kernels.
 */

/** Kernels without AVX, by OpenBLAS's names. */
const OLD = [
  'Generic',
  'Katmai',
  'Coppermine',
  'Northwood',
  'Prescott',
  'Banias',
  'Core2',
  'Penryn',
  'Dunnington',
];
const OLDER_THAN_AVX = new Set([...OLD, 'Nehalem', 'Atom', 'Athlon', 'Opteron', 'Barcelona', 'Bobcat']);

/** What to ask OpenBLAS for, given what it chose and what the processor has; undefined: it has chosen well. */
export function betterCore(chosen: string, flags: ReadonlySet<string>): string | undefined {
  if (!OLDER_THAN_AVX.has(chosen)) return undefined;
  if (flags.has('avx512f') && flags.has('avx512vl')) return 'SKYLAKEX';
  return flags.has('avx2') && flags.has('fma') ? 'HASWELL' : undefined;
}

/** Leaves the environment, which PyTorch inherits and our BLAS reads, as OpenBLAS is fastest. Returns what to print. */
export function settleOpenBlas(python: string): string {
  // What is left over from elsewhere is not to hold anybody back.
  delete process.env.OPENBLAS_CORETYPE;
  delete process.env.OPENBLAS_L2_SIZE;
  const chosen = chosenCore(python);
  if (chosen === undefined) return 'PyTorch does not use OpenBLAS here.';
  const better = betterCore(chosen, processorFlags());
  if (better === undefined) return `OpenBLAS computes with its ${chosen} kernel.`;
  process.env.OPENBLAS_CORETYPE = better;
  return `OpenBLAS chose its ${chosen} kernel, not knowing this processor; OPENBLAS_CORETYPE=${better} is set for everybody.`;
}

/** OpenBLAS tells its choice when it is loaded, on the standard error stream. */
function chosenCore(python: string): string | undefined {
  const env = { ...process.env, OPENBLAS_VERBOSE: '2' };
  const { stderr } = spawnSync(python, ['-c', 'import torch'], { env, encoding: 'utf8' });
  return /^Core: (\S+)/m.exec(stderr)?.[1];
}

function processorFlags(): ReadonlySet<string> {
  try {
    const line = /^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'));
    return new Set(line?.[1].trim().split(' '));
  } catch {
    return new Set();
  }
}
