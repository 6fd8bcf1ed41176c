/**
 * How far a correct computation in a given precision may lie from the reference: a running error analysis
 * (Higham 2002, 3.3) carried through forward, loss and backward, element by element. Each value v comes with
 * a bound e on its error, and
 *
 *     product    |ab − âb̂| ≤ |a|e_b + |b|e_a + e_a e_b
 *     sum of n   inherited errors + γ_n · Σ|terms|, whatever the order of the additions
 *     tanh       e_z · min(1, 1 − h² + 2e_z) + the function's own error
 *     relu       e_z; where |z| ≤ e_z its derivative may be 0 or 1
 *
 * No step is estimated, so that a result outside the bound is wrong, and the bound has no factor to tune.
 */
import { gamma } from './compare.ts';
import type { CellWeights, Forward, Gradients, Labels, Network, Nonlinearity, Point } from './reference.ts';
import {
  afterFrame,
  beforeFrame,
  countOf,
  crossEntropy,
  directionsOf,
  framesInOrder,
  hiddenOf,
  isReverse,
  lastFrame,
  layersOf,
  outputAt,
  slope,
  softmax,
  zeroMatrix,
  zeros,
} from './reference.ts';

/** What the library's tanh, exp and log may be wrong by, in units of u: two units in the last place, and the rounding. */
const functionRoundoffs = 5;

/** The reference itself rounds in float64, so that its u is added to the computation's. */
const referenceRoundoff = 2 ** -53;

function productError(a: number, errorA: number, b: number, errorB: number): number {
  return Math.abs(a) * errorB + Math.abs(b) * errorA + errorA * errorB;
}

/** Collects a sum of products: its magnitude and the errors it inherits. */
class SumBound {
  #value = 0;
  #magnitude = 0;
  #inherited = 0;

  /** a·b with the errors of both; a single term is a·1. */
  add(a: number, errorA: number, b = 1, errorB = 0): void {
    this.#value += a * b;
    this.#magnitude += Math.abs(a * b);
    this.#inherited += productError(a, errorA, b, errorB);
  }

  /** Σ values[k] · weights[k], the weights exact. */
  addProducts({ values, errors }: Valued, weights: number[]): void {
    for (let k = 0; k < values.length; k++) this.add(values[k], errors[k], weights[k]);
  }

  get value(): number {
    return this.#value;
  }

  error(operations: number, u: number): number {
    return this.#inherited + gamma(operations, u) * (this.#magnitude + this.#inherited);
  }
}

interface Valued {
  values: number[];
  errors: number[];
}

function exact(values: number[]): Valued {
  return { values, errors: zeros(values.length) };
}

/** Each value rounded so many times more, after a product with a number that is exact but for one rounding. */
function rounded({ values, errors }: Valued, factors: number[], operations: number, u: number): Valued {
  return {
    values: values.map((value, k) => value * factors[k]),
    errors: values.map((value, k) => {
      const inherited = errors[k] * Math.abs(factors[k]);
      return inherited + gamma(operations, u) * (Math.abs(value * factors[k]) + inherited);
    }),
  };
}

interface SampleBounds {
  /** [L][T_b][I or D·H] */
  inputs: number[][][];
  /** [C][T_b + 1][H] */
  states: number[][][];
  /** [C][T_b][H]: of the nonlinearity's derivative at each frame */
  slopes: number[][][];
  /** [K][D·H] */
  features: number[][];
  /** [K][O] */
  logits: number[][];
}

/** Bounds shaped like the values they belong to. */
export type ForwardBounds = { [Name in keyof SampleBounds]: Array<SampleBounds[Name]> };

/** A unit that is surely off is exactly 0; one that may be on or off has any derivative from 0 to 1. */
function reluBounds(z: number, errorZ: number) {
  return { state: z < -errorZ ? 0 : errorZ, slope: Math.abs(z) <= errorZ && errorZ > 0 ? 1 : 0 };
}

/** The state and the derivative of one unit, from z and its error. */
function unitBounds(nonlinearity: Nonlinearity, z: number, errorZ: number, h: number, u: number) {
  if (nonlinearity === 'relu') return reluBounds(z, errorZ);
  const inherited = errorZ * Math.min(1, 1 - h * h + 2 * errorZ);
  const state = inherited + functionRoundoffs * u * (Math.abs(h) + inherited);
  return { state, slope: productError(h, state, h, state) + 2 * u };
}

