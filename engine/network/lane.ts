import {
  cellBackward,
  cellForward,
  cellInitialGradient,
  cellInputGradient,
  cellWeightGradients,
  type Scratch,
} from '../cells/elman-cell.ts';
import type { Sequences } from '../data/sequences.ts';
import type { Kernels } from '../kernels/kernels.ts';
import type { BatchMemory, BlockWorkspace } from './batch-memory.ts';
import type { Geometry } from './geometry.ts';
import { type LossSpec, meanOf, rowDelta, rowLoss } from './loss.ts';
import { cellArrays, type ModelMemory } from './model-memory.ts';
import type { SortedBatch } from './sorted-batch.ts';

/** What a thread computes lanes with. */
export interface LaneTools {
  readonly kernels: Kernels;
  readonly g: Geometry;
  readonly model: ModelMemory;
  readonly scratch: Scratch;
  /** The whole memory as values of the model's data type, and as f64. */
  readonly reals: Float32Array | Float64Array;
  readonly doubles: Float64Array;
}

/** A run of ranks of a batch that is computed together. */
export interface Block {
  readonly batch: SortedBatch;
  readonly firstRank: number;
  readonly count: number;
  readonly workspace: BlockWorkspace;
}

/** Rows in whole tiles, and steps of the longest row. */
const rowsOf = (block: Block): number => block.workspace.layers[0].rows;
const stepsOf = (block: Block): number => block.workspace.layers[0].steps;

/** The classifier forward on one block: states of every layer, then logits from each row's true last step. */
export function forwardBlock(
  tools: LaneTools,
  block: Block,
  data: Sequences,
  memory: BatchMemory | null,
): void {
  gatherInput(tools, block, data);
  gatherInitialStates(tools, block, memory);
  const { kernels: k, g, model } = tools;
  const { layers, last, logits } = block.workspace;
  layers.forEach((layer, l) => {
    cellForward(k, model.cells[l], model.packedCells[l], layer);
  });
  const rows = rowsOf(block);
  const top = layers[g.numLayers - 1].h;
  for (let i = 0; i < rows; i++) {
    // Rows that only fill the tile up take any state: nothing of theirs is read.
    const length = i < block.count ? block.batch.lengths[block.firstRank + i] : 1;
    const state = top.at + (length * rows + i) * top.pitch;
    k.copyRow(last.at + i * last.pitch, last.stride, state, top.stride, g.hiddenPanels);
  }
  const { WT, bias } = model.packedOutput;
  k.project(logits.at, logits.stride, rows, g.outputPanels, last.at, last.stride, g.hiddenPanels, WT, bias);
}

/** Each row's frames, then zeros: what stands in the caller's padding is never read, since NaN · 0 is NaN. */
function gatherInput(tools: LaneTools, block: Block, data: Sequences): void {
  const { kernels: k, g, reals } = tools;
  const { layers, staging } = block.workspace;
  const { x } = layers[0];
  const rows = rowsOf(block);
  const step = rows * x.pitch;
  for (let i = 0; i < rows; i++) {
    const at = x.at + i * x.pitch;
    let length = 0;
    if (i < block.count) {
      length = block.batch.lengths[block.firstRank + i];
      const first = data.starts[block.batch.dataRows[block.firstRank + i]] * g.inputSize;
      reals.set(data.values.subarray(first, first + length * g.inputSize), staging / g.realBytes);
      k.gatherRows(at, x.stride, step, staging, length, g.inputSize);
    }
    k.zeroRows(at + length * step, x.stride, step, stepsOf(block) - length, g.inputPanels);
  }
}

function gatherInitialStates(tools: LaneTools, block: Block, memory: BatchMemory | null): void {
  const { kernels: k, g } = tools;
  const rows = rowsOf(block);
  block.workspace.layers.forEach(({ h }, layer) => {
    k.zeroRows(h.at, h.stride, h.pitch, rows, g.hiddenPanels);
    if (!memory) return;
    for (let i = 0; i < block.count; i++) {
      const row = layer * block.batch.rows + block.batch.positions[block.firstRank + i];
      const from = memory.h0 + row * g.hiddenSize * g.realBytes;
      k.gatherRows(h.at + i * h.pitch, h.stride, h.pitch, from, 1, g.hiddenSize);
    }
  });
}

