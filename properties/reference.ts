/**
 * The classifier written down as slowly and plainly as possible: one sample, one step, one unit at a time,
 * over ordinary arrays of float64. It shares no line with the engine, so that a fault would have to be made
 * twice, in two shapes, to go unseen.
 *
 *     h_t = f(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)            f = tanh or relu
 *
 * A reverse direction reads the same frames from the last to the first. A layer's output at a frame is the state
 * of either direction that has just read it, side by side: what the next layer reads there. The output layer reads
 * the last states, the mean of the outputs, or the outputs of every step.
 *
 * Elman 1990, "Finding Structure in Time"; Schuster, Paliwal 1997, "Bidirectional recurrent neural networks"; the
 * same equations as https://docs.pytorch.org/docs/stable/generated/torch.nn.RNN.html
 *
 * Letters: B batch, T_b steps of sample b, I input, H hidden, O classes, L layers, D directions, C = L·D cells,
 * K readings of the output layer: T_b where it reads every step, else 1.
 */
import type { Dropout } from './reference-dropout.ts';
import { dropoutFactors } from './reference-dropout.ts';

/** W_ih: [H][I or D·H]  W_hh: [H][H]  b_ih: [H]  b_hh: [H], both [] in a cell without biases */
export interface CellWeights {
  W_ih: number[][];
  W_hh: number[][];
  b_ih: number[];
  b_hh: number[];
}

export type Nonlinearity = 'tanh' | 'relu';

/** What the output layer reads: the last states, the mean of all outputs, or the output of every step. */
export type Features = 'last' | 'mean' | 'steps';

/** mean: [I]  std: [I] */
export interface Normalization {
  mean: number[];
  std: number[];
}

export interface Network {
  /** Direction d of layer l at l·D + d, lowest layer first. */
  rnn: CellWeights[];
  /** W: [O][D·H]  b: [O] */
  output: { W: number[][]; b: number[] };
  nonlinearity: Nonlinearity;
  isBidirectional: boolean;
  features: Features;
  /** Of the outputs of every layer but the last, in training only. */
  dropout: Dropout;
  /** Frames are read as (x − mean) / std. */
  normalization: Normalization | undefined;
}

/** What the loss depends on: the network, x: [B][T_b][I] (each sample as long as it is), h0: [C][B][H]. */
export interface Point {
  network: Network;
  x: number[][][];
  h0: number[][][];
}

/** What one sample came to. */
interface Sample {
  /** [L][T_b][I or D·H]: what each layer reads, after normalization and dropout. */
  inputs: number[][][];
  /** [L][T_b][D·H]: what dropout multiplies each layer's outputs by. */
  factors: number[][][];
  /**
   * [C][T_b + 1][H]. Forward direction: [t] is the state after t steps. Reverse: after the frames T_b − 1 … t, so
   * that [T_b] is the initial state.
   */
  states: number[][][];
  /** [K][D·H] */
  features: number[][];
  /** [K][O] */
  logits: number[][];
}

/** The same of all samples: each is indexed by [B] first. */
export type Forward = { [Name in keyof Sample]: Array<Sample[Name]> };

/** dW_ih: [H][I or D·H]  dW_hh: [H][H]  db_ih: [H]  db_hh: [H] */
export interface CellGradients {
  dW_ih: number[][];
  dW_hh: number[][];
  db_ih: number[];
  db_hh: number[];
}

/**
 * Weight and bias gradients are means over the batch (over the counted steps, where every step has a loss).
 * dh0: [C][B][H] is divided by the same number (an initial state counts as a parameter); dx: [B][T_b][I] is not.
 */
export interface Gradients {
  rnn: CellGradients[];
  output: { dW: number[][]; db: number[] };
  dh0: number[][][];
  dx: number[][][];
}

export function zeros(length: number): number[] {
  return new Array<number>(length).fill(0);
}

export function zeroMatrix(rows: number, columns: number): number[][] {
  return Array.from({ length: rows }, () => zeros(columns));
}

export function directionsOf(network: Network): number {
  return network.isBidirectional ? 2 : 1;
}

