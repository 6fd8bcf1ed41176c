import { resolve } from 'node:path';
import { checkFlag, checkInteger, checkKeys, checkPath } from '../validation.ts';

/** Where and how often `fit` saves the state of training. */
export interface CheckpointOptions {
  /** A directory for this training only; it is created if need be. */
  dir: string | URL;
  /** Epochs between checkpoints; default 1, unless `everySteps` is given. */
  everyEpochs?: number | undefined;
  /** Steps between checkpoints. */
  everySteps?: number | undefined;
  /** How many of the newest files to keep. Default 2: should one be damaged, there is the one before it. */
  keep?: number | undefined;
  /**
   * Whether to resume from the newest intact file in `dir`; if there is none, training starts from the
   * beginning. Default false.
   */
  resume?: boolean | undefined;
}

export interface CheckpointSpec {
  readonly dir: string;
  readonly everyEpochs: number | null;
  readonly everySteps: number | null;
  readonly keep: number;
  readonly resume: boolean;
}

export function checkpointSpec(options: CheckpointOptions): CheckpointSpec {
  checkKeys('checkpoint', options, ['dir', 'everyEpochs', 'everySteps', 'keep', 'resume']);
  const { dir, everyEpochs, everySteps, keep = 2, resume = false } = options;
  const epochs = everyEpochs === undefined && everySteps === undefined ? 1 : everyEpochs;
  return {
    // Absolute: the process may change its working directory while it trains.
    dir: resolve(checkPath(dir, 'checkpoint.dir', 'a path')),
    everyEpochs: epochs === undefined ? null : checkInteger('checkpoint.everyEpochs', epochs, 1),
    everySteps: everySteps === undefined ? null : checkInteger('checkpoint.everySteps', everySteps, 1),
    keep: checkInteger('checkpoint.keep', keep, 1),
    resume: checkFlag('checkpoint.resume', resume),
  };
}
