/**
 * The generators, small ones with names and larger ones built of them. Data come from a seed and the element's
 * own index: a shrunk network keeps the values that remain, and a counterexample prints as one short line.
 */
import { fc } from '@fast-check/vitest';
import type { Dtype } from './compare.ts';
import type { Network, Point } from './reference.ts';
import { zeroStates } from './reference.ts';

/** Values are multiples of 1/1024: ordinary numbers, exact in float32, whose short sums are exact too. */
const gridStep = 1 / 1024;

function oneOf(ascending: readonly number[]): fc.Arbitrary<number> {
  // By index, so that shrinking goes to the smaller sizes.
  return fc.nat({ max: ascending.length - 1 }).map((k) => ascending[k]);
}

/** 1, primes, and both sides of every tile edge (4, 8, 16). */
export function size(most = 17): fc.Arbitrary<number> {
  const sizes = [1, 1, 2, 3, 3, 4, 5, 5, 7, 7, 8, 9, 11, 13, 15, 16, 17, 19, 31, 32, 33];
  return oneOf(sizes.filter((n) => n <= most));
}

/**
 * Both sides of a tile of 4 rows, of 16 lanes of one tile and of a block of 16 rows; above 256 a lane has several
 * tiles, above 1024 several blocks.
 */
export function batchSize(most = 65, least = 1): fc.Arbitrary<number> {
  const small = [1, 1, 2, 3, 4, 5, 7, 8, 9, 13, 15, 16, 17, 31, 33, 64, 65, 127, 130];
  const large = [255, 257, 301, 512, 1021, 1024, 1025, 1100, 2049];
  return oneOf([...small, ...large].filter((n) => n >= least && n <= most));
}

export interface NetworkShape {
  inputSize: number;
  hiddenSize: number;
  outputSize: number;
  numLayers: number;
}

export interface Limits {
  /** Largest input, hidden and output size. */
  width?: number;
  layers?: number;
  time?: number;
  /** Largest and smallest number of rows. */
  batch?: number;
  leastBatch?: number;
}

export function networkShape({ width = 17, layers = 4 }: Limits = {}): fc.Arbitrary<NetworkShape> {
  return fc.record({
    inputSize: size(width),
    hiddenSize: size(width),
    outputSize: size(Math.min(width, 11)),
    numLayers: fc.integer({ min: 1, max: layers }),
  });
}

export function seed(): fc.Arbitrary<number> {
  return fc.noShrink(fc.nat({ max: 0x7fffffff }));
}

export function dtype(): fc.Arbitrary<Dtype> {
  return fc.constantFrom('float64', 'float32');
}

/** A multiple of 1/1024 in [−10, 10], or in ±span. */
export function gridValue(span = 10): fc.Arbitrary<number> {
  const most = Math.round(span / gridStep);
  return fc.integer({ min: -most, max: most }).map((k) => k * gridStep);
}

/** Values that shrink one by one: for small matrices. */
export function gridMatrix(rows: number, columns: number, span = 10): fc.Arbitrary<number[][]> {
  const row = fc.array(gridValue(span), { minLength: columns, maxLength: columns });
  return fc.array(row, { minLength: rows, maxLength: rows });
}

