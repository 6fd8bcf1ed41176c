import { checkFlag, checkInteger, checkKeys, checkNotNegative, checkOneOf } from '../validation.ts';
import type { EpochLog } from './fit-options.ts';

/** Ends training when a figure has not improved for some epochs. */
export interface EarlyStopping {
  /** The figure to watch; default validationLoss. */
  monitor?: 'loss' | 'accuracy' | 'validationLoss' | 'validationAccuracy' | undefined;
  /** Epochs without an improvement that are tolerated. Default 0. */
  patience?: number | undefined;
  /** An improvement must be larger than this. Default 0. */
  minDelta?: number | undefined;
  /** Whether to restore the parameters of the best epoch at the end. Default true. */
  restoreBest?: boolean | undefined;
}

export type EarlyStoppingSpec = Required<EarlyStopping>;

const MONITORS = ['loss', 'accuracy', 'validationLoss', 'validationAccuracy'] as const;

export function earlyStoppingSpec(options: EarlyStopping): EarlyStoppingSpec {
  checkKeys('earlyStopping', options, ['monitor', 'patience', 'minDelta', 'restoreBest']);
  const { monitor = 'validationLoss', patience = 0, minDelta = 0, restoreBest = true } = options;
  checkOneOf('earlyStopping.monitor', monitor, MONITORS);
  checkNotNegative('earlyStopping.minDelta', minDelta);
  checkFlag('earlyStopping.restoreBest', restoreBest);
  return { monitor, patience: checkInteger('earlyStopping.patience', patience, 0), minDelta, restoreBest };
}

/** What early stopping remembers between epochs. */
export interface StoppingState {
  readonly best: number | null;
  /** Epochs since the best. */
  readonly waited: number;
}

export const freshStopping: StoppingState = { best: null, waited: 0 };

/** The state after an epoch: `waited` 0 says that it was the best so far. */
export function watchEpoch(spec: EarlyStoppingSpec, state: StoppingState, log: EpochLog): StoppingState {
  const value = log[spec.monitor] ?? Number.NaN;
  const gain = state.best === null ? Number.POSITIVE_INFINITY : (state.best - value) * direction(spec);
  return gain > spec.minDelta && !Number.isNaN(value)
    ? { best: value, waited: 0 }
    : { ...state, waited: state.waited + 1 };
}

const direction = (spec: EarlyStoppingSpec): 1 | -1 => (spec.monitor.toLowerCase().endsWith('loss') ? 1 : -1);

export const isOver = (spec: EarlyStoppingSpec, state: StoppingState): boolean =>
  state.waited > spec.patience;
