import { fail, oneOf, readCommandLine, text } from '../cli/common/command-line.ts';
import { digits, percent } from '../cli/common/format.ts';
import type { Kernels } from '../engine/kernels/kernels.ts';
import { layoutOf, PANEL_BYTES, packedBytes, panelsFor, tiledRows } from '../engine/kernels/layout.ts';
import { makeKernels } from '../engine/kernels/make-kernels.ts';
import { KERNEL_MAKERS } from '../engine/kernels/makers.ts';
import { wasmModule } from '../engine/kernels/wasm-kernels.ts';
import { Random } from '../engine/numeric/random.ts';
import { type Dtype, realBytes } from '../engine/numeric/reals.ts';
import { MemoryMap } from '../engine/parallel/memory-map.ts';
import { newMemory } from '../engine/parallel/shared-memory.ts';
import { EFFORT, effortOf } from './common/effort.ts';
import { heldTo, limitContestant, limitOf } from './common/limit.ts';
import { describeMachine, machineLine } from './common/machine.ts';
import { type Measurement, saveResults } from './common/results.ts';
import { type Contestant, measureRounds, syncContestant, timesOf } from './common/rounds.ts';
import { summarize } from './common/statistics.ts';
import { markdownTable } from './common/table.ts';

/** Each matmul kernel's share of the micro-kernel's bare loop, by turns with it: `npm run bench:kernels`. */
const options = readCommandLine('npm run bench:kernels', {
  ...EFFORT,
  only: text('TEXT', 'only kernels whose name contains this'),
  kernels: oneOf(KERNEL_MAKERS, "who is set against WebAssembly's bare loop"),
});
const maker = options.kernels ?? 'wasm';
const { rounds, seconds } = effortOf(options, { rounds: 11, seconds: 0.05 }, { rounds: 3, seconds: 0.01 });

/** rows × inner × columns: [M, K] times [K, N]. */
type Dimensions = readonly [M: number, K: number, N: number];

const DIMENSIONS: readonly Dimensions[] = [
  [48, 96, 96],
  [47, 97, 95],
  [96, 192, 192],
  [95, 193, 191],
  [240, 384, 384],
  [239, 385, 383],
  [4, 64, 64],
  [4, 128, 128],
  [4, 256, 256],
  [16, 128, 128],
];

/** Operands of one product in a memory of their own, where the panels' layout puts them. */
interface Operands {
  readonly kernels: Kernels;
  readonly rows: number;
  readonly kPanels: number;
  readonly nPanels: number;
  /** Panels [M, K], [M, N], [M, N]. */
  readonly a: { at: number; stride: number };
  readonly c: { at: number; stride: number };
  readonly h: { at: number; stride: number };
  /** Packed [K, N], a bias row, zeros, a row-major [K, N], and the edge's scratch. */
  readonly b: number;
  readonly bias: number;
  readonly zeros: number;
  readonly gradient: number;
  readonly edge: number;
}

function operands(dtype: Dtype, [M, K, N]: Dimensions): Operands {
  const map = new MemoryMap(0);
  const rows = tiledRows(M);
  const [kPanels, nPanels] = [panelsFor(K, dtype), panelsFor(N, dtype)];
  const panels = (count: number) => {
    const { stride, bytes } = layoutOf(maker, rows, count);
    return { at: map.add('panels', bytes), stride };
  };
  const places = {
    a: panels(kPanels),
    c: panels(nPanels),
    h: panels(nPanels),
    b: map.add('packed', packedBytes(K, N, dtype)),
    bias: map.add('bias', nPanels * PANEL_BYTES),
    gradient: map.add('gradient', K * N * realBytes(dtype) + PANEL_BYTES),
    edge: map.add('edge', 4 * PANEL_BYTES),
    zeros: map.add('zeros', PANEL_BYTES),
  };
  const memory = newMemory(map.end);
  fillWithSmallValues(dtype, memory, places.zeros);
  const kernels = makeKernels({ maker }, wasmModule(dtype, maker), memory, dtype);
  return { kernels, rows, kPanels, nPanels, ...places };
}

/** Values of ordinary size: sums of hundreds of products stay far from overflow, and nothing is subnormal. */
function fillWithSmallValues(dtype: Dtype, memory: WebAssembly.Memory, end: number): void {
  const random = new Random(3);
  const reals = dtype === 'float32' ? new Float32Array(memory.buffer) : new Float64Array(memory.buffer);
  for (let i = 0; i < end / realBytes(dtype); i++) reals[i] = (random.uniform() - 0.5) / 16;
}