export function layersOf(network: Network): number {
  return network.rnn.length / directionsOf(network);
}

export function hiddenOf(network: Network): number {
  return network.rnn[0].W_hh.length;
}

export function isReverse(network: Network, c: number): boolean {
  return network.isBidirectional && c % 2 === 1;
}

/** h0 when none is given: [C][B][H] of zeros. */
export function zeroStates(network: Network, batch: number): number[][][] {
  return network.rnn.map(() => zeroMatrix(batch, hiddenOf(network)));
}

/** Where a cell stands when it has read frame t, and before: indices into its states. */
export function afterFrame(network: Network, c: number, t: number): number {
  return isReverse(network, c) ? t : t + 1;
}

export function beforeFrame(network: Network, c: number, t: number): number {
  return isReverse(network, c) ? t + 1 : t;
}

/** The frames 0 … T − 1 in the order in which a cell reads them. */
export function framesInOrder(network: Network, c: number, T: number): number[] {
  const frames = Array.from({ length: T }, (_, t) => t);
  return isReverse(network, c) ? frames.reverse() : frames;
}

/** The states that a layer's cells have after frame t, side by side: [D·H] */
export function outputAt(network: Network, states: number[][][], l: number, t: number): number[] {
  const D = directionsOf(network);
  const side: number[] = [];
  for (let c = l * D; c < (l + 1) * D; c++) side.push(...states[c][afterFrame(network, c, t)]);
  return side;
}

/** One step of one cell for one sample. x: [I]  h: [H] → [H] */
function stepCell(cell: CellWeights, nonlinearity: Nonlinearity, x: number[], h: number[]): number[] {
  const next: number[] = [];
  for (let j = 0; j < cell.W_hh.length; j++) {
    let z = cell.b_ih.length > 0 ? cell.b_ih[j] + cell.b_hh[j] : 0;
    for (let i = 0; i < x.length; i++) z += cell.W_ih[j][i] * x[i];
    for (let k = 0; k < h.length; k++) z += cell.W_hh[j][k] * h[k];
    next.push(nonlinearity === 'tanh' ? Math.tanh(z) : Math.max(0, z));
  }
  return next;
}

/** The nonlinearity's derivative, from its value. */
export function slope(nonlinearity: Nonlinearity, h: number): number {
  if (nonlinearity === 'tanh') return 1 - h * h;
  return h > 0 ? 1 : 0;
}

/** h: [D·H] → [O] */
function outputOf(network: Network, h: number[]): number[] {
  const logits: number[] = [];
  for (let o = 0; o < network.output.b.length; o++) {
    let y = network.output.b[o];
    for (let j = 0; j < h.length; j++) y += network.output.W[o][j] * h[j];
    logits.push(y);
  }
  return logits;
}

function normalized(network: Network, frame: number[]): number[] {
  const { normalization } = network;
  if (normalization === undefined) return frame;
  return frame.map((value, i) => (value - normalization.mean[i]) / normalization.std[i]);
}

/** All states of one cell. inputs: [T][I or D·H]  h0: [H] → [T + 1][H] */
function statesOf(network: Network, c: number, inputs: number[][], h0: number[]): number[][] {
  const states: number[][] = new Array(inputs.length + 1);
  states[isReverse(network, c) ? inputs.length : 0] = h0;
  for (const t of framesInOrder(network, c, inputs.length)) {
    const before = states[beforeFrame(network, c, t)];
    states[afterFrame(network, c, t)] = stepCell(network.rnn[c], network.nonlinearity, inputs[t], before);
  }
  return states;
}

/** What the output layer reads of one sample, from the last layer's states: [K][D·H] */
function featuresOf(network: Network, states: number[][][]): number[][] {
  const top = layersOf(network) - 1;
  const T = states[0].length - 1;
  const outputs = Array.from({ length: T }, (_, t) => outputAt(network, states, top, t));
  if (network.features === 'steps') return outputs;
  if (network.features === 'last') return [outputs[0].map((_, j) => outputs[lastFrame(network, j, T)][j])];
  return [outputs[0].map((_, j) => outputs.reduce((sum, output) => sum + output[j], 0) / T)];
}

