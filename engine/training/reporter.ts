import { performance } from 'node:perf_hooks';
import { setImmediate } from 'node:timers';
import type { EpochControl } from '../network/epoch-control.ts';
import { readStep, type StepEntry } from '../network/programs/step-log.ts';
import type { FitSpec, Progress, StepsLog } from './fit-options.ts';
import type { TrainingState } from './training-state.ts';

/** The steps of one epoch, and where their log is. */
export interface EpochSteps {
  readonly steps: number;
  /** Number of rows of the first `steps` steps. */
  rowsOf(steps: number): number;
  readonly log: Float64Array;
}

/** What the threads began with, and when. */
interface Running {
  readonly from: TrainingState;
  readonly since: number;
}

/** Calls the callbacks that are not awaited, with figures from the counters in shared memory. */
export class Reporter {
  readonly #control: EpochControl;
  readonly #plan: FitSpec;
  readonly #epoch: EpochSteps;
  /** null while the threads rest. */
  #running: Running | null = null;
  /** Steps of this epoch that onSteps has been called for. */
  #toldSteps = 0;
  /** Steps, and rows, a second when they were last known; an epoch begins with those of the one before. */
  #rate = { steps: 0, rows: 0 };
  /** Steps of this epoch that were done when the threads last came back. */
  #doneSteps = 0;
  /** Promises of callbacks that have not settled yet. */
  #pending = 0;
  #fault: { readonly error: unknown } | null = null;
  #isOver = false;

  constructor(control: EpochControl, plan: FitSpec, epoch: EpochSteps) {
    this.#control = control;
    this.#plan = plan;
    this.#epoch = epoch;
  }

  /** Called when the threads begin. */
  begin(from: TrainingState): void {
    const every = this.#plan.everySteps ?? 1;
    if (from.step === 0) this.#toldSteps = 0;
    // There is no log of the steps of an interrupted run.
    else if (from.step !== this.#doneSteps) this.#toldSteps = Math.ceil(from.step / every) * every;
    this.#running = { from, since: performance.now() };
  }

  look(): void {
    if (this.#running === null) return;
    const { epoch } = this.#running.from;
    this.#tellSteps(epoch);
    this.#measureRate(this.#running);
    const { onProgress } = this.#plan.callbacks;
    if (!onProgress) return;
    const progress = this.#progress(epoch);
    this.#tell(() => onProgress(progress));
  }

  /** Called when the threads have come back. */
  async end(): Promise<void> {
    if (this.#running) {
      this.#tellSteps(this.#running.from.epoch);
      this.#measureRate(this.#running);
    }
    this.#running = null;
    this.#doneSteps = this.#control.step;
    // A promise that rejects at once has done so after a turn of the event loop; slow ones are not awaited.
    if (this.#pending > 0) await new Promise<void>((resolve) => setImmediate(resolve));
  }

  /** Called when training has succeeded: a promise that rejects from now on is an unhandled rejection. */
  finish(): void {
    this.throwFault();
    this.#isOver = true;
  }

  /** Throws the first error of a callback, if there is one. */
  throwFault(): void {
    if (this.#fault) throw this.#fault.error;
  }

  /** Calls a callback. If it fails, training ends after the current step. */
  #tell(callback: () => unknown): void {
    const failed = (error: unknown): void => {
      this.#fault ??= { error };
      if (this.#running) this.#control.stop();
      // Becomes an unhandled rejection: fit has resolved and can no longer report it.
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

  /** Calls onSteps for every `everySteps` steps that have been done since its last call. */
  #tellSteps(epoch: number): void {
    const { everySteps, callbacks } = this.#plan;
    const { onSteps } = callbacks;
    if (!onSteps || everySteps === null) return;
    const done = this.#control.step;
    while (this.#toldSteps + everySteps <= done) {
      this.#toldSteps += everySteps;
      const log = this.#stepsLog(epoch, everySteps, this.#toldSteps);
      this.#tell(() => onSteps(log));
    }
  }

  /** The results of `count` steps of an epoch, up to but not including step `end`. */
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

  #measureRate({ from: { step: before }, since }: Running): void {
    const { rowsOf } = this.#epoch;
    const step = this.#control.step;
    const seconds = (performance.now() - since) / 1000;
    if (step > before)
      this.#rate = { steps: (step - before) / seconds, rows: (rowsOf(step) - rowsOf(before)) / seconds };
  }

  #progress(epoch: number): Progress {
    const { epochs } = this.#plan;
    const { steps } = this.#epoch;
    const step = this.#control.step;
    const { lossSum, correct, seen } = this.#control.sums;
    return {
      epoch,
      epochs,
      step,
      steps,
      loss: lossSum / seen,
      accuracy: correct / seen,
      sequencesPerSecond: this.#rate.rows,
      secondsLeft: (steps * (epochs - epoch) - step) / this.#rate.steps,
    };
  }
}
