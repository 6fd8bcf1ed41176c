import { type EpochSums, noSums } from '../network/epoch-control.ts';
import { freshPlateau, type PlateauState } from '../optimization/schedules.ts';
import { freshStopping, type StoppingState } from './early-stopping.ts';
import type { EpochLog } from './fit-options.ts';

/** Where training stands between two steps, besides parameters and optimizer: what a checkpoint holds. */
export interface TrainingState {
  readonly epoch: number;
  /** Steps done in this epoch. */
  readonly step: number;
  /** The random generator's state before this epoch's shuffle. */
  readonly random: readonly number[];
  readonly sums: EpochSums;
  /** Grows in place: copies would take a time that is quadratic in the number of epochs. */
  readonly history: EpochLog[];
  readonly plateau: PlateauState;
  readonly stopping: StoppingState;
}

export const freshState = (random: ArrayLike<number>): TrainingState => ({
  epoch: 0,
  step: 0,
  random: Array.from(random),
  sums: noSums,
  history: [],
  plateau: freshPlateau,
  stopping: freshStopping,
});
