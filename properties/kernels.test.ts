import { fc } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import type { Kernels } from '../engine/kernels/kernels.ts';
import {
  layoutOf,
  PANEL_BYTES,
  type Panels,
  panelColumns,
  panelsFor,
  tiledRows,
} from '../engine/kernels/layout.ts';
import { makeKernels } from '../engine/kernels/make-kernels.ts';
import { wasmModule } from '../engine/kernels/wasm-kernels.ts';
import { Random } from '../engine/numeric/random.ts';
import { type Dtype, realArray, realBytes } from '../engine/numeric/reals.ts';
import { newMemory } from '../engine/parallel/shared-memory.ts';
import { gamma, unitRoundoff } from './compare.ts';
import { kernelsOfRun } from './kernels-of-run.ts';
import { law } from './profile.ts';

/**
 * Every kernel against the loop that defines it, on a memory full of guard values: outside of its output, nothing
 * may change. Sums of k products are held to the bound γ_k = k·u / (1 − k·u) on Σ|a·b| (N. Higham, Accuracy and
 * Stability of Numerical Algorithms, 2nd ed., §3.1), u being the unit roundoff.
 */
const GUARD = 1234.5;
const SIZE = 1 << 20;

class Bench {
  readonly dtype: Dtype;
  readonly kernels: Kernels;
  readonly reals: Float32Array | Float64Array;
  readonly random: Random;
  #end = 64;
  #before: Float32Array | Float64Array | null = null;

  constructor(dtype: Dtype, seed: number) {
    const memory = memories[dtype];
    this.dtype = dtype;
    this.kernels = kernels[dtype];
    this.reals = realArray(dtype, memory.buffer, 0, SIZE / realBytes(dtype));
    this.reals.fill(GUARD);
    this.random = new Random(seed);
  }

