import {
  type CellBlock,
  type CellRun,
  finalStates,
  initialStates,
  madeStates,
  type Scratch,
} from '../../cells/cell.ts';
import type { Sequences } from '../../data/sequences.ts';
import { type Kernels, type Panels, type RowKernels, rowKernelsFor } from '../../kernels/kernels.ts';
import type { SharedProducts } from '../../parallel/shared-products.ts';
import type { RealArray } from '../../tensor.ts';
import type { BatchMemory, BlockWorkspace } from '../memory/batch-memory.ts';
import { type Geometry, outputRowSize } from '../memory/geometry.ts';
import type { ModelMemory } from '../memory/model-memory.ts';
import type { SortedBatch } from '../memory/sorted-batch.ts';
import { dropThreshold, rowKey } from './dropout.ts';

/** What a thread computes lanes with. */
export interface LaneTools {
  readonly kernels: Kernels;
  readonly g: Geometry;
  readonly model: ModelMemory;
  readonly scratch: Scratch;
  readonly products: SharedProducts;
  /** The whole memory as values of the model's data type, and as f64. */
  readonly reals: RealArray;
  readonly doubles: Float64Array;
}

/** Rows of a batch with consecutive ranks, which are computed together. */
export interface Block {
  readonly batch: SortedBatch;
  readonly firstRank: number;
  readonly count: number;
  /** Frames of each of its rows. */
  readonly lengths: Int32Array;
  readonly workspace: BlockWorkspace;
  /** Key of the masks of this step (see dropout.ts); null where no unit is dropped. */
  readonly dropoutKey: number | null;
  /** Whether all initial states are zeros. */
  readonly fromRest: boolean;
}

export const positionOf = (block: Block, i: number): number => block.batch.positions[block.firstRank + i];

/** Bytes from one step's rows to the next one's. */
export const stepOf = (block: Block, { pitch }: Panels): number => block.workspace.rows * pitch;

/** The address of row i. */
export const rowAt = ({ at, pitch }: Panels, i: number): number => at + i * pitch;

/** The run of a layer's cell of one direction on a block. Written out: a spread would take V8 two microseconds. */
export function cellRun(
  tools: LaneTools,
  { workspace, lengths }: Block,
  l: number,
  direction: number,
  kernels: CellRun['kernels'] = tools.kernels,
): CellRun {
  const { g, model, scratch } = tools;
  return {
    kernels,
    sizes: model.cells[l],
    packed: model.packedCells[l * g.directions + direction],
    block: workspace.layers[l][direction],
    lengths,
    scratch,
  };
}

/** The classifier's forward pass on one block: the states of every layer, then the logits. */
export function forwardBlock(tools: LaneTools, block: Block, data: Sequences, memory: BatchMemory): void {
  gatherInput(tools, block, data);
  gatherInitialStates(tools, block, memory);
  const { g } = tools;
  const { layers } = block.workspace;
  layers.forEach((cells, l) => {
    cells.forEach((cell, direction) => {
      g.kind.forward(cellRun(tools, block, l, direction), block.fromRest);
      const above = layers[l + 1]?.[0].x[direction];
      if (above && block.dropoutKey !== null) dropUnits(tools, block, l, direction, above, madeStates(cell));
    });
  });
  if (g.output === 'mean') averageStates(tools, block);
  outputForward(tools, block);
}

/** Gathers each row's frames, followed by zeros. The caller's padding is never read, since NaN · 0 is NaN. */
function gatherInput(tools: LaneTools, block: Block, data: Sequences): void {
  const { kernels: k, g, model, reals } = tools;
  const { layers, staging, rows, steps } = block.workspace;
  const [x] = layers[0][0].x;
  const step = stepOf(block, x);
  for (let i = 0; i < rows; i++) {
    const at = rowAt(x, i);
    let length = 0;
    if (i < block.count) {
      length = block.lengths[i];
      const first = data.starts[block.batch.dataRows[block.firstRank + i]] * g.inputSize;
      const frames = data.values.subarray(first, first + length * g.inputSize);
      // With the source's offset from a multiple of 8 bytes: otherwise V8 copies shared memory byte by
      // byte, four times as slowly.
      const staged = staging + (frames.byteOffset % 8);
      reals.set(frames, staged / g.realBytes);
      k.gatherRows(at, x.stride, step, staged, length, g.inputSize);
      const { mean, std } = model.normalization;
      if (g.normalized) k.normalizeRows(at, x.stride, step, length, g.inputPanels, mean, std);
    }
    k.zeroRows(at + length * step, x.stride, step, steps - length, g.inputPanels);
  }
}

