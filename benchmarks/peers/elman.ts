import { threadsText } from '../../cli/common/format.ts';
import type { KernelMaker } from '../../engine/kernels/makers.ts';
import { createModel, stepInside, stepOutside } from '../common/steps.ts';
import type { Peer, Problem } from './problem.ts';

const title = (what: string, threads: number, kernels: KernelMaker): string =>
  `elman${what}${kernels === 'blas' ? ' with BLAS' : ''}, ${threadsText(threads)}`;

/** The name of a step called from outside. */
export const stepTitle = (threads: number, kernels: KernelMaker): string => title('', threads, kernels);

/** A step called from outside: forward, mean cross-entropy, backward. */
export async function elmanStep(
  { size, data }: Problem,
  threads: number,
  kernels: KernelMaker,
): Promise<Peer> {
  const model = await createModel(size, threads, kernels);
  const { loss } = await model.gradients(data.x, data.labels);
  const name = stepTitle(threads, kernels);
  return { ...stepOutside(name, model, data), threads, loss, close: () => model.close() };
}

/** A step inside `fit`: the same and the optimizer's update, with no way back to the main thread between steps. */
export async function elmanFit(
  { size, data }: Problem,
  threads: number,
  kernels: KernelMaker,
): Promise<Peer> {
  const model = await createModel(size, threads, kernels);
  const { loss } = await model.gradients(data.x, data.labels);
  model.zeroGrad();
  const name = title(' inside fit (and SGD)', threads, kernels);
  return { ...stepInside(name, model, size), threads, loss, close: () => model.close() };
}