  /** Room for `count` values, with guards on either side. */
  take(count: number): number {
    const at = this.#end;
    this.#end = Math.ceil((at + (count + 16) * realBytes(this.dtype)) / 64) * 64;
    if (this.#end > SIZE) throw new Error('the bench is too small');
    return at;
  }

  value(): number {
    return (this.random.integer(2049) - 1024) / 256;
  }

  /** A row-major matrix of values. */
  matrix(rows: number, width: number): { at: number; values: number[][] } {
    const at = this.take(rows * width);
    const values = Array.from({ length: rows }, () => Array.from({ length: width }, () => this.value()));
    values.flat().forEach((value, i) => {
      this.reals[at / realBytes(this.dtype) + i] = value;
    });
    return { at, values };
  }

  /** Panels with so many rows in whole tiles; zero where there is no value, guards between panels. */
  panels(rows: number, width: number): Panels & { values: number[][] } {
    const panels = panelsFor(width, this.dtype);
    const { stride, pitch, bytes } = layoutOf(kernelsOfRun, tiledRows(rows), panels);
    const matrix = { at: this.take(bytes / realBytes(this.dtype)), stride, pitch };
    const values = Array.from({ length: rows }, () => Array.from({ length: width }, () => this.value()));
    for (let r = 0; r < tiledRows(rows); r++) {
      for (let j = 0; j < panels * panelColumns(this.dtype); j++) {
        this.reals[this.index(matrix, r, j)] = values[r]?.[j] ?? 0;
      }
    }
    return { ...matrix, values };
  }

  /** Where an element of panels lies among the reals. */
  index({ at, stride, pitch }: Panels, row: number, column: number): number {
    const columns = panelColumns(this.dtype);
    const panel = Math.floor(column / columns);
    return (at + panel * stride + row * pitch) / realBytes(this.dtype) + (column % columns);
  }

  /** Remembers the memory; after the kernel has run, `unchanged` holds everything but `written` to it. */
  watch(): void {
    this.#before = this.reals.slice();
  }

  unchanged(written: (index: number) => boolean): void {
    const before = this.#before;
    if (!before) throw new Error('nothing was watched');
    const touched = this.reals.findIndex((value, i) => !Object.is(value, before[i]) && !written(i));
    expect(touched, `the value at ${touched} was overwritten`).toBe(-1);
  }
}

const memories = { float32: newMemory(SIZE), float64: newMemory(SIZE) };
const kernelsOn = (dtype: Dtype): Kernels =>
  makeKernels({ maker: kernelsOfRun }, wasmModule(dtype, kernelsOfRun), memories[dtype], dtype);
const kernels = { float32: kernelsOn('float32'), float64: kernelsOn('float64') };

/** Σ terms, and how far a computed sum may be from it. */
function expectSum(name: string, got: number, terms: number[], dtype: Dtype): void {
  const exact = terms.reduce((a, b) => a + b, 0);
  const magnitude = terms.reduce((a, b) => a + Math.abs(b), 0);
  const bound = gamma(terms.length + 2, unitRoundoff(dtype)) * magnitude;
  expect(Math.abs(got - exact), `${name}: got ${got}, exactly ${exact}`).toBeLessThanOrEqual(bound);
}

const dtypes = ['float32', 'float64'] as const;
const dtype = fc.constantFrom<Dtype>(...dtypes);
const size = fc.oneof(fc.constantFrom(1, 3, 4, 5, 7, 8, 9, 16, 17), fc.integer({ min: 1, max: 40 }));
const seed = fc.noShrink(fc.integer({ min: 0, max: 2 ** 31 }));
const shape = { dtype, rows: size, k: size, n: size, seed };
/** More rows, of more columns, than a first-level cache holds. */
const wide = dtypes.map((dtype) => ({ dtype, rows: 130, k: 395, n: 9, seed: 1 }));

/** Packs all of W [n, k], for x Wᵀ, or of W [k, n], for dz W. */
function pack(
  bench: Bench,
  how: 'packTransposed' | 'packPlain',
  W: number,
  n: number,
  k: number,
  width = how === 'packTransposed' ? k : n,
): number {
  const columns = panelColumns(bench.dtype);
  const b = bench.take(panelsFor(k, bench.dtype) * columns * panelsFor(n, bench.dtype) * columns);
  const rows = how === 'packTransposed' ? n : k;
  for (let p = 0; p < panelsFor(rows, bench.dtype); p++) {
    if (how === 'packTransposed') bench.kernels.packTransposed(b, W, n, k, width, p);
    else bench.kernels.packPlain(b, W, k, n, width, p);
  }
  return b;
}

interface Product {
  dtype: Dtype;
  rows: number;
  k: number;
  n: number;
  seed: number;
}

/** That a kernel has written these panels and nothing else, each number the sum of `termsOf` its row and column. */
function expectSums(
  bench: Bench,
  name: string,
  panels: Panels,
  [rows, n]: [number, number],
  termsOf: (row: number, column: number) => number[],
): void {
  expectOnlyPanelsWritten(bench, panels, rows, n);
  for (let r = 0; r < rows; r++) {
    for (let j = 0; j < n; j++)
      expectSum(`${name}[${r}, ${j}]`, bench.reals[bench.index(panels, r, j)], termsOf(r, j), bench.dtype);
  }
}

function expectProject({ dtype, rows, k, n, seed }: Product): void {
  const bench = new Bench(dtype, seed);
  const x = bench.panels(rows, k);
  const W = bench.matrix(n, k);
  const b = bench.matrix(1, n);
  const packed = pack(bench, 'packTransposed', W.at, n, k);
  const bias = bench.take(panelsFor(n, dtype) * panelColumns(dtype));
  bench.kernels.packBias(bias, b.at, 0, n);
  const y = bench.panels(rows, n);
  bench.watch();
  bench.kernels.project(
    ...([y.at, y.stride, tiledRows(rows), panelsFor(n, dtype)] as const),
    ...([x.at, x.stride, panelsFor(k, dtype), packed, bias] as const),
  );
  const termsOf = (r: number, j: number) => [
    b.values[0][j],
    ...x.values[r].map((value, i) => value * W.values[j][i]),
  ];
  expectSums(bench, 'y', y, [rows, n], termsOf);
}

describe(`${kernelsOfRun} kernels`, () => {
  law('project is x Wᵀ + b, in whole tiles and nowhere else', shape, { cases: 100 }, expectProject);
  it.each(wide)('project is that of more rows, in $dtype', expectProject);

  it.each(wide)('accumulate adds a B to more rows, in $dtype', ({ dtype, rows, k, n, seed }) => {
    const bench = new Bench(dtype, seed);
    const a = bench.panels(rows, k);
    const W = bench.matrix(n, k);
    const packed = pack(bench, 'packTransposed', W.at, n, k);
    const sum = bench.panels(rows, n);
    bench.watch();
    bench.kernels.accumulate(
      ...([sum.at, sum.stride, tiledRows(rows), panelsFor(n, dtype)] as const),
      ...([a.at, a.stride, panelsFor(k, dtype), packed] as const),
    );
    const termsOf = (r: number, j: number) => [
      sum.values[r][j],
      ...a.values[r].map((value, i) => value * W.values[j][i]),
    ];
    expectSums(bench, 'sum', sum, [rows, n], termsOf);
  });

  law(
    'multiply is dz W, in whole tiles and nowhere else',
    shape,
    { cases: 100 },
    ({ dtype, rows, k, n, seed }) => {
      const bench = new Bench(dtype, seed);
      const dz = bench.panels(rows, k);
      const W = bench.matrix(k, n);
      const packed = pack(bench, 'packPlain', W.at, n, k);
      const zeros = bench.take(PANEL_BYTES / realBytes(dtype));
      bench.reals.fill(0, zeros / realBytes(dtype), zeros / realBytes(dtype) + panelColumns(dtype));
      const dx = bench.panels(rows, n);
      bench.watch();
      bench.kernels.multiply(
        ...([dx.at, dx.stride, tiledRows(rows), panelsFor(n, dtype)] as const),
        ...([dz.at, dz.stride, panelsFor(k, dtype), packed, zeros] as const),
      );
      expectSums(bench, 'dx', dx, [rows, n], (r, j) =>
        dz.values[r].map((value, i) => value * W.values[i][j]),
      );
    },
  );

  law(
    'outerProduct is dzᵀ x, onto what is there or not',
    { ...shape, add: fc.boolean() },
    { cases: 100 },
    ({ dtype, rows, k: m, n, seed, add }) => {
      const bench = new Bench(dtype, seed);
      // More rows than are summed in one go, now and then.
      const depth = tiledRows(rows * (seed % 7 === 0 ? 30 : 1));
      const dz = bench.panels(depth, m);
      const x = bench.panels(depth, n);
      const dW = bench.matrix(m, n);
      const edge = bench.take(128 / realBytes(dtype));
      bench.watch();
      bench.kernels.outerProduct(
        ...([dW.at, n * realBytes(dtype), m, n, dz.at, dz.stride, x.at, x.stride, depth, edge] as const),
        add ? 1 : 0,
      );
      const first = dW.at / realBytes(dtype);
      const edgeFirst = edge / realBytes(dtype);
      bench.unchanged(
        (i) =>
          (i >= first && i < first + m * n) || (i >= edgeFirst && i < edgeFirst + 128 / realBytes(dtype)),
      );
      for (let i = 0; i < m; i++) {
        for (let j = 0; j < n; j++) {
          const terms = dz.values.map((row, r) => row[i] * x.values[r][j]);
          if (add) terms.push(dW.values[i][j]);
          expectSum(`dW[${i}, ${j}]`, bench.reals[first + i * n + j], terms, dtype);
        }
      }
    },
  );

  law(
    'sumRows adds the rows up, twice, onto what is there or not',
    { ...shape, add: fc.boolean() },
    { cases: 100 },
    ({ dtype, rows, n, seed, add }) => {
      const bench = new Bench(dtype, seed);
      const dz = bench.panels(rows, n);
      const sums = [bench.matrix(1, n), bench.matrix(1, n)];
      const edge = bench.take(128 / realBytes(dtype));
      bench.watch();
      const [db, twin] = sums.map(({ at }) => at);
      bench.kernels.sumRows(db, twin, n, dz.at, dz.stride, dz.pitch, tiledRows(rows), edge, add ? 1 : 0);
      const edgeFirst = edge / realBytes(dtype);
      const starts = [db, twin].map((at) => at / realBytes(dtype));
      bench.unchanged(
        (i) =>
          starts.some((first) => i >= first && i < first + n) ||
          (i >= edgeFirst && i < edgeFirst + panelColumns(dtype)),
      );
      sums.forEach(({ values }, which) => {
        for (let j = 0; j < n; j++) {
          const terms = [...dz.values.map((row) => row[j]), ...(add ? [values[0][j]] : [])];
          expectSum(`db[${j}]`, bench.reals[starts[which] + j], terms, dtype);
        }
      });
    },
  );

  law(
    'one step forward is tanh(c + h Wᵀ), one back is (d + dz W) ∘ (1 − h²)',
    shape,
    { cases: 100 },
    ({ dtype, rows, k, n, seed }) => {
      const bench = new Bench(dtype, seed);
      const a = bench.panels(rows, k);
      const W = bench.matrix(n, k);
      const packed = pack(bench, 'packTransposed', W.at, n, k);
      const c = bench.panels(rows, n);
      const h = bench.panels(rows, n);
      const d = bench.panels(rows, n);
      bench.watch();
      bench.kernels.tanhStep(
        ...([c.at, c.stride, tiledRows(rows), panelsFor(n, dtype)] as const),
        ...([a.at, a.stride, panelsFor(k, dtype), packed] as const),
      );
      expectOnlyPanelsWritten(bench, c, rows, n);
      bench.watch();
      bench.kernels.tanhStepBackward(
        ...([d.at, d.stride, tiledRows(rows), panelsFor(n, dtype)] as const),
        ...([a.at, a.stride, panelsFor(k, dtype), packed, h.at, h.stride] as const),
      );
      expectOnlyPanelsWritten(bench, d, rows, n);
      for (let r = 0; r < rows; r++) {
        for (let j = 0; j < n; j++) {
          const products = a.values[r].map((value, i) => value * W.values[j][i]);
          const sum = products.reduce((x, y) => x + y, 0);
          const magnitude = products.reduce((x, y) => x + Math.abs(y), 0);
          const bound = gamma(k + 3, unitRoundoff(dtype)) * (magnitude + 4);
          const z = c.values[r][j] + sum;
          // |tanh'| ≤ 1: an error in z is at most as large in tanh z. Two units in the last place below 1, and
          // those of Math.tanh, are 4u.
          const step = Math.abs(bench.reals[bench.index(c, r, j)] - Math.tanh(z));
          expect(step).toBeLessThanOrEqual(bound + 4 * unitRoundoff(dtype));
          const slope = 1 - h.values[r][j] ** 2;
          const back = bench.reals[bench.index(d, r, j)];
          const backBound =
            (bound + gamma(4, unitRoundoff(dtype)) * Math.abs(d.values[r][j] + sum)) *
            (1 + h.values[r][j] ** 2);
          expect(Math.abs(back - (d.values[r][j] + sum) * slope)).toBeLessThanOrEqual(backBound);
        }
      }
    },
  );

  law(
    'a first step from rest is the nonlinearity of c',
    shape,
    { cases: 100 },
    ({ dtype, rows, n, seed }) => {
      const bench = new Bench(dtype, seed);
      const [c, z] = [bench.panels(rows, n), bench.panels(rows, n)];
      bench.watch();
      bench.kernels.tanhForward(c.at, c.stride, tiledRows(rows), panelsFor(n, dtype));
      expectOnlyPanelsWritten(bench, c, rows, n);
      bench.watch();
      bench.kernels.reluForward(z.at, z.stride, tiledRows(rows), panelsFor(n, dtype));
      expectOnlyPanelsWritten(bench, z, rows, n);
      for (let r = 0; r < rows; r++) {
        for (let j = 0; j < n; j++) {
          const error = Math.abs(bench.reals[bench.index(c, r, j)] - Math.tanh(c.values[r][j]));
          expect(error).toBeLessThanOrEqual(4 * unitRoundoff(dtype));
          expect(bench.reals[bench.index(z, r, j)]).toBe(Math.max(0, z.values[r][j]));
        }
      }
    },
  );

  law(
    'gathered rows come back when they are scattered, padding is zero, and infinities are NaN',
    shape,
    { cases: 100 },
    ({ dtype, rows, n, seed }) => {
      const bench = new Bench(dtype, seed);
      const from = bench.matrix(rows, n);
      const panels = bench.panels(rows, n);
      bench.watch();
      bench.kernels.gatherRows(panels.at, panels.stride, panels.pitch, from.at, rows, n);
      expectOnlyPanelsWritten(bench, panels, rows, n);
      for (let r = 0; r < rows; r++) {
        for (let j = 0; j < panelsFor(n, dtype) * panelColumns(dtype); j++) {
          const got = bench.reals[bench.index(panels, r, j)];
          expect(got).toBe(j < n ? from.values[r][j] : 0);
        }
      }
      const last = bench.index(panels, rows - 1, n - 1);
      for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0]) {
        bench.reals[from.at / realBytes(dtype) + rows * n - 1] = value;
        bench.kernels.gatherRows(panels.at, panels.stride, panels.pitch, from.at, rows, n);
        expect(bench.reals[last]).toBe(value === 0 ? -0 : Number.NaN);
      }
      bench.reals[last] = from.values[rows - 1][n - 1];
      const to = bench.matrix(rows, n);
      bench.watch();
      bench.kernels.scatterRows(to.at, panels.at, panels.stride, panels.pitch, rows, n, 2);
      const first = to.at / realBytes(dtype);
      bench.unchanged((i) => i >= first && i < first + rows * n);
      for (let r = 0; r < rows; r++) {
        for (let j = 0; j < n; j++) expect(bench.reals[first + r * n + j]).toBe(from.values[r][j] / 2);
      }
    },
  );

