/** What PyTorch computed, read from properties/fixtures (see make-fixtures.py there for how and in what form). */
import { readFileSync } from 'node:fs';
import type { TensorLike } from './compare.ts';
import type { CellWeights, Features, Gradients, Labels, Network, Nonlinearity, Point } from './reference.ts';
import { nest, zeroStates } from './reference.ts';

interface PackedTensor {
  shape: number[];
  f4?: string;
  f8?: string;
}

export interface PackedCase {
  name: string;
  options: { nonlinearity: Nonlinearity; bidirectional: boolean; output: Features };
  normalization: { mean: PackedTensor; std: PackedTensor } | null;
  dropout: { p: number; seed: number };
  step: number;
  lengths: number[];
  x: PackedTensor;
  h0: PackedTensor | null;
  /** [B][K] */
  labels: number[][];
  weights: Record<string, PackedTensor>;
  /** [ΣK, O] */
  logits: PackedTensor;
  loss: number;
  gradients: Record<string, PackedTensor>;
  dh0: PackedTensor;
  dx: PackedTensor;
}

export interface ClassifierFixture {
  name: string;
  point: Point;
  givesH0: boolean;
  labels: Labels;
  step: number;
  /** PyTorch's names to weights. */
  weights: Record<string, TensorLike>;
  loss: number;
  logits: number[][][];
  gradients: Gradients;
}

export interface OptimizerFixtures {
  /** [18]: the parameters before the first step */
  start: number[];
  /** [20][18]: the gradients given to each step */
  gradients: number[][];
  /** parameters: [20][18], after each step; options by PyTorch's names */
  cases: Array<{
    kind: string;
    options: Record<string, number | boolean | number[]>;
    parameters: number[][];
  }>;
}

export interface ClippingFixture {
  limit: number;
  norm: number;
  gradient: number[];
  clipped: number[];
}

export interface CosineFixture {
  rate: number;
  smallest: number;
  steps: number;
  /** [steps + 1] */
  rates: number[];
}

function unpack({ shape, f4, f8 }: PackedTensor): TensorLike {
  const bytes = Buffer.from(f4 ?? f8 ?? '', 'base64');
  const width = f4 === undefined ? 8 : 4;
  const length = shape.reduce((product, extent) => product * extent, 1);
  if (bytes.length !== length * width) throw new Error(`fixture: ${bytes.length} bytes for [${shape}]`);
  const data = Float64Array.from({ length }, (_, k) =>
    width === 4 ? bytes.readFloatLE(4 * k) : bytes.readDoubleLE(8 * k),
  );
  return { data, shape };
}

function vector(tensor: PackedTensor): number[] {
  return Array.from(unpack(tensor).data);
}

function matrix(tensor: PackedTensor): number[][] {
  return nest(vector(tensor), tensor.shape) as number[][];
}

function cube(tensor: PackedTensor): number[][][] {
  return nest(vector(tensor), tensor.shape) as number[][][];
}

function trim(padded: number[][][], lengths: number[]): number[][][] {
  return padded.map((sample, b) => sample.slice(0, lengths[b]));
}

/** The cells in the order of PyTorch's state dict: every layer's forward direction, then its reverse one. */
function cellsOf(tensors: Record<string, PackedTensor>): CellWeights[] {
  const suffixes = Object.keys(tensors).flatMap((key) => key.match(/^rnn\.weight_hh(_.*)$/)?.slice(1) ?? []);
  return suffixes.map((suffix) => ({
    W_ih: matrix(tensors[`rnn.weight_ih${suffix}`]),
    W_hh: matrix(tensors[`rnn.weight_hh${suffix}`]),
    b_ih: biasOf(tensors[`rnn.bias_ih${suffix}`]),
    b_hh: biasOf(tensors[`rnn.bias_hh${suffix}`]),
  }));
}

function biasOf(tensor: PackedTensor | undefined): number[] {
  return tensor === undefined ? [] : vector(tensor);
}

function networkOf({ options, weights, normalization, dropout }: PackedCase): Network {
  return {
    rnn: cellsOf(weights),
    output: { W: matrix(weights['output.weight']), b: vector(weights['output.bias']) },
    nonlinearity: options.nonlinearity,
    isBidirectional: options.bidirectional,
    features: options.output,
    dropout,
    normalization: normalization
      ? { mean: vector(normalization.mean), std: vector(normalization.std) }
      : undefined,
  };
}

function gradientsOf({ gradients, dh0, dx, lengths }: PackedCase): Gradients {
  const rnn = cellsOf(gradients).map(({ W_ih, W_hh, b_ih, b_hh }) => ({
    dW_ih: W_ih,
    dW_hh: W_hh,
    db_ih: b_ih,
    db_hh: b_hh,
  }));
  const output = { dW: matrix(gradients['output.weight']), db: vector(gradients['output.bias']) };
  return { rnn, output, dh0: cube(dh0), dx: trim(cube(dx), lengths) };
}

/** Rows of all samples, one after the other, given back to each sample: [ΣK, O] → [B][K][O] */
function bySample(rows: number[][], labels: number[][]): number[][][] {
  let first = 0;
  return labels.map(({ length }) => {
    first += length;
    return rows.slice(first - length, first);
  });
}

export function unpackCase(packed: PackedCase): ClassifierFixture {
  const network = networkOf(packed);
  const h0 = packed.h0 === null ? zeroStates(network, packed.lengths.length) : cube(packed.h0);
  const weights = Object.entries(packed.weights).map(([key, tensor]) => [key, unpack(tensor)] as const);
  return {
    name: packed.name,
    point: { network, x: trim(cube(packed.x), packed.lengths), h0 },
    givesH0: packed.h0 !== null,
    labels: { classes: packed.labels, ignored: -100 },
    step: packed.step,
    weights: Object.fromEntries(weights),
    loss: packed.loss,
    logits: bySample(matrix(packed.logits), packed.labels),
    gradients: gradientsOf(packed),
  };
}

function read(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`fixtures/${name}`, import.meta.url), 'utf8'));
}

export function packedCases(): PackedCase[] {
  const files = ['classifier-short.json', 'classifier-long.json', 'classifier-options.json'];
  return files.flatMap((name) => (read(name) as { cases: PackedCase[] }).cases);
}

export function classifierFixtures(): ClassifierFixture[] {
  return packedCases().map(unpackCase);
}

interface PackedOptimizers {
  optimizers: {
    start: PackedTensor;
    gradients: PackedTensor;
    cases: Array<{
      kind: string;
      options: Record<string, number | boolean | number[]>;
      parameters: PackedTensor;
    }>;
  };
  clipping: Array<{ limit: number; norm: number; gradient: PackedTensor; clipped: PackedTensor }>;
  cosine: Array<{ rate: number; smallest: number; steps: number; rates: PackedTensor }>;
}

export function optimizerFixtures(): OptimizerFixtures {
  const { optimizers } = read('optimizers.json') as PackedOptimizers;
  const cases = optimizers.cases.map((entry) => ({ ...entry, parameters: matrix(entry.parameters) }));
  return { start: vector(optimizers.start), gradients: matrix(optimizers.gradients), cases };
}

export function clippingFixtures(): ClippingFixture[] {
  const { clipping } = read('optimizers.json') as PackedOptimizers;
  return clipping.map((entry) => ({
    ...entry,
    gradient: vector(entry.gradient),
    clipped: vector(entry.clipped),
  }));
}

export function cosineFixtures(): CosineFixture[] {
  const { cosine } = read('optimizers.json') as PackedOptimizers;
  return cosine.map((entry) => ({ ...entry, rates: vector(entry.rates) }));
}
