import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

/** Largest distance allowed from the correctly rounded result, in units in the last place. */
const MAX_ULP = 2;

// ---- The reference: double-double arithmetic (about 106 bits), sharing nothing with the kernels. ----------------
// Algorithms: T. J. Dekker, "A floating-point technique for extending the available precision", 1971.

/** high + low with |low| ≤ half a unit in the last place of high. */
type Pair = readonly [high: number, low: number];

function twoSum(a: number, b: number): Pair {
  const sum = a + b;
  const bRounded = sum - a;
  return [sum, a - (sum - bRounded) + (b - bRounded)];
}

function split(a: number): Pair {
  const scaled = 134217729 * a; // 2^27 + 1
  const high = scaled - (scaled - a);
  return [high, a - high];
}

function twoProduct(a: number, b: number): Pair {
  const product = a * b;
  const [aHigh, aLow] = split(a);
  const [bHigh, bLow] = split(b);
  return [product, aHigh * bHigh - product + aHigh * bLow + aLow * bHigh + aLow * bLow];
}

function add(a: Pair, b: Pair): Pair {
  const [sum, error] = twoSum(a[0], b[0]);
  const [lowSum, lowError] = twoSum(a[1], b[1]);
  const [high, low] = twoSum(sum, error + lowSum);
  return twoSum(high, low + lowError);
}

function negate(a: Pair): Pair {
  return [-a[0], -a[1]];
}

function multiply(a: Pair, b: Pair): Pair {
  const [product, error] = twoProduct(a[0], b[0]);
  return twoSum(product, error + (a[0] * b[1] + a[1] * b[0]));
}

function divide(a: Pair, b: Pair): Pair {
  const first = a[0] / b[0];
  const rest = add(a, negate(multiply(b, [first, 0])));
  const second = rest[0] / b[0];
  const third = add(rest, negate(multiply(b, [second, 0])))[0] / b[0];
  return add(twoSum(first, second), [third, 0]);
}

/** 1/n! */
const INVERSE_FACTORIALS: Pair[] = [[1, 0]];
for (let n = 1; n <= 26; n++) INVERSE_FACTORIALS.push(divide(INVERSE_FACTORIALS[n - 1] as Pair, [n, 0]));

const LN2 = [Math.LN2, 2.3190468138462996e-17, 5.707708438416212e-34];

/** e^x = 2^k (1 + m) with |m| < 0.42, m by the Taylor series. */
function reducedExpm1(x: number): { k: number; m: Pair } {
  const k = Math.round(x / Math.LN2);
  let r: Pair = [x, 0];
  for (const part of LN2) r = add(r, negate(twoProduct(k, part)));
  let series: Pair = [0, 0];
  for (let n = 26; n >= 1; n--) series = add(multiply(series, r), INVERSE_FACTORIALS[n] as Pair);
  return { k, m: multiply(series, r) };
}

function exactTanh(x: number): Pair {
  const magnitude = Math.abs(x);
  if (magnitude < 2 ** -60) return [x, 0]; // x − x³/3 is x to more than 106 bits
  if (magnitude > 40) return [Math.sign(x), 0];
  const { k, m } = reducedExpm1(2 * magnitude);
  const t = add([m[0] * 2 ** k, m[1] * 2 ** k], [2 ** k - 1, 0]);
  const result = divide(t, add(t, [2, 0]));
  return x < 0 ? negate(result) : result;
}

const words = new DataView(new ArrayBuffer(8));

/** The distance of two neighbouring numbers at |x| in the format with this precision and smallest distance. */
function unitInLastPlace(x: number, precision: number, smallest: number): number {
  words.setFloat64(0, x);
  const exponent = ((words.getUint32(0) >>> 20) & 2047) - 1023;
  return Math.max(2 ** (exponent - precision + 1), smallest);
}

/** |actual − correctly rounded| in units in the last place of f64: the high part of a pair is the pair, rounded. */
function errorOfTanh(x: number, actual: number): number {
  const [rounded] = exactTanh(x);
  return Math.abs(actual - rounded) / unitInLastPlace(rounded, 53, 2 ** -1074);
}

/** The same for e^x. Both sides are first divided by 2^k: so a denormal result is compared with the unrounded one. */
function errorOfExp(x: number, actual: number): number {
  const { k, m } = reducedExpm1(x);
  const [rounded] = add([1, 0], m);
  const half = Math.trunc(k / 2);
  const scaled = actual * 2 ** -half * 2 ** -(k - half);
  const unit = Math.max(unitInLastPlace(rounded, 53, 0), 2 ** (-1074 - k));
  return Math.abs(scaled - rounded) / unit;
}

// ---- The kernels ------------------------------------------------------------------------------------------------