  law(
    'a gradient that has faded below the least magnitude is 0, and NaN stays NaN',
    shape,
    { cases: 100 },
    ({ dtype, rows, n, seed }) => {
      const bench = new Bench(dtype, seed);
      const least = dtype === 'float32' ? 2 ** -96 : 2 ** -960;
      const h = bench.panels(rows, n);
      const d = bench.panels(rows, n);
      const faded = [least / 4, -least / 4, least / 2 ** 30, 0, Number.NaN, 4 * least, -4 * least];
      for (let r = 0; r < rows; r++) {
        for (let j = 0; j < n; j++) {
          bench.reals[bench.index(h, r, j)] = 0.5;
          bench.reals[bench.index(d, r, j)] = faded[(r * n + j) % faded.length];
        }
      }
      bench.kernels.tanhBackward(d.at, d.stride, h.at, h.stride, tiledRows(rows), panelsFor(n, dtype));
      for (let r = 0; r < rows; r++) {
        for (let j = 0; j < n; j++) {
          const value = faded[(r * n + j) % faded.length];
          const expected = Math.abs(value) < least ? 0 : 0.75 * value;
          expect(Math.abs(bench.reals[bench.index(d, r, j)])).toEqual(Math.abs(expected));
        }
      }
    },
  );

  law(
    'accumulate adds a B, reluStep and its way back are what the formulas say',
    shape,
    { cases: 100 },
    ({ dtype, rows, k, n, seed }) => {
      const bench = new Bench(dtype, seed);
      const a = bench.panels(rows, k);
      const W = bench.matrix(n, k);
      const packed = pack(bench, 'packTransposed', W.at, n, k);
      const size = [tiledRows(rows), panelsFor(n, dtype)] as const;
      const left = [a.at, a.stride, panelsFor(k, dtype), packed] as const;
      const sum = bench.panels(rows, n);
      const h = bench.panels(rows, n);
      const d = bench.panels(rows, n);
      bench.watch();
      bench.kernels.accumulate(sum.at, sum.stride, ...size, ...left);
      expectOnlyPanelsWritten(bench, sum, rows, n);
      const state = bench.panels(rows, n);
      bench.watch();
      bench.kernels.reluStep(state.at, state.stride, ...size, ...left);
      expectOnlyPanelsWritten(bench, state, rows, n);
      bench.watch();
      bench.kernels.reluStepBackward(d.at, d.stride, ...size, ...left, h.at, h.stride);
      expectOnlyPanelsWritten(bench, d, rows, n);
      for (let r = 0; r < rows; r++) {
        for (let j = 0; j < n; j++) {
          const at = (matrix: Panels) => bench.reals[bench.index(matrix, r, j)];
          const products = a.values[r].map((value, i) => value * W.values[j][i]);
          expectSum(`sum[${r}, ${j}]`, at(sum), [sum.values[r][j], ...products], dtype);
          // Values are on a grid: the sums are exact, so that relu has no doubt on which side of 0 they lie.
          const exact = products.reduce((x, y) => x + y, 0);
          expect(at(state)).toBe(Math.max(0, state.values[r][j] + exact));
          expect(at(d) + 0).toBe(h.values[r][j] > 0 ? d.values[r][j] + exact : 0);
        }
      }
    },
  );

