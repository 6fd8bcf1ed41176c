import { createRequire } from 'node:module';
import { syncContestant } from '../common/rounds.ts';
import { O } from '../common/sizes.ts';
import { logSumExp, type Peer, type Problem, weightOf } from './problem.ts';

/**
 * The model in brain.js 1.6.1, as far as it goes: its RNNTimeStep with tanh in the place of its ReLU, and the
 * softmax's gradient put on its last output. It knows no batches: sequences go through one after the other, each
 * one's weight gradients taking the place of the last one's. So it does a little less than a whole step (nothing is
 * summed over the batch) and a little more (it computes an output at every step of a sequence).
 */
interface Matrix {
  weights: ArrayLike<number>;
  deltas: number[] | Float32Array;
}

interface Equation {
  runInput(input: ArrayLike<number>): Matrix;
  backpropagate(): void;
  multiply(left: Matrix, right: Matrix): Matrix;
  add(left: Matrix, right: Matrix): Matrix;
  tanh(matrix: Matrix): Matrix;
}

interface Layer {
  weight: Matrix;
  transition: Matrix;
  bias: Matrix;
}

interface TimeStepNetwork {
  initialize(): void;
  bindEquation(): void;
  getEquation(equation: Equation, input: Matrix, before: Matrix, layer: Layer): Matrix;
  readonly model: {
    readonly hiddenLayers: readonly Layer[];
    readonly equations: readonly Equation[];
    readonly outputConnector: Matrix;
    readonly output: Matrix;
  };
}

interface Brain {
  readonly recurrent: {
    readonly RNNTimeStep: new (options: {
      inputSize: number;
      hiddenLayers: number[];
      outputSize: number;
    }) => TimeStepNetwork;
  };
}

/** brain.js has no ES modules, and its types do not describe what is needed here. */
const load = (): Brain => createRequire(import.meta.url)('brain.js') as Brain;

export function brainStep(problem: Problem): Peer {
  const { size, data } = problem;
  const network = networkOf(problem);
  const sequences = Array.from({ length: size.B }, (_, row) => sequenceOf(problem, row));
  const step = (): number => {
    let loss = 0;
    sequences.forEach((sequence, row) => {
      loss += stepOfOne(network, sequence, data.labels[row]);
    });
    return loss / size.B;
  };
  const loss = step();
  return { ...syncContestant('brain.js 1.6.1', step), threads: 1, loss, close: async () => {} };
}

function networkOf(problem: Problem): TimeStepNetwork {
  const { I, H, L, T } = problem.size;
  const { RNNTimeStep } = load().recurrent;
  const network = new RNNTimeStep({
    inputSize: I,
    hiddenLayers: new Array<number>(L).fill(H),
    outputSize: O,
  });
  network.getEquation = (equation, input, before, { weight, transition, bias }) => {
    const sum = equation.add(equation.multiply(weight, input), equation.multiply(transition, before));
    return equation.tanh(equation.add(sum, bias));
  };
  network.initialize();
  for (let t = 0; t < T; t++) network.bindEquation();
  const { hiddenLayers, outputConnector, output } = network.model;
  const weights = (name: string): Float32Array => weightOf(problem, name).data.slice();
  hiddenLayers.forEach(({ weight, transition, bias }, layer) => {
    weight.weights = weights(`rnn.weight_ih_l${layer}`);
    transition.weights = weights(`rnn.weight_hh_l${layer}`);
    const second = weights(`rnn.bias_hh_l${layer}`);
    bias.weights = weights(`rnn.bias_ih_l${layer}`).map((value, j) => value + second[j]);
  });
  outputConnector.weights = weights('output.weight');
  output.weights = weights('output.bias');
  return network;
}

function sequenceOf({ size, data }: Problem, row: number): Float32Array[] {
  const { T, I } = size;
  return Array.from({ length: T }, (_, t) => {
    const first = (row * T + t) * I;
    return Float32Array.from(data.x.data.subarray(first, first + I));
  });
}

/** Forward, cross-entropy at the last step, and back through all of them. */
function stepOfOne(network: TimeStepNetwork, sequence: Float32Array[], label: number): number {
  const { equations } = network.model;
  const outputs = sequence.map((frame, t) => (equations[t] as Equation).runInput(frame));
  for (const { deltas } of outputs) deltas.fill(0);
  const last = outputs.at(-1) as Matrix;
  const logits = Array.from(last.weights);
  const total = logSumExp(logits);
  for (let j = 0; j < logits.length; j++) {
    last.deltas[j] = Math.exp(logits[j] - total) - (j === label ? 1 : 0);
  }
  for (let t = sequence.length - 1; t >= 0; t--) (equations[t] as Equation).backpropagate();
  return total - logits[label];
}
