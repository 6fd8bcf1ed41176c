import { Linear, measureNormalization, type Normalization } from '../engine/index.ts';
import type { Split } from './speech/corpus.ts';

/** The input of a linear classifier: a sequence's means over `parts` equal parts of its time, one after the other. */
function partMeans(split: Split, featureSize: number, parts: number): Float32Array {
  const rows = split.lengths.length;
  const means = new Float32Array(rows * parts * featureSize);
  let first = 0;
  for (let row = 0; row < rows; row++) {
    const length = split.lengths[row];
    for (let part = 0; part < parts; part++) {
      // In a sequence with fewer frames than parts, each part is the frame that lies there.
      const from = Math.min(length - 1, Math.floor((part * length) / parts));
      const to = Math.max(from + 1, Math.floor(((part + 1) * length) / parts));
      for (let t = from; t < to; t++) {
        for (let j = 0; j < featureSize; j++) {
          means[(row * parts + part) * featureSize + j] +=
            split.frames[(first + t) * featureSize + j] / (to - from);
        }
      }
    }
    first += length;
  }
  return means;
}

const EPOCHS = 30;
const BATCH_ROWS = 256;
const LEARNING_RATE = 0.02;
const BETA_1 = 0.9;
const BETA_2 = 0.999;

/** Lets the event loop have a turn. */
const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/**
 * Multinomial logistic regression on means over parts of the time: the opponent a recurrent network has
 * to beat. Trained with Adam on batches of evenly spaced rows, the rate falling along a cosine.
 * @returns predicted class of each test row
 */
export async function linearBaseline(
  train: Split,
  test: Split,
  featureSize: number,
  classes: number,
  parts: number,
): Promise<Int32Array> {
  const width = featureSize * parts;
  const inputs = partMeans(train, featureSize, parts);
  const rows = train.lengths.length;
  const normalization = measureNormalization({ data: inputs, shape: [1, rows, width] }, width);
  normalize(inputs, width, normalization);
  const layer = new Linear(width, classes);
  const optimizer = adam([layer.W.data, layer.b.data], [layer.dW.data, layer.db.data]);
  const batches = Math.ceil(rows / BATCH_ROWS);
  for (let epoch = 0; epoch < EPOCHS; epoch++) {
    for (let batch = 0; batch < batches; batch++) {
      // Every batches-th row from `batch` on: as good as a shuffle, since neighbours are of one voice.
      const picked = Array.from(
        { length: Math.ceil((rows - batch) / batches) },
        (_, i) => batch + i * batches,
      );
      step(layer, inputs, train.labels, picked, width, classes);
      const progress = (epoch * batches + batch) / (EPOCHS * batches);
      optimizer(LEARNING_RATE * 0.5 * (1 + Math.cos(Math.PI * progress)));
      layer.zeroGrad();
    }
    await breathe();
  }
  const unheard = partMeans(test, featureSize, parts);
  normalize(unheard, width, normalization);
  return predict(layer, unheard, width);
}

function step(
  layer: Linear,
  inputs: Float32Array,
  labels: Int32Array,
  picked: number[],
  width: number,
  classes: number,
): void {
  const x = new Float32Array(picked.length * width);
  picked.forEach((row, i) => {
    x.set(inputs.subarray(row * width, (row + 1) * width), i * width);
  });
  const { data: z } = layer.forward({ data: x, shape: [picked.length, width] });
  const delta = new Float32Array(z.length);
  picked.forEach((row, i) => {
    const logits = Array.from(z.subarray(i * classes, (i + 1) * classes));
    const most = Math.max(...logits);
    const exps = logits.map((value) => Math.exp(value - most));
    const sum = exps.reduce((a, b) => a + b);
    for (let j = 0; j < classes; j++) delta[i * classes + j] = exps[j] / sum - (j === labels[row] ? 1 : 0);
  });
  layer.backward({ data: delta, shape: [picked.length, classes] });
}

type Reals = Float32Array | Float64Array;

function adam(parameters: Reals[], gradients: Reals[]): (rate: number) => void {
  const first = parameters.map((p) => new Float32Array(p.length));
  const second = parameters.map((p) => new Float32Array(p.length));
  let power1 = 1;
  let power2 = 1;
  return (rate) => {
    power1 *= BETA_1;
    power2 *= BETA_2;
    parameters.forEach((p, n) => {
      const [g, m, v] = [gradients[n], first[n], second[n]];
      for (let i = 0; i < p.length; i++) {
        m[i] = BETA_1 * m[i] + (1 - BETA_1) * g[i];
        v[i] = BETA_2 * v[i] + (1 - BETA_2) * g[i] * g[i];
        p[i] -= (rate * (m[i] / (1 - power1))) / (Math.sqrt(v[i] / (1 - power2)) + 1e-8);
      }
    });
  };
}

function normalize(values: Float32Array, width: number, { mean, std }: Normalization): void {
  for (let i = 0; i < values.length; i++) values[i] = (values[i] - mean[i % width]) / std[i % width];
}

function predict(layer: Linear, inputs: Float32Array, width: number): Int32Array {
  return layer.forward({ data: inputs, shape: [inputs.length / width, width] }).argmax();
}
