/**
 * How far a correct computation in a given precision may lie from the reference: a running error analysis
 * (Higham 2002, 3.3) carried through forward, loss and backward, element by element. Each value v comes with
 * a bound e on its error, and
 *
 *     product    |ab − âb̂| ≤ |a|e_b + |b|e_a + e_a e_b
 *     sum of n   inherited errors + γ_n · Σ|terms|, whatever the order of the additions
 *     tanh       e_z · min(1, 1 − h² + 2e_z) + the function's own error
 *
 * No step is estimated, so that a result outside the bound is wrong, and the bound has no factor to tune.
 */
import { gamma } from './compare.ts';
import type { Forward, Gradients, Network, Point } from './reference.ts';
import { softmax, zeroMatrix, zeros } from './reference.ts';

/** What the library's tanh, exp and log may be wrong by, in units of u: four units in the last place. */
const functionRoundoffs = 8;

/** The reference itself rounds in float64, so that its u is added to the computation's. */
const referenceRoundoff = 2 ** -53;

function productError(a: number, errorA: number, b: number, errorB: number): number {
  return Math.abs(a) * errorB + Math.abs(b) * errorA + errorA * errorB;
}

/** Collects a sum of products: its magnitude and the errors it inherits. */
class SumBound {
  #magnitude = 0;
  #inherited = 0;

  /** a·b with the errors of both; a single term is a·1. */
  add(a: number, errorA: number, b = 1, errorB = 0): void {
    this.#magnitude += Math.abs(a * b);
    this.#inherited += productError(a, errorA, b, errorB);
  }

  /** Σ values[k] · weights[k], the weights exact. */
  addProducts({ values, errors }: Valued, weights: number[]): void {
    for (let k = 0; k < values.length; k++) this.add(values[k], errors[k], weights[k]);
  }

  error(operations: number, u: number): number {
    return this.#inherited + gamma(operations, u) * (this.#magnitude + this.#inherited);
  }
}

/** Bounds shaped like the values they belong to. */
export interface ForwardBounds {
  states: number[][][][];
  logits: number[][];
}

function stateBounds(
  network: Network,
  l: number,
  x: Valued,
  hPrev: Valued,
  h: number[],
  u: number,
): number[] {
  const cell = network.rnn[l];
  return h.map((value, j) => {
    const z = new SumBound();
    z.add(cell.b_ih[j], 0);
    z.add(cell.b_hh[j], 0);
    z.addProducts(x, cell.W_ih[j]);
    z.addProducts(hPrev, cell.W_hh[j]);
    const errorZ = z.error(x.values.length + h.length + 4, u);
    const slope = Math.min(1, 1 - value * value + 2 * errorZ);
    const error = errorZ * slope;
    return error + functionRoundoffs * u * (Math.abs(value) + error);
  });
}

interface Valued {
  values: number[];
  errors: number[];
}

function exact(values: number[]): Valued {
  return { values, errors: zeros(values.length) };
}

export function forwardBounds({ network, x }: Point, run: Forward, roundoff: number): ForwardBounds {
  const u = roundoff + referenceRoundoff;
  const states = run.states.map((sample, b) => {
    const errors = sample.map((layer) => [zeros(layer[0].length)]);
    for (let t = 0; t < x[b].length; t++) {
      for (let l = 0; l < sample.length; l++) {
        const below =
          l === 0 ? exact(x[b][t]) : { values: sample[l - 1][t + 1], errors: errors[l - 1][t + 1] };
        const before = { values: sample[l][t], errors: errors[l][t] };
        errors[l].push(stateBounds(network, l, below, before, sample[l][t + 1], u));
      }
    }
    return errors;
  });
  const top = network.rnn.length - 1;
  const logits = run.states.map((sample, b) => {
    const h = { values: sample[top][x[b].length], errors: states[b][top][x[b].length] };
    return network.output.b.map((bias, o) => {
      const y = new SumBound();
      y.add(bias, 0);
      y.addProducts(h, network.output.W[o]);
      return y.error(h.values.length + 2, u);
    });
  });
  return { states, logits };
}

export interface LossBounds {
  loss: number;
  delta: number[][];
}