/** Byte offset of a row's state in [L · D, B, H], or, where cells have several, in [L · D · states, B, H]. */
export function stateOffset({ g }: LaneTools, block: Block, number: number, i: number): number {
  return (number * block.batch.rows + positionOf(block, i)) * g.hiddenSize * g.realBytes;
}

function gatherInitialStates(tools: LaneTools, block: Block, memory: BatchMemory): void {
  const { kernels: k, g } = tools;
  everyState(block, (cell, state, number) => {
    const h = initialStates(cell, state);
    k.zeroRows(h.at, h.stride, h.pitch, block.workspace.rows, g.hiddenPanels);
    if (block.fromRest) return;
    for (let i = 0; i < block.count; i++) {
      const from = memory.h0 + stateOffset(tools, block, number, i);
      k.gatherRows(rowAt(h, i), h.stride, h.pitch, from, 1, g.hiddenSize);
    }
  });
}

/** Calls `visit` with every state of every cell, and its number among all. */
export function everyState(
  { workspace: { cells } }: Block,
  visit: (cell: CellBlock, state: number, number: number) => void,
): void {
  let number = 0;
  for (const cell of cells) {
    for (let state = 0; state < cell.states.length; state++) visit(cell, state, number++);
  }
}

/** Writes each row's final states to the caller's [L · D, B, H]. */
export function writeFinalStates(tools: LaneTools, block: Block, memory: BatchMemory): void {
  const { kernels: k, g } = tools;
  everyState(block, (cell, state, number) => {
    const h = finalStates(cell, state);
    for (let i = 0; i < block.count; i++) {
      const to = memory.finalStates + stateOffset(tools, block, number, i);
      k.scatterRows(to, rowAt(h, i), h.stride, h.pitch, 1, g.hiddenSize, 1);
    }
  });
}

/**
 * to ← from ∘ mask / (1 − p), for the outputs of a layer in the forward pass, and for their gradients
 * in the backward pass.
 */
export function dropUnits(
  tools: LaneTools,
  block: Block,
  layer: number,
  direction: number,
  to: Panels,
  from: Panels,
): void {
  const { kernels: k, g } = tools;
  const { steps } = block.workspace;
  const firstUnit = direction * g.hiddenSize;
  for (let i = 0; i < block.count; i++) {
    k.dropRows(
      rowAt(to, i),
      to.stride,
      stepOf(block, to),
      rowAt(from, i),
      from.stride,
      stepOf(block, from),
      steps,
      g.hiddenPanels,
      rowKey(block.dropoutKey as number, positionOf(block, i), layer),
      firstUnit,
      dropThreshold(g.dropout),
      1 / (1 - g.dropout),
    );
  }
  const { rows } = block.workspace;
  for (let i = block.count; i < rows; i++) {
    k.zeroRows(rowAt(to, i), to.stride, stepOf(block, to), steps, g.hiddenPanels);
  }
}

