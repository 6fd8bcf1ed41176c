import { badArgument } from '../errors.ts';
import { checkFlag, checkInteger, checkKeys } from '../validation.ts';

/** Where and how often `fit` saves where it stands. */
export interface CheckpointOptions {
  /** A directory of its own for this training; made if need be. */
  dir: string;
  /** Default 1, unless `everySteps` is given. */
  everyEpochs?: number | undefined;
  everySteps?: number | undefined;
  /** The newest files that are kept. Default 2: should one be damaged, there is the one before it. */
  keep?: number | undefined;
  /** Whether to go on from the newest whole file in `dir`; without one, training starts from the beginning. Default false. */
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
  if (typeof dir !== 'string' || dir === '') throw badArgument('checkpoint.dir', 'a path', dir);
  const epochs = everyEpochs === undefined && everySteps === undefined ? 1 : everyEpochs;
  return {
    dir,
    everyEpochs: epochs === undefined ? null : checkInteger('checkpoint.everyEpochs', epochs, 1),
    everySteps: everySteps === undefined ? null : checkInteger('checkpoint.everySteps', everySteps, 1),
    keep: checkInteger('checkpoint.keep', keep, 1),
    resume: checkFlag('checkpoint.resume', resume),
  };
}