/** The frame that feature j's direction reads last. */
export function lastFrame(network: Network, j: number, T: number): number {
  return j < hiddenOf(network) ? T - 1 : 0;
}

function forwardSample({ network, x, h0 }: Point, b: number, step: number | undefined): Sample {
  const D = directionsOf(network);
  const inputs = [x[b].map((frame) => normalized(network, frame))];
  const factors: number[][][] = [];
  const states: number[][][] = [];
  for (let l = 0; l < layersOf(network); l++) {
    for (let c = l * D; c < (l + 1) * D; c++) states.push(statesOf(network, c, inputs[l], h0[c][b]));
    const isDropped = step !== undefined && network.dropout.p > 0 && l + 1 < layersOf(network);
    const outputs = x[b].map((_, t) => outputAt(network, states, l, t));
    const kept = outputs.map((output, time) =>
      isDropped
        ? dropoutFactors(network.dropout, { step, row: b, layer: l, time }, output.length)
        : output.map(() => 1),
    );
    factors.push(kept);
    inputs.push(outputs.map((output, t) => output.map((value, j) => value * kept[t][j])));
  }
  const features = featuresOf(network, states);
  return { inputs, factors, states, features, logits: features.map((h) => outputOf(network, h)) };
}

/** step: the number of the training step, for dropout's masks; without it nothing is dropped. */
export function forward(point: Point, step?: number): Forward {
  const samples = point.x.map((_, b) => forwardSample(point, b, step));
  return {
    inputs: samples.map(({ inputs }) => inputs),
    factors: samples.map(({ factors }) => factors),
    states: samples.map(({ states }) => states),
    features: samples.map(({ features }) => features),
    logits: samples.map(({ logits }) => logits),
  };
}

/** The states that a following part of the sequences would start from: [C][B][H] */
export function finalStates(network: Network, { states }: Pick<Forward, 'states'>): number[][][] {
  return network.rnn.map((_, c) =>
    states.map((sample) => sample[c][isReverse(network, c) ? 0 : sample[c].length - 1]),
  );
}

function zeroGradients({ network, x, h0 }: Point): Gradients {
  return {
    rnn: network.rnn.map((cell) => ({
      dW_ih: cell.W_ih.map((row) => zeros(row.length)),
      dW_hh: cell.W_hh.map((row) => zeros(row.length)),
      db_ih: zeros(cell.b_ih.length),
      db_hh: zeros(cell.b_hh.length),
    })),
    output: {
      dW: network.output.W.map((row) => zeros(row.length)),
      db: zeros(network.output.b.length),
    },
    dh0: h0.map((cell) => cell.map((row) => zeros(row.length))),
    dx: x.map((sample) => sample.map((row) => zeros(row.length))),
  };
}

/** The output layer, backward for one sample. delta: [K][O] → the gradient of its features [K][D·H] */
function backwardOutput(
  network: Network,
  gradients: Gradients,
  features: number[][],
  delta: number[][],
  count: number,
): number[][] {
  return delta.map((row, k) => {
    const dFeatures = zeros(features[k].length);
    for (let o = 0; o < row.length; o++) {
      gradients.output.db[o] += row[o] / count;
      for (let j = 0; j < dFeatures.length; j++) {
        gradients.output.dW[o][j] += (row[o] * features[k][j]) / count;
        dFeatures[j] += row[o] * network.output.W[o][j];
      }
    }
    return dFeatures;
  });
}

/** The gradient of the last layer's outputs at every step: [K][D·H] → [T][D·H] */
function backwardFeatures(network: Network, dFeatures: number[][], T: number): number[][] {
  if (network.features === 'steps') return dFeatures;
  return Array.from({ length: T }, (_, t) =>
    dFeatures[0].map((value, j) => {
      if (network.features === 'mean') return value / T;
      return t === lastFrame(network, j, T) ? value : 0;
    }),
  );
}