function cellBounds(
  cell: CellWeights,
  nonlinearity: Nonlinearity,
  x: Valued,
  hPrev: Valued,
  h: number[],
  u: number,
) {
  return h.map((value, j) => {
    const z = new SumBound();
    if (cell.b_ih.length > 0) {
      z.add(cell.b_ih[j], 0);
      z.add(cell.b_hh[j], 0);
    }
    z.addProducts(x, cell.W_ih[j]);
    z.addProducts(hPrev, cell.W_hh[j]);
    return unitBounds(nonlinearity, z.value, z.error(x.values.length + h.length + 4, u), value, u);
  });
}

/** All states of one cell, as the reference walks them. */
function stateBounds(
  network: Network,
  c: number,
  inputs: Valued[],
  states: number[][],
  h0Errors: number[],
  u: number,
): { states: number[][]; slopes: number[][] } {
  const T = inputs.length;
  const bounds = { states: new Array<number[]>(T + 1), slopes: new Array<number[]>(T) };
  bounds.states[isReverse(network, c) ? T : 0] = h0Errors;
  for (const t of framesInOrder(network, c, T)) {
    const [before, after] = [beforeFrame(network, c, t), afterFrame(network, c, t)];
    const hPrev = { values: states[before], errors: bounds.states[before] };
    const units = cellBounds(network.rnn[c], network.nonlinearity, inputs[t], hPrev, states[after], u);
    bounds.states[after] = units.map(({ state }) => state);
    bounds.slopes[t] = units.map((unit) => unit.slope);
  }
  return bounds;
}

/** Of (x − mean) / std: a difference and a quotient, or a product with a rounded reciprocal. */
function inputBounds({ normalization }: Network, frames: number[][], u: number): number[][] {
  const operations = normalization === undefined ? 0 : 3;
  return frames.map((frame) => frame.map((value) => gamma(operations, u) * Math.abs(value)));
}

/** The sum of T terms and its product with a rounded 1/T. */
function meanBounds(outputs: Valued[], u: number): number[] {
  return outputs[0].values.map((_, j) => {
    const sum = new SumBound();
    for (const { values, errors } of outputs) sum.add(values[j], errors[j]);
    return sum.error(outputs.length + 3, u) / outputs.length;
  });
}

function featureBounds(network: Network, outputs: Valued[], u: number): number[][] {
  const T = outputs.length;
  if (network.features === 'steps') return outputs.map(({ errors }) => errors);
  if (network.features === 'mean') return [meanBounds(outputs, u)];
  return [outputs[0].errors.map((_, j) => outputs[lastFrame(network, j, T)].errors[j])];
}

function logitBounds({ output }: Network, features: Valued, u: number): number[] {
  return output.b.map((bias, o) => {
    const y = new SumBound();
    y.add(bias, 0);
    y.addProducts(features, output.W[o]);
    return y.error(features.values.length + 2, u);
  });
}

function sampleBounds(point: Point, run: Forward, b: number, h0Errors: number[][], u: number): SampleBounds {
  const { network } = point;
  const D = directionsOf(network);
  const values = run.states[b];
  const inputs = [inputBounds(network, run.inputs[b][0], u)];
  const states: number[][][] = [];
  const slopes: number[][][] = [];
  let outputs: Valued[] = [];
  for (let l = 0; l < layersOf(network); l++) {
    const read = inputs[l].map((errors, t) => ({ values: run.inputs[b][l][t], errors }));
    for (let c = l * D; c < (l + 1) * D; c++) {
      const bounds = stateBounds(network, c, read, values[c], h0Errors[c], u);
      states.push(bounds.states);
      slopes.push(bounds.slopes);
    }
    outputs = read.map((_, t) => ({
      values: outputAt(network, values, l, t),
      errors: outputAt(network, states, l, t),
    }));
    inputs.push(outputs.map((output, t) => dropped(output, run.factors[b][l][t], u).errors));
  }
  const features = featureBounds(network, outputs, u);
  const logits = features.map((errors, k) => logitBounds(network, { values: run.features[b][k], errors }, u));
  return { inputs, states, slopes, features, logits };
}