/** The finalizer of MurmurHash3, after mixing in one word. */
function mix(state: number, word: number): number {
  let h = Math.imul(state ^ word, 0x9e3779b1);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** A 32-bit number that belongs to this seed, this name and this index, whatever the other sizes are. */
export function hash(seedValue: number, name: string, ...index: number[]): number {
  let state = mix(0x2545f491, seedValue);
  for (let k = 0; k < name.length; k++) state = mix(state, name.charCodeAt(k));
  for (const i of index) state = mix(state, i + 1);
  return state;
}

/** A grid value in ±span for one element. */
function element(span: number, seedValue: number, name: string, ...index: number[]): number {
  const most = Math.max(1, Math.floor(span / gridStep));
  return ((hash(seedValue, name, ...index) % (2 * most + 1)) - most) * gridStep;
}

export function seededVector(
  length: number,
  span: number,
  seedValue: number,
  name: string,
  ...index: number[]
) {
  return Array.from({ length }, (_, k) => element(span, seedValue, name, ...index, k));
}

export function seededMatrix(
  rows: number,
  columns: number,
  span: number,
  seedValue: number,
  name: string,
  ...index: number[]
): number[][] {
  return Array.from({ length: rows }, (_, r) => seededVector(columns, span, seedValue, name, ...index, r));
}

/**
 * Weights with which tanh is at work but not saturated. Between hidden units they are at most 1/H: the rows
 * of W_ih and W_hh together then sum to one in magnitude on average, and the bound on rounding errors does not grow with time and
 * depth until it would hide a fault.
 */
export function seededNetwork(shape: NetworkShape, seedValue: number): Network {
  const { inputSize, hiddenSize: H, outputSize, numLayers } = shape;
  const hiddenSpan = 1 / H;
  const rnn = Array.from({ length: numLayers }, (_, l) => {
    const inputs = l === 0 ? inputSize : H;
    const inputSpan = l === 0 ? 1 / Math.sqrt(inputs) : hiddenSpan;
    return {
      W_ih: seededMatrix(H, inputs, inputSpan, seedValue, 'W_ih', l),
      W_hh: seededMatrix(H, H, hiddenSpan, seedValue, 'W_hh', l),
      b_ih: seededVector(H, 0.5, seedValue, 'b_ih', l),
      b_hh: seededVector(H, 0.5, seedValue, 'b_hh', l),
    };
  });
  const output = {
    W: seededMatrix(outputSize, H, 2 / Math.sqrt(H), seedValue, 'W'),
    b: seededVector(outputSize, 0.5, seedValue, 'b'),
  };
  return { rnn, output };
}

export type Lengths = 'equal' | 'varied';

/** How the batch is handed over: an array of [T_b,I], [B,T,I], padded to longer than the longest, or so and shared. */
export type InputForm = 'list' | 'dense' | 'padded' | 'shared';

export interface BatchRecipe {
  batch: number;
  time: number;
  lengths: Lengths;
  form: InputForm;
  givesH0: boolean;
  seed: number;
}

export interface Batch {
  /** [B][T_b][I] */
  x: number[][][];
  labels: number[];
  /** [L][B][H], or undefined where the model is to start from zeros. */
  h0: number[][][] | undefined;
  /** [B][O]: a gradient of one's own for the logits. */
  delta: number[][];
  form: InputForm;
}

export function batchRecipe({
  time = 9,
  batch: most = 65,
  leastBatch = 1,
}: Limits = {}): fc.Arbitrary<BatchRecipe> {
  return fc.record({
    batch: batchSize(most, leastBatch),
    time: size(time),
    lengths: fc.constantFrom<Lengths>('equal', 'varied'),
    form: fc.constantFrom<InputForm>('list', 'dense', 'padded', 'shared'),
    givesH0: fc.boolean(),
    seed: seed(),
  });
}

function buildBatch(shape: NetworkShape, recipe: BatchRecipe): Batch {
  const { batch: B, time, seed: s } = recipe;
  const lengthOf = (b: number) => (recipe.lengths === 'equal' ? time : 1 + (hash(s, 'length', b) % time));
  const h0 = () =>
    Array.from({ length: shape.numLayers }, (_, l) => seededMatrix(B, shape.hiddenSize, 1, s, 'h0', l));
  const isRagged = recipe.lengths === 'varied' && recipe.form === 'dense';
  return {
    x: Array.from({ length: B }, (_, b) => seededMatrix(lengthOf(b), shape.inputSize, 2, s, 'x', b)),
    labels: Array.from({ length: B }, (_, b) => hash(s, 'label', b) % shape.outputSize),
    h0: recipe.givesH0 ? h0() : undefined,
    delta: seededMatrix(B, shape.outputSize, 1, s, 'delta'),
    form: isRagged ? 'list' : recipe.form,
  };
}

/** A batch for a network of a given shape. */
export function batch(shape: NetworkShape, limits: Limits = {}): fc.Arbitrary<Batch> {
  return batchRecipe(limits).map((recipe) => buildBatch(shape, recipe));
}

/** Small networks on batches that fill every lane with several blocks of rows. */
export const largeBatches: Limits = { width: 4, layers: 2, time: 3, batch: 2049, leastBatch: 255 };

/** A network, a batch and a data type: what most laws are about. */
export interface Problem extends Batch {
  shape: NetworkShape;
  network: Network;
  dtype: Dtype;
  seed: number;
  /** The network, the batch and h0 (zeros where none is given) for the reference. */
  point: Point;
}

export function problemFor(shape: NetworkShape, recipe: BatchRecipe, dtypeOf: Dtype): Problem {
  const network = seededNetwork(shape, recipe.seed);
  const built = buildBatch(shape, recipe);
  const point = { network, x: built.x, h0: built.h0 ?? zeroStates(network, built.x.length) };
  const { batch: B, time: T, lengths, givesH0, seed: s } = recipe;
  const text =
    `{ B: ${B}, T: ${T}, I: ${shape.inputSize}, H: ${shape.hiddenSize}, O: ${shape.outputSize}, ` +
    `L: ${shape.numLayers}, lengths: ${lengths}, form: ${built.form}, h0: ${givesH0}, ${dtypeOf}, seed: ${s} }`;
  const printed = { [fc.toStringMethod]: () => text };
  return { ...built, ...printed, shape, network, point, dtype: dtypeOf, seed: s };
}

export function problem(limits: Limits = {}, dtypes = dtype()): fc.Arbitrary<Problem> {
  const recipe = fc.record({ shape: networkShape(limits), batch: batchRecipe(limits), dtypeOf: dtypes });
  return recipe.map(({ shape, batch: batchOf, dtypeOf }) => problemFor(shape, batchOf, dtypeOf));
}

export interface SplitRecipe {
  cuts: number[];
  order: number;
}

export function splitRecipe(): fc.Arbitrary<SplitRecipe> {
  return fc.record({ cuts: fc.array(fc.nat({ max: 1023 }), { minLength: 1, maxLength: 6 }), order: seed() });
}

/** The rows 0 … n − 1 in another order. */
export function permutation(n: number, order: number): number[] {
  const rows = Array.from({ length: n }, (_, row) => row);
  return rows.sort((a, b) => hash(order, 'order', a) - hash(order, 'order', b) || a - b);
}

/** Parts of the rows 0 … n − 1, none empty, each row in one of them; rows of a part need not be neighbours. */
export function splitOf(n: number, { cuts, order }: SplitRecipe): number[][] {
  const rows = permutation(n, order);
  const places = [...new Set(cuts.map((cut) => cut % n).filter((cut) => cut > 0))].sort((a, b) => a - b);
  const starts = [0, ...places];
  return starts.map((start, k) => rows.slice(start, starts[k + 1] ?? n));
}

export function batchSplit(n: number): fc.Arbitrary<number[][]> {
  return splitRecipe().map((recipe) => splitOf(n, recipe));
}
