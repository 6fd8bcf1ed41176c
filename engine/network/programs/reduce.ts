import type { Kernels } from '../../kernels/kernels.ts';
import { type Place, share } from '../../parallel/program.ts';
import type { BatchMemory } from '../memory/batch-memory.ts';
import type { Geometry } from '../memory/geometry.ts';
import { type ModelMemory, RUN_PARAMETERS, runCount } from '../memory/model-memory.ts';

/** Part of an array of all parameters, in bytes. */
export interface ByteRange {
  readonly offset: number;
  readonly bytes: number;
}

/** A run of parameters, with its number. */
export interface ParameterRun extends ByteRange {
  readonly number: number;
}

/** The runs that fall to a thread. The runs are the same for any number of threads: only who has which differs. */
export function* runsOf(g: Geometry, place: Place): Generator<ParameterRun> {
  const { from, to } = share(runCount(g), place);
  for (let number = from; number < to; number++) {
    const first = number * RUN_PARAMETERS;
    const size = Math.min(RUN_PARAMETERS, g.paddedCount - first);
    yield { number, offset: first * g.realBytes, bytes: size * g.realBytes };
  }
}

/**
 * Computes the averaged gradient of a run: the lanes' sums, added along the tree, are divided by `divisor` as a whole,
 * then added to `old` where that is not 0. Written to the second copy of the gradients; returns its squared norm.
 */
export function reduceRun(
  k: Kernels,
  model: ModelMemory,
  batch: BatchMemory,
  { offset, bytes }: ParameterRun,
  divisor: number,
  old: number,
): number {
  const first = batch.laneGradients + offset;
  const out = model.gradients[1] + offset;
  return k.reduceLanes(first, batch.gradientBytes, batch.lanes, bytes, out, old && old + offset, divisor);
}

/** Σ values[first + i·stride], along the same tree as the lanes' gradients. */
export function treeSum(values: Float64Array, first: number, stride: number, count: number): number {
  if (count === 1) return values[first];
  let left = 1;
  while (2 * left < count) left *= 2;
  return treeSum(values, first, stride, left) + treeSum(values, first + left * stride, stride, count - left);
}
