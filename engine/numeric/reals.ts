/** Arrays of either data type. */
import { badArgument, noMemory } from '../errors.ts';

/** Data type of a model or a tensor. */
export type Dtype = 'float32' | 'float64';

/** A typed array of either data type. */
export type RealArray = Float32Array | Float64Array;

/** Numbers in an array or in a typed array. */
export type NumberArray =
  | readonly number[]
  | RealArray
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array;

export const realBytes = (dtype: Dtype): 4 | 8 => (dtype === 'float32' ? 4 : 8);

export const dtypeOfArray = (array: RealArray): Dtype =>
  array instanceof Float32Array ? 'float32' : 'float64';

/** Zeros. Throws MEMORY_TOO_LARGE where there is no room for them. */
export function newReals(dtype: Dtype, size: number): RealArray {
  const Reals = dtype === 'float32' ? Float32Array : Float64Array;
  try {
    return new Reals(size);
  } catch (cause) {
    throw noMemory(size * Reals.BYTES_PER_ELEMENT, cause);
  }
}

/** A view of `size` numbers of a buffer, from byte `at` on. */
export const realArray = (dtype: Dtype, buffer: ArrayBufferLike, at: number, size: number): RealArray =>
  dtype === 'float32' ? new Float32Array(buffer, at, size) : new Float64Array(buffer, at, size);

export function checkDtype(dtype: unknown): asserts dtype is Dtype {
  if (dtype !== 'float32' && dtype !== 'float64') throw badArgument('dtype', "'float32' or 'float64'", dtype);
}