  law(
    'relu of NaN is NaN; the last step back passes on where h > 0',
    shape,
    { cases: 100 },
    ({ dtype, rows, n, seed }) => {
      const bench = new Bench(dtype, seed);
      const none = bench.panels(rows, n);
      const W = bench.matrix(n, n);
      const packed = pack(bench, 'packTransposed', W.at, n, n);
      const zeros = bench.panels(rows, n);
      bench.kernels.zeroRows(zeros.at, zeros.stride, zeros.pitch, tiledRows(rows), panelsFor(n, dtype));
      bench.reals[bench.index(none, 0, 0)] = Number.NaN;
      bench.kernels.reluStep(
        ...([none.at, none.stride, tiledRows(rows), panelsFor(n, dtype)] as const),
        ...([zeros.at, zeros.stride, panelsFor(n, dtype), packed] as const),
      );
      expect(bench.reals[bench.index(none, 0, 0)]).toBeNaN();
      const [d, h] = [bench.panels(rows, n), bench.panels(rows, n)];
      bench.watch();
      bench.kernels.reluBackward(d.at, d.stride, h.at, h.stride, tiledRows(rows), panelsFor(n, dtype));
      expectOnlyPanelsWritten(bench, d, rows, n);
      for (let r = 0; r < rows; r++) {
        for (let j = 0; j < n; j++)
          expect(bench.reals[bench.index(d, r, j)] + 0).toBe(h.values[r][j] > 0 ? d.values[r][j] : 0);
      }
    },
  );