/** 1 / (1 − p) is rounded once, the product once; a factor of 1 is no product at all. */
function dropped(output: Valued, factors: number[], u: number): Valued {
  return factors.every((factor) => factor === 1) ? output : rounded(output, factors, 3, u);
}

/** h0Errors: [C][B][H], where the initial states are not exact. */
export function forwardBounds(
  point: Point,
  run: Forward,
  roundoff: number,
  h0Errors = point.h0.map((cell) => cell.map((row) => zeros(row.length))),
): ForwardBounds {
  const u = roundoff + referenceRoundoff;
  const samples = point.x.map((_, b) => {
    const errors = h0Errors.map((cell) => cell[b]);
    return sampleBounds(point, run, b, errors, u);
  });
  return {
    inputs: samples.map(({ inputs }) => inputs),
    states: samples.map(({ states }) => states),
    slopes: samples.map(({ slopes }) => slopes),
    features: samples.map(({ features }) => features),
    logits: samples.map(({ logits }) => logits),
  };
}

interface LossBounds {
  loss: number;
  delta: number[][][];
}

/** Of the loss of one reading and of its delta: [O] */
function readingBounds(logits: number[], errors: number[], label: number, u: number) {
  const largest = Math.max(...logits);
  const spread = largest - Math.min(...logits);
  const logitError = Math.max(...errors);
  // exp(y − largest): the argument's own rounding is u·spread; numerator and denominator each have it.
  const exponentials = u * spread + functionRoundoffs * u;
  const relative = Math.expm1(2 * logitError + 2 * exponentials) + gamma(logits.length + 4, u);
  const logOfSum = Math.log(logits.reduce((sum, y) => sum + Math.exp(y - largest), 0));
  const rounding =
    exponentials +
    gamma(logits.length, u) +
    functionRoundoffs * u * logOfSum +
    gamma(4, u) * (logOfSum + Math.abs(largest) + Math.abs(logits[label]));
  const delta = softmax(logits).map((p, o) => p * relative + u * Math.abs(p - (o === label ? 1 : 0)));
  return { loss: 2 * logitError + rounding, delta };
}

function lossBounds(run: Forward, bounds: ForwardBounds, labels: Labels, roundoff: number): LossBounds {
  const u = roundoff + referenceRoundoff;
  const total = new SumBound();
  const delta = run.logits.map((sample, b) =>
    sample.map((logits, k) => {
      const label = labels.classes[b][k];
      if (label === labels.ignored) return zeros(logits.length);
      const reading = readingBounds(logits, bounds.logits[b][k], label, u);
      total.add(crossEntropy(logits, label), reading.loss);
      return reading.delta;
    }),
  );
  const count = countOf(labels);
  return { loss: total.error(count + 2, u) / count, delta };
}

function sumMatrix(rows: number, columns: number): SumBound[][] {
  return Array.from({ length: rows }, () => Array.from({ length: columns }, () => new SumBound()));
}

interface WeightSums {
  W: SumBound[][];
  b: SumBound[];
}

function weightSums(rows: number, columns: number): WeightSums {
  return { W: sumMatrix(rows, columns), b: sumMatrix(1, rows)[0] };
}

function addOuter(sums: WeightSums, d: Valued, input: Valued): void {
  d.values.forEach((value, j) => {
    sums.b[j].add(value, d.errors[j]);
    input.values.forEach((x, i) => {
      sums.W[j][i].add(value, d.errors[j], x, input.errors[i]);
    });
  });
}

/** d: [rows]  W: [rows][columns] → d W: [columns], with its bound. */
function timesMatrix(d: Valued, W: number[][], u: number): Valued {
  const columns = W[0].map((_, i) => {
    const sum = new SumBound();
    d.values.forEach((value, j) => {
      sum.add(value, d.errors[j], W[j][i]);
    });
    return { value: sum.value, error: sum.error(d.values.length + 1, u) };
  });
  return { values: columns.map(({ value }) => value), errors: columns.map(({ error }) => error) };
}

