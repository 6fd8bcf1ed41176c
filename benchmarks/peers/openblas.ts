import { spawnSync } from 'node:child_process';
import { betterCore, processorFlags } from '../../engine/kernels/openblas-core.ts';

/**
 * Leaves the environment, which PyTorch inherits and our BLAS reads, as OpenBLAS is fastest: nobody is to win by its not
 * knowing this processor. Returns what to print.
 */
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
