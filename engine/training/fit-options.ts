import type { LabelledSequences } from '../data/labelled-sequences.ts';
import { badArgument } from '../errors.ts';
import { type LossSpec, lossSpec } from '../network/loss.ts';
import type { OptimizerOptions, OptimizerType } from '../optimization/optimizers.ts';
import { type Schedule, type ScheduleSpec, scheduleSpec } from '../optimization/schedules.ts';
import type { Optimizer } from '../optimizer.ts';
import { checkFlag, checkInteger, checkKeys, checkOneOf, checkPositive, checkSignal } from '../validation.ts';
import { type CheckpointOptions, type CheckpointSpec, checkpointSpec } from './checkpoint-options.ts';
import { type EarlyStopping, type EarlyStoppingSpec, earlyStoppingSpec } from './early-stopping.ts';

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
  /** Steps left out since their loss or gradient was not finite. */
  readonly skippedSteps: number;
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
  /** Means over the rows of this epoch seen so far; NaN before there are any. */
  readonly loss: number;
  readonly accuracy: number;
  readonly sequencesPerSecond: number;
  readonly secondsLeft: number;
}

/** What the last `everySteps` steps came to. */
export interface StepsLog {
  readonly epoch: number;
  /** Steps done in this epoch. */
  readonly step: number;
  /** Mean over the rows of these steps, steps that were left out not among them. */
  readonly loss: number;
  /** Largest global norm of these steps, before clipping. */
  readonly gradientNorm: number;
  /** Of the last of them. */
  readonly learningRate: number;
}

export interface Callbacks {
  /**
   * Where it throws, or what it promises fails, training ends after the current step, and fit rejects with that. Nobody
   * waits for a promise: one that fails when fit has resolved is an unhandled rejection.
   */
  onProgress?: ((progress: Progress) => unknown) | undefined;
  /** Told of every `everySteps` steps of an epoch, soon after they have been done. Throws as above. */
  onSteps?: ((log: StepsLog) => unknown) | undefined;
  /**
   * May return a promise: the next epoch waits for it. It may read and write the model's parameters, save it, and predict;
   * other calls on the model would wait for this training, and throw BUSY.
   */
  onEpochEnd?: ((epoch: number, log: EpochLog) => void | Promise<void>) | undefined;
}