export function lossBounds(
  run: Forward,
  bounds: ForwardBounds,
  labels: number[],
  roundoff: number,
): LossBounds {
  const u = roundoff + referenceRoundoff;
  const total = new SumBound();
  const delta = run.logits.map((logits, b) => {
    const largest = Math.max(...logits);
    const spread = largest - Math.min(...logits);
    const logitError = Math.max(...bounds.logits[b]);
    // exp(y − largest): the argument's own rounding is u·spread; numerator and denominator each have it.
    const exponentials = u * spread + functionRoundoffs * u;
    const relative = Math.expm1(2 * logitError + 2 * exponentials) + gamma(logits.length + 4, u);
    const logOfSum = Math.log(logits.reduce((sum, y) => sum + Math.exp(y - largest), 0));
    const sampleLoss = logOfSum + largest - logits[labels[b]];
    const rounding =
      exponentials +
      gamma(logits.length, u) +
      functionRoundoffs * u * logOfSum +
      gamma(4, u) * (logOfSum + Math.abs(largest) + Math.abs(logits[labels[b]]));
    total.add(sampleLoss, 2 * logitError + rounding);
    return softmax(logits).map((p, o) => p * relative + u * Math.abs(p - (o === labels[b] ? 1 : 0)));
  });
  return { loss: total.error(labels.length + 2, u) / labels.length, delta };
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
function timesMatrix(d: Valued, W: number[][], columns: number, u: number): Valued {
  const values = zeros(columns);
  const errors = zeros(columns);
  for (let i = 0; i < columns; i++) {
    const sum = new SumBound();
    d.values.forEach((value, j) => {
      values[i] += value * W[j][i];
      sum.add(value, d.errors[j], W[j][i]);
    });
    errors[i] = sum.error(d.values.length + 1, u);
  }
  return { values, errors };
}

/** A gradient that has faded below this is taken for zero (docs/mathematics.md, "Faded gradients"). */
const fadedBelow = (u: number): number => (u > 2 ** -40 ? 2 ** -96 : 2 ** -960);

/** (below + above) ∘ (1 − h²) */
function preActivation(a: Valued, b: Valued, h: Valued, u: number): Valued {
  const values: number[] = [];
  const errors: number[] = [];
  h.values.forEach((state, j) => {
    const delta = a.values[j] + b.values[j];
    const deltaError = a.errors[j] + b.errors[j] + u * (Math.abs(delta) + a.errors[j] + b.errors[j]);
    const slope = 1 - state * state;
    const slopeError = productError(state, h.errors[j], state, h.errors[j]) + 2 * u;
    const product = productError(delta, deltaError, slope, slopeError);
    values.push(delta * slope);
    errors.push(product + u * (Math.abs(delta * slope) + product) + fadedBelow(u));
  });
  return { values, errors };
}

/** Bounds of `backward`, given bounds on the states and on delta. */
export function backwardBounds(
  point: Point,
  run: Forward,
  bounds: ForwardBounds,
  delta: number[][],
  deltaBounds: number[][],
  roundoff: number,
): Gradients {
  const u = roundoff + referenceRoundoff;
  const { network, x } = point;
  const B = x.length;
  const top = network.rnn.length - 1;
  const sizes = network.rnn.map((cell) => ({ inputs: cell.W_ih[0].length, hidden: cell.b_ih.length }));
  const fromInput = sizes.map(({ inputs, hidden }) => weightSums(hidden, inputs));
  const recurrent = sizes.map(({ hidden }) => weightSums(hidden, hidden));
  const output = weightSums(network.output.b.length, sizes[top].hidden);
  const dh0 = sizes.map(({ hidden }) => zeroMatrix(B, hidden));
  const dx: number[][][] = [];
  const stateAt = (b: number, l: number, t: number): Valued => ({
    values: run.states[b][l][t],
    errors: bounds.states[b][l][t],
  });
  for (let b = 0; b < B; b++) {
    const T = x[b].length;
    const dh = sizes.map(({ hidden }) => exact(zeros(hidden)));
    const d = { values: delta[b], errors: deltaBounds[b] };
    addOuter(output, d, stateAt(b, top, T));
    dh[top] = timesMatrix(d, network.output.W, sizes[top].hidden, u);
    const sample: number[][] = new Array(T);
    for (let t = T - 1; t >= 0; t--) {
      let above = exact(zeros(sizes[top].hidden));
      for (let l = top; l >= 0; l--) {
        const input = l === 0 ? exact(x[b][t]) : stateAt(b, l - 1, t + 1);
        const dz = preActivation(dh[l], above, stateAt(b, l, t + 1), u);
        addOuter(fromInput[l], dz, input);
        addOuter(recurrent[l], dz, stateAt(b, l, t));
        above = timesMatrix(dz, network.rnn[l].W_ih, sizes[l].inputs, u);
        dh[l] = timesMatrix(dz, network.rnn[l].W_hh, sizes[l].hidden, u);
      }
      sample[t] = above.errors;
    }
    dx.push(sample);
    dh.forEach((layer, l) => {
      dh0[l][b] = layer.errors.map((error, j) => (error + 2 * u * (Math.abs(layer.values[j]) + error)) / B);
    });
  }
  // One term a sample and step, the division by B, and the addition onto what was there.
  const steps = x.reduce((sum, sample) => sum + sample.length, 0) + 4;
  const mean = (sum: SumBound) => sum.error(steps, u) / B;
  return {
    rnn: sizes.map((_, l) => ({
      dW_ih: fromInput[l].W.map((row) => row.map(mean)),
      dW_hh: recurrent[l].W.map((row) => row.map(mean)),
      db_ih: fromInput[l].b.map(mean),
      db_hh: recurrent[l].b.map(mean),
    })),
    output: { dW: output.W.map((row) => row.map(mean)), db: output.b.map(mean) },
    dh0,
    dx,
  };
}

/** All bounds of the gradients of the loss at once. */
export function gradientBounds(
  point: Point,
  run: Forward & { delta: number[][] },
  labels: number[],
  roundoff: number,
) {
  const bounds = forwardBounds(point, run, roundoff);
  const { loss, delta } = lossBounds(run, bounds, labels, roundoff);
  return { ...bounds, loss, delta, ...backwardBounds(point, run, bounds, run.delta, delta, roundoff) };
}

/** Bounds of the states, the logits and the gradients for a delta that is given, hence exact. */
export function fixedDeltaBounds(point: Point, run: Forward, delta: number[][], roundoff: number) {
  const bounds = forwardBounds(point, run, roundoff);
  const exactDelta = delta.map((row) => zeros(row.length));
  return { ...bounds, ...backwardBounds(point, run, bounds, delta, exactDelta, roundoff) };
}
