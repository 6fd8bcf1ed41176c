import type { Sequences } from '../../data/sequences.ts';
import { type Block, clearNoLogits, everyLogits, type LaneTools } from './block.ts';
import { type LossSpec, meanOf, placeOf, rowDelta, rowLoss } from './loss.ts';

/** Loss, and rows (or steps) classified correctly, of a block or of a lane. */
export interface Score {
  loss: number;
  correct: number;
}

/** Softmax of every row of logits, in the logits' place. */
export function softmaxBlock(tools: LaneTools, block: Block): void {
  const { kernels: k, g } = tools;
  const { logits, sums } = block.workspace;
  everyLogits(tools, block, (_i, _step, at) => k.softmaxRow(at, logits.stride, g.outputSize, sums));
}

/**
 * Softmax cross-entropy (see loss.ts) and its gradient, which takes the logits' place in the workspace.
 * Adds the block's losses and correct rows to `score`. A label below 0 counts for nothing.
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
  const { columns } = g;
  const stride = logits.stride / g.realBytes;
  clearNoLogits(tools, block);
  everyLogits(tools, block, (i, step, at) => {
    const label = data.labels[data.labelStarts[block.batch.dataRows[block.firstRank + i]] + step];
    if (label < 0) {
      k.zeroRows(at, logits.stride, logits.pitch, 1, g.outputPanels);
      return;
    }
    const row = { values: reals, first: at / g.realBytes, stride, columns, width: g.outputSize };
    const chosen = reals[placeOf(row, label)];
    const mean = loss.smoothing === 0 ? 0 : meanOf(row);
    if (label === k.softmaxRow(at, logits.stride, g.outputSize, sums)) score.correct++;
    score.loss += rowLoss(loss, label, doubles[sums / 8], doubles[sums / 8 + 1], chosen, mean);
    rowDelta(loss, label, row);
  });
}