type Kernel = (at: number, bytes: number) => void;
type Reals = Float32Array | Float64Array;
const COUNT = 1 << 16;
/** The first page stays free. */
const AT = 65536;

/** Loads the module for one data type; `tanh` and `exp` return a view that the next call overwrites. */
function loadKernels(name: 'f32' | 'f64') {
  const memory = new WebAssembly.Memory({ initial: 17 + 16, maximum: 65536, shared: true });
  const bytes = readFileSync(new URL(`../../../dist/kernels/${name}.wasm`, import.meta.url));
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
  const view = (offset: number, length: number): Reals =>
    name === 'f32'
      ? new Float32Array(memory.buffer, offset, length)
      : new Float64Array(memory.buffer, offset, length);
  const apply = (kernel: Kernel, values: ArrayLike<number>): Reals => {
    const array = view(AT, values.length);
    array.set(values);
    kernel(AT, Math.ceil(array.byteLength / 16) * 16);
    return array;
  };
  return {
    memory,
    tanh: (values: ArrayLike<number>) => apply(exports.tanhArray as Kernel, values),
    exp: (values: ArrayLike<number>) => apply(exports.expArray as Kernel, values),
  };
}

/** A linear congruential generator: the sweep is the same in every run. */
function uniforms(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
}

interface Worst {
  error: number;
  x: number;
  actual: number;
}

function worstOf(
  xs: ArrayLike<number>,
  actual: ArrayLike<number>,
  error: (x: number, y: number) => number,
): Worst {
  let worst: Worst = { error: 0, x: 0, actual: 0 };
  for (let i = 0; i < xs.length; i++) {
    const [x, y] = [xs[i] as number, actual[i] as number];
    const e = error(x, y);
    if (!(e <= worst.error)) worst = { error: e, x, actual: y };
  }
  return worst;
}

const f32 = loadKernels('f32');
const f64 = loadKernels('f64');

describe('tanh and exp in f32', () => {
  /** Every `stride`-th float with bits in [from, to), in pieces of COUNT. */
  function* floats(from: number, to: number, stride: number): Generator<Float32Array> {
    for (let start = from; start < to; start += stride * COUNT) {
      const bits = Uint32Array.from({ length: COUNT }, (_, i) => Math.min(start + stride * i, to - 1));
      yield new Float32Array(bits.buffer);
    }
  }

  // Math.tanh and Math.exp in f64 are off by about 2^-29 of a unit of f32: rounded to f32 they serve as reference.
  const error32 = (reference: (x: number) => number) => (x: number, y: number) => {
    const rounded = Math.fround(reference(x));
    return Math.abs(y - rounded) / unitInLastPlace(rounded, 24, 2 ** -149);
  };

  it('keeps tanh within 2 ulp over a sweep of all positive floats', () => {
    for (const xs of floats(0, 0x7f800000, 769)) {
      const worst = worstOf(xs, f32.tanh(xs), error32(Math.tanh));
      expect(worst.error, `tanh(${worst.x}) = ${worst.actual}`).toBeLessThanOrEqual(MAX_ULP);
    }
  });

  it('keeps exp within 2 ulp from the smallest denormal to the largest float', () => {
    const lastFinite = 0x42b17217; // 88.72283, whose exponential is the last below 2^128
    for (const [from, to] of [
      [0, lastFinite + 1],
      [0x80000000, 0xc2d00000],
    ] as const) {
      for (const xs of floats(from, to, 769)) {
        const worst = worstOf(xs, f32.exp(xs), error32(Math.exp));
        expect(worst.error, `exp(${worst.x}) = ${worst.actual}`).toBeLessThanOrEqual(MAX_ULP);
      }
    }
  });

  it('overflows to infinity just past the last finite exponential', () => {
    expect([...f32.exp([88.72283172607422, 88.72283935546875])]).toEqual([3.402798519021476e38, Infinity]);
  });
});

