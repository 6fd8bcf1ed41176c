import { lengthOf, plain } from '../describe.ts';
import { badArgument } from '../errors.ts';
import type { Dtype, NumberArray, RealArray } from '../numeric/reals.ts';
import { checkInteger, checkKeys, isList } from '../validation.ts';
import { consecutiveStarts, readSequences, type SequencesLike } from './read-sequences.ts';
import { firstNotFinite } from './sequences.ts';

/** How frames are normalized: x ← (x − mean) / std, for each value of a frame. */
export interface Normalization {
  /** [I] */
  mean: NumberArray;
  /** [I], above 0 */
  std: NumberArray;
}

/** A checked normalization. */
export interface NormalizationSpec {
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** Checks a normalization, which must be one in the model's data type as well. Throws BAD_ARGUMENT. */
export function normalizationSpec(given: unknown, inputSize: number, dtype: Dtype): NormalizationSpec {
  checkKeys('normalization', given, ['mean', 'std']);
  const { mean, std } = given as Normalization;
  const rounded = (value: number) => (dtype === 'float32' ? Math.fround(value) : value);
  const read = (name: string, values: unknown, least: number): readonly number[] => {
    if (!isList(values) || values.length !== inputSize)
      throw badArgument(name, `${inputSize} numbers`, lengthOf(values));
    const numbers = Array.from({ length: inputSize }, (_, i) => {
      const value = values[i];
      if (typeof value === 'number' && Number.isFinite(rounded(value)) && rounded(value) > least)
        return value;
      throw badArgument(
        `${name}[${i}]`,
        `a finite number${least === 0 ? ' above 0' : ''} in ${dtype}`,
        value,
      );
    });
    return Object.freeze(numbers);
  };
  // Frozen, since the model shows it: it is what frames are normalized with, and what is saved.
  return Object.freeze({
    mean: read('normalization.mean', mean, -Infinity),
    std: read('normalization.std', std, 0),
  });
}

/**
 * Writes a normalization where a kernel reads it, from the indices `at.mean` and `at.std` on. The
 * kernel divides all `columns` of a frame's panels: the padding by 1.
 */
export function writeNormalization(
  reals: RealArray,
  { mean, std }: NormalizationSpec,
  at: { readonly mean: number; readonly std: number },
  columns: number,
): void {
  reals.set(mean, at.mean);
  reals.fill(1, at.std, at.std + columns);
  reals.set(std, at.std);
}

/**
 * Measures mean and standard deviation of each value of a frame, over all frames of all sequences,
 * without padding. A value that never varies gets the deviation 1.
 * @param x [B, T, I], an array of [Tᵢ, I], or `{ data, shape: [B, T, I], lengths }`
 * @param inputSize values per frame (I)
 * @throws BAD_ARGUMENT, also where a variance is too large for a number
 */
export function measureNormalization(x: SequencesLike, inputSize: number): Normalization {
  checkInteger('inputSize', inputSize, 1);
  const input = readSequences('x', x, inputSize, 'float64');
  const values = new Float64Array(input.frames * inputSize);
  input.copyTo(values, 0, input.rows);
  const starts = new Uint32Array(input.rows);
  consecutiveStarts(input.lengths, starts);
  const bad = firstNotFinite({ values, starts, lengths: input.lengths }, inputSize);
  if (bad) {
    const { column, frame, row, value } = bad;
    throw badArgument(`x: value ${column} of frame ${frame} of sequence ${row}`, 'a finite number', value);
  }
  const mean = averages(values, inputSize, (value) => value);
  const variance = averages(values, inputSize, (value, i) => (value - mean[i]) ** 2);
  const tooLarge = variance.findIndex((square) => !Number.isFinite(square));
  if (tooLarge >= 0)
    throw badArgument('x', 'frames whose variance is a number', plain(`some too large at value ${tooLarge}`));
  // Compares the values themselves: the mean of equal numbers is rounded, so that their variance may not be zero.
  const varies = new Array<boolean>(inputSize).fill(false);
  for (let at = 0; at < values.length; at++)
    if (values[at] !== values[at % inputSize]) varies[at % inputSize] = true;
  return { mean, std: variance.map((square, i) => (square > 0 && varies[i] ? Math.sqrt(square) : 1)) };
}

/** The mean of `of(value)` over all frames, for each value of a frame. */
function averages(
  values: Float64Array,
  inputSize: number,
  of: (value: number, i: number) => number,
): number[] {
  const sums = new Array<number>(inputSize).fill(0);
  for (let at = 0; at < values.length; at++) sums[at % inputSize] += of(values[at], at % inputSize);
  return sums.map((sum) => (sum * inputSize) / values.length);
}
