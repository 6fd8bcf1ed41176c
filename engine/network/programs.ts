import { realArray, type Sequences } from '../data/sequences.ts';
import { Command, OPTIMIZER_REALS, Real, Word } from '../parallel/control.ts';
import { nothing, type Place, type Program } from '../parallel/program.ts';
import type { RealArray } from '../tensor.ts';
import {
  clipScale,
  countStep,
  type OptimizerCounts,
  type OptimizerSpec,
  updateRun,
} from '../training/optimizers.ts';
import { type ScheduleSpec, scheduleFactor } from '../training/schedules.ts';
import { type BatchMemory, type BatchSpec, planBatch } from './batch-memory.ts';
import {
  backwardBlock,
  forwardBlock,
  type LaneTools,
  lossAndDelta,
  readDelta,
  type Score,
  softmaxBlock,
  writeLogits,
} from './lane.ts';
import { type LossSpec, plainLoss } from './loss.ts';
import { reduceRun, runsOf, treeSum } from './reduce.ts';
import { SortedBatch } from './sorted-batch.ts';
import type { ModelThread } from './thread.ts';

/** Rows of a data set that a call is about. */
export interface Rows {
  readonly first: number;
  /** The data set, or null where the caller has put the rows into the batch's own memory. */
  readonly data: Sequences | null;
  /** The frames, where the caller has them in shared memory of its own. */
  readonly values: RealArray | null;
}

export type Job =
  | ({ kind: 'forward' } & ForwardCall)
  | { kind: 'backward'; spec: BatchSpec; kept: BatchSpec; inputGradient: boolean }
  | { kind: 'gradients'; spec: BatchSpec; rows: Rows; h0: boolean; inputGradient: boolean; loss: LossSpec }
  | { kind: 'update'; optimizer: OptimizerSpec; learningRate: number; clipNorm: number | null }
  | ({ kind: 'epoch' } & Epoch);

export interface ForwardCall {
  readonly spec: BatchSpec;
  readonly rows: Rows;
  readonly h0: boolean;
  /** Whether probabilities come back in the logits' place. */
  readonly probabilities: boolean;
  /** Whether the rows have labels to be scored with. */
  readonly score: boolean;
}

/** One epoch of training. */
export interface Epoch {
  readonly spec: BatchSpec;
  readonly data: Sequences;
  /** Order of the data set's rows in this epoch. */
  readonly permutation: Uint32Array;
  readonly batchSize: number;
  readonly optimizer: OptimizerSpec;
  readonly learningRate: number;
  readonly schedule: ScheduleSpec;
  /** The steps of the epoch that are to be done: from one to below the other. */
  readonly firstStep: number;
  readonly endStep: number;
  /** Steps before this epoch and in all epochs, for the schedule. */
  readonly stepsBefore: number;
  readonly stepsInAll: number;
  readonly clipNorm: number | null;
  readonly loss: LossSpec;
  /** Whether a step that is not finite is left out, instead of ending the training. */
  readonly skipNotFinite: boolean;
}

export function programOf(thread: ModelThread, job: Job, place: Place): Program {
  thread.seeGrowth();
  switch (job.kind) {
    case 'forward':
      return forward(thread, job, 0, place);
    case 'backward':
      return backward(thread, job.spec, job.kept, job.inputGradient, place);
    case 'gradients':
      return gradients(thread, job, place);
    case 'update':
      return update(thread, job, place);
    case 'epoch':
      return epoch(thread, job, place);
  }
}

/** Views of the rows a caller has copied into a batch's memory. */
function sequencesIn(
  thread: ModelThread,
  spec: BatchSpec,
  memory: BatchMemory,
  values: RealArray | null,
): Sequences {
  const { buffer, g } = thread;
  return {
    values: values ?? realArray(g.dtype, buffer, memory.values, spec.inputFrames * g.inputSize),
    starts: new Uint32Array(buffer, memory.starts, spec.rows),
    lengths: new Int32Array(buffer, memory.lengths, spec.rows),
    labels: new Int32Array(buffer, memory.labels, spec.rows),
  };
}

/** Runs `visit` on every block this thread gets, claiming lanes; ends with everybody at the barrier. */
function* everyLane(
  thread: ModelThread,
  memory: BatchMemory,
  visit: (lane: number) => void,
  leader: () => void,
): Program {
  for (const lane of thread.claimLanes(memory.lanes)) {
    visit(lane);
    yield null;
  }
  yield leader;
}

const resetLanes = (thread: ModelThread) => (): void => {
  Atomics.store(thread.control.words, Word.nextLane, 0);
};

/** Packs the weights, and opens the lanes for claiming. */
function* packWeights(thread: ModelThread, parity: number, place: Place): Program {
  thread.pack(place, parity);
  yield resetLanes(thread);
}

