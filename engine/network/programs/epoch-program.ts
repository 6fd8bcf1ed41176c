import { clipScale, countStep, type OptimizerCounts } from '../../optimization/optimizers.ts';
import { scheduleFactor } from '../../optimization/schedules.ts';
import { nothing, type Place, type Program } from '../../parallel/program.ts';
import { batchKey } from '../lanes/dropout.ts';
import type { Score } from '../lanes/lane-loss.ts';
import type { BatchMemory } from '../memory/batch-memory.ts';
import { Command, Real, Serve, Word } from '../memory/control.ts';
import { SortedBatch } from '../memory/sorted-batch.ts';
import { type Epoch, PASSES } from './jobs.ts';
import {
  batchScore,
  divisorOf,
  everyGradientLane,
  laneGradient,
  openLanes,
  packWeights,
} from './lane-programs.ts';
import { reduceRun, runsOf } from './reduce.ts';
import { servePredictions } from './serve-program.ts';
import { writeStep } from './step-log.ts';
import type { ModelThread } from './thread.ts';
import { globalNorm, readCounts, storeNorm, writeCounts } from './update-program.ts';
import { updateRun } from './update-run.ts';

/** Runs an epoch, or part of one; between steps the threads do not return to the main thread. */
export function* epoch(thread: ModelThread, job: Epoch, place: Place): Program {
  const { control, g, model, kernels } = thread;
  const { words, reals } = control;
  const { data, loss } = job;
  const batchOf = batchesOf(thread, job);
  const own = thread.weights(place);
  yield* packWeights(thread, 0, place, PASSES.epoch);
  for (let step = job.firstStep; step < job.endStep; step++) {
    const { batch, memory } = batchOf(step);
    const parity = Atomics.load(words, Word.parity);
    const dropoutKey = g.dropout > 0 ? batchKey(job.seed, job.stepsBefore + step) : null;
    const tools = thread.tools(place);
    const work = { memory, batch, data, loss, dropoutKey, fromRest: true };
    const visit = (lane: number) => laneGradient(thread, tools, work, lane, place);
    yield* everyGradientLane(thread, tools, memory, visit, nothing);

    for (const run of runsOf(g, place)) {
      const squared = reduceRun(kernels, model, memory, run, divisorOf(batch), 0);
      storeNorm(tools, run, squared);
    }
    yield nothing;

    const norm = globalNorm(tools);
    const score = batchScore(tools, memory);
    const finite = Number.isFinite(norm) && Number.isFinite(score.loss);
    const learningRate = learningRateAt(job, step);
    const counts = countStep(job.optimizer, readCounts(reals, parity));
    if (finite) {
      const scale = job.clipNorm === null ? 1 : clipScale(norm, job.clipNorm);
      const next = { spec: job.optimizer, learningRate, counts, scale, gradient: model.gradients[1], parity };
      updateRun(kernels, model, own.range, next);
      // Now, while this thread's caches hold them. If the step is lost after all, the next call packs anew.
      own.pack(1 - parity, PASSES.epoch);
    }
    const taken = { step, norm, score, finite, learningRate, counts, counted: batch.counted, parity };
    yield () => commit(thread, job, taken);
    yield* servePredictions(thread, place, () => decide(words, true));
    if (Atomics.load(words, Word.command) !== Command.next) return;
  }
}

/** Gives a step's rows and the memory for them. The last batch may be smaller, with lanes of its own. */
function batchesOf(
  thread: ModelThread,
  job: Epoch,
): (step: number) => { batch: SortedBatch; memory: BatchMemory } {
  const rows = job.permutation.length;
  const whole = thread.plan(job.spec);
  let batch = new SortedBatch(whole.spec.rows);
  return (step) => {
    const first = step * whole.spec.rows;
    const size = Math.min(whole.spec.rows, rows - first);
    if (size !== batch.rows) batch = new SortedBatch(size);
    batch.fill(job.data, first, job.permutation);
    return { batch, memory: size === whole.spec.rows ? whole : thread.plan({ ...job.spec, rows: size }) };
  };
}

function learningRateAt(job: Epoch, step: number): number {
  const perEpoch = Math.ceil(job.permutation.length / job.spec.rows);
  const place = { step: job.stepsBefore + step, perEpoch, inAll: job.stepsInAll };
  return job.learningRate * scheduleFactor(job.schedule, place);
}

/** The outcome of a step; every thread computes the same. */
interface StepTaken {
  readonly step: number;
  readonly norm: number;
  readonly score: Score;
  readonly finite: boolean;
  readonly learningRate: number;
  readonly counts: OptimizerCounts;
  readonly counted: number;
  readonly parity: number;
}

/** Records the outcome of a step; for one thread to do while the others wait. */
function commit(thread: ModelThread, job: Epoch, taken: StepTaken): void {
  const { words, reals } = thread.control;
  const { step, norm, score, finite, learningRate, counts, counted, parity } = taken;
  reals[Real.gradientNorm] = norm;
  reals[Real.learningRate] = learningRate;
  const lossSum = finite ? score.loss : Number.NaN;
  writeStep(job.log, step, { lossSum, counted, gradientNorm: norm, learningRate });
  if (finite) {
    writeCounts(reals, 1 - parity, counts);
    reals[Real.lossSum] += score.loss;
    reals[Real.largestNorm] = Math.max(reals[Real.largestNorm], norm);
    words[Word.correct] += score.correct;
    words[Word.seen] += counted;
    // The step takes effect here, as a whole: one store makes the other copy the current one.
    Atomics.store(words, Word.parity, 1 - parity);
    Atomics.store(words, Word.step, step + 1);
  } else if (job.skipNotFinite) {
    words[Word.skipped]++;
    Atomics.store(words, Word.step, step + 1);
  } else {
    reals[Real.failedLoss] = score.loss;
  }
  decide(words, finite || job.skipNotFinite);
  openLanes(thread);
}

/** Decides what comes after a step or a prediction; for one thread to do, so that all do the same. */
function decide(words: Int32Array, goesOn: boolean): void {
  if (!goesOn) words[Word.command] = Command.notFinite;
  else if (Atomics.load(words, Word.stopRequest)) words[Word.command] = Command.stop;
  else if (Atomics.load(words, Word.serve) === Serve.asked) words[Word.command] = Command.serve;
  else words[Word.command] = Command.next;
}
