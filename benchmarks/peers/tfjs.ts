import '@tensorflow/tfjs-backend-wasm';
import tf from '@tensorflow/tfjs';
import { syncContestant } from '../common/rounds.ts';
import { O } from '../common/sizes.ts';
import { framesOf, lossOfLogits, type Peer, type Problem } from './problem.ts';

/**
 * The model in TensorFlow.js, by core operations and so without the layers library's overhead: the input
 * projection of all steps in one matmul, as in PyTorch and here, then one matmul and one tanh a step.
 */
export async function tfjsStep(problem: Problem, backend: 'cpu' | 'wasm'): Promise<Peer> {
  await tf.setBackend(backend);
  const model = variables(problem);
  const inputs = { x: timeMajor(problem), labels: tf.oneHot(tf.tensor1d(problem.data.labels, 'int32'), O) };
  const step = (): number =>
    tf.tidy(() => {
      const { value, grads } = tf.variableGrads(() => lossOf(problem, model, inputs), [...model.values()]);
      for (const gradient of Object.values(grads)) gradient.dataSync();
      return value.dataSync()[0];
    });
  const loss = step();
  const contestant = syncContestant(`tfjs ${tf.version_core} ${backend}`, step);
  return {
    ...contestant,
    threads: 1,
    loss,
    measure: async (seconds) => {
      await tf.setBackend(backend);
      return contestant.measure(seconds);
    },
    close: async () => {
      await tf.setBackend(backend);
      tf.dispose([inputs.x, inputs.labels, ...model.values()]);
    },
  };
}

type Variables = ReadonlyMap<string, tf.Variable>;

/** A frame of a stream: a matmul and a tanh a layer, the states kept from call to call. */
export async function tfjsStream(problem: Problem, backend: 'cpu' | 'wasm'): Promise<Peer> {
  await tf.setBackend(backend);
  const model = variables(problem);
  const frames = framesOf(problem);
  const sequence = (): Float32Array => streamOf(problem, model, frames);
  const loss = lossOfLogits(sequence(), problem.data.labels[0]);
  const { name, measure } = syncContestant(`tfjs ${tf.version_core} ${backend}`, sequence);
  return {
    name,
    threads: 1,
    loss,
    measure: async (seconds) => {
      await tf.setBackend(backend);
      return (await measure(seconds)) / frames.length;
    },
    close: async () => {
      await tf.setBackend(backend);
      tf.dispose([...model.values()]);
    },
  };
}

/** The logits of the last frame; those of every frame are read, as a service would. */
function streamOf({ size }: Problem, model: Variables, frames: readonly Float32Array[]): Float32Array {
  const weight = (name: string): tf.Variable<tf.Rank.R2> => model.get(name) as tf.Variable<tf.Rank.R2>;
  let states = Array.from({ length: size.L }, () => tf.zeros([1, size.H]) as tf.Tensor2D);
  const biases = states.map((_, l) =>
    tf.tidy(() =>
      tf.reshape<tf.Rank.R2>(tf.add(weight(`rnn.bias_ih_l${l}`), weight(`rnn.bias_hh_l${l}`)), [1, size.H]),
    ),
  );
  let logits = new Float32Array(0);
  for (const frame of frames) {
    const next = tf.tidy(() => {
      let x = tf.tensor2d(frame, [1, size.I]);
      const made = states.map((state, l) => {
        const input = tf.matMul(x, weight(`rnn.weight_ih_l${l}`), false, true);
        const recurrent = tf.matMul(state, weight(`rnn.weight_hh_l${l}`), false, true);
        x = tf.tanh(tf.addN([input, recurrent, biases[l]])) as tf.Tensor2D;
        return x;
      });
      const y = tf.add(tf.matMul(x, weight('output.weight'), false, true), weight('output.bias'));
      logits = y.dataSync() as Float32Array<ArrayBuffer>;
      return made;
    });
    tf.dispose(states);
    states = next;
  }
  tf.dispose([states, biases]);
  return logits;
}

function variables(problem: Problem): Variables {
  const entries = [...problem.weights].map(([name, { data, shape }]): [string, tf.Variable] => [
    name,
    tf.variable(tf.tensor(data, [...shape])),
  ]);
  return new Map(entries);
}

/** x [B, T, I] as [T · B, I], one step's rows after the other. */
function timeMajor({ size, data }: Problem): tf.Tensor2D {
  const { B, T, I } = size;
  return tf.tidy(() => {
    const x = tf.tensor3d(Float32Array.from(data.x.data), [B, T, I]);
    return tf.reshape<tf.Rank.R2>(tf.transpose(x, [1, 0, 2]), [T * B, I]);
  });
}

function lossOf(
  { size }: Problem,
  model: Variables,
  inputs: { x: tf.Tensor2D; labels: tf.Tensor },
): tf.Scalar {
  const weight = (name: string): tf.Variable<tf.Rank.R2> => model.get(name) as tf.Variable<tf.Rank.R2>;
  let below: tf.Tensor2D = inputs.x;
  let last: tf.Tensor2D = below;
  for (let layer = 0; layer < size.L; layer++) {
    const states = layerStates(below, size.T, {
      W_ih: weight(`rnn.weight_ih_l${layer}`),
      W_hh: weight(`rnn.weight_hh_l${layer}`),
      bias: tf.add(weight(`rnn.bias_ih_l${layer}`), weight(`rnn.bias_hh_l${layer}`)),
    });
    last = states[states.length - 1] as tf.Tensor2D;
    if (layer + 1 < size.L) below = tf.concat(states);
  }
  const logits = tf.add(tf.matMul(last, weight('output.weight'), false, true), weight('output.bias'));
  return tf.losses.softmaxCrossEntropy(inputs.labels, logits);
}

/** h_t = tanh(x_t W_ihᵀ + b + h_{t−1} W_hhᵀ), h_{−1} = 0. */
function layerStates(
  x: tf.Tensor2D,
  steps: number,
  cell: { W_ih: tf.Tensor2D; W_hh: tf.Tensor2D; bias: tf.Tensor },
): tf.Tensor2D[] {
  const projected = tf.split(tf.add(tf.matMul(x, cell.W_ih, false, true), cell.bias), steps) as tf.Tensor2D[];
  const states: tf.Tensor2D[] = [];
  for (const z of projected) {
    const before = states.at(-1);
    states.push(tf.tanh(before ? tf.add(z, tf.matMul(before, cell.W_hh, false, true)) : z));
  }
  return states;
}
