/**
 * The classifier written down as slowly and plainly as possible: one sample, one step, one unit at a time,
 * over ordinary arrays of float64. It shares no line with the engine, so that a fault would have to be made
 * twice, in two shapes, to go unseen.
 *
 *     h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)         logits = W h_T + b
 *
 * Elman 1990, "Finding Structure in Time"; the same equations as
 * https://docs.pytorch.org/docs/stable/generated/torch.nn.RNN.html
 */

/** W_ih: [H][I]  W_hh: [H][H]  b_ih: [H]  b_hh: [H] */
export interface CellWeights {
  W_ih: number[][];
  W_hh: number[][];
  b_ih: number[];
  b_hh: number[];
}

/** rnn: one cell a layer, lowest first.  output: W: [O][H]  b: [O] */
export interface Network {
  rnn: CellWeights[];
  output: { W: number[][]; b: number[] };
}

/** What the loss depends on: the network, x: [B][T_b][I] (each sample as long as it is), h0: [L][B][H]. */
export interface Point {
  network: Network;
  x: number[][][];
  h0: number[][][];
}

/** states: [B][L][T_b + 1][H], the initial state first.  logits: [B][O] */
export interface Forward {
  states: number[][][][];
  logits: number[][];
}

/** dW_ih: [H][I]  dW_hh: [H][H]  db_ih: [H]  db_hh: [H] */
export interface CellGradients {
  dW_ih: number[][];
  dW_hh: number[][];
  db_ih: number[];
  db_hh: number[];
}

/**
 * Weight and bias gradients are means over the batch. dh0: [L][B][H] is divided by B as well (an initial
 * state counts as a parameter); dx: [B][T_b][I] is not.
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

/** h0 when none is given: [L][B][H] of zeros. */
export function zeroStates(network: Network, batch: number): number[][][] {
  return network.rnn.map((cell) => zeroMatrix(batch, cell.b_hh.length));
}

/** One step of one layer for one sample. x: [I]  h: [H] → [H] */
export function stepCell(cell: CellWeights, x: number[], h: number[]): number[] {
  const next: number[] = [];
  for (let j = 0; j < cell.b_ih.length; j++) {
    let z = cell.b_ih[j] + cell.b_hh[j];
    for (let i = 0; i < x.length; i++) z += cell.W_ih[j][i] * x[i];
    for (let k = 0; k < h.length; k++) z += cell.W_hh[j][k] * h[k];
    next.push(Math.tanh(z));
  }
  return next;
}

/** h: [H] → [O] */
function outputOf(network: Network, h: number[]): number[] {
  const logits: number[] = [];
  for (let o = 0; o < network.output.b.length; o++) {
    let y = network.output.b[o];
    for (let j = 0; j < h.length; j++) y += network.output.W[o][j] * h[j];
    logits.push(y);
  }
  return logits;
}

export function forward({ network, x, h0 }: Point): Forward {
  const states: number[][][][] = [];
  const logits: number[][] = [];
  for (let b = 0; b < x.length; b++) {
    const sample: number[][][] = network.rnn.map((_, l) => [h0[l][b]]);
    for (let t = 0; t < x[b].length; t++) {
      for (let l = 0; l < network.rnn.length; l++) {
        const input = l === 0 ? x[b][t] : sample[l - 1][t + 1];
        sample[l].push(stepCell(network.rnn[l], input, sample[l][t]));
      }
    }
    states.push(sample);
    logits.push(outputOf(network, sample[network.rnn.length - 1][x[b].length]));
  }
  return { states, logits };
}

function zeroGradients({ network, x, h0 }: Point): Gradients {
  return {
    rnn: network.rnn.map((cell) => ({
      dW_ih: zeroMatrix(cell.b_ih.length, cell.W_ih[0].length),
      dW_hh: zeroMatrix(cell.b_hh.length, cell.b_hh.length),
      db_ih: zeros(cell.b_ih.length),
      db_hh: zeros(cell.b_hh.length),
    })),
    output: {
      dW: zeroMatrix(network.output.b.length, network.output.W[0].length),
      db: zeros(network.output.b.length),
    },
    dh0: h0.map((layer) => layer.map((row) => zeros(row.length))),
    dx: x.map((sample) => sample.map((row) => zeros(row.length))),
  };
}

