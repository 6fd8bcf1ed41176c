import type { Sequences } from '../data/sequences.ts';
import { type Block, clearNoLogits, everyLogits, type LaneTools } from './lane.ts';
import { type LossSpec, meanOf, rowDelta, rowLoss } from './loss.ts';

/** Loss, and rows (or steps) classified correctly, of a block or of a lane. */
export interface Score {
  loss: number;
  correct: number;
}

/** Softmax of every row of logits, in the logits' place. */
export function softmaxBlock(tools: LaneTools, block: Block): void {
  const { sums } = block.workspace;
  everyLogits(tools, block, (_i, _step, at) => {
    const row = takeRow(tools, block, at);
    tools.kernels.softmaxRow(row, tools.g.outputSize, sums);
    putRow(tools, block, at, row);
  });
}

/** Copies a row of logits out of the panels; returns where to. */
function takeRow({ kernels: k, g }: LaneTools, { workspace }: Block, at: number): number {
  const { logits, logitRow } = workspace;
  k.scatterRows(logitRow, at, logits.stride, logits.pitch, 1, g.outputSize, 1);
  return logitRow;
}

function putRow({ kernels: k, g }: LaneTools, { workspace }: Block, at: number, row: number): void {
  const { logits } = workspace;
  k.gatherRows(at, logits.stride, logits.pitch, row, 1, g.outputSize);
}

/**
 * Softmax cross-entropy (see loss.ts) and its gradient, which takes the logits' place in the workspace. Adds the block's
 * losses and correct rows to `score`. A label below 0 counts for nothing.
 */
export function lossAndDelta(
  tools: LaneTools,
  block: Block,
  data: Sequences,
  loss: LossSpec,
  score: Score,
): void {
  const { kernels: k, g, reals, doubles } = tools;
  const { logits, sums } = block.workspace;
  clearNoLogits(tools, block);
  everyLogits(tools, block, (i, step, at) => {
    const label = data.labels[data.labelStarts[block.batch.dataRows[block.firstRank + i]] + step];
    if (label < 0) {
      k.zeroRows(at, logits.stride, logits.pitch, 1, g.outputPanels);
      return;
    }
    const row = takeRow(tools, block, at);
    const first = row / g.realBytes;
    const chosen = reals[first + label];
    const mean = loss.smoothing === 0 ? 0 : meanOf(reals, first, g.outputSize);
    if (label === argmax(reals, first, g.outputSize)) score.correct++;
    k.softmaxRow(row, g.outputSize, sums);
    score.loss += rowLoss(loss, label, doubles[sums / 8], doubles[sums / 8 + 1], chosen, mean);
    rowDelta(loss, label, reals, first, g.outputSize);
    putRow(tools, block, at, row);
  });
}

/** Index of the largest of `count` values, the first of equals. */
export function argmax(values: ArrayLike<number>, first: number, count: number): number {
  let best = 0;
  for (let j = 1; j < count; j++) if (values[first + j] > values[first + best]) best = j;
  return best;
}
