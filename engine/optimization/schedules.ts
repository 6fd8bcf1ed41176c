import { badArgument } from '../errors.ts';
import { cosPi } from '../numeric/elementary.ts';
import { checkFraction, checkInteger, checkKeys, checkPositive } from '../validation.ts';

/** Keeps the learning rate as it is. */
export interface ConstantSchedule {
  type: 'constant';
  /** Steps in which the rate first rises linearly, as in every schedule; default 0. */
  warmup?: number | undefined;
}

/**
 * Lowers the rate from the optimizer's to almost 0 along half a cosine (https://arxiv.org/abs/1608.03983, no restarts).
 */
export interface CosineSchedule {
  type: 'cosine';
  warmup?: number | undefined;
}

/** Multiplies the rate by `factor` after every `epochs` epochs, as torch.optim.lr_scheduler.StepLR. */
export interface StepSchedule {
  type: 'step';
  epochs: number;
  /** Default 0.1. */
  factor?: number | undefined;
  warmup?: number | undefined;
}

/**
 * Multiplies the rate by `factor` when the validation loss (without validation data: the training loss)
 * has not improved for more than `patience` epochs, as torch.optim.lr_scheduler.ReduceLROnPlateau.
 */
export interface PlateauSchedule {
  type: 'plateau';
  /** Default 0.1. */
  factor?: number | undefined;
  /** Default 10. */
  patience?: number | undefined;
  /** Relative decrease of the loss that an improvement must exceed; default 1e-4. */
  threshold?: number | undefined;
  warmup?: number | undefined;
}

export type ScheduleOptions = ConstantSchedule | CosineSchedule | StepSchedule | PlateauSchedule;
export type ScheduleType = ScheduleOptions['type'];
/** A schedule's options or, with all defaults, its type; a step schedule has no default for its epochs. */
export type Schedule = Exclude<ScheduleType, 'step'> | ScheduleOptions;

/** A schedule with every default filled in; which of the numbers apply depends on the type. */
export interface ScheduleSpec {
  readonly type: ScheduleType;
  readonly warmup: number;
  readonly epochs: number;
  readonly factor: number;
  readonly patience: number;
  readonly threshold: number;
}

const KEYS: Record<ScheduleType, readonly string[]> = {
  constant: ['type', 'warmup'],
  cosine: ['type', 'warmup'],
  step: ['type', 'warmup', 'epochs', 'factor'],
  plateau: ['type', 'warmup', 'factor', 'patience', 'threshold'],
};

/** Checks a schedule and fills its defaults in. Throws BAD_ARGUMENT. */
export function scheduleSpec(schedule: Schedule): ScheduleSpec {
  const given = typeof schedule === 'string' ? { type: schedule } : schedule;
  if (typeof given !== 'object' || given === null || !Object.keys(KEYS).includes(given.type))
    throw badArgument('schedule', `one of ${Object.keys(KEYS).join(', ')}`, given?.type ?? given);
  checkKeys('schedule', given, KEYS[given.type]);
  const read: Partial<ScheduleSpec> = given;
  const { warmup = 0, epochs = 1, factor = 0.1, patience = 10, threshold = 1e-4 } = read;
  if (given.type === 'step') checkInteger('schedule.epochs', read.epochs, 1);
  return {
    type: given.type,
    warmup: checkInteger('schedule.warmup', warmup, 0),
    epochs,
    factor: checkPositive('schedule.factor', factor),
    patience: checkInteger('schedule.patience', patience, 0),
    threshold: checkFraction('schedule.threshold', threshold),
  };
}

/** Where a step stands: steps before it, steps per epoch, steps of all epochs. */
export interface StepPlace {
  readonly step: number;
  readonly perEpoch: number;
  readonly inAll: number;
}

/** The factor on the learning rate in a step; a plateau's comes from the epochs' losses instead. */
export function scheduleFactor(spec: ScheduleSpec, { step, perEpoch, inAll }: StepPlace): number {
  const warm = step < spec.warmup ? (step + 1) / spec.warmup : 1;
  if (spec.type === 'cosine') return warm * 0.5 * (1 + cosPi(step / inAll));
  if (spec.type === 'step') return warm * wholePower(spec.factor, Math.floor(step / perEpoch / spec.epochs));
  return warm;
}

/** Multiplied up, since Math.pow differs from machine to machine. */
function wholePower(base: number, exponent: number): number {
  let power = 1;
  for (let i = 0; i < exponent; i++) power *= base;
  return power;
}

/** What a plateau schedule remembers between epochs. */
export interface PlateauState {
  /** The factor on the learning rate. */
  readonly factor: number;
  readonly best: number;
  /** Epochs since the best. */
  readonly waited: number;
}

export const freshPlateau: PlateauState = { factor: 1, best: Number.MAX_VALUE, waited: 0 };

export function nextPlateau(spec: ScheduleSpec, state: PlateauState, loss: number): PlateauState {
  if (spec.type !== 'plateau') return state;
  if (loss < state.best * (1 - spec.threshold)) return { ...state, best: loss, waited: 0 };
  if (state.waited < spec.patience) return { ...state, waited: state.waited + 1 };
  return { ...state, factor: state.factor * spec.factor, waited: 0 };
}
