import { Command, type Control, Real, Word } from './memory/control.ts';
import { stepCopies } from './memory/model-memory.ts';
import type { Network } from './network.ts';
import { readCounts, writeCounts } from './programs/update-program.ts';

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
  lossSum: 0,
  correct: 0,
  seen: 0,
  largestNorm: 0,
  skipped: 0,
  learningRate: 0,
};

/** The loss and the gradient norms of a step that is not finite. */
export interface FailedStep {
  readonly loss: number;
  readonly norm: number;
  readonly largestNorm: number;
}

/** An epoch that the threads run, as the main thread sees it: what it begins with, how far it has come, how it ended. */
export class EpochControl {
  readonly #network: Network;
  readonly #control: Control;

  constructor(network: Network) {
    this.#network = network;
    this.#control = network.control;
  }

  /** Called once before a training: nobody has asked it to stop yet. */
  reset(): void {
    Atomics.store(this.#control.words, Word.parity, 0);
    Atomics.store(this.#control.words, Word.stopRequest, 0);
  }

  /** Ends the epoch after the step at work. */
  stop(): void {
    Atomics.store(this.#control.words, Word.stopRequest, 1);
  }

  /** Called before the threads begin, with the steps that are done and their sums. */
  begin(step: number, { lossSum, correct, seen, largestNorm, skipped, learningRate }: EpochSums): void {
    const { words, reals } = this.#control;
    reals[Real.lossSum] = lossSum;
    reals[Real.largestNorm] = largestNorm;
    reals[Real.learningRate] = learningRate;
    Atomics.store(words, Word.correct, correct);
    Atomics.store(words, Word.seen, seen);
    Atomics.store(words, Word.skipped, skipped);
    Atomics.store(words, Word.step, step);
    Atomics.store(words, Word.command, Command.next);
  }

  /** Steps of the epoch that are done. */
  get step(): number {
    return Atomics.load(this.#control.words, Word.step);
  }

  get sums(): EpochSums {
    const { words, reals } = this.#control;
    return {
      lossSum: reals[Real.lossSum],
      correct: Atomics.load(words, Word.correct),
      seen: Atomics.load(words, Word.seen),
      largestNorm: reals[Real.largestNorm],
      skipped: Atomics.load(words, Word.skipped),
      learningRate: reals[Real.learningRate],
    };
  }

  /** The step that ended the epoch because it is not finite; null where none has. */
  get failedStep(): FailedStep | null {
    const { words, reals } = this.#control;
    if (words[Word.command] !== Command.notFinite) return null;
    const [loss, norm] = [reals[Real.failedLoss], reals[Real.gradientNorm]];
    return { loss, norm, largestNorm: reals[Real.largestNorm] };
  }

  /** Copies what the last whole step has left, in one copy or the other, to the one that the public views show. */
  bringHome(): void {
    const { words, reals } = this.#control;
    if (Atomics.load(words, Word.parity) === 1) {
      this.#network.takeOver(stepCopies(this.#network.model));
      writeCounts(reals, 0, readCounts(reals, 1));
    }
    Atomics.store(words, Word.parity, 0);
  }
}