function* forward(
  thread: ModelThread,
  call: ForwardCall,
  parity: number,
  place: Place,
  leader: () => void = nothing,
): Program {
  const { spec, rows } = call;
  const memory = planBatch(thread.g, spec);
  const data = rows.data ?? sequencesIn(thread, spec, memory, rows.values);
  const batch = new SortedBatch(spec.rows).fill(data, rows.first, null);
  const tools = thread.tools(place);
  yield* packWeights(thread, parity, place);
  const visit = (lane: number): void => {
    const score: Score = { loss: 0, correct: 0 };
    for (const block of thread.blocksOf(lane, batch, memory, spec.keep, place)) {
      forwardBlock(tools, block, data, call.h0 ? memory : null);
      if (call.probabilities) softmaxBlock(tools, block);
      writeLogits(tools, block, memory);
      if (call.score) lossAndDelta(tools, block, data, plainLoss, score);
    }
    storeScore(tools, memory, lane, score);
  };
  yield* everyLane(thread, memory, visit, () => {
    if (call.score) thread.control.reals[Real.lossSum] = batchScore(tools, memory).loss;
    leader();
  });
}

function* backward(
  thread: ModelThread,
  spec: BatchSpec,
  kept: BatchSpec,
  inputGradient: boolean,
  place: Place,
): Program {
  const memory = planBatch(thread.g, spec);
  const activations = planBatch(thread.g, kept);
  const data = sequencesIn(thread, kept, activations, null);
  const batch = new SortedBatch(spec.rows).fill(data, 0, null);
  const tools = thread.tools(place);
  yield* packWeights(thread, 0, place);
  const visit = (lane: number): void => {
    let add = false;
    for (const block of thread.blocksOf(lane, batch, activations, true, place)) {
      readDelta(tools, block, memory);
      const target = memory.laneGradients + lane * memory.gradientBytes;
      backwardBlock(tools, block, { block: target, add, results: memory, inputGradient });
      add = true;
    }
  };
  yield* everyLane(thread, memory, visit, nothing);
  yield* accumulate(thread, memory, spec.rows, place);
}

/** The averaged gradient onto the accumulated one, in the second copy: the main thread takes it over at the end. */
function* accumulate(thread: ModelThread, memory: BatchMemory, rows: number, place: Place): Program {
  const { model, kernels } = thread;
  for (const run of runsOf(thread.g, place)) reduceRun(kernels, model, memory, run, rows, model.gradients[0]);
  yield nothing;
}

/** Forward, loss and backward of a lane into its gradient buffer and result slot. */
function laneGradient(
  thread: ModelThread,
  tools: LaneTools,
  memory: BatchMemory,
  batch: SortedBatch,
  data: Sequences,
  lane: number,
  place: Place,
  loss: LossSpec,
  call: { h0: boolean; inputGradient: boolean } | null,
): void {
  const score: Score = { loss: 0, correct: 0 };
  let add = false;
  for (const block of thread.blocksOf(lane, batch, memory, false, place)) {
    forwardBlock(tools, block, data, call?.h0 ? memory : null);
    if (call) writeLogits(tools, block, memory);
    lossAndDelta(tools, block, data, loss, score);
    backwardBlock(tools, block, {
      block: memory.laneGradients + lane * memory.gradientBytes,
      add,
      results: call && memory,
      inputGradient: call?.inputGradient ?? false,
    });
    add = true;
  }
  storeScore(tools, memory, lane, score);
}

function storeScore(tools: LaneTools, memory: BatchMemory, lane: number, score: Score): void {
  tools.doubles.set([score.loss, score.correct], memory.laneResults / 8 + 2 * lane);
}

/** The batch's loss and correct rows, added along the lanes' tree. */
function batchScore(tools: LaneTools, memory: BatchMemory): Score {
  const first = memory.laneResults / 8;
  return {
    loss: treeSum(tools.doubles, first, 2, memory.lanes),
    correct: treeSum(tools.doubles, first + 1, 2, memory.lanes),
  };
}

function* gradients(thread: ModelThread, job: Extract<Job, { kind: 'gradients' }>, place: Place): Program {
  const { spec, rows } = job;
  const memory = planBatch(thread.g, spec);
  const data = rows.data ?? sequencesIn(thread, spec, memory, rows.values);
  const batch = new SortedBatch(spec.rows).fill(data, rows.first, null);
  const tools = thread.tools(place);
  yield* packWeights(thread, 0, place);
  const visit = (lane: number) =>
    laneGradient(thread, tools, memory, batch, data, lane, place, job.loss, job);
  yield* everyLane(thread, memory, visit, () => {
    thread.control.reals[Real.lossSum] = batchScore(tools, memory).loss;
  });
  yield* accumulate(thread, memory, spec.rows, place);
}

/** The optimizer's counts in the copy `parity`. */
export function readCounts(reals: Float64Array, parity: number): OptimizerCounts {
  const at = Real.optimizer + parity * OPTIMIZER_REALS;
  return { steps: reals[at], beta1Power: reals[at + 1], beta2Power: reals[at + 2] };
}

export function writeCounts(reals: Float64Array, parity: number, counts: OptimizerCounts): void {
  const at = Real.optimizer + parity * OPTIMIZER_REALS;
  reals.set([counts.steps, counts.beta1Power, counts.beta2Power], at);
}