  law(
    'some columns of a matrix are packed like a matrix of their own',
    shape,
    { cases: 100 },
    ({ dtype, k, n, seed }) => {
      const bench = new Bench(dtype, seed);
      const before = seed % 5;
      const behind = (seed >>> 3) % 5;
      const bytes = realBytes(dtype);
      for (const how of ['packTransposed', 'packPlain'] as const) {
        const [rows, columns] = how === 'packTransposed' ? [n, k] : [k, n];
        const wide = bench.matrix(rows, before + columns + behind);
        const alone = bench.take(rows * columns);
        wide.values.forEach((row, i) => {
          bench.reals.set(row.slice(before, before + columns), alone / bytes + i * columns);
        });
        const expected = pack(bench, how, alone, n, k);
        const got = pack(bench, how, wide.at + before * bytes, n, k, before + columns + behind);
        const size = panelsFor(k, dtype) * panelColumns(dtype) * panelsFor(n, dtype) * panelColumns(dtype);
        const values = (at: number) => [...bench.reals.subarray(at / bytes, at / bytes + size)];
        expect(values(got)).toEqual(values(expected));
      }
    },
  );

  law(
    'addRows adds scaled rows, to each its own or all to one',
    { ...shape, toOne: fc.boolean() },
    { cases: 100 },
    ({ dtype, rows, n, seed, toOne }) => {
      const bench = new Bench(dtype, seed);
      const to = bench.panels(rows, n);
      const from = bench.panels(rows, n);
      bench.watch();
      const step = toOne ? 0 : to.pitch;
      const panels = panelsFor(n, dtype);
      bench.kernels.addRows(to.at, to.stride, step, from.at, from.stride, from.pitch, rows, panels, 0.5);
      expectOnlyPanelsWritten(bench, to, toOne ? 1 : rows, n);
      for (let r = 0; r < rows; r++) {
        for (let j = 0; j < n; j++) {
          const added = toOne ? from.values.map((row) => row[j] / 2) : [from.values[r][j] / 2];
          const sum = added.reduce((x, y) => x + y, to.values[r][j]);
          expect(bench.reals[bench.index(to, r, j)]).toBe(toOne && r > 0 ? to.values[r][j] : sum);
        }
      }
    },
  );