interface CellPass {
  cell: CellWeights;
  gradient: CellGradients;
  nonlinearity: Nonlinearity;
  count: number;
}

/** One step of one cell, backward. dh, h, hPrev: [H]  input: [I] → the gradients of input and hPrev */
function backwardStep(
  { cell, gradient, nonlinearity, count }: CellPass,
  dh: number[],
  h: number[],
  input: number[],
  hPrev: number[],
) {
  const dInput = zeros(input.length);
  const dPrev = zeros(hPrev.length);
  for (let j = 0; j < h.length; j++) {
    const dz = dh[j] * slope(nonlinearity, h[j]);
    for (let i = 0; i < input.length; i++) {
      gradient.dW_ih[j][i] += (dz * input[i]) / count;
      dInput[i] += dz * cell.W_ih[j][i];
    }
    for (let k = 0; k < hPrev.length; k++) {
      gradient.dW_hh[j][k] += (dz * hPrev[k]) / count;
      dPrev[k] += dz * cell.W_hh[j][k];
    }
    if (cell.b_ih.length === 0) continue;
    gradient.db_ih[j] += dz / count;
    gradient.db_hh[j] += dz / count;
  }
  return { dInput, dPrev };
}

/** One sample, backward, added onto the gradients. delta: [K][O] */
function backwardSample(
  point: Point,
  run: Forward,
  gradients: Gradients,
  b: number,
  delta: number[][],
  count: number,
): void {
  const { network, x } = point;
  const [D, H, T] = [directionsOf(network), hiddenOf(network), x[b].length];
  const dFeatures = backwardOutput(network, gradients, run.features[b], delta, count);
  let dOutputs = backwardFeatures(network, dFeatures, T);
  for (let l = layersOf(network) - 1; l >= 0; l--) {
    const dInputs = run.inputs[b][l].map((input) => zeros(input.length));
    for (let c = l * D; c < (l + 1) * D; c++) {
      const pass = {
        cell: network.rnn[c],
        gradient: gradients.rnn[c],
        nonlinearity: network.nonlinearity,
        count,
      };
      const states = run.states[b][c];
      // What reaches this state from the step that was read after it.
      let fromNext = zeros(H);
      for (const t of framesInOrder(network, c, T).reverse()) {
        const dh = fromNext.map((value, j) => value + dOutputs[t][(c - l * D) * H + j]);
        const h = states[afterFrame(network, c, t)];
        const hPrev = states[beforeFrame(network, c, t)];
        const { dInput, dPrev } = backwardStep(pass, dh, h, run.inputs[b][l][t], hPrev);
        for (let i = 0; i < dInput.length; i++) dInputs[t][i] += dInput[i];
        fromNext = dPrev;
      }
      gradients.dh0[c][b] = fromNext.map((value) => value / count);
    }
    if (l > 0) {
      const factors = run.factors[b][l - 1];
      dOutputs = dInputs.map((frame, t) => frame.map((value, j) => value * factors[t][j]));
    } else gradients.dx[b] = dInputs.map((frame) => backwardNormalised(network, frame));
  }
}

function backwardNormalised({ normalization }: Network, dFrame: number[]): number[] {
  return normalization === undefined ? dFrame : dFrame.map((value, i) => value / normalization.std[i]);
}

/**
 * Gradients of (1/count) Σ delta · logits, delta held fixed. delta: [B][K][O]  count: the batch, where it is not the
 * steps that count.
 */
export function backward(point: Point, run: Forward, delta: number[][][], count = point.x.length): Gradients {
  const gradients = zeroGradients(point);
  for (let b = 0; b < point.x.length; b++) backwardSample(point, run, gradients, b, delta[b], count);
  return gradients;
}

/** logits: [O] → [O] */
export function softmax(logits: number[]): number[] {
  const largest = Math.max(...logits);
  const exps = logits.map((y) => Math.exp(y - largest));
  const total = exps.reduce((sum, e) => sum + e, 0);
  return exps.map((e) => e / total);
}

/** The class of each reading [B][K], and the label that is not counted. */
export interface Labels {
  classes: number[][];
  ignored: number;
}