/** Gradients of (1/B) Σ_b Σ_o delta[b][o] · logits[b][o], delta held fixed. delta: [B][O] */
export function backward(point: Point, run: Forward, delta: number[][]): Gradients {
  const { network, x } = point;
  const gradients = zeroGradients(point);
  const B = x.length;
  const top = network.rnn.length - 1;
  for (let b = 0; b < B; b++) {
    const T = x[b].length;
    // dh[l]: what reaches layer l's state from the steps after the present one.
    const dh = network.rnn.map((cell) => zeros(cell.b_hh.length));
    for (let o = 0; o < delta[b].length; o++) {
      gradients.output.db[o] += delta[b][o] / B;
      for (let j = 0; j < dh[top].length; j++) {
        gradients.output.dW[o][j] += (delta[b][o] * run.states[b][top][T][j]) / B;
        dh[top][j] += delta[b][o] * network.output.W[o][j];
      }
    }
    for (let t = T - 1; t >= 0; t--) {
      let fromAbove = zeros(dh[top].length);
      for (let l = top; l >= 0; l--) {
        const cell = network.rnn[l];
        const input = l === 0 ? x[b][t] : run.states[b][l - 1][t + 1];
        const hPrev = run.states[b][l][t];
        const h = run.states[b][l][t + 1];
        const dInput = zeros(input.length);
        const dPrev = zeros(hPrev.length);
        for (let j = 0; j < h.length; j++) {
          const dz = (dh[l][j] + fromAbove[j]) * (1 - h[j] * h[j]);
          gradients.rnn[l].db_ih[j] += dz / B;
          gradients.rnn[l].db_hh[j] += dz / B;
          for (let i = 0; i < input.length; i++) {
            gradients.rnn[l].dW_ih[j][i] += (dz * input[i]) / B;
            dInput[i] += dz * cell.W_ih[j][i];
          }
          for (let k = 0; k < hPrev.length; k++) {
            gradients.rnn[l].dW_hh[j][k] += (dz * hPrev[k]) / B;
            dPrev[k] += dz * cell.W_hh[j][k];
          }
        }
        dh[l] = dPrev;
        fromAbove = dInput;
      }
      gradients.dx[b][t] = fromAbove;
    }
    for (let l = 0; l <= top; l++) gradients.dh0[l][b] = dh[l].map((value) => value / B);
  }
  return gradients;
}

/** logits: [O] → [O] */
export function softmax(logits: number[]): number[] {
  const largest = Math.max(...logits);
  const exps = logits.map((y) => Math.exp(y - largest));
  const total = exps.reduce((sum, e) => sum + e, 0);
  return exps.map((e) => e / total);
}

/** Mean over the batch of −log softmax(logits)[label]. logits: [B][O]  labels: [B] */
export function crossEntropy(logits: number[][], labels: number[]): number {
  let sum = 0;
  for (let b = 0; b < logits.length; b++) {
    const largest = Math.max(...logits[b]);
    let total = 0;
    for (const y of logits[b]) total += Math.exp(y - largest);
    sum += Math.log(total) + largest - logits[b][labels[b]];
  }
  return sum / logits.length;
}

/** softmax − one-hot, one row a sample, not divided by B: [B][O] */
export function crossEntropyDelta(logits: number[][], labels: number[]): number[][] {
  return logits.map((row, b) => softmax(row).map((p, o) => p - (o === labels[b] ? 1 : 0)));
}

export function lossOf(point: Point, labels: number[]): number {
  return crossEntropy(forward(point).logits, labels);
}

export interface Evaluation extends Gradients, Forward {
  loss: number;
  delta: number[][];
}

/** Forward, mean softmax cross-entropy and backward. */
export function gradientsOf(point: Point, labels: number[]): Evaluation {
  const run = forward(point);
  const delta = crossEntropyDelta(run.logits, labels);
  return { ...run, ...backward(point, run, delta), delta, loss: crossEntropy(run.logits, labels) };
}

/** The gradients with a name each, in a fixed order: what a comparison goes through. */
export function namedGradients(gradients: Gradients): Array<[name: string, values: Nested]> {
  const named: Array<[string, Nested]> = [];
  gradients.rnn.forEach((cell, l) => {
    named.push([`rnn[${l}].dW_ih`, cell.dW_ih], [`rnn[${l}].dW_hh`, cell.dW_hh]);
    named.push([`rnn[${l}].db_ih`, cell.db_ih], [`rnn[${l}].db_hh`, cell.db_hh]);
  });
  named.push(['output.dW', gradients.output.dW], ['output.db', gradients.output.db]);
  named.push(['dh0', gradients.dh0], ['dx', gradients.dx]);
  return named;
}

/** The variables of a point, named and ordered as `namedGradients` names and orders their gradients. */
export function namedVariables({ network, x, h0 }: Point): Array<[name: string, values: Nested]> {
  const named: Array<[string, Nested]> = [];
  network.rnn.forEach((cell, l) => {
    named.push([`rnn[${l}].dW_ih`, cell.W_ih], [`rnn[${l}].dW_hh`, cell.W_hh]);
    named.push([`rnn[${l}].db_ih`, cell.b_ih], [`rnn[${l}].db_hh`, cell.b_hh]);
  });
  named.push(['output.dW', network.output.W], ['output.db', network.output.b]);
  named.push(['dh0', h0], ['dx', x]);
  return named;
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

export function clonePoint(point: Point): Point {
  return structuredClone(point);
}
