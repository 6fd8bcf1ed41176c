import { performance } from 'node:perf_hooks';
import { clearInterval, setInterval } from 'node:timers';
import { firstNotFinite, type Sequences } from '../data/sequences.ts';
import { notFinite } from '../errors.ts';
import { planEpoch, reserveEvaluation } from '../network/call-plan.ts';
import type { Calls } from '../network/calls.ts';
import { EpochControl, noSums } from '../network/epoch-control.ts';
import type { Network } from '../network/network.ts';
import type { PredictionServer } from '../network/prediction-server.ts';
import type { Epoch } from '../network/programs/jobs.ts';
import { newStepLog } from '../network/programs/step-log.ts';
import { Random } from '../numeric/random.ts';
import type { RealArray } from '../numeric/reals.ts';
import { nextPlateau } from '../optimization/schedules.ts';
import { bucketByLength } from './batch-order.ts';
import { isOver, watchEpoch } from './early-stopping.ts';
import type { EpochLog, FitSpec } from './fit-options.ts';
import type { OptimizerSlot } from './optimizer-slot.ts';
import { Reporter } from './reporter.ts';
import { type FitData, RunCheckpoints } from './run-checkpoints.ts';
import { freshState, type TrainingState } from './training-state.ts';

/** How often the progress counters are read. */
const LOOK_MS = 100;

/** What fit needs of a model; the server answers predictions that are asked for meanwhile. */
export interface FitModel {
  readonly network: Network;
  readonly calls: Calls;
  readonly server: PredictionServer;
}

/** Trains; the threads run whole epochs, or as many steps as lie between two checkpoints. */
export async function train(
  model: FitModel,
  data: FitData,
  slot: OptimizerSlot,
  plan: FitSpec,
): Promise<EpochLog[]> {
  plan.signal?.throwIfAborted();
  const training = new Training(model, data, slot, plan);
  await training.begin();
  const { network } = model;
  const stop = (): void => training.control.stop();
  training.control.reset();
  plan.signal?.addEventListener('abort', stop);
  const timer = setInterval(() => training.reporter.look(), LOOK_MS);
  try {
    while (!training.isOver) {
      training.check();
      await training.runEpoch();
    }
    training.check();
    training.reporter.finish();
    training.restoreBest();
  } catch (error) {
    // Whatever the signal has ended: steps, a validation, a callback.
    if (plan.signal?.aborted) await training.saveRest();
    throw error;
  } finally {
    clearInterval(timer);
    plan.signal?.removeEventListener('abort', stop);
    network.parameterArray(network.model.gradients[0]).fill(0);
  }
  return [...training.history];
}

/** One run of fit. */
class Training {
  readonly #network: Network;
  readonly #slot: OptimizerSlot;
  readonly #plan: FitSpec;
  readonly #calls: Calls;
  readonly #server: PredictionServer;
  readonly #validation: Sequences | null;
  /** Where the memory of a batch may begin. */
  readonly #start: number;
  readonly #permutation: Uint32Array;
  readonly #steps: number;
  readonly #epoch: Omit<Epoch, 'learningRate' | 'firstStep' | 'endStep' | 'stepsBefore'>;
  readonly #memoryEnd: number;
  /** Tells the callbacks where training stands. */
  readonly reporter: Reporter;
  readonly control: EpochControl;
  readonly #checkpoints: RunCheckpoints | null;
  #state: TrainingState;
  #best: RealArray | null = null;