/** Rounded once. */
function sumOf(a: Valued, b: Valued, u: number): Valued {
  const values = a.values.map((value, k) => value + b.values[k]);
  const errors = a.errors.map((error, k) => {
    const inherited = error + b.errors[k];
    return inherited + u * (Math.abs(values[k]) + inherited);
  });
  return { values, errors };
}

/** A gradient that has faded below this is taken for zero (docs/mathematics.md, "Faded gradients"). */
const fadedBelow = (u: number): number => (u > 2 ** -40 ? 2 ** -96 : 2 ** -960);

/** dh ∘ f′ */
function preActivation(dh: Valued, slopes: Valued, u: number): Valued {
  const values = dh.values.map((delta, j) => delta * slopes.values[j]);
  const errors = dh.values.map((delta, j) => {
    const product = productError(delta, dh.errors[j], slopes.values[j], slopes.errors[j]);
    return product + u * (Math.abs(values[j]) + product) + fadedBelow(u);
  });
  return { values, errors };
}

/** What is collected over the samples: the sums behind the weight gradients, and each sample's own. */
class Backward {
  readonly #cells: Array<{ fromInput: WeightSums; recurrent: WeightSums }>;
  readonly #output: WeightSums;
  readonly dh0: number[][][];
  readonly dx: number[][][] = [];

  constructor(
    readonly point: Point,
    readonly run: Forward,
    readonly bounds: ForwardBounds,
    readonly count: number,
    readonly u: number,
  ) {
    const { rnn, output } = point.network;
    this.#cells = rnn.map(({ W_ih, W_hh }) => ({
      fromInput: weightSums(W_ih.length, W_ih[0].length),
      recurrent: weightSums(W_hh.length, W_hh.length),
    }));
    this.#output = weightSums(output.W.length, output.W[0].length);
    this.dh0 = rnn.map(({ W_hh }) => zeroMatrix(point.x.length, W_hh.length));
  }

  addSample(b: number, delta: number[][], deltaErrors: number[][]): void {
    const { network } = this.point;
    const dFeatures = delta.map((values, k) => {
      const d = { values, errors: deltaErrors[k] };
      addOuter(this.#output, d, { values: this.run.features[b][k], errors: this.bounds.features[b][k] });
      return timesMatrix(d, network.output.W, this.u);
    });
    let dOutputs = this.#spread(dFeatures, this.point.x[b].length);
    for (let l = layersOf(network) - 1; l >= 0; l--) {
      const dInputs = this.#layer(b, l, dOutputs);
      if (l > 0) dOutputs = dInputs.map((frame, t) => dropped(frame, this.run.factors[b][l - 1][t], this.u));
      else this.dx.push(dInputs.map((frame) => this.#unnormalized(frame).errors));
    }
  }

  /** The gradient of the last layer's outputs at every step. */
  #spread(dFeatures: Valued[], T: number): Valued[] {
    const { network } = this.point;
    if (network.features === 'steps') return dFeatures;
    const [{ values, errors }] = dFeatures;
    return Array.from({ length: T }, (_, t) => {
      if (network.features === 'mean')
        return rounded(dFeatures[0], zeros(values.length).fill(1 / T), 3, this.u);
      const here = (list: number[]) => list.map((v, j) => (t === lastFrame(network, j, T) ? v : 0));
      return { values: here(values), errors: here(errors) };
    });
  }

  #layer(b: number, l: number, dOutputs: Valued[]): Valued[] {
    const { network } = this.point;
    const [D, H] = [directionsOf(network), hiddenOf(network)];
    const directions = Array.from({ length: D }, (_, d) => {
      const part = (list: number[]) => list.slice(d * H, (d + 1) * H);
      const mine = dOutputs.map(({ values, errors }) => ({ values: part(values), errors: part(errors) }));
      return this.#cell(b, l, l * D + d, mine);
    });
    return directions[0].map((frame, t) => (D === 1 ? frame : sumOf(frame, directions[1][t], this.u)));
  }

  /** One cell through all steps, backward; the gradient of its input at every step. */
  #cell(b: number, l: number, c: number, dOutputs: Valued[]): Valued[] {
    const { network } = this.point;
    const { W_ih, W_hh } = network.rnn[c];
    const [states, errors] = [this.run.states[b][c], this.bounds.states[b][c]];
    const dInputs: Valued[] = new Array(dOutputs.length);
    let fromNext = exact(zeros(W_hh.length));
    for (const t of framesInOrder(network, c, dOutputs.length).reverse()) {
      const [before, after] = [beforeFrame(network, c, t), afterFrame(network, c, t)];
      const slopes = {
        values: states[after].map((h) => slope(network.nonlinearity, h)),
        errors: this.bounds.slopes[b][c][t],
      };
      const dz = preActivation(sumOf(fromNext, dOutputs[t], this.u), slopes, this.u);
      addOuter(this.#cells[c].fromInput, dz, {
        values: this.run.inputs[b][l][t],
        errors: this.bounds.inputs[b][l][t],
      });
      addOuter(this.#cells[c].recurrent, dz, { values: states[before], errors: errors[before] });
      dInputs[t] = timesMatrix(dz, W_ih, this.u);
      fromNext = timesMatrix(dz, W_hh, this.u);
    }
    const mean = rounded(fromNext, zeros(W_hh.length).fill(1 / this.count), 2, this.u);
    this.dh0[c][b] = mean.errors;
    return dInputs;
  }

  /** The quotient, or the product with a rounded reciprocal. */
  #unnormalized(frame: Valued): Valued {
    const { normalization } = this.point.network;
    if (normalization === undefined) return frame;
    const inverse = normalization.std.map((std) => 1 / std);
    return rounded(frame, inverse, 2, this.u);
  }

  gradients(): Gradients {
    // One term a sample and step, the division, and the addition onto what was there.
    const steps = this.point.x.reduce((sum, sample) => sum + sample.length, 0) + 4;
    const mean = (sum: SumBound) => sum.error(steps, this.u) / this.count;
    const withBias = (sums: WeightSums, b: number[]) => (b.length === 0 ? [] : sums.b.map(mean));
    return {
      rnn: this.#cells.map(({ fromInput, recurrent }, c) => ({
        dW_ih: fromInput.W.map((row) => row.map(mean)),
        dW_hh: recurrent.W.map((row) => row.map(mean)),
        db_ih: withBias(fromInput, this.point.network.rnn[c].b_ih),
        db_hh: withBias(recurrent, this.point.network.rnn[c].b_hh),
      })),
      output: { dW: this.#output.W.map((row) => row.map(mean)), db: this.#output.b.map(mean) },
      dh0: this.dh0,
      dx: this.dx,
    };
  }
}

