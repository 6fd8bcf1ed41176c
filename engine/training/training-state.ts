import { Real, Word } from '../network/memory/control.ts';
import type { Network } from '../network/network.ts';
import { freshPlateau, type PlateauState } from '../optimization/schedules.ts';
import { freshStopping, type StoppingState } from './early-stopping.ts';
import type { EpochLog } from './fit-options.ts';

/** Sums over the steps of an epoch so far. */
export interface EpochSums {
  readonly lossSum: number;
  readonly correct: number;
  readonly seen: number;
  readonly largestNorm: number;
  readonly skipped: number;
  /** Learning rate of the last step. */
  readonly learningRate: number;
}

export const noSums: EpochSums = {
  ...{ lossSum: 0, correct: 0, seen: 0, largestNorm: 0, skipped: 0, learningRate: 0 },
};

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
  ...{ epoch: 0, step: 0, random: Array.from(random), sums: noSums, history: [] },
  ...{ plateau: freshPlateau, stopping: freshStopping },
});

/** The sums as the threads keep them, in the control block. */
export function readSums({ control: { words, reals } }: Network): EpochSums {
  return {
    lossSum: reals[Real.lossSum],
    correct: Atomics.load(words, Word.correct),
    seen: Atomics.load(words, Word.seen),
    largestNorm: reals[Real.largestNorm],
    skipped: Atomics.load(words, Word.skipped),
    learningRate: reals[Real.learningRate],
  };
}

export function writeSums({ control: { words, reals } }: Network, sums: EpochSums): void {
  reals[Real.lossSum] = sums.lossSum;
  reals[Real.largestNorm] = sums.largestNorm;
  Atomics.store(words, Word.correct, sums.correct);
  Atomics.store(words, Word.seen, sums.seen);
  Atomics.store(words, Word.skipped, sums.skipped);
}
