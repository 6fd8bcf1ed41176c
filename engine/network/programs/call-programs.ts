import type { Sequences } from '../../data/sequences.ts';
import { type RealArray, realArray } from '../../numeric/reals.ts';
import { nothing, type Place, type Program } from '../../parallel/program.ts';
import { backwardBlock, readDelta } from '../lanes/lane-backward.ts';
import { forwardBlock, writeFinalStates, writeLogits } from '../lanes/lane-forward.ts';
import { lossAndDelta, type Score, softmaxBlock } from '../lanes/lane-loss.ts';
import { plainLoss } from '../lanes/loss.ts';
import type { BatchMemory, BatchSpec } from '../memory/batch-memory.ts';
import { Real } from '../memory/control.ts';
import { SortedBatch } from '../memory/sorted-batch.ts';
import { type BackwardCall, type ForwardCall, type GradientsCall, PASSES } from './jobs.ts';
import {
  batchScore,
  divisorOf,
  everyGradientLane,
  everyLane,
  laneGradient,
  packWeights,
  storeScore,
} from './lane-programs.ts';
import { reduceRun, runsOf } from './reduce.ts';
import { takeOver } from './take-over.ts';
import type { ModelThread } from './thread.ts';

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
    labels: new Int32Array(buffer, memory.labels, spec.labels),
    labelStarts: new Uint32Array(buffer, memory.labelStarts, spec.rows),
    counted: new Int32Array(buffer, memory.counted, spec.rows),
  };
}

export function* forward(
  thread: ModelThread,
  call: ForwardCall,
  parity: number,
  place: Place,
  leader: () => void = nothing,
): Program {
  const { spec, rows } = call;
  const memory = thread.plan(spec);
  const data = rows.data ?? sequencesIn(thread, spec, memory, rows.values);
  const batch = new SortedBatch(spec.rows).fill(data, rows.first, null);
  const tools = thread.tools(place);
  yield* packWeights(thread, parity, place, PASSES.forward);
  const hasLoss = call.result === 'logits and loss';
  const visit = (lane: number): void => {
    const score: Score = { loss: 0, correct: 0 };
    const pass = { dropoutKey: null, fromRest: call.fromRest };
    for (const block of thread.blocksOf(lane, batch, memory, pass, place)) {
      forwardBlock(tools, block, data, memory);
      if (call.result === 'probabilities') softmaxBlock(tools, block);
      writeLogits(tools, block, memory);
      if (spec.finalStates) writeFinalStates(tools, block, memory);
      if (hasLoss) lossAndDelta(tools, block, data, plainLoss, score);
    }
    storeScore(tools, memory, lane, score);
  };
  yield* everyLane(thread, memory, visit, () => {
    if (hasLoss) thread.control.reals[Real.lossSum] = batchScore(tools, memory).loss;
    leader();
  });
}

export function* backward(
  thread: ModelThread,
  { spec, kept, fromRest }: BackwardCall,
  place: Place,
): Program {
  const memory = thread.plan(spec);
  const activations = thread.plan(kept);
  const data = sequencesIn(thread, kept, activations, null);
  const batch = new SortedBatch(spec.rows).fill(data, 0, null);
  const tools = thread.tools(place);
  yield* packWeights(thread, 0, place, PASSES.backward);
  const visit = (lane: number): void => {
    const target = {
      block: memory.laneGradients + lane * memory.gradientBytes,
      add: false,
      results: memory,
      divisor: spec.rows,
    };
    const pass = { dropoutKey: null, fromRest };
    for (const block of thread.blocksOf(lane, batch, activations, pass, place)) {
      readDelta(tools, block, memory);
      backwardBlock(tools, block, target);
      target.add = true;
    }
  };
  yield* everyGradientLane(thread, tools, memory, visit, nothing);
  yield* accumulate(thread, memory, spec.rows, place);
}

/** Adds the averaged gradient to the accumulated one. */
function* accumulate(thread: ModelThread, memory: BatchMemory, divisor: number, place: Place): Program {
  const { model, kernels } = thread;
  for (const run of runsOf(thread.g, place)) {
    reduceRun(kernels, model, memory, run, divisor, model.gradients[0]);
  }
  yield* takeOver(thread, [model.gradients], place);
}

export function* gradients(thread: ModelThread, job: GradientsCall, place: Place): Program {
  const { spec, rows, loss, dropoutKey, fromRest } = job;
  const memory = thread.plan(spec);
  const data = rows.data ?? sequencesIn(thread, spec, memory, rows.values);
  const batch = new SortedBatch(spec.rows).fill(data, rows.first, null);
  const tools = thread.tools(place);
  yield* packWeights(thread, 0, place, PASSES.gradients);
  const work = { memory, batch, data, loss, dropoutKey, fromRest };
  const visit = (lane: number) => laneGradient(thread, tools, work, lane, place);
  yield* everyGradientLane(thread, tools, memory, visit, () => {
    thread.control.reals[Real.lossSum] = batchScore(tools, memory).loss;
  });
  yield* accumulate(thread, memory, divisorOf(batch), place);
}
