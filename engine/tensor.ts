import { types } from 'node:util';
import { badArgument, noMemory, plain } from './errors.ts';
import type { Dtype } from './kernels/kernels.ts';
import { checkKeys } from './validation.ts';

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
const MAX_RANK = 16;

function isShape(shape: unknown): shape is readonly number[] {
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

/**
 * Makes a tensor from nested arrays, from a flat array and a shape, or from another tensor. The numbers are copied,
 * unless they already are a typed array of the data type.
 * @param values nested arrays of equal lengths, a flat array together with `shape`, or `{ data, shape }`
 * @param options `shape`: by default that of the nesting; `dtype`: by default float64 for a Float64Array, else float32
 * @throws BAD_ARGUMENT where the arrays are ragged, hold anything but numbers, or do not fit the shape
 */
export function tensor(
  values: NestedNumbers | ShapedData,
  options: { shape?: readonly number[] | undefined; dtype?: Dtype | undefined } = {},
): Tensor {
  checkKeys('options', options, ['shape', 'dtype']);
  if (isShapedData(values)) return tensor(values.data, { ...options, shape: options.shape ?? values.shape });
  const dtype = options.dtype ?? (values instanceof Float64Array ? 'float64' : 'float32');
  checkDtype(dtype);
  if (typeof values === 'number')
    return shaped(new Tensor(newReals(dtype, 1).fill(values), []), options.shape);
  if (Array.isArray(values)) return shaped(flatten('values', values, dtype), options.shape);
  if (!isNumberArray(values))
    throw badArgument('values', 'numbers in nested arrays, a typed array, or { data, shape }', values);
  return shaped(new Tensor(asReals('values', values, dtype), [values.length]), options.shape);
}

const shaped = ({ data, shape }: Tensor, given: readonly number[] | undefined): Tensor =>
  new Tensor(data, given === undefined ? shape : given);

export function checkDtype(dtype: unknown): asserts dtype is Dtype {
  if (dtype !== 'float32' && dtype !== 'float64') throw badArgument('dtype', "'float32' or 'float64'", dtype);
}

/** Whether a value is an array of numbers, flat or typed, other than of big integers. */
const isNumberArray = (value: unknown): value is NumberArray =>
  Array.isArray(value) ||
  (ArrayBuffer.isView(value) &&
    'length' in value &&
    !types.isBigInt64Array(value) &&
    !types.isBigUint64Array(value));

function asReals(name: string, values: NumberArray, dtype: Dtype): RealArray {
  if (dtype === 'float32' && values instanceof Float32Array) return values;
  if (dtype === 'float64' && values instanceof Float64Array) return values;
  if (Array.isArray(values)) {
    const bad = values.findIndex((value) => typeof value !== 'number');
    if (bad >= 0) throw badArgument(`${name}[${bad}]`, 'a number', values[bad]);
  }
  return dtype === 'float32' ? Float32Array.from(values) : Float64Array.from(values);
}

/** Before more numbers than this are allocated, it is made sure that they are there. */
const MANY = 2 ** 24;

function shapeOf(name: string, values: readonly NestedNumbers[]): number[] {
  const shape: number[] = [];
  for (let level: unknown = values; isNumberArray(level); level = level[0]) {
    if (shape.length === MAX_RANK)
      throw badArgument(name, `numbers nested at most ${MAX_RANK} deep`, plain('deeper nesting'));
    shape.push(level.length);
  }
  return shape;
}

/** The numbers of nested arrays, and their shape. */
function flatten(
  name: string,
  values: readonly NestedNumbers[],
  dtype: Dtype,
  shape = shapeOf(name, values),
): Tensor {
  const place = new Array<number>(shape.length).fill(0);
  const wrong = (depth: number, expected: string, got: unknown): Error =>
    badArgument(
      `${name}${place
        .slice(0, depth)
        .map((i) => `[${i}]`)
        .join('')}`,
      expected,
      got,
    );
  const last = shape.length - 1;
  /** Visits the innermost arrays, all of which have been found to be as long as the first. */
  const eachRow = (level: NestedNumbers, depth: number, visit: (row: ArrayLike<unknown>) => void): void => {
    // The innermost rank may be typed arrays: a frame often is one.
    if (!isNumberArray(level)) throw wrong(depth, `an array of ${shape[depth]}`, level);
    if (level.length !== shape[depth])
      throw wrong(depth, `${shape[depth]} entries, as the others have`, plain(`${level.length}`));
    if (depth === last) visit(level);
    else
      for (let i = 0; i < level.length; i++) {
        place[depth] = i;
        eachRow(level[i], depth + 1, visit);
      }
  };
  // So far only the first entries have been looked at: others may be shorter.
  if (sizeOf(shape) > MANY) eachRow(values, 0, () => {});
  const data = newReals(dtype, sizeOf(shape));
  let at = 0;
  eachRow(values, 0, (row) => {
    for (let i = 0; i < row.length; i++) {
      const value = row[i];
      if (typeof value !== 'number') {
        place[last] = i;
        throw wrong(shape.length, 'a number', value);
      }
      data[at++] = value;
    }
  });
  return new Tensor(data, shape);
}

/** Each dimension is a number, or a name where any size from 1 will do. */
export type ExpectedShape = readonly (number | string)[];

/**
 * Reads an argument as a tensor of a data type and an expected shape.
 * @throws BAD_ARGUMENT, e.g. `x: expected [batch, time, 39], got [32, 20, 40]`
 */
export function readTensor(name: string, value: unknown, expected: ExpectedShape, dtype: Dtype): Tensor {
  const read = readAny(name, value, expected, dtype);
  checkShape(name, read.shape, expected);
  return read;
}

/** Reads a bias that is given as [size] or as a column [size, 1]. */
export function readBias(name: string, value: unknown, size: number, dtype: Dtype): Tensor {
  const column = Array.isArray(value)
    ? Array.isArray(value[0])
    : isShapedData(value) && value.shape.length === 2;
  return readTensor(name, value, column ? [size, 1] : [size], dtype);
}

function checkShape(name: string, shape: readonly number[], expected: ExpectedShape): void {
  const fits = (n: number, d: number) => (typeof expected[d] === 'number' ? n === expected[d] : n >= 1);
  if (shape.length !== expected.length || !shape.every(fits))
    throw badArgument(name, textOf(expected), shape);
}

const textOf = (expected: ExpectedShape): string => `[${expected.join(', ')}]`;

function readAny(name: string, value: unknown, expected: ExpectedShape, dtype: Dtype): Tensor {
  if (Array.isArray(value)) {
    const shape = shapeOf(name, value);
    // Before it is walked: there may be much of it, and where the first entries are wrong, the others are not to blame.
    checkShape(name, shape, expected);
    return flatten(name, value, dtype, shape);
  }
  if (!isShapedData(value)) throw wrongForm(name, value, textOf(expected));
  const { data, shape } = value;
  if (sizeOf(shape) !== data.length) {
    throw badArgument(
      `${name}.data`,
      `${sizeOf(shape)} numbers for shape [${shape.join(', ')}]`,
      data.length,
    );
  }
  return new Tensor(asReals(`${name}.data`, data, dtype), shape);
}

/** The error for a value that is not of the form `{ data, shape }`. */
function wrongForm(name: string, value: unknown, wanted: string): Error {
  if (ArrayBuffer.isView(value))
    return badArgument(name, `${wanted}, a flat array in { data, shape }`, value);
  if (typeof value !== 'object' || value === null || !('data' in value || 'shape' in value))
    return badArgument(name, wanted, value);
  const { data, shape } = value as Partial<ShapedData>;
  if (!isShape(shape)) return badArgument(`${name}.shape`, `integers from 0, as ${wanted}`, shape);
  return badArgument(`${name}.data`, 'an array of numbers', data);
}

/** Whether a value has the form `{ data, shape }`. */
export function isShapedData(value: unknown): value is ShapedData {
  if (typeof value !== 'object' || value === null || !('data' in value) || !('shape' in value)) return false;
  const { data, shape } = value;
  return isNumberArray(data) && isShape(shape);
}
