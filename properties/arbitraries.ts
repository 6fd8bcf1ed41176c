/**
 * The generators, small ones with names and larger ones built of them. Data come from a seed and the element's
 * own index: a shrunk network keeps the values that remain, and a counterexample prints as one short line.
 */
import { fc } from '@fast-check/vitest';
import type { Dtype } from './compare.ts';
import type { CellWeights, Features, Labels, Network, Nonlinearity, Point } from './reference.ts';
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

/** What a network may be besides its sizes. The first of each choice is the plain network's. */
export interface NetworkOptions {
  nonlinearity: Nonlinearity;
  isBidirectional: boolean;
  hasBias: boolean;
  features: Features;
  /** The share that is dropped between layers. */
  dropout: number;
  isNormalized: boolean;
}

export const plain: NetworkOptions = {
  nonlinearity: 'tanh',
  isBidirectional: false,
  hasBias: true,
  features: 'last',
  dropout: 0,
  isNormalized: false,
};

/** The options that a cell by itself has no say in, as they are in the plain network. */
export const cellsOnly: Partial<NetworkOptions> = {
  isBidirectional: false,
  features: 'last',
  dropout: 0,
  isNormalized: false,
};

export interface Limits {
  /** Largest input, hidden and output size. */
  width?: number;
  layers?: number;
  leastLayers?: number;
  time?: number;
  /** Largest and smallest number of rows. */
  batch?: number;
  leastBatch?: number;
  /** Options that are not drawn. */
  fixed?: Partial<NetworkOptions>;
}

export function nonlinearity(): fc.Arbitrary<Nonlinearity> {
  return fc.constantFrom('tanh', 'relu');
}

export function features(): fc.Arbitrary<Features> {
  return fc.constantFrom('last', 'last', 'mean', 'steps');
}

/** Every second network drops nothing. One share has no short binary form. */
export function dropout(): fc.Arbitrary<number> {
  return fc.constantFrom(0, 0, 0, 0.5, 0.25, 0.3);
}

/** Any options, and in every fourth case none: what shrinking tries first. */
export function networkOptions(fixed: Partial<NetworkOptions> = {}): fc.Arbitrary<NetworkOptions> {
  const any = fc.record<NetworkOptions>({
    nonlinearity: nonlinearity(),
    isBidirectional: fc.boolean(),
    hasBias: fc.constantFrom(true, true, false),
    features: features(),
    dropout: dropout(),
    isNormalized: fc.constantFrom(false, false, true),
  });
  const weighed = [
    { arbitrary: fc.constant(plain), weight: 1 },
    { arbitrary: any, weight: 3 },
  ];
  return fc.oneof({ withCrossShrink: true }, ...weighed).map((drawn) => ({ ...drawn, ...fixed }));
}