  constructor(model: FitModel, fitData: FitData, slot: OptimizerSlot, plan: FitSpec) {
    const { network, calls, server } = model;
    const { training: data, validation } = fitData;
    const rows = data.lengths.length;
    this.#network = network;
    this.control = new EpochControl(network);
    this.#slot = slot;
    this.#plan = plan;
    this.#calls = calls;
    this.#server = server;
    this.#validation = validation;
    this.#start = calls.scratchStart;
    this.#state = freshState(new Random(plan.seed).state());
    this.#permutation = new Uint32Array(new SharedArrayBuffer(4 * rows));
    const { spec, end } = planEpoch(network, data, plan.batchSize, this.#start);
    // Now, not after the first epoch.
    if (validation) reserveEvaluation(network, validation, this.#start);
    this.#memoryEnd = end;
    this.#steps = Math.ceil(rows / spec.rows);
    const run = { network, slot, plan, data: fitData, steps: this.#steps };
    this.#checkpoints = plan.checkpoint && new RunCheckpoints({ ...run, spec: plan.checkpoint });
    this.#epoch = {
      spec,
      data,
      permutation: this.#permutation,
      optimizer: slot.spec,
      schedule: plan.schedule,
      stepsInAll: this.#steps * plan.epochs,
      clipNorm: plan.clipNorm,
      loss: plan.loss,
      skipNotFinite: plan.skipNotFinite,
      seed: plan.seed,
      log: newStepLog(this.#steps),
    };
    const { log } = this.#epoch;
    this.reporter = new Reporter(this.control, plan, {
      steps: this.#steps,
      log,
      rowsOf: (steps) => this.#rowsOf(steps),
    });
  }

  #rowsOf(steps: number): number {
    return Math.min(steps * this.#epoch.spec.rows, this.#permutation.length);
  }

  get history(): readonly EpochLog[] {
    return this.#state.history;
  }

  get isOver(): boolean {
    const { earlyStopping, epochs } = this.#plan;
    const stopped = earlyStopping !== null && isOver(earlyStopping, this.#state.stopping);
    return stopped || this.#state.epoch >= epochs;
  }

  /** Moves the optimizer in; with `resume`, restores the newest checkpoint before that. */
  async begin(): Promise<void> {
    const { model } = this.#network;
    const found = this.#checkpoints && (await this.#serveDuring(this.#checkpoints.open()));
    if (found) {
      this.#network.parameterArray(model.parameters[0]).set(found.parameters);
      this.#slot.restore(this.#network, found.optimizer);
      this.#state = found.state;
      this.#best = found.best;
    }
    this.#slot.moveIn(this.#network);
    if (found && this.isOver)
      process.emitWarning(
        `the training in ${this.#plan.checkpoint?.dir} has ended before: nothing is left to do`,
      );
  }

  /** Throws the error of a callback, or the reason of a signal that is aborted; the error may be that very reason. */
  check(): void {
    this.reporter.throwFault();
    this.#plan.signal?.throwIfAborted();
  }

  /** Restores the parameters of the best epoch, if early stopping asks for that. */
  restoreBest(): void {
    const { earlyStopping } = this.#plan;
    if (earlyStopping?.restoreBest && this.#best) {
      this.#network.parameterArray(this.#network.model.parameters[0]).set(this.#best);
    }
  }

  /** Runs the epoch from where training stands to its end. */
  async runEpoch(): Promise<void> {
    const random = Random.fromState(this.#state.random);
    for (let i = 0; i < this.#permutation.length; i++) this.#permutation[i] = i;
    const { shuffle, batchSize } = this.#plan;
    if (shuffle) random.shuffle(this.#permutation);
    if (this.#plan.bucketByLength)
      bucketByLength(this.#permutation, this.#epoch.data.lengths, batchSize, shuffle ? random : null);
    const started = performance.now();
    const stepBefore = this.#state.step;
    while (this.#state.step < this.#steps) {
      await this.#runSteps(this.#checkpoints?.nextStop(this.#state) ?? this.#steps);
      this.check();
      if (this.#checkpoints?.isDue(this.#state))
        await this.#serveDuring(this.#checkpoints.save(this.#state, this.#best));
    }
    const seconds = (performance.now() - started) / 1000;
    const rows = this.#rowsOf(this.#steps) - this.#rowsOf(stepBefore);
    await this.#endEpoch(rows / seconds, Array.from(random.state()));
  }

  async #runSteps(endStep: number): Promise<void> {
    const network = this.#network;
    const { epoch, step, sums, plateau } = this.#state;
    this.reporter.throwFault();
    this.control.begin(step, sums);
    this.reporter.begin(this.#state);
    this.#server.attend(this.#memoryEnd);
    try {
      const learningRate = this.#slot.spec.learningRate * plateau.factor;
      const place = { firstStep: step, endStep, stepsBefore: epoch * this.#steps };
      // However small its steps, an epoch must not occupy the calling thread if there are others.
      const engagement = { parties: this.#epoch.spec.threads, here: false };
      await network.run({ kind: 'epoch', ...this.#epoch, learningRate, ...place }, engagement);
    } finally {
      this.#server.leave();
      await this.reporter.end();
      // Before anything is thrown: whatever is saved from now on is of the same step.
      this.control.bringHome();
      this.#state = { ...this.#state, step: this.control.step, sums: this.control.sums };
    }
    const failed = this.control.failedStep;
    if (!failed) return;
    const value = firstNotFinite(this.#epoch.data, network.g.inputSize);
    throw notFinite({ epoch, step: this.#state.step }, failed, value);
  }

  async #endEpoch(sequencesPerSecond: number, random: number[]): Promise<void> {
    const { epoch, sums } = this.#state;
    const { signal } = this.#plan;
    const between = () => this.#server.between(this.#start);
    const validation =
      this.#validation && (await this.#calls.evaluate('validation', this.#validation, { signal, between }));
    const log: EpochLog = {
      epoch,
      loss: sums.lossSum / sums.seen,
      accuracy: sums.correct / sums.seen,
      learningRate: sums.learningRate,
      gradientNorm: sums.largestNorm,
      skippedSteps: sums.skipped,
      sequencesPerSecond,
      ...(validation && { validationLoss: validation.loss, validationAccuracy: validation.accuracy }),
    };
    this.#advance(log, random);
    await this.#serveDuring(this.#closeEpoch(epoch, log));
  }

  /** Awaits work that needs no threads; meanwhile they serve predictions. */
  #serveDuring<T>(work: Promise<T>): Promise<T> {
    return this.#server.during(this.#start, work);
  }

  /** What needs no threads at an epoch's end: callback and checkpoint. */
  async #closeEpoch(epoch: number, log: EpochLog): Promise<void> {
    // A copy: what the callback does to it does not change the history.
    await this.#plan.callbacks.onEpochEnd?.(epoch, { ...log });
    if (this.#checkpoints && (this.isOver || this.#checkpoints.isDue(this.#state)))
      await this.#checkpoints.save(this.#state, this.#best);
  }

  /** Moves the state on to the beginning of the next epoch. */
  #advance(log: EpochLog, random: number[]): void {
    const { earlyStopping, schedule } = this.#plan;
    const { epoch, history, plateau, stopping } = this.#state;
    const watched = earlyStopping ? watchEpoch(earlyStopping, stopping, log) : stopping;
    if (earlyStopping?.restoreBest && watched.waited === 0) {
      const { model, g } = this.#network;
      this.#best = this.#network.copy(model.parameters[0], g.paddedCount);
    }
    history.push(log);
    this.#state = {
      epoch: epoch + 1,
      step: 0,
      sums: noSums,
      random,
      history,
      plateau: nextPlateau(schedule, plateau, log.validationLoss ?? log.loss),
      stopping: watched,
    };
  }

  /** Saves what has been done since the last checkpoint, if there are any. */
  async saveRest(): Promise<void> {
    if (this.#checkpoints) await this.#serveDuring(this.#checkpoints.saveRest(this.#state, this.#best));
  }
}
