import type { Sequences } from '../data/sequences.ts';
import { badArgument, notFinite } from '../errors.ts';
import type { BatchSpec } from '../network/batch-memory.ts';
import type { Network } from '../network/network.ts';
import { Random } from '../numeric/random.ts';
import { Command, Real, Word } from '../parallel/control.ts';
import { laneCount } from '../parallel/lane-plan.ts';
import { checkInteger, checkKeys, checkPositive } from '../validation.ts';
import { type OptimizerSlot, takeOverStep } from './optimizer.ts';
import type { OptimizerOptions, OptimizerType } from './optimizers.ts';
import { checkSchedule, type Schedule } from './schedules.ts';

/** What an epoch came to. Loss and accuracy are means over the epoch's rows, each taken in the step that saw it. */
export interface EpochLog {
  /** From 0. */
  readonly epoch: number;
  readonly loss: number;
  readonly accuracy: number;
  /** Of the epoch's last step. */
  readonly learningRate: number;
  /** Largest global gradient norm of the epoch's steps, before clipping. */
  readonly gradientNorm: number;
  readonly sequencesPerSecond: number;
  readonly validationLoss?: number;
  readonly validationAccuracy?: number;
}

/** Where training stands, a few times a second. */
export interface Progress {
  readonly epoch: number;
  readonly epochs: number;
  /** Steps done in this epoch, and steps it has. */
  readonly step: number;
  readonly steps: number;
  /** Means over the rows of this epoch seen so far. */
  readonly loss: number;
  readonly accuracy: number;
  readonly sequencesPerSecond: number;
  readonly secondsLeft: number;
}

export interface Callbacks {
  onProgress?(progress: Progress): void;
  /** May return a promise: the next epoch waits for it. */
  onEpochEnd?(epoch: number, log: EpochLog): void | Promise<void>;
}

/** An optimizer made by `model.optimizer`. */
export interface OptimizerHandle {
  step(options?: { clipNorm?: number; learningRate?: number }): Promise<void>;
}

export interface FitOptions {
  /** Default 1. */
  epochs?: number;
  /** Rows of a step; the last step of an epoch takes what is left. Default 32. */
  batchSize?: number;
  /** Default adam. */
  optimizer?: OptimizerType | OptimizerOptions | OptimizerHandle;
  /** How the learning rate goes from the optimizer's own, step by step, over all epochs. Default constant. */
  schedule?: Schedule;
  /** Scales the gradient of all parameters down to this norm. Default: no clipping. */
  clipNorm?: number;
  /** Whether the rows are shuffled anew every epoch. Default true. */
  shuffle?: boolean;
  /** Of the shuffling. Default 0. */
  seed?: number;
  /** Data to evaluate after every epoch. */
  validation?: unknown;
  callbacks?: Callbacks;
  /** Ends training after the current step; fit rejects with the signal's reason. */
  signal?: AbortSignal;
}

const OPTIONS = [
  ...['epochs', 'batchSize', 'optimizer', 'schedule', 'clipNorm'],
  ...['shuffle', 'seed', 'validation', 'callbacks', 'signal'],
];

/** Fit's options, checked, with defaults. */
export interface FitPlan {
  readonly epochs: number;
  readonly batchSize: number;
  readonly schedule: Schedule;
  readonly clipNorm: number | null;
  readonly shuffle: boolean;
  readonly seed: number;
  readonly callbacks: Callbacks;
  readonly signal: AbortSignal | undefined;
}

export function readFitOptions(options: FitOptions): FitPlan {
  checkKeys('options', options, OPTIONS);
  const { epochs = 1, batchSize = 32, schedule = 'constant', clipNorm, shuffle = true, seed = 0 } = options;
  if (typeof shuffle !== 'boolean') throw badArgument('shuffle', 'true or false', shuffle);
  const { callbacks = {}, signal } = options;
  checkKeys('callbacks', callbacks, ['onProgress', 'onEpochEnd']);
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw badArgument('signal', 'an AbortSignal', signal);
  return {
    epochs: checkInteger('epochs', epochs, 1),
    batchSize: checkInteger('batchSize', batchSize, 1),
    schedule: checkSchedule(schedule),
    clipNorm: clipNorm === undefined ? null : checkPositive('clipNorm', clipNorm),
    seed: checkInteger('seed', seed, 0),
    ...{ shuffle, callbacks, signal },
  };
}

/** The progress counters are looked at this often. */
const LOOK_MS = 100;

/** What fit asks of the model around it. */
export interface FitSurroundings {
  /** Where the batch's memory may begin. */
  readonly start: number;
  /** Evaluates the validation data, where there are any. */
  readonly validate: (() => Promise<{ loss: number; accuracy: number }>) | null;
  /** Looks after predictions that wait: called often while an epoch runs, and between epochs. */
  readonly serve: { during(start: number): void; between(): Promise<void> };
}