/** The readings that have a loss. */
export function countOf({ classes, ignored }: Labels): number {
  return classes.flat().filter((label) => label !== ignored).length;
}

/** −log softmax(logits)[label]. logits: [O] */
export function crossEntropy(logits: number[], label: number): number {
  const largest = Math.max(...logits);
  let total = 0;
  for (const y of logits) total += Math.exp(y - largest);
  return Math.log(total) + largest - logits[label];
}

/** The mean over the counted readings. logits: [B][K][O] */
function meanLoss(logits: number[][][], labels: Labels): number {
  let sum = 0;
  labels.classes.forEach((row, b) => {
    row.forEach((label, k) => {
      if (label !== labels.ignored) sum += crossEntropy(logits[b][k], label);
    });
  });
  return sum / countOf(labels);
}

/** softmax − one-hot, one row a reading, zero where the label is not counted, not divided: [B][K][O] */
function crossEntropyDelta(logits: number[][][], { classes, ignored }: Labels): number[][][] {
  return logits.map((sample, b) =>
    sample.map((row, k) => {
      const label = classes[b][k];
      return softmax(row).map((p, o) => (label === ignored ? 0 : p - (o === label ? 1 : 0)));
    }),
  );
}

export function lossOf(point: Point, labels: Labels, step?: number): number {
  return meanLoss(forward(point, step).logits, labels);
}

export interface Evaluation extends Gradients, Forward {
  loss: number;
  delta: number[][][];
}

/** Forward, mean softmax cross-entropy and backward, with dropout where a step is given. */
export function gradientsOf(point: Point, labels: Labels, step?: number): Evaluation {
  const run = forward(point, step);
  const delta = crossEntropyDelta(run.logits, labels);
  const gradients = backward(point, run, delta, countOf(labels));
  return { ...run, ...gradients, delta, loss: meanLoss(run.logits, labels) };
}

/** The gradients with a name each, in a fixed order: what a comparison goes through. */
export function namedGradients(gradients: Gradients): Array<[name: string, values: Nested]> {
  const named: Array<[string, Nested]> = [];
  gradients.rnn.forEach((cell, c) => {
    named.push([`rnn[${c}].dW_ih`, cell.dW_ih], [`rnn[${c}].dW_hh`, cell.dW_hh]);
    if (cell.db_ih.length === 0) return;
    named.push([`rnn[${c}].db_ih`, cell.db_ih], [`rnn[${c}].db_hh`, cell.db_hh]);
  });
  named.push(['output.dW', gradients.output.dW], ['output.db', gradients.output.db]);
  named.push(['dh0', gradients.dh0], ['dx', gradients.dx]);
  return named;
}

/** The variables of a point, named and ordered as `namedGradients` names and orders their gradients. */
export function namedVariables({ network, x, h0 }: Point): Array<[name: string, values: Nested]> {
  const rnn = network.rnn.map(({ W_ih, W_hh, b_ih, b_hh }) => ({
    dW_ih: W_ih,
    dW_hh: W_hh,
    db_ih: b_ih,
    db_hh: b_hh,
  }));
  return namedGradients({ rnn, output: { dW: network.output.W, db: network.output.b }, dh0: h0, dx: x });
}

export type Nested = number[] | Nested[];

/** The innermost rows of nested arrays, in order; writing into a row writes into the nest. */
export function rowsOf(nested: Nested): number[][] {
  if (nested.every((entry): entry is number => typeof entry === 'number')) return [nested];
  return (nested as Nested[]).flatMap(rowsOf);
}

export function flatten(nested: Nested): number[] {
  return rowsOf(nested).flat();
}

/** Values in row order, as nested arrays of a shape. */
export function nest(values: number[], shape: readonly number[]): Nested {
  if (shape.length <= 1) return values;
  const [rows, ...rest] = shape;
  const width = values.length / rows;
  return Array.from({ length: rows }, (_, r) => nest(values.slice(r * width, (r + 1) * width), rest));
}

export function clonePoint(point: Point): Point {
  return structuredClone(point);
}