export interface FitOptions {
  /** Default 1. */
  epochs?: number | undefined;
  /** Rows of a step; the last step of an epoch takes what is left. Default 32. */
  batchSize?: number | undefined;
  /** Default adam. */
  optimizer?: OptimizerType | OptimizerOptions | Optimizer | undefined;
  /** How the learning rate goes from the optimizer's own, step by step, over all epochs. Default constant. */
  schedule?: Schedule | undefined;
  /** Scales the gradient of all parameters down to this norm. Default: no clipping. */
  clipNorm?: number | undefined;
  /** What the rows of each class count in loss and gradient; default 1. Losses reported of training are weighted too, those of evaluation never. */
  classWeights?: ArrayLike<number> | undefined;
  /** ε: the target is (1 − ε) onehot + ε / O instead of onehot. Default 0. */
  labelSmoothing?: number | undefined;
  /** With output 'steps', the label that does not count. Default −100. */
  ignoreIndex?: number | undefined;
  /** Whether the rows are shuffled anew every epoch. Default true. */
  shuffle?: boolean | undefined;
  /** Whether batches are made of rows of like lengths, so that padding is rare; see batch-order.ts. Default false. */
  bucketByLength?: boolean | undefined;
  /** Of the shuffling and the dropout masks. Default 0. */
  seed?: number | undefined;
  /** Data to evaluate after every epoch. */
  validation?: LabelledSequences | undefined;
  /** Ends training when an epoch's figure has not got better for a while. */
  earlyStopping?: EarlyStopping | undefined;
  /** A step whose loss or gradient is not finite: stop (default) ends fit with NOT_FINITE, skip leaves it out. */
  onNonFinite?: 'stop' | 'skip' | undefined;
  /** Saves where training stands, now and then, so that it can be gone on with. */
  checkpoint?: CheckpointOptions | undefined;
  callbacks?: Callbacks | undefined;
  /** How many steps `onSteps` and the events of type 'steps' sum up. */
  everySteps?: number | undefined;
  /** Ends training after the current step, with a checkpoint where there are any; fit rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
}

const OPTIONS = [
  ...[
    'epochs',
    'batchSize',
    'optimizer',
    'schedule',
    'clipNorm',
    'classWeights',
    'labelSmoothing',
    'ignoreIndex',
  ],
  ...['shuffle', 'bucketByLength', 'seed', 'validation', 'earlyStopping', 'onNonFinite', 'checkpoint'],
  ...['callbacks', 'everySteps', 'signal'],
];

/** Fit's options, checked, with defaults. */
export interface FitPlan {
  readonly epochs: number;
  readonly batchSize: number;
  readonly schedule: ScheduleSpec;
  readonly clipNorm: number | null;
  readonly loss: LossSpec;
  readonly shuffle: boolean;
  readonly bucketByLength: boolean;
  readonly seed: number;
  readonly earlyStopping: EarlyStoppingSpec | null;
  readonly skipNotFinite: boolean;
  readonly checkpoint: CheckpointSpec | null;
  readonly callbacks: Callbacks;
  readonly everySteps: number | null;
  readonly signal: AbortSignal | undefined;
}

/** Throws BAD_ARGUMENT. */
export function readFitOptions(options: FitOptions, classes: number): FitPlan {
  checkKeys('options', options, OPTIONS);
  const { epochs = 1, batchSize = 32, schedule = 'constant', clipNorm, seed = 0 } = options;
  const { shuffle = true, bucketByLength = false } = options;
  const { earlyStopping, onNonFinite = 'stop', checkpoint, callbacks = {}, signal } = options;
  checkFlag('shuffle', shuffle);
  checkOneOf('onNonFinite', onNonFinite, ['stop', 'skip']);
  if (callbacks.onSteps && options.everySteps === undefined)
    throw badArgument('everySteps', 'a number of steps where there is callbacks.onSteps', undefined);
  const stopping = earlyStopping === undefined ? null : earlyStoppingSpec(earlyStopping);
  if (stopping?.monitor.startsWith('validation') && options.validation === undefined) {
    throw badArgument(
      'earlyStopping.monitor',
      'loss or accuracy where there is no validation',
      stopping.monitor,
    );
  }
  return {
    epochs: checkInteger('epochs', epochs, 1),
    batchSize: checkInteger('batchSize', batchSize, 1),
    schedule: scheduleSpec(schedule),
    clipNorm: clipNorm === undefined ? null : checkPositive('clipNorm', clipNorm),
    loss: lossSpec(options, classes),
    seed: checkInteger('seed', seed, 0),
    bucketByLength: checkFlag('bucketByLength', bucketByLength),
    earlyStopping: stopping,
    skipNotFinite: onNonFinite === 'skip',
    checkpoint: checkpoint === undefined ? null : checkpointSpec(checkpoint),
    everySteps: options.everySteps === undefined ? null : checkInteger('everySteps', options.everySteps, 1),
    signal: checkSignal(signal),
    callbacks: readCallbacks(callbacks),
    shuffle,
  };
}

const CALLBACKS = ['onProgress', 'onSteps', 'onEpochEnd'] as const;

/** Methods of a class will do: called with their object as `this`. */
function readCallbacks(given: Callbacks): Callbacks {
  checkKeys('callbacks', given, CALLBACKS);
  const bound = CALLBACKS.map((name) => {
    const callback: unknown = given[name];
    if (callback !== undefined && typeof callback !== 'function')
      throw badArgument(`callbacks.${name}`, 'a function', callback);
    return [name, callback?.bind(given)];
  });
  return Object.fromEntries(bound);
}