/** Each run's squared norm to its slot; the runs are few enough for every thread to add all slots up in order. */
function storeNorm(
  thread: ModelThread,
  tools: LaneTools,
  gradient: number,
  number: number,
  bytes: number,
): void {
  tools.doubles[thread.model.norms / 8 + number] = thread.kernels.squaredNorm(gradient, bytes);
}

function globalNorm(thread: ModelThread, tools: LaneTools, runs: number): number {
  const first = thread.model.norms / 8;
  let sum = 0;
  for (let i = 0; i < runs; i++) sum += tools.doubles[first + i];
  return Math.sqrt(sum);
}

const runCount = (thread: ModelThread): number => [...runsOf(thread.g, { index: 0, parties: 1 })].length;

/** One optimizer step from the accumulated gradients, into the second copy of parameters and state. */
function* update(thread: ModelThread, job: Extract<Job, { kind: 'update' }>, place: Place): Program {
  const { model, kernels, control, g } = thread;
  const tools = thread.tools(place);
  for (const run of runsOf(g, place)) {
    storeNorm(thread, tools, model.gradients[0] + run.offset, run.number, run.bytes);
  }
  yield nothing;
  const norm = globalNorm(thread, tools, runCount(thread));
  const counts = countStep(job.optimizer, readCounts(control.reals, 0));
  const step = {
    spec: job.optimizer,
    learningRate: job.learningRate,
    counts,
    scale: job.clipNorm === null ? 1 : clipScale(norm, job.clipNorm),
    gradient: model.gradients[0],
    parity: 0,
  };
  for (const run of runsOf(g, place)) updateRun(kernels, model, run, step);
  yield () => {
    control.reals[Real.gradientNorm] = norm;
    writeCounts(control.reals, 1, counts);
  };
}

/** A whole epoch: the threads do not come back between steps. */
function* epoch(thread: ModelThread, job: Epoch, place: Place): Program {
  const { control, g, model, kernels } = thread;
  const { words, reals } = control;
  const memory = planBatch(g, job.spec);
  const rows = job.permutation.length;
  const steps = Math.ceil(rows / job.batchSize);
  const runs = runCount(thread);
  let batch = new SortedBatch(job.batchSize);
  for (let step = job.firstStep; step < job.endStep; step++) {
    const first = step * job.batchSize;
    const size = Math.min(job.batchSize, rows - first);
    if (size !== batch.rows) batch = new SortedBatch(size);
    batch.fill(job.data, first, job.permutation);
    // The last batch may be smaller than the memory was planned for: it uses fewer lanes of the same memory.
    const lanes = size === job.spec.rows ? memory : planBatch(g, { ...job.spec, rows: size });
    const parity = Atomics.load(words, Word.parity);
    const tools = thread.tools(place);
    yield* packWeights(thread, parity, place);
    const visit = (lane: number) =>
      laneGradient(thread, tools, lanes, batch, job.data, lane, place, job.loss, null);
    yield* everyLane(thread, lanes, visit, nothing);

    for (const run of runsOf(g, place)) {
      reduceRun(kernels, model, lanes, run, size, 0);
      storeNorm(thread, tools, model.gradients[1] + run.offset, run.number, run.bytes);
    }
    yield nothing;

    const norm = globalNorm(thread, tools, runs);
    const score = batchScore(tools, lanes);
    const finite = Number.isFinite(norm) && Number.isFinite(score.loss);
    const stepPlace = { step: job.stepsBefore + step, perEpoch: steps, inAll: job.stepsInAll };
    const learningRate = job.learningRate * scheduleFactor(job.schedule, stepPlace);
    const counts = countStep(job.optimizer, readCounts(reals, parity));
    if (finite) {
      const scale = job.clipNorm === null ? 1 : clipScale(norm, job.clipNorm);
      const next = { spec: job.optimizer, learningRate, counts, scale, gradient: model.gradients[1], parity };
      for (const run of runsOf(g, place)) updateRun(kernels, model, run, next);
    }
    yield () => {
      reals[Real.gradientNorm] = norm;
      reals[Real.learningRate] = learningRate;
      if (finite) {
        writeCounts(reals, 1 - parity, counts);
        reals[Real.lossSum] += score.loss;
        reals[Real.largestNorm] = Math.max(reals[Real.largestNorm], norm);
        words[Word.correct] += score.correct;
        words[Word.seen] += size;
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
    });
  }
}

const SERVE_UNIT_BYTES = 64;

/** A prediction's memory, in the control block's words. */
export function writeServeSpec(words: Int32Array, spec: BatchSpec): void {
  words.set([spec.start / SERVE_UNIT_BYTES, spec.rows, spec.steps, spec.inputFrames], Word.serveSpec);
}

function readServeSpec(words: Int32Array, threads: number): BatchSpec {
  const [start, rows, steps, inputFrames] = words.subarray(Word.serveSpec, Word.serveSpec + 4);
  return {
    start: start * SERVE_UNIT_BYTES,
    ...{ rows, steps, time: steps, inputFrames, threads },
    ...{ keep: false, gradients: false, results: true, inputGradient: false },
  };
}
