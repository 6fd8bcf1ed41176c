import type { Passes } from '../../cells/pack-cell.ts';
import type { Sequences } from '../../data/sequences.ts';
import type { Place, Program } from '../../parallel/program.ts';
import type { LaneTools } from '../lanes/block.ts';
import { backwardBlock } from '../lanes/lane-backward.ts';
import { forwardBlock, writeFinalStates, writeLogits } from '../lanes/lane-forward.ts';
import { lossAndDelta, type Score } from '../lanes/lane-loss.ts';
import type { LossSpec } from '../lanes/loss.ts';
import type { BatchMemory } from '../memory/batch-memory.ts';
import { Word } from '../memory/control.ts';
import type { SortedBatch } from '../memory/sorted-batch.ts';
import { treeSum } from './reduce.ts';
import type { ModelThread } from './thread.ts';

/** What the programs that compute lanes have in common. */

/** Runs `visit` on every lane that this thread claims; ends with all threads at a barrier. */
export function* everyLane(
  thread: ModelThread,
  memory: BatchMemory,
  visit: (lane: number) => void,
  leader: () => void,
): Program {
  yield* ownLanes(thread, memory, visit);
  yield leader;
}

/** Like `everyLane`, for lanes with weight gradients: threads without a lane help to compute these. */
export function* everyGradientLane(
  thread: ModelThread,
  { products }: LaneTools,
  memory: BatchMemory,
  visit: (lane: number) => void,
  leader: () => void,
): Program {
  products.begin(memory.lanes);
  yield* ownLanes(thread, memory, visit);
  yield* products.help();
  yield leader;
}

function* ownLanes(thread: ModelThread, memory: BatchMemory, visit: (lane: number) => void): Program {
  for (const lane of thread.claimLanes(memory.lanes)) {
    visit(lane);
    yield null;
  }
}

/** Opens the next lanes for claiming, from the first on; for one thread to do at a barrier, or before a call. */
export const openLanes = ({ control: { words } }: ModelThread): void => {
  Atomics.store(words, Word.nextLane, 0);
  Atomics.store(words, Word.withoutLane, 0);
};

/**
 * Packs the weights and opens the lanes for claiming, unless both has been done: by the calling thread
 * before it called the others in or, where an epoch serves a prediction, by the step before.
 */
export function* packWeights(thread: ModelThread, parity: number, place: Place, passes: Passes): Program {
  const { words } = thread.control;
  if (Atomics.load(words, Word.packed)) return;
  thread.weights(place).pack(parity, passes);
  yield () => {
    Atomics.store(words, Word.packed, 1);
    openLanes(thread);
  };
}

/** A batch whose gradient is computed. */
export interface GradientBatch {
  readonly memory: BatchMemory;
  readonly batch: SortedBatch;
  readonly data: Sequences;
  readonly loss: LossSpec;
  readonly dropoutKey: number | null;
  readonly fromRest: boolean;
}

/** Forward, loss and backward of a lane into its gradient buffer and result slot. */
export function laneGradient(
  thread: ModelThread,
  tools: LaneTools,
  work: GradientBatch,
  lane: number,
  place: Place,
): void {
  const { memory, batch, data, loss, dropoutKey, fromRest } = work;
  const { results, finalStates } = memory.spec;
  const score: Score = { loss: 0, correct: 0 };
  const target = {
    block: memory.laneGradients + lane * memory.gradientBytes,
    add: false,
    results: results ? memory : null,
    divisor: divisorOf(batch),
  };
  const pass = { dropoutKey, fromRest };
  for (const block of thread.blocksOf(lane, batch, memory, pass, place)) {
    forwardBlock(tools, block, data, memory);
    if (results) writeLogits(tools, block, memory);
    if (finalStates) writeFinalStates(tools, block, memory);
    lossAndDelta(tools, block, data, loss, score);
    backwardBlock(tools, block, target);
    target.add = true;
  }
  storeScore(tools, memory, lane, score);
}

/** What the gradients of a loss are averaged over: the labels that count. Without any, the gradients are zero. */
export const divisorOf = (batch: SortedBatch): number => Math.max(1, batch.counted);

export function storeScore(tools: LaneTools, memory: BatchMemory, lane: number, score: Score): void {
  tools.doubles.set([score.loss, score.correct], memory.laneResults / 8 + 2 * lane);
}

/** The batch's loss and correct rows, added along the lanes' tree. */
export function batchScore(tools: LaneTools, memory: BatchMemory): Score {
  const first = memory.laneResults / 8;
  return {
    loss: treeSum(tools.doubles, first, 2, memory.lanes),
    correct: treeSum(tools.doubles, first + 1, 2, memory.lanes),
  };
}
