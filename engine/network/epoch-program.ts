import { Command, Real, Word } from '../parallel/control.ts';
import { nothing, type Place, type Program } from '../parallel/program.ts';
import { clipScale, countStep, updateRun } from '../training/optimizers.ts';
import { scheduleFactor } from '../training/schedules.ts';
import { type BatchSpec, forwardOnly } from './batch-memory.ts';
import { forward } from './call-programs.ts';
import { batchKey } from './dropout.ts';
import type { Epoch } from './jobs.ts';
import { batchScore, divisorOf, everyLane, laneGradient, openLanes, packWeights } from './lane-programs.ts';
import { reduceRun, runsOf } from './reduce.ts';
import { SortedBatch } from './sorted-batch.ts';
import { writeStep } from './step-log.ts';
import type { ModelThread } from './thread.ts';
import { globalNorm, readCounts, runCount, storeNorm, writeCounts } from './update-program.ts';

/** A whole epoch: the threads do not come back between steps. */
export function* epoch(thread: ModelThread, job: Epoch, place: Place): Program {
  const { control, g, model, kernels } = thread;
  const { words, reals } = control;
  const memory = thread.plan(job.spec);
  const rows = job.permutation.length;
  const steps = Math.ceil(rows / job.batchSize);
  const runs = runCount(thread);
  const own = thread.weights(place);
  let batch = new SortedBatch(job.batchSize);
  yield* packWeights(thread, 0, place);
  for (let step = job.firstStep; step < job.endStep; step++) {
    const first = step * job.batchSize;
    const size = Math.min(job.batchSize, rows - first);
    if (size !== batch.rows) batch = new SortedBatch(size);
    batch.fill(job.data, first, job.permutation);
    // The last batch may be smaller than the memory was planned for: it uses fewer lanes of the same memory.
    const lanes = size === job.spec.rows ? memory : thread.plan({ ...job.spec, rows: size });
    const parity = Atomics.load(words, Word.parity);
    const stepNumber = job.stepsBefore + step;
    const dropoutKey = g.dropout > 0 ? batchKey(job.seed, stepNumber) : null;
    const tools = thread.tools(place);
    const { data, loss } = job;
    const work = { memory: lanes, batch, data, loss, dropoutKey, call: null, finalStates: false };
    const visit = (lane: number) => laneGradient(thread, tools, work, lane, place);
    yield* everyLane(thread, lanes, visit, nothing);

    for (const run of runsOf(g, place)) {
      const squared = reduceRun(kernels, model, lanes, run, divisorOf(batch), 0);
      storeNorm(thread, tools, run, squared);
    }
    yield nothing;

    const norm = globalNorm(thread, tools, runs);
    const score = batchScore(tools, lanes);
    const finite = Number.isFinite(norm) && Number.isFinite(score.loss);
    const stepPlace = { step: stepNumber, perEpoch: steps, inAll: job.stepsInAll };
    const learningRate = job.learningRate * scheduleFactor(job.schedule, stepPlace);
    const counts = countStep(job.optimizer, readCounts(reals, parity));
    if (finite) {
      const scale = job.clipNorm === null ? 1 : clipScale(norm, job.clipNorm);
      const next = { spec: job.optimizer, learningRate, counts, scale, gradient: model.gradients[1], parity };
      updateRun(kernels, model, own.range, next);
      // While this thread's caches hold them. Where the step is lost after all, the next call packs anew.
      own.pack(1 - parity);
    }
    const { counted } = batch;
    yield () => {
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
        // The step happens here, as a whole: one store makes the other copy the current one.
        Atomics.store(words, Word.parity, 1 - parity);
        Atomics.store(words, Word.step, step + 1);
      } else if (job.skipNotFinite) {
        words[Word.skipped]++;
        Atomics.store(words, Word.step, step + 1);
      } else {
        reals[Real.lossSum] = score.loss;
      }
      decide(words, finite || job.skipNotFinite);
      openLanes(thread);
    };
    yield* servePredictions(thread, job.spec.threads, place);
    if (Atomics.load(words, Word.command) !== Command.next) return;
  }
}

/** What comes after a step; decided by one thread so that all do the same. */
function decide(words: Int32Array, finite: boolean): void {
  if (!finite) words[Word.command] = Command.notFinite;
  else if (Atomics.load(words, Word.stopRequest)) words[Word.command] = Command.stop;
  else if (Atomics.load(words, Word.serve) === 1) words[Word.command] = Command.serve;
  else words[Word.command] = Command.next;
}

/** Predictions asked for while training runs are computed between two steps, by all threads. */
function* servePredictions(thread: ModelThread, threads: number, place: Place): Program {
  const { words } = thread.control;
  while (Atomics.load(words, Word.command) === Command.serve) {
    thread.seeGrowth();
    const spec = readServeSpec(words, threads);
    const parity = Atomics.load(words, Word.parity);
    const call = {
      spec,
      rows: { first: 0, data: null, values: null },
      h0: false,
      probabilities: true,
      score: false,
    };
    yield* forward(thread, call, parity, place, () => {
      Atomics.store(words, Word.serve, 2);
      decide(words, true);
      openLanes(thread);
    });
  }
}

const SERVE_UNIT_BYTES = 64;

/** A prediction's memory, in the control block's words. */
export function writeServeSpec(words: Int32Array, spec: BatchSpec): void {
  const { start, rows, steps, time, inputFrames } = spec;
  words.set([start / SERVE_UNIT_BYTES, rows, steps, time, inputFrames], Word.serveSpec);
}

function readServeSpec(words: Int32Array, threads: number): BatchSpec {
  const [start, rows, steps, time, inputFrames] = words.subarray(Word.serveSpec, Word.serveSpec + 5);
  return {
    start: start * SERVE_UNIT_BYTES,
    ...{ rows, steps, time, inputFrames, threads },
    ...forwardOnly,
  };
}