/** The block's logits into the caller's [B, O]. */
export function writeLogits(tools: LaneTools, block: Block, memory: BatchMemory): void {
  const { kernels: k, g } = tools;
  const { logits } = block.workspace;
  for (let i = 0; i < block.count; i++) {
    const to = memory.logits + block.batch.positions[block.firstRank + i] * g.outputSize * g.realBytes;
    k.scatterRows(to, logits.at + i * logits.pitch, logits.stride, logits.pitch, 1, g.outputSize, 1);
  }
}

/** Loss and correct rows of a block, or of a lane. */
export interface Score {
  loss: number;
  correct: number;
}

/** Softmax of every row, in the logits' place. */
export function softmaxBlock(tools: LaneTools, block: Block): void {
  for (let i = 0; i < block.count; i++) {
    const row = logitRow(tools, block, i);
    tools.kernels.softmaxRow(row, tools.g.outputSize, block.workspace.sums);
    putLogitRow(tools, block, i, row);
  }
}

/** Copies row i of the logits out of the panels; returns its address. */
function logitRow({ kernels: k, g }: LaneTools, { workspace }: Block, i: number): number {
  const { logits, logitRows, logitRowBytes } = workspace;
  const row = logitRows + i * logitRowBytes;
  k.scatterRows(row, logits.at + i * logits.pitch, logits.stride, logits.pitch, 1, g.outputSize, 1);
  return row;
}

function putLogitRow({ kernels: k, g }: LaneTools, { workspace }: Block, i: number, row: number): void {
  const { logits } = workspace;
  k.gatherRows(logits.at + i * logits.pitch, logits.stride, logits.pitch, row, 1, g.outputSize);
}

/**
 * Softmax cross-entropy (see loss.ts) and its gradient, which takes the logits' place in the workspace. Adds the block's
 * losses and correct rows to `score`.
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
  const filler = rowsOf(block) - block.count;
  const fillerAt = logits.at + block.count * logits.pitch;
  k.zeroRows(fillerAt, logits.stride, logits.pitch, filler, g.outputPanels);
  for (let i = 0; i < block.count; i++) {
    const label = data.labels[block.batch.dataRows[block.firstRank + i]];
    const row = logitRow(tools, block, i);
    const first = row / g.realBytes;
    const chosen = reals[first + label];
    const mean = loss.smoothing === 0 ? 0 : meanOf(reals, first, g.outputSize);
    if (label === argmax(reals, first, g.outputSize)) score.correct++;
    k.softmaxRow(row, g.outputSize, sums);
    score.loss += rowLoss(loss, label, doubles[sums / 8], doubles[sums / 8 + 1], chosen, mean);
    rowDelta(loss, label, reals, first, g.outputSize);
    putLogitRow(tools, block, i, row);
  }
}

/** Index of the largest of `count` values, the first of equals. */
export function argmax(values: ArrayLike<number>, first: number, count: number): number {
  let best = 0;
  for (let j = 1; j < count; j++) if (values[first + j] > values[first + best]) best = j;
  return best;
}

/** The caller's delta [B, O] into the logits' place. */
export function readDelta(tools: LaneTools, block: Block, memory: BatchMemory): void {
  const { kernels: k, g } = tools;
  const { logits } = block.workspace;
  k.zeroRows(logits.at, logits.stride, logits.pitch, rowsOf(block), g.outputPanels);
  for (let i = 0; i < block.count; i++) {
    const from = memory.delta + block.batch.positions[block.firstRank + i] * g.outputSize * g.realBytes;
    k.gatherRows(logits.at + i * logits.pitch, logits.stride, logits.pitch, from, 1, g.outputSize);
  }
}

/** Where a block's gradients go. */
export interface GradientTarget {
  /** The lane's block of sums. */
  readonly block: number;
  /** Onto what it holds, from the lane's second block of rows on. */
  readonly add: boolean;
  /** Where the gradients of the caller's own arrays go, in a call that returns them. */
  readonly results: BatchMemory | null;
  readonly inputGradient: boolean;
}