/** Bounds of `backward`, given bounds on the states and on delta. delta, deltaBounds: [B][K][O] */
export function backwardBounds(
  point: Point,
  run: Forward,
  bounds: ForwardBounds,
  delta: number[][][],
  deltaBounds: number[][][],
  roundoff: number,
  count = point.x.length,
): Gradients {
  const pass = new Backward(point, run, bounds, count, roundoff + referenceRoundoff);
  delta.forEach((sample, b) => {
    pass.addSample(b, sample, deltaBounds[b]);
  });
  return pass.gradients();
}

/** All bounds of the gradients of the loss at once. h0Errors: as for `forwardBounds` */
export function gradientBounds(
  point: Point,
  run: Forward & { delta: number[][][] },
  labels: Labels,
  roundoff: number,
  h0Errors?: number[][][],
) {
  const bounds = forwardBounds(point, run, roundoff, h0Errors);
  const { loss, delta } = lossBounds(run, bounds, labels, roundoff);
  const gradients = backwardBounds(point, run, bounds, run.delta, delta, roundoff, countOf(labels));
  return { ...bounds, loss, delta, ...gradients };
}

/** Bounds of the states, the logits and the gradients for a delta that is given, hence exact. */
export function fixedDeltaBounds(point: Point, run: Forward, delta: number[][][], roundoff: number) {
  const bounds = forwardBounds(point, run, roundoff);
  const exactDelta = delta.map((sample) => sample.map((row) => zeros(row.length)));
  return { ...bounds, ...backwardBounds(point, run, bounds, delta, exactDelta, roundoff) };
}