  law(
    'normalizeRows is (x − mean) / std, rounded twice',
    shape,
    { cases: 100 },
    ({ dtype, rows, n, seed }) => {
      const bench = new Bench(dtype, seed);
      const x = bench.panels(rows, n);
      const width = panelsFor(n, dtype) * panelColumns(dtype);
      const [mean, std] = [bench.take(width), bench.take(width)];
      const means = Array.from({ length: width }, (_, j) => (j < n ? bench.value() : 0));
      const stds = Array.from({ length: width }, (_, j) => (j < n ? Math.abs(bench.value()) + 0.125 : 1));
      bench.reals.set(means, mean / realBytes(dtype));
      bench.reals.set(stds, std / realBytes(dtype));
      bench.watch();
      bench.kernels.normalizeRows(x.at, x.stride, x.pitch, rows, panelsFor(n, dtype), mean, std);
      expectOnlyPanelsWritten(bench, x, rows, n);
      const round = dtype === 'float32' ? Math.fround : (value: number) => value;
      for (let r = 0; r < rows; r++) {
        for (let j = 0; j < width; j++) {
          const expected = j < n ? round(round(x.values[r][j] - means[j]) / stds[j]) : 0;
          expect(bench.reals[bench.index(x, r, j)]).toBe(expected);
        }
      }
    },
  );

