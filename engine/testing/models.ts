import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { ClassifierOptions } from '../classifier/classifier-options.ts';
import { loadBlas } from '../kernels/blas-library.ts';
import type { Job } from '../network/programs/jobs.ts';
import { networkOf } from '../network/registry.ts';
import { Random } from '../numeric/random.ts';
import type { WorkerTeam } from '../parallel/team.ts';
import { RNNPhonemeClassifier } from '../rnn-classifier.ts';

/** Small models and data for unit tests. */
export const small = { inputSize: 5, hiddenSize: 11, outputSize: 4, numLayers: 2 } as const;

const normalization = { mean: [1, 2, 3, 4, 5], std: [1, 2, 1, 0.5, 3] };

/** Options for a `small` model, none of them the default. */
export const everything = {
  ...({ nonlinearity: 'relu', bidirectional: true, bias: false, dropout: 0.25, output: 'steps' } as const),
  normalization,
  classes: ['a', 'b', 'c', 'd'],
  threads: 0,
};

/** Makes a model, hands it over, and closes it whatever happens. */
export async function withModel<T>(
  options: Partial<ClassifierOptions>,
  use: (model: RNNPhonemeClassifier) => Promise<T>,
): Promise<T> {
  const model = await RNNPhonemeClassifier.create({ ...small, seed: 7, ...options });
  try {
    return await use(model);
  } finally {
    await model.close();
  }
}

/** Sequences [rows, steps, inputSize] with values around 0, and a label each. */
export function labelled(rows: number, steps: number, inputSize = 5, classes = 4, seed = 1) {
  const random = new Random(seed);
  const data = Float64Array.from({ length: rows * steps * inputSize }, () => random.normal());
  return {
    x: { data, shape: [rows, steps, inputSize] },
    labels: Int32Array.from({ length: rows }, () => random.integer(classes)),
  };
}

/** Whether this machine has a BLAS. Throws where it has none, but the test run is about it (ELMAN_KERNELS=blas). */
export function hasBlas(): boolean {
  try {
    loadBlas('float32');
    return true;
  } catch (error) {
    if (process.env.ELMAN_KERNELS === 'blas') throw error;
    return false;
  }
}

/** The worker threads of a model. */
export function teamOf(model: RNNPhonemeClassifier): WorkerTeam<Job> {
  const team = networkOf(model).team;
  if (!team) throw new Error('this model has no worker threads');
  return team;
}

/** Kills one of a model's worker threads. */
export async function killWorker(model: RNNPhonemeClassifier, which = 0): Promise<void> {
  await teamOf(model).pool?.threads[which].terminate();
}

/** Every number of a model, as bytes in hexadecimal: equal strings, equal bits. */
export function bitsOf(model: RNNPhonemeClassifier): string {
  return Object.values(model.stateDict())
    .map(({ data }) => Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('hex'))
    .join();
}

/** Collects garbage every 20 ms until `isDone`, at most so many times. */
export async function collectUntil(isDone: () => boolean, times = 200): Promise<void> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  for (let i = 0; i < times && !isDone(); i++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    collect();
  }
}

/** A tensor of zeros. */
export const zeros = (...shape: number[]) => ({
  data: new Float32Array(shape.reduce((a, b) => a * b)),
  shape,
});
