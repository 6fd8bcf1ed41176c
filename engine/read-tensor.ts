/** Reading tensors from whatever a caller gives. */
import { types } from 'node:util';
import { plain } from './describe.ts';
import { badArgument } from './errors.ts';
import { checkDtype, type Dtype, type NumberArray, newReals, type RealArray } from './numeric/reals.ts';
import { isShape, MAX_RANK, type NestedNumbers, type ShapedData, sizeOf, Tensor } from './tensor.ts';
import { checkKeys } from './validation.ts';

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
  if (isShapedData(values)) {
    const { shape = values.shape } = options;
    return tensor(values.data, { ...options, shape });
  }
  const { shape, dtype = values instanceof Float64Array ? 'float64' : 'float32' } = options;
  checkDtype(dtype);
  if (typeof values === 'number') return shaped(new Tensor(newReals(dtype, 1).fill(values), []), shape);
  if (Array.isArray(values)) return shaped(flatten('values', values, dtype), shape);
  if (!isNumberArray(values))
    throw badArgument('values', 'numbers in nested arrays, a typed array, or { data, shape }', values);
  return shaped(new Tensor(asReals('values', values, dtype), [values.length]), shape);
}

const shaped = ({ data, shape }: Tensor, given: readonly number[] | undefined): Tensor =>
  new Tensor(data, given === undefined ? shape : given);

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