/** Trains for whole epochs; each runs in the threads without coming back between steps. */
export async function train(
  network: Network,
  data: Sequences,
  slot: OptimizerSlot,
  plan: FitPlan,
  around: FitSurroundings,
): Promise<EpochLog[]> {
  const { words } = network.control;
  const permutation = new Uint32Array(new SharedArrayBuffer(4 * data.lengths.length)).map((_, i) => i);
  const random = new Random(plan.seed);
  const history: EpochLog[] = [];
  const job = planEpochs(network, data, slot, plan, around.start);
  slot.moveIn();
  Atomics.store(words, Word.parity, 0);
  Atomics.store(words, Word.stopRequest, 0);
  const stop = (): void => {
    Atomics.store(words, Word.stopRequest, 1);
  };
  plan.signal?.addEventListener('abort', stop);
  try {
    for (let epoch = 0; epoch < plan.epochs; epoch++) {
      plan.signal?.throwIfAborted();
      if (plan.shuffle) random.shuffle(permutation);
      const log = await runEpoch(network, job, permutation, epoch, plan, around);
      plan.signal?.throwIfAborted();
      const full = await finishEpoch(network, log, around);
      history.push(full);
      await plan.callbacks.onEpochEnd?.(epoch, full);
    }
  } finally {
    plan.signal?.removeEventListener('abort', stop);
    bringHome(network);
    network.block(network.model.gradients[0]).fill(0);
  }
  return history;
}

/** The whole steps done lie in one copy or the other: afterwards in the one the public views show. */
function bringHome(network: Network): void {
  const { words } = network.control;
  if (Atomics.load(words, Word.parity) === 1) takeOverStep(network);
  Atomics.store(words, Word.parity, 0);
}

type EpochJob = Omit<
  Extract<Parameters<Network['run']>[0], { kind: 'epoch' }>,
  'permutation' | 'stepsBefore'
> & {
  parties: number;
  steps: number;
  end: number;
};

function planEpochs(
  network: Network,
  data: Sequences,
  slot: OptimizerSlot,
  plan: FitPlan,
  start: number,
): EpochJob {
  const { g } = network;
  const rows = data.lengths.length;
  const batchSize = Math.min(plan.batchSize, rows);
  const steps = Math.ceil(rows / batchSize);
  const longest = data.lengths.reduce((a, b) => Math.max(a, b), 0);
  const frames = data.lengths.reduce((a, b) => a + b, 0);
  const lanes = laneCount(batchSize, g.blockSize * g.realBytes, g.maker);
  const parties = network.engaged(batchSize, (frames / rows) * batchSize, lanes, 3);
  const spec: BatchSpec = {
    ...{ start, rows: batchSize, steps: longest, time: longest, threads: parties },
    ...{ keep: false, gradients: true, inputFrames: 0, results: false, inputGradient: false },
  };
  const { end } = network.reserve(spec);
  return {
    ...{ kind: 'epoch', spec, data, batchSize, parties, steps, end },
    optimizer: slot.spec,
    learningRate: slot.spec.learningRate,
    schedule: plan.schedule,
    stepsInAll: steps * plan.epochs,
    clipNorm: plan.clipNorm,
  };
}

async function runEpoch(
  network: Network,
  job: EpochJob,
  permutation: Uint32Array,
  epoch: number,
  plan: FitPlan,
  around: FitSurroundings,
): Promise<EpochLog> {
  const { words, reals } = network.control;
  for (const word of [Word.step, Word.correct, Word.seen, Word.command]) Atomics.store(words, word, 0);
  for (const real of [Real.lossSum, Real.largestNorm]) reals[real] = 0;
  const started = performance.now();
  const timer = setInterval(() => {
    plan.callbacks.onProgress?.(progress(network, job, epoch, plan.epochs, started));
  }, LOOK_MS);
  const server = setInterval(() => around.serve.during(job.end), 2);
  try {
    const { parties, steps, end: _, ...rest } = job;
    await network.run({ ...rest, permutation, stepsBefore: epoch * steps }, parties);
  } finally {
    clearInterval(timer);
    clearInterval(server);
  }
  if (words[Word.command] === Command.notFinite) {
    throw notFinite(epoch, Atomics.load(words, Word.step), reals[Real.lossSum], reals[Real.gradientNorm]);
  }
  const seen = words[Word.seen];
  return {
    epoch,
    loss: reals[Real.lossSum] / seen,
    accuracy: words[Word.correct] / seen,
    learningRate: reals[Real.learningRate],
    gradientNorm: reals[Real.largestNorm],
    sequencesPerSecond: (1000 * seen) / (performance.now() - started),
  };
}

function progress(network: Network, job: EpochJob, epoch: number, epochs: number, started: number): Progress {
  const { words, reals } = network.control;
  const step = Atomics.load(words, Word.step);
  const seen = Math.max(1, Atomics.load(words, Word.seen));
  const seconds = (performance.now() - started) / 1000;
  const left = job.steps * (epochs - epoch) - step;
  return {
    ...{ epoch, epochs, step, steps: job.steps },
    loss: reals[Real.lossSum] / seen,
    accuracy: Atomics.load(words, Word.correct) / seen,
    sequencesPerSecond: seen / seconds,
    secondsLeft: step === 0 ? Number.POSITIVE_INFINITY : (seconds / step) * left,
  };
}

async function finishEpoch(network: Network, log: EpochLog, around: FitSurroundings): Promise<EpochLog> {
  bringHome(network);
  await around.serve.between();
  if (!around.validate) return log;
  const { loss, accuracy } = await around.validate();
  return { ...log, validationLoss: loss, validationAccuracy: accuracy };
}