  const counter = {
    key: fc.integer({ min: 0, max: 0xffffffff }),
    firstUnit: fc.integer({ min: 0, max: 1000 }),
  };
  law(
    'dropRows keeps the units whose bits the counter says, scaled',
    { ...shape, ...counter },
    { cases: 100 },
    ({ dtype, rows, n, seed, key, firstUnit }) => {
      const bench = new Bench(dtype, seed);
      const from = bench.panels(rows, n);
      const to = bench.panels(rows, n);
      const threshold = Math.min(2 * seed, 2 ** 32 - 1);
      bench.watch();
      bench.kernels.dropRows(
        ...([
          to.at,
          to.stride,
          to.pitch,
          from.at,
          from.stride,
          from.pitch,
          rows,
          panelsFor(n, dtype),
        ] as const),
        ...([key, firstUnit, threshold, 2] as const),
      );
      expectOnlyPanelsWritten(bench, to, rows, n);
      const finish = (hash: number): number => {
        let h = hash >>> 0;
        h = Math.imul(h ^ (h >>> 16), 0x85ebca6b) >>> 0;
        h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35) >>> 0;
        return (h ^ (h >>> 16)) >>> 0;
      };
      for (let t = 0; t < rows; t++) {
        const place = finish(key ^ Math.imul(t + 1, 0x9e3779b1));
        for (let j = 0; j < n; j++) {
          const kept = finish(place ^ Math.imul(firstUnit + j + 1, 0x9e3779b1)) >= threshold;
          expect(bench.reals[bench.index(to, t, j)] + 0).toBe(kept ? 2 * from.values[t][j] : 0);
        }
      }
    },
  );

  const sums = {
    dtype,
    lanes: fc.integer({ min: 1, max: 64 }),
    registers: fc.integer({ min: 1, max: 8 }),
    divisor: fc.integer({ min: 1, max: 512 }),
    onto: fc.boolean(),
    seed,
  };
  law(
    'lanes are added along the binary tree over their numbers and averaged, bit for bit',
    sums,
    { cases: 100 },
    ({ dtype, lanes, registers, divisor, onto, seed }) => {
      const bench = new Bench(dtype, seed);
      const count = (registers * 16) / realBytes(dtype);
      const sums = Array.from({ length: lanes }, () =>
        Array.from({ length: count }, () => bench.random.normal()),
      );
      const at = bench.take(lanes * count);
      const old = bench.matrix(1, count);
      const out = bench.take(count);
      sums.flat().forEach((value, i) => {
        bench.reals[at / realBytes(dtype) + i] = value;
      });
      const round = dtype === 'float32' ? Math.fround : (x: number) => x;
      const tree = (from: number, to: number, j: number): number => {
        if (to - from === 1) return round(sums[from][j]);
        let left = 1;
        while (2 * left < to - from) left *= 2;
        return round(tree(from, from + left, j) + tree(from + left, to, j));
      };
      bench.watch();
      const bytes = registers * 16;
      const squared = bench.kernels.reduceLanes(at, bytes, lanes, bytes, out, onto ? old.at : 0, divisor);
      const first = at / realBytes(dtype);
      const outFirst = out / realBytes(dtype);
      bench.unchanged(
        (i) => (i >= first && i < first + lanes * count) || (i >= outFirst && i < outFirst + count),
      );
      let squares = 0;
      for (let j = 0; j < count; j++) {
        const mean = round(tree(0, lanes, j) / divisor);
        expect(bench.reals[outFirst + j]).toBe(onto ? round(old.values[0][j] + mean) : mean);
        squares += bench.reals[outFirst + j] ** 2;
      }
      expect(Math.abs(squared - squares)).toBeLessThanOrEqual(2 * count * 2 ** -53 * squares);
    },
  );

  const logits = {
    dtype,
    width: fc.integer({ min: 1, max: 70 }),
    rows: fc.integer({ min: 1, max: 9 }),
    seed,
  };
  law(
    'softmax rows sum to 1, and return the largest logit, its place and Σ exp',
    logits,
    { cases: 100 },
    ({ dtype, width, rows, seed }) => {
      const bench = new Bench(dtype, seed);
      const z = bench.panels(rows, width);
      const sums = bench.take(16 / realBytes(dtype));
      const row = bench.random.integer(rows);
      const values = z.values[row];
      const most = Math.max(...values);
      // Where several are the largest, the first of them counts.
      const equal = bench.random.integer(width);
      values[equal] = most;
      bench.reals[bench.index(z, row, equal)] = most;
      bench.watch();
      const best = bench.kernels.softmaxRow(z.at + row * z.pitch, z.stride, width, sums);
      const places = new Map<number, number>();
      const padded = panelsFor(width, dtype) * panelColumns(dtype);
      for (let j = 0; j < padded; j++) places.set(bench.index(z, row, j), j);
      const sumsFirst = sums / realBytes(dtype);
      const inSums = (i: number) => i >= sumsFirst && i < sumsFirst + 16 / realBytes(dtype);
      bench.unchanged((i) => places.has(i) || inSums(i));
      const total = values.map((value) => Math.exp(value - most)).reduce((a, b) => a + b, 0);
      const doubles = new Float64Array(bench.reals.buffer, sums, 2);
      expect(best).toBe(values.indexOf(most));
      expect(doubles[0]).toBe(most);
      const u = unitRoundoff(dtype);
      expect(Math.abs(doubles[1] / total - 1)).toBeLessThanOrEqual(gamma(width + 4, unitRoundoff(dtype)));
      for (const [at, j] of places) {
        const p = j < width ? Math.exp(values[j] - most) / total : 0;
        expect(Math.abs(bench.reals[at] - p)).toBeLessThanOrEqual((width + 8) * 2 * u * p);
      }
    },
  );
});

/** Panels may be written in all their rows and columns, padding included; what lies between panels may not. */
function expectOnlyPanelsWritten(bench: Bench, matrix: Panels, rows: number, width: number): void {
  const written = new Set<number>();
  const columns = panelsFor(width, bench.dtype) * panelColumns(bench.dtype);
  for (let r = 0; r < tiledRows(rows); r++) {
    for (let j = 0; j < columns; j++) written.add(bench.index(matrix, r, j));
  }
  bench.unchanged((i) => written.has(i));
}
