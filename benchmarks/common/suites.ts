import type { RNNPhonemeClassifier } from '../../engine/index.ts';
import type { KernelMaker } from '../../engine/kernels/makers.ts';
import { networkOf } from '../../engine/network/registry.ts';
import { ReplayTeam } from '../replay/replay-team.ts';
import { callsOfPhases, lanesAdded, recordStep } from '../replay/trace.ts';
import { forwardFlops, type Size, seededData, stepFlops } from './sizes.ts';
import { createModel, stepsPerFit } from './steps.ts';
import { withOpen } from './with-open.ts';

/** One case of a suite: some work on so many threads. */
export interface Case {
  readonly threads: number;
  /** What one call of `work` comes to. */
  readonly flops: number;
  readonly sequences: number;
  /** Pieces of work in one call: a time is given for one of them. */
  readonly pieces: number;
  /** Resolves with the seconds that count, where these are not those of the whole call. */
  work(): Promise<number | undefined>;
  close(): Promise<void>;
}

export interface SuiteKind {
  readonly name: string;
  /** What one piece of work is. */
  readonly piece: string;
  /** Whether the calling thread may do it alone: 0 threads. */
  readonly runsHere: boolean;
  /** Whether it is held to the limit of one core's arithmetic. */
  readonly hasLimit: boolean;
  prepare(size: Size, threads: number, kernels: KernelMaker): Promise<Case>;
}

const sharedCase = (
  model: RNNPhonemeClassifier,
  size: Size,
  threads: number,
  flops: number,
  work: () => Promise<unknown>,
  pieces = 1,
): Case => ({
  threads,
  pieces,
  flops: flops * pieces,
  sequences: size.B * pieces,
  work: async () => void (await work()),
  close: () => model.close(),
});

const trainingStep: SuiteKind = {
  name: 'training step',
  piece: 'a call of gradients with one batch',
  runsHere: true,
  hasLimit: true,
  prepare: async (size, threads, kernels) => {
    const model = await createModel(size, threads, kernels);
    const { x, labels } = seededData(size);
    return sharedCase(model, size, threads, stepFlops(size), () => model.gradients(x, labels));
  },
};

const fit: SuiteKind = {
  name: 'fit',
  piece: 'a step inside fit, with shuffling, clipping and Adam',
  runsHere: true,
  hasLimit: true,
  prepare: async (size, threads, kernels) => {
    const model = await createModel(size, threads, kernels);
    const steps = stepsPerFit(size);
    const data = seededData(size, { rows: size.B * steps });
    const optimizer = model.optimizer({ type: 'adam', learningRate: 1e-4 });
    const work = () => model.fit(data, { batchSize: size.B, optimizer, clipNorm: 1 });
    return sharedCase(model, size, threads, stepFlops(size), work, steps);
  },
};

const inference: SuiteKind = {
  name: 'inference',
  piece: 'a call of predict with one batch',
  runsHere: true,
  hasLimit: true,
  prepare: async (size, threads, kernels) => {
    const model = await createModel(size, threads, kernels);
    const { x } = seededData(size);
    return sharedCase(model, size, threads, forwardFlops(size), () => model.predict(x));
  },
};

/**
 * The reduction of a recorded step, after its lanes: only what other cores have just written has to be fetched from
 * their caches. Its additions wait for memory, not for arithmetic.
 */
const reduction: SuiteKind = {
  name: 'reduction',
  piece: 'adding up the gradients of all lanes, and their norm',
  runsHere: false,
  hasLimit: false,
  // The kernel is WebAssembly's with every maker, but the number of lanes is not.
  prepare: async (size, threads, kernels) => {
    const made = createModel(size, threads, kernels);
    const { trace, memory, parameterCount } = await withOpen([made], async (model) => ({
      ...(await recordStep(model, seededData(size), threads)),
      parameterCount: networkOf(model).g.parameterCount,
    }));
    const lanes = lanesAdded(trace);
    const team = await ReplayTeam.start(memory, threads, callsOfPhases(trace, ['lanes', 'reduce']));
    return {
      threads,
      pieces: 1,
      sequences: size.B,
      flops: lanes * parameterCount,
      work: () => team.replayAfter('lanes', 'reduce'),
      close: () => team.close(),
    };
  },
};

export const SUITES: readonly SuiteKind[] = [trainingStep, fit, inference, reduction];