export function networkShape({
  width = 17,
  layers = 5,
  leastLayers = 1,
}: Limits = {}): fc.Arbitrary<NetworkShape> {
  return fc.record({
    inputSize: size(width),
    hiddenSize: size(width),
    outputSize: size(Math.min(width, 11)),
    numLayers: fc.integer({ min: leastLayers, max: layers }),
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

/** Whether it is a fault of this cell or of its reverse twin is told apart by the names of their weights. */
function seededCell(
  shape: NetworkShape,
  options: NetworkOptions,
  s: number,
  l: number,
  d: number,
): CellWeights {
  const { inputSize, hiddenSize: H } = shape;
  const inputs = l === 0 ? inputSize : H * (options.isBidirectional ? 2 : 1);
  const inputSpan = l === 0 ? 1 / Math.sqrt(inputs) : 1 / inputs;
  const suffix = d === 0 ? '' : '_reverse';
  const bias = (name: string) => (options.hasBias ? seededVector(H, 0.5, s, `${name}${suffix}`, l) : []);
  return {
    W_ih: seededMatrix(H, inputs, inputSpan, s, `W_ih${suffix}`, l),
    W_hh: seededMatrix(H, H, 1 / H, s, `W_hh${suffix}`, l),
    b_ih: bias('b_ih'),
    b_hh: bias('b_hh'),
  };
}

/** mean in ±1, std in [1, 2]: with x in ±2 what is read stays in ±3. */
function seededNormalization(inputSize: number, s: number) {
  const std = seededVector(inputSize, 0.5, s, 'std').map((value) => 1.5 + value);
  return { mean: seededVector(inputSize, 1, s, 'mean'), std };
}

/**
 * Weights with which tanh is at work but not saturated, and relu neither dead nor growing. Between hidden units they
 * are at most 1/H (1/2H where a layer reads two directions): the rows of W_ih and W_hh together then sum to one in
 * magnitude on average, and the bound on rounding errors does not grow with time and depth until it would hide a
 * fault.
 */
export function seededNetwork(shape: NetworkShape, s: number, options: NetworkOptions = plain): Network {
  const { inputSize, hiddenSize: H, outputSize, numLayers } = shape;
  const D = options.isBidirectional ? 2 : 1;
  const rnn = Array.from({ length: numLayers * D }, (_, c) =>
    seededCell(shape, options, s, Math.floor(c / D), c % D),
  );
  const output = {
    W: seededMatrix(outputSize, D * H, 2 / Math.sqrt(D * H), s, 'W'),
    b: seededVector(outputSize, 0.5, s, 'b'),
  };
  return {
    rnn,
    output,
    nonlinearity: options.nonlinearity,
    isBidirectional: options.isBidirectional,
    features: options.features,
    // Some seeds have a high word.
    dropout: { p: options.dropout, seed: s % 2 === 0 ? s : s + 5 * 2 ** 32 },
    normalization: options.isNormalized ? seededNormalization(inputSize, s) : undefined,
  };
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
  /** A class for each reading of the output layer: [B][K] */
  labels: Labels;
  /** [L·D][B][H], or undefined where the model is to start from zeros. */
  h0: number[][][] | undefined;
  /** [B][K][O]: a gradient of one's own for the logits. */
  delta: number[][][];
  form: InputForm;
  /** The number of the training step, for dropout's masks, where there are any. */
  step: number | undefined;
  features: Features;
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

/**
 * A class for each reading. Where every step has one, a quarter of the labels are not counted, but one of each
 * sample always is, so that no part of a batch is without a loss.
 */
function seededLabels(readings: number[], classes: number, isSteps: boolean, s: number): Labels {
  const ignored = isSteps && hash(s, 'ignored') % 2 === 0 ? -1 : -100;
  const isIgnored = (b: number, k: number, count: number) =>
    isSteps && hash(s, 'is ignored', b, k) % 4 === 0 && k !== hash(s, 'counted', b) % count;
  const labelOf = (b: number, k: number) => hash(s, 'label', b, ...(k === 0 ? [] : [k])) % classes;
  return {
    ignored,
    classes: readings.map((count, b) =>
      Array.from({ length: count }, (_, k) => (isIgnored(b, k, count) ? ignored : labelOf(b, k))),
    ),
  };
}

function buildBatch(shape: NetworkShape, recipe: BatchRecipe, options: NetworkOptions): Batch {
  const { batch: B, time, seed: s } = recipe;
  const lengthOf = (b: number) => (recipe.lengths === 'equal' ? time : 1 + (hash(s, 'length', b) % time));
  const cells = shape.numLayers * (options.isBidirectional ? 2 : 1);
  const h0 = () => Array.from({ length: cells }, (_, c) => seededMatrix(B, shape.hiddenSize, 1, s, 'h0', c));
  const isRagged = recipe.lengths === 'varied' && recipe.form === 'dense';
  const isSteps = options.features === 'steps';
  const readings = Array.from({ length: B }, (_, b) => (isSteps ? lengthOf(b) : 1));
  return {
    x: Array.from({ length: B }, (_, b) => seededMatrix(lengthOf(b), shape.inputSize, 2, s, 'x', b)),
    labels: seededLabels(readings, shape.outputSize, isSteps, s),
    h0: recipe.givesH0 ? h0() : undefined,
    delta: readings.map((count, b) => seededMatrix(count, shape.outputSize, 1, s, 'delta', b)),
    form: isRagged ? 'list' : recipe.form,
    step: options.dropout > 0 ? hash(s, 'step') % 1000 : undefined,
    features: options.features,
  };
}

/** A batch for a network of a given shape. */
export function batch(
  shape: NetworkShape,
  limits: Limits = {},
  options: NetworkOptions = plain,
): fc.Arbitrary<Batch> {
  return batchRecipe(limits).map((recipe) => buildBatch(shape, recipe, options));
}

/** Small networks on batches that fill every lane with several blocks of rows. */
export const largeBatches: Limits = { width: 4, layers: 2, time: 3, batch: 2049, leastBatch: 255 };

/** A network, a batch and a data type: what most laws are about. */
export interface Problem extends Batch {
  shape: NetworkShape;
  options: NetworkOptions;
  network: Network;
  dtype: Dtype;
  seed: number;
  /** The network, the batch and h0 (zeros where none is given) for the reference. */
  point: Point;
}

/** The problem with initial states of zero, as `fit` and `evaluate` have them. */
export function withoutH0(p: Problem): Problem {
  return { ...p, h0: undefined, point: { ...p.point, h0: zeroStates(p.network, p.x.length) } };
}

/** The options that are not the plain network's. */
function optionsText(options: NetworkOptions): string {
  const { nonlinearity: f, isBidirectional, hasBias, features: reads, dropout: p, isNormalized } = options;
  const words = [
    f === 'relu' && 'relu',
    isBidirectional && 'bidirectional',
    !hasBias && 'bias: false',
    reads !== 'last' && `output: ${reads}`,
    p > 0 && `dropout: ${p}`,
    isNormalized && 'normalized',
  ];
  return words.flatMap((word) => (word ? [`${word}, `] : [])).join('');
}

export function problemFor(
  shape: NetworkShape,
  recipe: BatchRecipe,
  dtypeOf: Dtype,
  options: NetworkOptions = plain,
): Problem {
  const network = seededNetwork(shape, recipe.seed, options);
  const built = buildBatch(shape, recipe, options);
  const point = { network, x: built.x, h0: built.h0 ?? zeroStates(network, built.x.length) };
  const { batch: B, time: T, lengths, givesH0, seed: s } = recipe;
  const text =
    `{ B: ${B}, T: ${T}, I: ${shape.inputSize}, H: ${shape.hiddenSize}, O: ${shape.outputSize}, ` +
    `L: ${shape.numLayers}, ${optionsText(options)}lengths: ${lengths}, form: ${built.form}, h0: ${givesH0}, ` +
    `${dtypeOf}, seed: ${s} }`;
  const printed = { [fc.toStringMethod]: () => text };
  return { ...built, ...printed, shape, options, network, point, dtype: dtypeOf, seed: s };
}

export function problem(limits: Limits = {}, dtypes = dtype()): fc.Arbitrary<Problem> {
  const recipe = fc.record({
    shape: networkShape(limits),
    options: networkOptions(limits.fixed),
    batch: batchRecipe(limits),
    dtypeOf: dtypes,
  });
  return recipe.map(({ shape, options, batch: batchOf, dtypeOf }) => {
    // A single layer has no outputs that would be dropped, and the engine refuses to be told so.
    const isStacked = shape.numLayers > 1;
    return problemFor(shape, batchOf, dtypeOf, isStacked ? options : { ...options, dropout: 0 });
  });
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
