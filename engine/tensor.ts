import { badArgument } from './errors.ts';
import { type Dtype, dtypeOfArray, type NumberArray, type RealArray } from './numeric/reals.ts';

/** Nested arrays of numbers; those at the same depth have the same length. */
export type NestedNumbers = number | readonly NestedNumbers[] | NumberArray;

/** Numbers in any flat array, in row-major order, and their shape. */
export interface ShapedData {
  readonly data: NumberArray;
  readonly shape: readonly number[];
}

/** Anything that is accepted as a tensor: a Tensor, `{ data, shape }` with any array of numbers, or nested arrays. */
export type TensorLike = ShapedData | readonly NestedNumbers[];

/** A dense array of numbers in row-major order, with a shape. */
export class Tensor {
  readonly data: RealArray;
  readonly shape: readonly number[];

  /**
   * Wraps an array, without copying it.
   * @throws BAD_ARGUMENT where it does not fit the shape
   */
  constructor(data: RealArray, shape: readonly number[]) {
    if (!(data instanceof Float32Array || data instanceof Float64Array))
      throw badArgument('data', 'a Float32Array or a Float64Array', data);
    if (!isShape(shape) || sizeOf(shape) !== data.length)
      throw badArgument('shape', `dimensions whose product is ${data.length}`, shape);
    this.data = data;
    // A copy: whoever changes a shape changes that of one tensor.
    this.shape = shape.slice();
  }

  get dtype(): Dtype {
    return dtypeOfArray(this.data);
  }

  /**
   * The numbers as nested arrays; for a tensor of rank 0, a number. If you know the rank, give the
   * type: `logits.toArray<number[][]>()`.
   */
  toArray<Nested extends NestedNumbers = NestedNumbers>(): Nested {
    const nest = (depth: number, from: number): NestedNumbers => {
      if (depth === this.shape.length) return this.data[from];
      const stride = sizeOf(this.shape.slice(depth + 1));
      return Array.from({ length: this.shape[depth] }, (_, i) => nest(depth + 1, from + i * stride));
    };
    return nest(0, 0) as Nested;
  }

  /**
   * Indices of the largest numbers along the last dimension, of equals the first: for [B, O] or [B, T, O] the classes.
   * −1 where one of them is NaN, as in the probabilities of a sequence with a NaN in it.
   */
  argmax(): Int32Array {
    const width = this.shape.at(-1) ?? 1;
    return Int32Array.from({ length: this.data.length / width }, (_, i) =>
      hasNaN(this.data, i * width, width) ? -1 : largest(this.data, i * width, width),
    );
  }

  /**
   * What JSON.stringify writes; it is accepted wherever a tensor is. JSON has no NaN and no Infinity: they become null.
   */
  toJSON(): { data: number[]; shape: readonly number[] } {
    return { data: Array.from(this.data), shape: this.shape };
  }
}

/** More dimensions are a mistake, or an array that contains itself. */
export const MAX_RANK = 16;

export function isShape(shape: unknown): shape is readonly number[] {
  if (!Array.isArray(shape) || shape.length > MAX_RANK) return false;
  // Not with `every`, which passes over holes.
  for (let i = 0; i < shape.length; i++) if (!(Number.isInteger(shape[i]) && shape[i] >= 0)) return false;
  return true;
}

function hasNaN(values: ArrayLike<number>, first: number, count: number): boolean {
  for (let j = first; j < first + count; j++) if (Number.isNaN(values[j])) return true;
  return false;
}

/** Index of the largest of `count` values, the first of equals. */
export function largest(values: ArrayLike<number>, first: number, count: number): number {
  let best = 0;
  for (let j = 1; j < count; j++) if (values[first + j] > values[first + best]) best = j;
  return best;
}

/** Number of elements of a shape. */
export const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
