import type { Network } from '../network/network.ts';
import { readStep, type StepEntry } from '../network/step-log.ts';
import { Word } from '../parallel/control.ts';
import type { FitPlan, Progress, StepsLog } from './fit-options.ts';
import { readSums, type TrainingState } from './training-state.ts';

/** The steps of one epoch, and where their log is. */
export interface EpochSteps {
  readonly steps: number;
  /** Rows of so many steps. */
  rowsOf(steps: number): number;
  readonly log: Float64Array;
}

/** Tells the callbacks that nobody awaits where training stands, from the counters in the shared memory. */
export class Reporter {
  readonly #network: Network;
  readonly #plan: FitPlan;
  readonly #epoch: EpochSteps;
  /** What the threads began with, and when; null while they rest. */
  #running: { readonly from: TrainingState; readonly since: number } | null = null;
  /** Steps of this epoch that onSteps has been told of. */
  #toldSteps = 0;
  /** Steps of this epoch that have been done when the threads last came back. */
  #doneSteps = 0;
  /** Promises of callbacks that have not settled yet. */
  #pending = 0;
  #fault: { readonly error: unknown } | null = null;
  #isOver = false;

  constructor(network: Network, plan: FitPlan, epoch: EpochSteps) {
    this.#network = network;
    this.#plan = plan;
    this.#epoch = epoch;
  }

  /** The threads begin. */
  begin(from: TrainingState): void {
    const every = this.#plan.everySteps ?? 1;
    if (from.step === 0) this.#toldSteps = 0;
    // Of steps that an interrupted run has done there is no log.
    else if (from.step !== this.#doneSteps) this.#toldSteps = Math.ceil(from.step / every) * every;
    this.#running = { from, since: performance.now() };
  }

  look(): void {
    if (this.#running === null) return;
    const { from, since } = this.#running;
    this.#tellSteps(from.epoch);
    const { onProgress } = this.#plan.callbacks;
    if (!onProgress) return;
    const progress = this.#progress(from, (performance.now() - since) / 1000);
    this.#tell(() => onProgress(progress));
  }

  /** The threads have come back. */
  async end(): Promise<void> {
    if (this.#running) this.#tellSteps(this.#running.from.epoch);
    this.#running = null;
    this.#doneSteps = Atomics.load(this.#network.control.words, Word.step);
    // One that fails at once has failed after a turn; nobody waits for a slow one.
    if (this.#pending > 0) await new Promise<void>((resolve) => setImmediate(resolve));
  }

  /** Training has succeeded: a promise that fails from now on is everybody's. */
  finish(): void {
    this.throwFault();
    this.#isOver = true;
  }

  /** Throws what a callback has thrown by now. */
  throwFault(): void {
    if (this.#fault) throw this.#fault.error;
  }

  /** Calls a callback. One that fails ends training after the current step. */
  #tell(callback: () => unknown): void {
    const failed = (error: unknown): void => {
      this.#fault ??= { error };
      if (this.#running) Atomics.store(this.#network.control.words, Word.stopRequest, 1);
      // As an unhandled rejection: fit has resolved, and has nobody else to tell.
      if (this.#isOver) throw error;
    };
    try {
      this.#pending++;
      void Promise.resolve(callback())
        .finally(() => this.#pending--)
        .catch(failed);
    } catch (error) {
      this.#pending--;
      failed(error);
    }
  }

  /** Tells of every `everySteps` steps that have been done since it was last told. */
  #tellSteps(epoch: number): void {
    const { everySteps, callbacks } = this.#plan;
    const { onSteps } = callbacks;
    if (!onSteps || everySteps === null) return;
    const done = Atomics.load(this.#network.control.words, Word.step);
    while (this.#toldSteps + everySteps <= done) {
      this.#toldSteps += everySteps;
      const log = this.#stepsLog(epoch, everySteps, this.#toldSteps);
      this.#tell(() => onSteps(log));
    }
  }

  /** What `count` steps of an epoch came to, up to the step `end`. */
  #stepsLog(epoch: number, count: number, end: number): StepsLog {
    const entries = Array.from({ length: count }, (_, i) => readStep(this.#epoch.log, end - count + i));
    const taken = entries.filter(({ lossSum }) => Number.isFinite(lossSum));
    const sum = (of: (entry: StepEntry) => number): number =>
      taken.reduce((total, entry) => total + of(entry), 0);
    return {
      epoch,
      step: end,
      loss: sum((entry) => entry.lossSum) / sum((entry) => entry.counted),
      gradientNorm: entries.reduce((most, entry) => Math.max(most, entry.gradientNorm), 0),
      learningRate: entries[count - 1].learningRate,
    };
  }

  #progress({ epoch, step: before }: TrainingState, seconds: number): Progress {
    const { epochs } = this.#plan;
    const { steps, rowsOf } = this.#epoch;
    const step = Atomics.load(this.#network.control.words, Word.step);
    const { lossSum, correct, seen } = readSums(this.#network);
    const left = steps * (epochs - epoch) - step;
    return {
      ...{ epoch, epochs, step, steps },
      loss: lossSum / seen,
      accuracy: correct / seen,
      sequencesPerSecond: (rowsOf(step) - rowsOf(before)) / seconds,
      secondsLeft: step === before ? Number.POSITIVE_INFINITY : (seconds / (step - before)) * left,
    };
  }
}
