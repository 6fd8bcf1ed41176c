/** Comparing tensors, and the tolerances to do it with. A tolerance is derived, never tried out. */

export interface TensorLike {
  readonly data: readonly number[] | Float32Array | Float64Array | Int32Array;
  readonly shape: readonly number[];
}

export type Values = number | readonly Values[] | TensorLike;

/** Either may be given for each element: a tensor of the same number of elements. */
export interface Tolerance {
  atol: Values;
  rtol?: number;
}

export type Dtype = 'float32' | 'float64';

/** u, the largest relative error of one correctly rounded operation. */
export function unitRoundoff(dtype: Dtype): number {
  return dtype === 'float32' ? 2 ** -24 : 2 ** -53;
}

/**
 * γ_k = k·u / (1 − k·u): the relative error of k operations in a row, and, times Σ|aᵢ·bᵢ|, that of a sum of
 * k products added in any order. N. Higham 2002, "Accuracy and Stability of Numerical Algorithms", 3.1.
 */
export function gamma(operations: number, u: number): number {
  const ku = operations * u;
  if (ku >= 1) throw new RangeError(`gamma: ${operations} operations are too many for u = ${u}`);
  return ku / (1 - ku);
}

interface Flat {
  data: readonly number[] | Float32Array | Float64Array | Int32Array;
  shape: readonly number[];
}

function isTensor(values: Values): values is TensorLike {
  return typeof values === 'object' && 'data' in values;
}

/** Nested rows may differ in length: then the length is given as the shape, and one index is printed. */
function flat(values: Values): Flat {
  if (typeof values === 'number') return { data: [values], shape: [] };
  if (isTensor(values)) return { data: values.data, shape: values.shape };
  const parts = values.map(flat);
  const data = parts.flatMap((part) => Array.from(part.data));
  const first = parts.length > 0 ? parts[0].shape : [];
  const regular = parts.every((part) => part.shape.join() === first.join());
  return { data, shape: regular ? [parts.length, ...first] : [data.length] };
}

export function largestMagnitude(values: Values): number {
  return Array.from(flat(values).data).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

function multiIndex(offset: number, shape: readonly number[]): string {
  const index: number[] = [];
  let rest = offset;
  for (const extent of [...shape].reverse()) {
    index.unshift(rest % extent);
    rest = Math.floor(rest / extent);
  }
  return `[${index.join(', ')}]`;
}

function checkShapes(name: string, actual: Flat, expected: Flat): void {
  if (actual.data.length === expected.data.length && actual.shape.join() === expected.shape.join()) return;
  throw new Error(`${name}: shape [${actual.shape.join(', ')}], expected [${expected.shape.join(', ')}]`);
}

/** 0 where equal (infinities and NaN included), Infinity where only one is finite. */
function errorOf(actual: number, expected: number): number {
  if (Object.is(actual, expected) || actual === expected) return 0;
  const error = Math.abs(actual - expected);
  return Number.isFinite(actual) && Number.isFinite(expected) ? error : Number.POSITIVE_INFINITY;
}

function allowances({ atol, rtol = 0 }: Tolerance, expected: Flat): (offset: number) => number {
  const floor = flat(atol).data;
  if (floor.length !== 1 && floor.length !== expected.data.length) {
    throw new Error(`tolerance: ${floor.length} values for ${expected.data.length} elements`);
  }
  const broken = Array.from(floor).find((value) => !(value >= 0 && value < Number.POSITIVE_INFINITY));
  // A NaN or infinite allowance would let anything through.
  if (broken !== undefined || !(rtol >= 0)) throw new Error(`tolerance: atol ${broken}, rtol ${rtol}`);
  return (offset) => {
    const magnitude = Math.abs(expected.data[offset]);
    return Number.isFinite(magnitude) ? floor[floor.length === 1 ? 0 : offset] + rtol * magnitude : 0;
  };
}

/**
 * Holds when |actual − expected| ≤ atol + rtol·|expected| for every element. Otherwise throws, naming the
 * tensor, the first element that is out and the one that is furthest out.
 */
export function expectClose(name: string, actual: Values, expected: Values, tolerance: Tolerance): void {
  const [a, e] = [flat(actual), flat(expected)];
  checkShapes(name, a, e);
  const allowedAt = allowances(tolerance, e);
  let first = -1;
  let worst = -1;
  let worstError = 0;
  let count = 0;
  for (let i = 0; i < e.data.length; i++) {
    const error = errorOf(a.data[i], e.data[i]);
    if (error <= allowedAt(i) && error < Number.POSITIVE_INFINITY) continue;
    count++;
    if (first < 0) first = i;
    if (worst < 0 || error > worstError) {
      worst = i;
      worstError = error;
    }
  }
  if (first < 0) return;
  const describe = (i: number) =>
    `${name}${multiIndex(i, e.shape)} = ${a.data[i]}, expected ${e.data[i]}, allowed ±${allowedAt(i).toExponential(3)}`;
  throw new Error(
    `${describe(first)}\n${count} of ${e.data.length} elements are out; the largest error is ` +
      `${worstError.toExponential(3)}: ${describe(worst)}`,
  );
}

/** Holds when both have the same shape and every element the same bits; −0 and 0 differ. */
export function expectSameBits(name: string, actual: Values, expected: Values): void {
  const [a, e] = [flat(actual), flat(expected)];
  checkShapes(name, a, e);
  for (let i = 0; i < e.data.length; i++) {
    if (Object.is(a.data[i], e.data[i])) continue;
    const show = (value: number) => (Object.is(value, -0) ? '-0' : String(value));
    throw new Error(
      `${name}${multiIndex(i, e.shape)} = ${show(a.data[i])}, expected the bits of ${show(e.data[i])}`,
    );
  }
}
