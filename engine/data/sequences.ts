import type { NotFiniteValue } from '../errors.ts';
import { dtypeOfArray, type RealArray } from '../numeric/reals.ts';

/**
 * Sequences as the engine reads them, in shared memory. Row i is the frames starts[i] … starts[i] +
 * lengths[i] − 1, each of `inputSize` values; whatever lies between two rows is not read.
 */
export interface Sequences {
  readonly values: RealArray;
  readonly starts: Uint32Array;
  readonly lengths: Int32Array;
  /**
   * Classes, one for each row or one for each of its frames; −1 marks one that does not count. Empty
   * where there are none.
   */
  readonly labels: Int32Array;
  /** Index of each row's first label. */
  readonly labelStarts: Uint32Array;
  /** Number of labels of each row that count. */
  readonly counted: Int32Array;
}

/** The values of a row's frames: a view. */
export function framesOf(
  { values, starts, lengths }: Pick<Sequences, 'values' | 'starts' | 'lengths'>,
  row: number,
  inputSize: number,
): RealArray {
  const first = starts[row] * inputSize;
  return values.subarray(first, first + lengths[row] * inputSize);
}

/** The first value that is not finite; null where all are. */
export function firstNotFinite(
  data: Pick<Sequences, 'values' | 'starts' | 'lengths'>,
  inputSize: number,
): NotFiniteValue | null {
  for (let row = 0; row < data.lengths.length; row++) {
    const frames = framesOf(data, row, inputSize);
    const found = frames.findIndex((value) => !Number.isFinite(value));
    if (found < 0) continue;
    const place = { row, frame: Math.floor(found / inputSize), column: found % inputSize };
    return { ...place, value: frames[found], dtype: dtypeOfArray(frames) };
  }
  return null;
}