/** The classifier backward on one block, from delta in the logits' place: sums over the block's rows, unscaled. */
export function backwardBlock(tools: LaneTools, block: Block, target: GradientTarget): void {
  const { kernels: k, g, model, scratch } = tools;
  const { layers, d, dx } = block.workspace;
  clearPadding(tools, target.block);
  outputBackward(tools, block, target);
  for (let l = g.numLayers - 1; l >= 0; l--) {
    const sizes = model.cells[l];
    const packed = model.packedCells[l];
    const dz = d[l % 2];
    cellBackward(k, sizes, packed, layers[l], dz);
    cellWeightGradients(
      k,
      sizes,
      g.dtype,
      layers[l],
      dz,
      cellArrays(g, l, target.block),
      scratch,
      target.add,
    );
    if (target.results) writeInitialGradient(tools, block, l, target.results);
    if (l > 0) cellInputGradient(k, sizes, packed, layers[l], dz, d[(l - 1) % 2], scratch);
    else if (target.inputGradient) cellInputGradient(k, sizes, packed, layers[0], dz, dx, scratch);
  }
  if (target.results && target.inputGradient) writeInputGradient(tools, block, target.results);
}

/** The gradient buffer's end, where no parameter is: it counts in the global norm like the rest. */
function clearPadding({ g, reals }: LaneTools, gradients: number): void {
  const first = gradients / g.realBytes;
  reals.fill(0, first + g.parameterCount, first + g.blockSize);
}

/** The output layer backward; leaves the gradient of the top layer's states in its d, zero but at the last steps. */
function outputBackward(tools: LaneTools, block: Block, target: GradientTarget): void {
  const { kernels: k, g, model, scratch } = tools;
  const { last, dLast, logits: delta, d } = block.workspace;
  const rows = rowsOf(block);
  const { hiddenSize, outputSize, hiddenPanels, outputPanels, realBytes } = g;
  const dW = target.block + g.W.offset * realBytes;
  const db = target.block + g.b.offset * realBytes;
  const add = target.add ? 1 : 0;
  const { edge, zeros } = scratch;
  k.outerProduct(
    dW,
    hiddenSize * realBytes,
    outputSize,
    hiddenSize,
    delta.at,
    delta.stride,
    last.at,
    last.stride,
    rows,
    edge,
    add,
  );
  k.sumRows(db, outputSize, delta.at, delta.stride, delta.pitch, rows, edge, add);
  k.multiply(
    dLast.at,
    dLast.stride,
    rows,
    hiddenPanels,
    delta.at,
    delta.stride,
    outputPanels,
    model.packedOutput.W,
    zeros,
  );
  const top = d[(g.numLayers - 1) % 2];
  k.zeroRows(top.at, top.stride, top.pitch, rows * stepsOf(block), hiddenPanels);
  for (let i = 0; i < block.count; i++) {
    const step = block.batch.lengths[block.firstRank + i] - 1;
    const to = top.at + (step * rows + i) * top.pitch;
    k.copyRow(to, top.stride, dLast.at + i * dLast.pitch, dLast.stride, hiddenPanels);
  }
}

/** dh0 of a layer into the caller's [L, B, H], divided by the whole batch: initial states count as parameters. */
function writeInitialGradient(tools: LaneTools, block: Block, layer: number, memory: BatchMemory): void {
  const { kernels: k, g, model, scratch } = tools;
  const { layers, d, dh0 } = block.workspace;
  cellInitialGradient(
    k,
    model.cells[layer],
    model.packedCells[layer],
    layers[layer],
    d[layer % 2],
    dh0,
    scratch,
  );
  for (let i = 0; i < block.count; i++) {
    const row = layer * block.batch.rows + block.batch.positions[block.firstRank + i];
    const to = memory.dh0 + row * g.hiddenSize * g.realBytes;
    k.scatterRows(to, dh0.at + i * dh0.pitch, dh0.stride, dh0.pitch, 1, g.hiddenSize, block.batch.rows);
  }
}

/** dx into the caller's [B, T, I], not averaged; zero past a row's last step. */
function writeInputGradient(tools: LaneTools, block: Block, memory: BatchMemory): void {
  const { kernels: k, g, reals } = tools;
  const { dx } = block.workspace;
  const rows = rowsOf(block);
  const rowSize = memory.time * g.inputSize;
  for (let i = 0; i < block.count; i++) {
    const rank = block.firstRank + i;
    const to = memory.dx + block.batch.positions[rank] * rowSize * g.realBytes;
    const length = block.batch.lengths[rank];
    k.scatterRows(to, dx.at + i * dx.pitch, dx.stride, rows * dx.pitch, length, g.inputSize, 1);
    reals.fill(0, to / g.realBytes + length * g.inputSize, to / g.realBytes + rowSize);
  }
}