const KERNELS: Readonly<Record<string, (operands: Operands, size: Dimensions, dtype: Dtype) => void>> = {
  project: ({ kernels, rows, nPanels, kPanels, a, b, c, bias }) =>
    kernels.project(c.at, c.stride, rows, nPanels, a.at, a.stride, kPanels, b, bias),
  multiply: ({ kernels, rows, nPanels, kPanels, a, b, c, zeros }) =>
    kernels.multiply(c.at, c.stride, rows, nPanels, a.at, a.stride, kPanels, b, zeros),
  tanhStep: ({ kernels, rows, nPanels, kPanels, a, b, c }) =>
    kernels.tanhStep(c.at, c.stride, rows, nPanels, a.at, a.stride, kPanels, b),
  tanhStepBackward: ({ kernels, rows, nPanels, kPanels, a, b, c, h }) =>
    kernels.tanhStepBackward(c.at, c.stride, rows, nPanels, a.at, a.stride, kPanels, b, h.at, h.stride),
  outerProduct: ({ kernels, rows, a, h, gradient, edge }, [, K, N], dtype) =>
    kernels.outerProduct(
      ...([gradient, N * realBytes(dtype), K, N, a.at, a.stride, h.at, h.stride, rows, edge, 0] as const),
    ),
};

/** Those asked for. */
const names = Object.keys(KERNELS).filter((name) => name.includes(options.only ?? ''));
if (names.length === 0)
  fail(`--only: expected part of ${Object.keys(KERNELS).join(', ')}, got ${options.only}`);

const title = (dimensions: Dimensions): string => dimensions.join('×');
const flopsOf = ([M, K, N]: Dimensions): number => 2 * M * K * N;

/** A kernel on one product, in bursts long enough for the clock. */
function kernelContestant(kernel: string, dtype: Dtype, dimensions: Dimensions): Contestant {
  const place = operands(dtype, dimensions);
  const run = KERNELS[kernel];
  const burst = Math.max(1, Math.round(4e6 / flopsOf(dimensions)));
  return syncContestant(`${kernel} ${title(dimensions)}`, () => run(place, dimensions, dtype), burst);
}

async function measure(dtype: Dtype): Promise<Measurement[]> {
  const cases = names.flatMap((kernel) => DIMENSIONS.map((dimensions) => ({ kernel, dimensions })));
  const limit = limitContestant(dtype);
  const contestants: Contestant[] = [];
  for (const { kernel, dimensions } of cases) contestants.push(kernelContestant(kernel, dtype, dimensions));
  const times = await measureRounds([limit, ...contestants], rounds, seconds);
  const peak = limitOf(limit, timesOf(times, limit.name));
  return cases.map(({ kernel, dimensions }) => {
    const { median, spread } = summarize(timesOf(times, `${kernel} ${title(dimensions)}`));
    const rate = flopsOf(dimensions) / median;
    return {
      suite: `${maker} kernels ${dtype}`,
      name: `${kernel} ${title(dimensions)}`,
      threads: 0,
      seconds: median,
      spread,
      gflops: rate / 1e9,
      ...heldTo(peak, rate, 1),
    };
  });
}

function print(dtype: Dtype, measurements: readonly Measurement[]): void {
  const cell = (kernel: string, dimensions: Dimensions): string => {
    const found = measurements.find(({ name }) => name === `${kernel} ${title(dimensions)}`);
    return found ? `${digits(found.gflops ?? 0)} (${percent(found.share ?? 0)})` : '';
  };
  const rows = DIMENSIONS.map((dimensions) => [
    title(dimensions),
    ...names.map((kernel) => cell(kernel, dimensions)),
  ]);
  const widest = Math.max(...measurements.map(({ spread }) => spread));
  console.log(
    `\n${maker}, ${dtype}: the bare loop runs at ${digits(measurements[0].limit ?? 0)} GFLOP/s; GFLOP/s (share of it):\n`,
  );
  console.log(markdownTable(['M×K×N', ...names], rows));
  console.log(`\nlargest spread ${percent(widest)}`);
}

const machine = describeMachine();
console.log(machineLine(machine));
const all: Measurement[] = [];
for (const dtype of ['float32', 'float64'] as const) {
  console.error(`${dtype} …`);
  const measurements = await measure(dtype);
  print(dtype, measurements);
  all.push(...measurements);
}
const [path] = saveResults({
  command: 'kernels',
  machine,
  threadCounts: [0],
  measurements: all,
  options: { maker, rounds, seconds },
});
console.log(`\nSaved to ${path}`);
