import { RNNPhonemeClassifier } from '../../engine/index.ts';
import type { KernelMaker } from '../../engine/kernels/makers.ts';
import { networkOf } from '../../engine/network/registry.ts';
import type { Effort } from './effort.ts';
import { CORES } from './machine.ts';
import { asyncContestant, type Contestant, measureRounds, mediansByTurns, timesOf } from './rounds.ts';
import { modelOptions, nameOf, type SeededData, type Size, seededData, stepFlops } from './sizes.ts';
import { withOpen } from './with-open.ts';

/** The parts of training as contestants, all on one seeded model a size. */

export function createModel(
  size: Size,
  threads: number,
  kernels: KernelMaker = 'wasm',
): Promise<RNNPhonemeClassifier> {
  return RNNPhonemeClassifier.create({ ...modelOptions(size), threads, kernels });
}

/** Makes every call of a model use so many threads, instead of as many as its work is worth; where is left to it. */
export function engage(model: RNNPhonemeClassifier, parties: number): void {
  const { engagement } = networkOf(model);
  const own = engagement.ofCall.bind(engagement);
  engagement.ofEpoch = () => parties;
  engagement.ofCall = (...work) => ({ parties, here: own(...work).here });
}

/** A step called from outside. */
export const stepOutside = (name: string, model: RNNPhonemeClassifier, data: SeededData): Contestant =>
  asyncContestant(name, () => model.gradients(data.x, data.labels));

/** Work of one call of fit, in operations: enough for what a call of fit takes besides its steps not to count. */
const FLOPS_PER_FIT = 1e11;

export const stepsPerFit = (size: Size): number =>
  Math.min(1_000, Math.max(4, Math.ceil(FLOPS_PER_FIT / stepFlops(size))));

/** A call of `fit` with so many steps and the plainest optimizer. */
function fitOf(steps: number, model: RNNPhonemeClassifier, size: Size): () => Promise<unknown> {
  const rows = size.B * steps;
  const { x, labels } = seededData(size, { rows, dtype: model.dtype });
  // A row's label is that of each of its frames.
  const ofFrames = () => ({
    data: Int32Array.from({ length: rows * size.T }, (_, i) => labels[Math.floor(i / size.T)]),
    shape: [rows, size.T],
  });
  const data = { x, labels: model.output === 'steps' ? ofFrames() : labels };
  const optimizer = model.optimizer({ type: 'sgd', learningRate: 1e-4 });
  return () => model.fit(data, { batchSize: size.B, shuffle: false, optimizer });
}

/** A step inside `fit`: a long call's share of it. */
export function stepInside(
  name: string,
  model: RNNPhonemeClassifier,
  size: Size,
  steps = stepsPerFit(size),
): Contestant {
  const whole = asyncContestant(name, fitOf(steps, model, size));
  return { name, measure: async (seconds) => (await whole.measure(seconds)) / steps };
}

/** Seconds of a step inside `fit` on all cores at each of some sizes, by turns: for each size its times, round by round. */
export async function stepsByTurns(sizes: readonly Size[], { rounds, seconds }: Effort): Promise<number[][]> {
  const times = await withOpen(
    sizes.map((size) => createModel(size, CORES)),
    (...models) =>
      measureRounds(
        models.map((model, i) => stepInside(nameOf(sizes[i]), model, sizes[i])),
        rounds,
        seconds,
      ),
  );
  return sizes.map((size) => timesOf(times, nameOf(size)));
}

/** Work of the shorter of two calls of fit, in operations: some 25 ms of two cores, so that most calls are left alone. */
const FLOPS_PER_SHORT_FIT = 2e9;

/** A step inside `fit` and nothing else: what twice as many steps take longer, medians of calls by turns. */
export function stepAlone(name: string, model: RNNPhonemeClassifier, size: Size): Contestant {
  const steps = Math.ceil(FLOPS_PER_SHORT_FIT / stepFlops(size));
  const fits = [fitOf(steps, model, size), fitOf(2 * steps, model, size)];
  const measure = async (seconds: number): Promise<number> => {
    const [short, long] = await mediansByTurns(fits, seconds);
    return (long - short) / steps;
  };
  return { name, measure };
}
