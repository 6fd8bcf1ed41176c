import { createModel, stepInside, stepOutside } from '../steps.ts';
import type { Peer, Problem } from './problem.ts';

/** A step called from outside: forward, mean cross-entropy, backward. */
export async function elmanStep({ size, data }: Problem, threads: number): Promise<Peer> {
  const model = await createModel(size, threads);
  const { loss } = await model.gradients(data.x, data.labels);
  const name = `elman, ${threads} thread${threads === 1 ? '' : 's'}`;
  return { ...stepOutside(name, model, data), threads, loss, close: () => model.close() };
}

/** A step inside `fit`: the same and the optimizer's update, with no way back to the main thread between steps. */
export async function elmanFit({ size, data }: Problem, threads: number): Promise<Peer> {
  const model = await createModel(size, threads);
  const { loss } = await model.gradients(data.x, data.labels);
  model.zeroGrad();
  const name = `elman inside fit (and SGD), ${threads} thread${threads === 1 ? '' : 's'}`;
  return { ...stepInside(name, model, size), threads, loss, close: () => model.close() };
}
