/**
 * A classifier as an ONNX graph, for inference wherever there is an ONNX runtime:
 *
 *     x [batch, time, I], lengths [batch] → logits, probabilities [batch, O], or [batch, time, O] for each step
 *
 * Each layer is one RNN operator (https://onnx.ai/onnx/operators/onnx__RNN.html), h_t = f(X_t Wᵀ + h_{t−1} Rᵀ + Wb +
 * Rb), over [time, batch, I], since onnxruntime knows no other layout. It takes the lengths, starts a reverse
 * direction at each row's own last step, and gives states of zero past a row's end. Dropout is no part of inference.
 *
 * In shapes D is the number of directions, 1 or 2.
 *
 * The same model gives the same bytes.
 */
import { notExportable } from '../errors.ts';
import type { Dtype } from '../numeric/reals.ts';
import type { Tensor } from '../tensor.ts';
import {
  type Attributes,
  encodeModel,
  FLOAT,
  INT32,
  type NodeProto,
  type TensorProto,
} from './onnx-proto.ts';

/** What a classifier computes, besides its sizes. */
export interface OnnxSource {
  readonly inputSize: number;
  readonly hiddenSize: number;
  readonly outputSize: number;
  readonly numLayers: number;
  readonly nonlinearity: 'tanh' | 'relu';
  readonly bidirectional: boolean;
  /** Whether the cells have b_ih and b_hh; the output layer always has its bias. */
  readonly bias: boolean;
  /** What the output layer reads: the last states, the mean over a row's steps, or every step. */
  readonly output: 'last' | 'mean' | 'steps';
  /** Every frame is read as (x − mean) / std; [I] each. */
  readonly normalization: { readonly mean: ArrayLike<number>; readonly std: ArrayLike<number> } | null;
  readonly classes: readonly string[] | null;
  readonly dtype: Dtype;
  /** By PyTorch's names: rnn.weight_ih_l0 … output.bias. */
  readonly parameters: Readonly<Record<string, Tensor>>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Opset 14 and the IR that came with it (ONNX 1.9, onnxruntime 1.8, 2021): old enough to be read anywhere. */
const OPSET = 14;
const IR_VERSION = 7;

/** The bytes of an .onnx file. Its metadata are `metadata` and, as JSON, `classes`. */
export function encodeOnnx(source: OnnxSource): Uint8Array {
  if (source.dtype === 'float64') {
    throw notExportable(
      "the RNN operator of onnxruntime computes in float32 only: make a model with dtype 'float32', " +
        'give it loadStateDict(model.stateDict()), and export that one',
    );
  }
  const graph = new Graph();
  addOutputs(graph, source, addFeatures(graph, source, addLayers(graph, source)));
  const { inputSize, outputSize } = source;
  const scores = source.output === 'steps' ? ['batch', 'time', outputSize] : ['batch', outputSize];
  return encodeModel({
    ir_version: IR_VERSION,
    producer_name: 'elman',
    opset: OPSET,
    metadata_props: metadataOf(source),
    graph: {
      name: 'classifier',
      node: graph.nodes,
      initializer: graph.initializers,
      input: [
        value('x', FLOAT, ['batch', 'time', inputSize], 'frames, each row padded to the longest'),
        value('lengths', INT32, ['batch'], 'frames of each row, 1 to time'),
      ],
      output: [
        value('logits', FLOAT, scores, 'zero past the end of a row'),
        value('probabilities', FLOAT, scores, 'softmax of the logits; zero past the end of a row'),
      ],
    },
  });
}

function value(name: string, elem_type: number, shape: (number | string)[], doc_string: string) {
  return { name, elem_type, shape, doc_string };
}

function metadataOf({ classes, metadata }: OnnxSource): [string, string][] {
  const all = classes === null ? metadata : { ...metadata, classes: JSON.stringify(classes) };
  return Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Nodes and constants of a graph, in the order in which they were added. Values are referred to by name. */
class Graph {
  readonly nodes: NodeProto[] = [];
  readonly initializers: TensorProto[] = [];

  /** Adds an operator with one output, and returns that output's name. */
  add(op_type: string, input: readonly string[], output: string, attribute: Attributes = {}): string {
    this.nodes.push({ op_type, input, output: [output], attribute });
    return output;
  }

  constant(name: string, data: TensorProto['data'], dims: readonly number[] = [data.length]): string {
    this.initializers.push({ name, dims, data });
    return name;
  }

  parameter(name: string, { data, shape }: Tensor): string {
    return this.constant(name, Float32Array.from(data), shape);
  }

  /** Stacks parameters of equal shapes [n, …], k for each direction, into [D, k·n, …]. */
  stacked(name: string, directions: readonly (readonly Tensor[])[]): string {
    const parts = directions.flat();
    const [n, ...others] = parts[0].shape;
    const data = new Float32Array(parts.length * parts[0].data.length);
    parts.forEach((part, i) => {
      data.set(part.data, i * part.data.length);
    });
    return this.constant(name, data, [directions.length, directions[0].length * n, ...others]);
  }

  /** Integers that control an operator: axes, shapes. */
  integers(name: string, ...values: number[]): string {
    return this.constant(name, BigInt64Array.from(values, BigInt));
  }
}

/** The states of the top layer: Y after every step [time, D, batch, H], Y_h after the last one [D, batch, H]. */
interface States {
  readonly Y: string;
  readonly Y_h: string;
}

function addLayers(graph: Graph, source: OnnxSource): States {
  const frames = addNormalization(graph, source);
  let X = graph.add('Transpose', [frames], 'frames', { perm: [1, 0, 2] });
  let states = addLayer(graph, source, 0, X);
  for (let layer = 1; layer < source.numLayers; layer++) {
    X = joinDirections(graph, source, states.Y, [0, 2, 1, 3], `X_l${layer}`);
    states = addLayer(graph, source, layer, X);
  }
  return states;
}

function addNormalization(graph: Graph, { normalization }: OnnxSource): string {
  if (normalization === null) return 'x';
  const mean = graph.constant('mean', Float32Array.from(normalization.mean));
  const std = graph.constant('std', Float32Array.from(normalization.std));
  return graph.add('Div', [graph.add('Sub', ['x', mean], 'centred'), std], 'normalized');
}

/** X: [time, batch, I or D·H] */
function addLayer(graph: Graph, source: OnnxSource, layer: number, X: string): States {
  const { hiddenSize, nonlinearity, bidirectional, bias } = source;
  const suffixes = bidirectional ? [`_l${layer}`, `_l${layer}_reverse`] : [`_l${layer}`];
  const stack = (letter: string, ...names: string[]): string =>
    graph.stacked(
      `${letter}_l${layer}`,
      suffixes.map((suffix) => names.map((name) => source.parameters[`rnn.${name}${suffix}`])),
    );
  const W = stack('W', 'weight_ih');
  const R = stack('R', 'weight_hh');
  const B = bias ? stack('B', 'bias_ih', 'bias_hh') : '';
  const states = { Y: `Y_l${layer}`, Y_h: `Y_h_l${layer}` };
  graph.nodes.push({
    op_type: 'RNN',
    input: [X, W, R, B, 'lengths'],
    output: [states.Y, states.Y_h],
    attribute: {
      hidden_size: hiddenSize,
      direction: bidirectional ? 'bidirectional' : 'forward',
      activations: suffixes.map(() => (nonlinearity === 'relu' ? 'Relu' : 'Tanh')),
    },
  });
  return states;
}

/** Permutes the axes so that direction and unit come last, and merges these two into one, [forward, reverse]. */
function joinDirections(
  graph: Graph,
  { hiddenSize, bidirectional }: OnnxSource,
  states: string,
  perm: readonly number[],
  name: string,
): string {
  const width = bidirectional ? 2 * hiddenSize : hiddenSize;
  const kept = perm.slice(2).map(() => 0);
  const apart = graph.add('Transpose', [states], `${name}_apart`, { perm });
  return graph.add('Reshape', [apart, graph.integers(`${name}_shape`, ...kept, width)], name);
}

/** What the output layer reads: [batch, D·H], or [batch, time, D·H] for each step. */
function addFeatures(graph: Graph, source: OnnxSource, { Y, Y_h }: States): string {
  if (source.output === 'last') return joinDirections(graph, source, Y_h, [1, 0, 2], 'features');
  if (source.output === 'steps') return joinDirections(graph, source, Y, [2, 0, 1, 3], 'features');
  // The sum over all steps is that over the row's own: past its end the states are zero.
  const sum = graph.add('ReduceSum', [Y, graph.integers('time_axis', 0)], 'sum', { keepdims: 0 });
  const joined = joinDirections(graph, source, sum, [1, 0, 2], 'joined');
  const steps = graph.add('Cast', ['lengths'], 'steps', { to: FLOAT });
  const inverse = graph.add('Reciprocal', [steps], 'inverse');
  const factor = graph.add('Unsqueeze', [inverse, graph.integers('unit_axis', 1)], 'factor');
  return graph.add('Mul', [joined, factor], 'features');
}

function addOutputs(graph: Graph, source: OnnxSource, features: string): void {
  const { 'output.weight': W, 'output.bias': b } = source.parameters;
  const isSteps = source.output === 'steps';
  const [logits, probabilities] = ['logits', 'probabilities'].map((name) => (isSteps ? `all_${name}` : name));
  // A matmul rather than a Gemm, which takes matrices only; runtimes transpose a constant once.
  const WT = graph.add('Transpose', [graph.parameter('W', W)], 'WT', { perm: [1, 0] });
  const product = graph.add('MatMul', [features, WT], 'product');
  graph.add('Add', [product, graph.parameter('b', b)], logits);
  graph.add('Softmax', [logits], probabilities, { axis: isSteps ? 2 : 1 });
  if (!isSteps) return;
  const mask = addMask(graph);
  const zero = graph.constant('zero', Float32Array.of(0), []);
  graph.add('Where', [mask, logits, zero], 'logits');
  graph.add('Where', [mask, probabilities, zero], 'probabilities');
}

/** Whether a row has a frame at a step: t < length, [batch, time, 1]. */
function addMask(graph: Graph): string {
  const integer = (name: string, number: number) => graph.constant(name, Int32Array.of(number), []);
  const shape = graph.add('Cast', [graph.add('Shape', ['x'], 'x_shape')], 'x_sizes', { to: INT32 });
  const one = integer('one', 1);
  const time = graph.add('Gather', [shape, one], 'time_size');
  const t = graph.add('Range', [integer('start', 0), time, one], 't');
  const lengths = graph.add('Unsqueeze', ['lengths', graph.integers('last_axis', 1)], 'lengths_column');
  const isStep = graph.add('Less', [t, lengths], 'is_step');
  return graph.add('Unsqueeze', [isStep, graph.integers('mask_axis', 2)], 'mask');
}
