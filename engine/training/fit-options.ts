import type { LabelledSequences } from '../data/labelled-sequences.ts';
import { badArgument } from '../errors.ts';
import { type LossSpec, lossSpec } from '../network/lanes/loss.ts';
import type { NumberArray } from '../numeric/reals.ts';
import type { OptimizerOptions, OptimizerType } from '../optimization/optimizers.ts';
import { type Schedule, type ScheduleSpec, scheduleSpec } from '../optimization/schedules.ts';
import {
  checkFlag,
  checkInteger,
  checkKeys,
  checkOneOf,
  checkPositive,
  checkSignal,
  keysOf,
} from '../validation.ts';
import { type CheckpointOptions, type CheckpointSpec, checkpointSpec } from './checkpoint-options.ts';
import { type EarlyStopping, type EarlyStoppingSpec, earlyStoppingSpec } from './early-stopping.ts';
import type { Optimizer } from './optimizer.ts';

/**
 * The results of an epoch. Loss and accuracy are means over the epoch's rows, each taken in the step
 * that trained on it.
 */
export interface EpochLog {
  /** Counted from 0. */
  readonly epoch: number;
  readonly loss: number;
  readonly accuracy: number;
  /** Learning rate of the epoch's last step. */
  readonly learningRate: number;
  /** Largest global gradient norm of the epoch's steps, before clipping. */
  readonly gradientNorm: number;
  /** Steps left out because their loss or gradient was not finite. */
  readonly skippedSteps: number;
  readonly sequencesPerSecond: number;
  readonly validationLoss?: number;
  readonly validationAccuracy?: number;
}

/** The progress of training, reported ten times a second. */
export interface Progress {
  readonly epoch: number;
  readonly epochs: number;
  /** Steps done in this epoch. */
  readonly step: number;
  /** Steps of an epoch. */
  readonly steps: number;
  /** Means over the rows of this epoch seen so far; NaN before there are any. */
  readonly loss: number;
  readonly accuracy: number;
  /** At the rate of this epoch or, before its first step, of the one before; 0 in the beginning, `secondsLeft` Infinity. */
  readonly sequencesPerSecond: number;
  readonly secondsLeft: number;
}

/** The results of the last `everySteps` steps. */
export interface StepsLog {
  readonly epoch: number;
  /** Steps done in this epoch. */
  readonly step: number;
  /** Mean over the rows of these steps, without steps that were left out; NaN where no label of theirs counts. */
  readonly loss: number;
  /** Largest global norm of these steps, before clipping. */
  readonly gradientNorm: number;
  /** Learning rate of the last of these steps. */
  readonly learningRate: number;
}

/** Callbacks of `fit`. */
export interface Callbacks {
  /**
   * Called ten times a second. If it throws, or a promise it returns rejects, training ends after the
   * current step and `fit` rejects with that error. The promise is not awaited: if it rejects after
   * `fit` has resolved, that is an unhandled rejection.
   */
  onProgress?: ((progress: Progress) => unknown) | undefined;
  /**
   * Called after every `everySteps` steps of an epoch, soon after they are done. Errors are handled as in `onProgress`.
   */
  onSteps?: ((log: StepsLog) => unknown) | undefined;
  /**
   * Called after each epoch; the next one waits for the promise it may return. It may read and write the model's
   * parameters, save it, and predict; other calls on the model would wait for this training, and throw BUSY.
   */
  onEpochEnd?: ((epoch: number, log: EpochLog) => unknown) | undefined;
}

/** Options of `fit` and `training`. */
export interface FitOptions {
  /** Number of epochs. Default 1. */
  epochs?: number | undefined;
  /** Rows per step; the last step of an epoch takes what is left. Default 32. */
  batchSize?: number | undefined;
  /** An optimizer's type or options, or an optimizer of the model. Default adam. */
  optimizer?: OptimizerType | OptimizerOptions | Optimizer | undefined;
  /** How the learning rate changes over all epochs, beginning at the optimizer's own. Default constant. */
  schedule?: Schedule | undefined;
  /** Scales the gradients down to at most this global norm over all parameters. Default: no clipping. */
  clipNorm?: number | undefined;
  /**
   * Weight of each class [O] in loss and gradient; default 1. The reported losses of training are
   * weighted too, those of evaluation never.
   */
  classWeights?: NumberArray | undefined;
  /** ε: the target is (1 − ε) onehot + ε / O instead of onehot. Default 0. */
  labelSmoothing?: number | undefined;
  /** With output 'steps', the label to ignore. Default −100. */
  ignoreIndex?: number | undefined;
  /** Whether to shuffle the rows anew every epoch. Default true. */
  shuffle?: boolean | undefined;
  /** Whether to make batches of rows of similar lengths, so that there is little padding. Default false. */
  bucketByLength?: boolean | undefined;
  /** Seed of the shuffling and of the dropout masks. Default 0. */
  seed?: number | undefined;
  /** Data to evaluate after every epoch. */
  validation?: LabelledSequences | undefined;
  /** Ends training when a figure has not improved for some epochs. */
  earlyStopping?: EarlyStopping | undefined;
  /**
   * What to do if a step's loss or gradient is not finite: stop (default) ends `fit` with NOT_FINITE,
   * skip leaves the step out.
   */
  onNonFinite?: 'stop' | 'skip' | undefined;
  /** Saves the state of training at intervals, so that it can be resumed. */
  checkpoint?: CheckpointOptions | undefined;
  callbacks?: Callbacks | undefined;
  /** Number of steps that each `onSteps` call and each event of type 'steps' summarizes. */
  everySteps?: number | undefined;
  /**
   * Ends training after the current step, with a checkpoint if there are any; `fit` rejects with the signal's reason.
   */
  signal?: AbortSignal | undefined;
}

const OPTIONS = keysOf<FitOptions>({
  epochs: true,
  batchSize: true,
  optimizer: true,
  schedule: true,
  clipNorm: true,
  classWeights: true,
  labelSmoothing: true,
  ignoreIndex: true,
  shuffle: true,
  bucketByLength: true,
  seed: true,
  validation: true,
  earlyStopping: true,
  onNonFinite: true,
  checkpoint: true,
  callbacks: true,
  everySteps: true,
  signal: true,
});

/** Checked options of `fit` with all defaults filled in. */
export interface FitSpec {
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

/** Checks the options and fills in the defaults. Throws BAD_ARGUMENT. */
export function fitSpec(options: FitOptions, classes: number): FitSpec {
  checkKeys('options', options, OPTIONS);
  const { epochs = 1, batchSize = 32, schedule = 'constant', clipNorm, seed = 0 } = options;
  const { shuffle = true, bucketByLength = false } = options;
  const { earlyStopping, onNonFinite = 'stop', checkpoint, callbacks = {}, signal } = options;
  checkFlag('shuffle', shuffle);
  checkOneOf('onNonFinite', onNonFinite, ['stop', 'skip']);
  const bound = readCallbacks(callbacks);
  if (bound.onSteps && options.everySteps === undefined)
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
    callbacks: bound,
    shuffle,
  };
}

const CALLBACKS = ['onProgress', 'onSteps', 'onEpochEnd'] as const;

/** Checks the callbacks and binds them to their object, so that they may be methods of a class. */
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