/** (Σ_t h_t) · (1 / T) over each row's own steps. */
function averageStates(tools: LaneTools, block: Block): void {
  const { kernels: k, g } = tools;
  const { layers, features, dFeatures, rows } = block.workspace;
  layers[g.numLayers - 1].forEach((cell, direction) => {
    const states = madeStates(cell);
    // The gradients' memory is free during the forward pass.
    const sums = dFeatures[direction];
    const means = features[direction];
    for (const { at, stride, pitch } of [sums, means]) k.zeroRows(at, stride, pitch, rows, g.hiddenPanels);
    for (let i = 0; i < block.count; i++) {
      const length = block.lengths[i];
      const sum = rowAt(sums, i);
      const step = stepOf(block, states);
      k.addRows(sum, sums.stride, 0, rowAt(states, i), states.stride, step, length, g.hiddenPanels, 1);
      k.addRows(rowAt(means, i), means.stride, 0, sum, sums.stride, 0, 1, g.hiddenPanels, 1 / length);
    }
  });
}

function outputForward(tools: LaneTools, { workspace }: Block): void {
  const { kernels: k, g, model } = tools;
  const row = rowKernelsFor(k, workspace.rows);
  if (row) {
    outputForwardRow(tools, workspace, row);
    return;
  }
  const { features, logits, outputSteps } = workspace;
  const rows = outputSteps * workspace.rows;
  const { WT, bias } = model.packedOutput;
  const { at, stride } = logits;
  const [first, ...others] = features;
  k.project(at, stride, rows, g.outputPanels, first.at, first.stride, g.hiddenPanels, WT[0], bias);
  others.forEach((h, i) => {
    k.accumulate(at, stride, rows, g.outputPanels, h.at, h.stride, g.hiddenPanels, WT[i + 1]);
  });
}

function outputForwardRow({ g, model }: LaneTools, workspace: BlockWorkspace, kernels: RowKernels): void {
  const { features, logits, outputSteps } = workspace;
  const { WT, bias } = model.packedOutput;
  const [first, ...others] = features;
  for (let step = 0; step < outputSteps; step++) {
    const y = rowAt(logits, step);
    kernels.projectRow(y, g.outputPanels, rowAt(first, step), g.hiddenPanels, WT[0], bias);
    others.forEach((h, i) => {
      kernels.accumulateRow(y, g.outputPanels, rowAt(h, step), g.hiddenPanels, WT[i + 1]);
    });
  }
}

/** Number of steps of row i that have logits; 0 where the row only fills up a tile. */
export function outputsOf({ g }: LaneTools, block: Block, i: number): number {
  if (i >= block.count) return 0;
  return g.output === 'steps' ? block.lengths[i] : 1;
}

/** Writes the block's logits to the caller's [B, O] or [B, T, O], zero past a row's end. */
export function writeLogits(tools: LaneTools, block: Block, memory: BatchMemory): void {
  const { kernels: k, g, reals } = tools;
  const { logits } = block.workspace;
  const size = outputRowSize(g, memory.spec.time);
  for (let i = 0; i < block.count; i++) {
    const first = memory.logits / g.realBytes + positionOf(block, i) * size;
    const count = outputsOf(tools, block, i);
    const to = first * g.realBytes;
    k.scatterRows(to, rowAt(logits, i), logits.stride, stepOf(block, logits), count, g.outputSize, 1);
    reals.fill(0, first + count * g.outputSize, first + size);
  }
}

/**
 * Calls `visit` for each step with logits of each row: with the row, the step, and the logits' address in the panels.
 */
export function everyLogits(
  tools: LaneTools,
  block: Block,
  visit: (i: number, step: number, at: number) => void,
): void {
  const { logits } = block.workspace;
  for (let i = 0; i < block.count; i++) {
    const outputs = outputsOf(tools, block, i);
    for (let step = 0; step < outputs; step++) {
      visit(i, step, rowAt(logits, i) + step * stepOf(block, logits));
    }
  }
}

/** Clears the panels of logits where they hold none, so that their gradient is zero there. */
export function clearNoLogits(tools: LaneTools, block: Block): void {
  const { kernels: k, g } = tools;
  const { logits, rows, outputSteps } = block.workspace;
  const step = stepOf(block, logits);
  for (let i = 0; i < rows; i++) {
    const outputs = outputsOf(tools, block, i);
    const at = rowAt(logits, i) + outputs * step;
    k.zeroRows(at, logits.stride, step, outputSteps - outputs, g.outputPanels);
  }
}
