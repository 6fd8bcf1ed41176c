import { RNNPhonemeClassifier } from '../../engine/index.ts';
import { asyncContestant } from '../rounds.ts';
import { modelOptions, stepFlops } from '../sizes.ts';
import type { Peer, Problem } from './problem.ts';

/** A step called from outside: forward, mean cross-entropy, backward. */
export async function elmanStep(problem: Problem, threads: number): Promise<Peer> {
  const model = await RNNPhonemeClassifier.create({ ...modelOptions(problem.size), threads });
  const { x, labels } = problem.data;
  const step = () => model.gradients(x, labels);
  const { loss } = await step();
  const name = `elman, ${threads} thread${threads === 1 ? '' : 's'}`;
  return { ...asyncContestant(name, step), loss, close: () => model.close() };
}

/** A step inside `fit`: the same and the optimizer's update, with no way back to the main thread between steps. */
export async function elmanFit(problem: Problem, threads: number): Promise<Peer> {
  const { size, data } = problem;
  const model = await RNNPhonemeClassifier.create({ ...modelOptions(size), threads });
  const { loss } = await model.gradients(data.x, data.labels);
  model.zeroGrad();
  // Every epoch is one batch: only the length of a call amortises the way to the threads.
  const epochs = Math.max(2, Math.ceil(2e9 / stepFlops(size)));
  const [B, T, I] = data.x.shape;
  const repeated = repeatRows(data.x.data, epochs);
  const labels = Int32Array.from({ length: B * epochs }, (_, i) => data.labels[i % B]);
  const x = { data: repeated, shape: [B * epochs, T, I] };
  const optimizer = model.optimizer({ type: 'sgd', learningRate: 1e-4 });
  const fit = () => model.fit({ x, labels }, { batchSize: B, shuffle: false, optimizer });
  const contestant = asyncContestant(`elman inside fit (with SGD), ${threads} threads`, fit);
  return {
    ...contestant,
    loss,
    measure: async (seconds) => (await contestant.measure(seconds)) / epochs,
    close: () => model.close(),
  };
}

function repeatRows(data: Float32Array | Float64Array, times: number): Float32Array {
  const repeated = new Float32Array(new SharedArrayBuffer(4 * data.length * times));
  for (let i = 0; i < times; i++) repeated.set(data, i * data.length);
  return repeated;
}