describe('tanh and exp in f64', () => {
  const random = uniforms(1);
  const sign = () => (random() < 0.5 ? -1 : 1);
  const tinyStep = () => 1 + (random() - 0.5) * 2 ** -20;
  /** Name, kernel, error, and how one argument is drawn. */
  const sweeps: [string, 'tanh' | 'exp', () => number][] = [
    ['tanh over (−20, 20)', 'tanh', () => sign() * random() * 20],
    ['tanh where its error peaks', 'tanh', () => (random() < 0.5 ? 0.17 : 2) + random() * 6],
    [
      'tanh in every binade',
      'tanh',
      () => sign() * 2 ** (-1074 + Math.floor(random() * 1080)) * (1 + random()),
    ],
    ['tanh where k changes', 'tanh', () => (Math.floor(random() * 56) + 0.5) * (Math.LN2 / 2) * tinyStep()],
    ['exp over the whole range', 'exp', () => -745.2 + random() * (745.2 + 709.78)],
    ['exp around 0', 'exp', () => (random() - 0.5) * 2],
    [
      'exp in every binade',
      'exp',
      () => sign() * 2 ** (-1074 + Math.floor(random() * 1083)) * (1 + random() * 0.38),
    ],
    ['exp with denormal results', 'exp', () => -708.3 - random() * 37],
    ['exp where k changes', 'exp', () => (Math.floor(random() * 2000 - 1000) + 0.5) * Math.LN2 * tinyStep()],
  ];

  it.each(sweeps)('keeps %s within 2 ulp', (_, name, draw) => {
    for (let round = 0; round < 3; round++) {
      const xs = Float64Array.from({ length: COUNT }, draw);
      const worst = worstOf(xs, f64[name](xs), name === 'tanh' ? errorOfTanh : errorOfExp);
      expect(worst.error, `${name}(${worst.x}) = ${worst.actual}`).toBeLessThanOrEqual(MAX_ULP);
    }
  });

  it('overflows to infinity just past the last finite exponential', () => {
    expect([...f64.exp([709.782712893384, 709.7827128933841])]).toEqual([1.7976931348622732e308, Infinity]);
  });
});

describe.each([
  { name: 'f32', kernels: f32, tiny: 2 ** -149, saturated: 9.1, underflow: -104 },
  { name: 'f64', kernels: f64, tiny: 2 ** -1074, saturated: 19.1, underflow: -746 },
])('$name', ({ kernels, tiny, saturated, underflow }) => {
  it('answers special arguments of tanh as IEEE 754 asks, but for the sign of 0', () => {
    const xs = [0, -0, tiny, -tiny, 3 * tiny, Infinity, -Infinity, NaN, saturated, -saturated, 1e30];
    expect([...kernels.tanh(xs)]).toEqual([0, 0, tiny, -tiny, 3 * tiny, 1, -1, NaN, 1, -1, 1]);
  });

  it('answers special arguments of exp as IEEE 754 asks', () => {
    const xs = [0, -0, tiny, -tiny, Infinity, -Infinity, NaN, underflow, -1e30, 1e30];
    expect([...kernels.exp(xs)]).toEqual([1, 1, 1, 1, Infinity, 0, NaN, 0, 0, Infinity]);
  });

  it('makes tanh exactly odd and never larger than 1', () => {
    const random = uniforms(2);
    const xs = Float32Array.from({ length: COUNT }, () => random() * 25);
    const positive = kernels.tanh(xs).slice();
    const negative = kernels.tanh(xs.map((x) => -x));
    expect(negative.every((y, i) => y === -(positive[i] as number) && y >= -1)).toBe(true);
  });

  it('keeps tanh and exp in order between arguments further apart than the error', () => {
    const xs = Float32Array.from({ length: COUNT }, (_, i) => (i / COUNT) * 6 - 3);
    for (const ys of [kernels.tanh(xs).slice(), kernels.exp(xs).slice()]) {
      expect(ys.every((y, i) => i === 0 || y > (ys[i - 1] as number))).toBe(true);
    }
  });

  it('gives each element the same bits whatever its place in the array', () => {
    const random = uniforms(3);
    const xs = Float32Array.from({ length: 37 }, () => random() * 8 - 4);
    const all = [...kernels.tanh(xs)];
    for (let i = 0; i < xs.length; i++) expect(kernels.tanh(xs.subarray(i, i + 1))[0]).toBe(all[i]);
  });

  it('leaves the bytes around its output alone', () => {
    const bytes = new Uint8Array(kernels.memory.buffer);
    for (const name of ['tanh', 'exp'] as const) {
      bytes.fill(0xa5, AT - 64, AT + 1024);
      kernels[name](new Float32Array(kernels === f32 ? 60 : 30)); // 240 bytes: eight vectors together, then seven
      const around = [...bytes.subarray(AT - 64, AT), ...bytes.subarray(AT + 240, AT + 1024)];
      expect(around.every((b) => b === 0xa5)).toBe(true);
    }
  });
});

it('carries no data segment: instances on one shared memory must not write it again', () => {
  for (const name of ['f32', 'f64']) {
    const bytes = readFileSync(new URL(`../../../dist/kernels/${name}.wasm`, import.meta.url));
    expect(sectionIds(bytes)).not.toContain(11);
  }
});

/** The id of every section of a WebAssembly module (11 is data). */
function sectionIds(bytes: Uint8Array): number[] {
  const ids: number[] = [];
  for (let at = 8; at < bytes.length; ) {
    ids.push(bytes[at++] as number);
    let size = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++] as number;
      size += (byte & 127) * 2 ** shift;
      if (byte < 128) break;
    }
    at += size;
  }
  return ids;
}
