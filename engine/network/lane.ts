import {
  type CellBlock,
  cellBackward,
  cellForward,
  cellInitialGradient,
  cellInputGradient,
  cellWeightGradients,
  finalStates,
  initialStates,
  madeStates,
  type Scratch,
} from '../cells/elman-cell.ts';
import type { Sequences } from '../data/sequences.ts';
import type { Kernels, Panels } from '../kernels/kernels.ts';
import type { BatchMemory, BlockWorkspace } from './batch-memory.ts';
import { dropThreshold, rowKey } from './dropout.ts';
import type { Geometry } from './geometry.ts';
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
  /** Of the masks of this step (see dropout.ts); null where no unit is dropped. */
  readonly dropoutKey: number | null;
}

const lengthOf = (block: Block, i: number): number => block.batch.lengths[block.firstRank + i];
const positionOf = (block: Block, i: number): number => block.batch.positions[block.firstRank + i];

/** Bytes from one step's rows to the next one's. */
const stepOf = (block: Block, { pitch }: Panels): number => block.workspace.rows * pitch;

/** The address of row i. */
const rowAt = ({ at, pitch }: Panels, i: number): number => at + i * pitch;

/** The classifier forward on one block: states of every layer, then logits. */
export function forwardBlock(
  tools: LaneTools,
  block: Block,
  data: Sequences,
  memory: BatchMemory | null,
): void {
  gatherInput(tools, block, data);
  gatherInitialStates(tools, block, memory);
  const { kernels: k, g, model } = tools;
  const { layers } = block.workspace;
  layers.forEach((cells, l) => {
    cells.forEach((cell, direction) => {
      cellForward(k, model.cells[l], model.packedCells[l * g.directions + direction], cell);
      const above = layers[l + 1]?.[0].x[direction];
      if (above && block.dropoutKey !== null) dropUnits(tools, block, l, direction, above, madeStates(cell));
    });
  });
  if (g.output === 'mean') averageStates(tools, block);
  outputForward(tools, block);
}

/** Each row's frames, then zeros: what stands in the caller's padding is never read, since NaN · 0 is NaN. */
function gatherInput(tools: LaneTools, block: Block, data: Sequences): void {
  const { kernels: k, g, model, reals } = tools;
  const { layers, staging, rows, steps } = block.workspace;
  const [x] = layers[0][0].x;
  const step = stepOf(block, x);
  for (let i = 0; i < rows; i++) {
    const at = rowAt(x, i);
    let length = 0;
    if (i < block.count) {
      length = lengthOf(block, i);
      const first = data.starts[block.batch.dataRows[block.firstRank + i]] * g.inputSize;
      reals.set(data.values.subarray(first, first + length * g.inputSize), staging / g.realBytes);
      k.gatherRows(at, x.stride, step, staging, length, g.inputSize);
      const { mean, std } = model.normalization;
      if (g.normalized) k.normalizeRows(at, x.stride, step, length, g.inputPanels, mean, std);
    }
    k.zeroRows(at + length * step, x.stride, step, steps - length, g.inputPanels);
  }
}

/** Place of a row's state of one cell in [L · D, B, H]. */
function stateOffset({ g }: LaneTools, block: Block, cell: number, i: number): number {
  return (cell * block.batch.rows + positionOf(block, i)) * g.hiddenSize * g.realBytes;
}

/** Calls `visit` with every cell of the network and its number. */
function everyCell({ layers }: BlockWorkspace, visit: (cell: CellBlock, number: number) => void): void {
  layers.flat().forEach(visit);
}

function gatherInitialStates(tools: LaneTools, block: Block, memory: BatchMemory | null): void {
  const { kernels: k, g } = tools;
  everyCell(block.workspace, (cell, number) => {
    const h = initialStates(cell);
    k.zeroRows(h.at, h.stride, h.pitch, cell.rows, g.hiddenPanels);
    if (!memory) return;
    for (let i = 0; i < block.count; i++) {
      const from = memory.h0 + stateOffset(tools, block, number, i);
      k.gatherRows(rowAt(h, i), h.stride, h.pitch, from, 1, g.hiddenSize);
    }
  });
}

/** Each row's final states into the caller's [L · D, B, H]. */
export function writeFinalStates(tools: LaneTools, block: Block, memory: BatchMemory): void {
  const { kernels: k, g } = tools;
  everyCell(block.workspace, (cell, number) => {
    const h = finalStates(cell);
    for (let i = 0; i < block.count; i++) {
      const to = memory.finalStates + stateOffset(tools, block, number, i);
      k.scatterRows(to, rowAt(h, i), h.stride, h.pitch, 1, g.hiddenSize, 1);
    }
  });
}

/** to ← from ∘ mask / (1 − p), for the outputs of a layer on the way forward, their gradients on the way back. */
function dropUnits(
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
    // The gradient's place is free on the way forward.
    const sums = dFeatures[direction];
    const means = features[direction];
    for (const { at, stride, pitch } of [sums, means]) k.zeroRows(at, stride, pitch, rows, g.hiddenPanels);
    for (let i = 0; i < block.count; i++) {
      const length = lengthOf(block, i);
      const sum = rowAt(sums, i);
      const step = stepOf(block, states);
      k.addRows(sum, sums.stride, 0, rowAt(states, i), states.stride, step, length, g.hiddenPanels, 1);
      k.addRows(rowAt(means, i), means.stride, 0, sum, sums.stride, 0, 1, g.hiddenPanels, 1 / length);
    }
  });
}

function outputForward({ kernels: k, g, model }: LaneTools, { workspace }: Block): void {
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

/** Steps of row i that have logits; none where the row only fills a tile up. */
function outputsOf({ g }: LaneTools, block: Block, i: number): number {
  if (i >= block.count) return 0;
  return g.output === 'steps' ? lengthOf(block, i) : 1;
}

/** Values of a row in the caller's [B, O] or [B, T, O]. */
export const outputRowSize = (g: Geometry, time: number): number =>
  (g.output === 'steps' ? time : 1) * g.outputSize;

/** The block's logits into the caller's [B, O] or [B, T, O], zero past a row's end. */
export function writeLogits(tools: LaneTools, block: Block, memory: BatchMemory): void {
  const { kernels: k, g, reals } = tools;
  const { logits } = block.workspace;
  const size = outputRowSize(g, memory.time);
  for (let i = 0; i < block.count; i++) {
    const first = memory.logits / g.realBytes + positionOf(block, i) * size;
    const count = outputsOf(tools, block, i);
    const to = first * g.realBytes;
    k.scatterRows(to, rowAt(logits, i), logits.stride, stepOf(block, logits), count, g.outputSize, 1);
    reals.fill(0, first + count * g.outputSize, first + size);
  }
}

/** Calls `visit` with every row of logits that is a row's own: the row, its step, the address in the panels. */
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

/** Zeros where the panels of logits hold none: their gradient there is zero. */
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

/** The caller's delta, [B, O] or [B, T, O], into the logits' place. */
export function readDelta(tools: LaneTools, block: Block, memory: BatchMemory): void {
  const { kernels: k, g } = tools;
  const { logits } = block.workspace;
  clearNoLogits(tools, block);
  for (let i = 0; i < block.count; i++) {
    const row = positionOf(block, i) * outputRowSize(g, memory.time);
    const from = memory.delta + row * g.realBytes;
    const count = outputsOf(tools, block, i);
    k.gatherRows(rowAt(logits, i), logits.stride, stepOf(block, logits), from, count, g.outputSize);
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
  /** What averages are over: rows of the whole batch, or its steps that count. */
  readonly divisor: number;
}

/** The classifier backward on one block, from delta in the logits' place: sums over the block's rows, unscaled. */
export function backwardBlock(tools: LaneTools, block: Block, target: GradientTarget): void {
  const { g } = tools;
  const { layers, d } = block.workspace;
  clearPadding(tools, target.block);
  outputBackward(tools, block, target);
  for (let l = g.numLayers - 1; l >= 0; l--) {
    layers[l].forEach((_, direction) => {
      cellGradients(tools, block, l, direction, target);
    });
    if (l > 0) layerInputGradient(tools, block, l, d[(l - 1) % 2]);
  }
  if (target.results && target.inputGradient) {
    layerInputGradient(tools, block, 0, [block.workspace.dx]);
    writeInputGradient(tools, block, target.results);
  }
}

/** The gradient buffer's end, where no parameter is: it counts in the global norm like the rest. */
function clearPadding({ g, reals }: LaneTools, gradients: number): void {
  const first = gradients / g.realBytes;
  reals.fill(0, first + g.parameterCount, first + g.blockSize);
}

/** The output layer backward; leaves the gradients of the top layer's states in its d. */
function outputBackward(tools: LaneTools, block: Block, target: GradientTarget): void {
  const { kernels: k, g, model, scratch } = tools;
  const { features, dFeatures, logits: delta, d, outputSteps } = block.workspace;
  const rows = outputSteps * block.workspace.rows;
  const { hiddenSize, outputSize, hiddenPanels, outputPanels, realBytes, directions } = g;
  const add = target.add ? 1 : 0;
  const { edge, zeros } = scratch;
  const top = d[(g.numLayers - 1) % 2];
  const width = directions * hiddenSize * realBytes;
  features.forEach((h, direction) => {
    const dW = target.block + (g.W.offset + direction * hiddenSize) * realBytes;
    const { at, stride } = delta;
    k.outerProduct(dW, width, outputSize, hiddenSize, at, stride, h.at, h.stride, rows, edge, add);
    const to = g.output === 'steps' ? top[direction] : dFeatures[direction];
    const W = model.packedOutput.W[direction];
    k.multiply(to.at, to.stride, rows, hiddenPanels, at, stride, outputPanels, W, zeros);
    if (g.output !== 'steps') spreadGradient(tools, block, direction, to, top[direction]);
  });
  const db = target.block + g.b.offset * realBytes;
  k.sumRows(db, outputSize, delta.at, delta.stride, delta.pitch, rows, edge, add);
}

/** The gradient of the features into that of the states: of the last step, or of all a row has alike. */
function spreadGradient(tools: LaneTools, block: Block, direction: number, from: Panels, to: Panels): void {
  const { kernels: k, g } = tools;
  const { rows, steps } = block.workspace;
  const step = stepOf(block, to);
  k.zeroRows(to.at, to.stride, to.pitch, rows * steps, g.hiddenPanels);
  for (let i = 0; i < block.count; i++) {
    const length = lengthOf(block, i);
    const row = rowAt(to, i);
    const source = rowAt(from, i);
    if (g.output === 'mean') {
      k.addRows(row, to.stride, step, source, from.stride, 0, length, g.hiddenPanels, 1 / length);
    } else {
      const last = direction === 0 ? length - 1 : 0;
      k.copyRow(row + last * step, to.stride, source, from.stride, g.hiddenPanels);
    }
  }
}

/** One cell backward: its d becomes dz, its sums go to the target. */
function cellGradients(
  tools: LaneTools,
  block: Block,
  l: number,
  direction: number,
  target: GradientTarget,
): void {
  const { kernels: k, g, model, scratch } = tools;
  const { layers, d } = block.workspace;
  const cell = layers[l][direction];
  const number = l * g.directions + direction;
  const dz = d[l % 2][direction];
  const arrays = cellArrays(g, number, target.block);
  cellBackward(k, model.cells[l], model.packedCells[number], cell, dz);
  cellWeightGradients(k, model.cells[l], g.dtype, cell, dz, arrays, scratch, target.add);
  if (target.results) writeInitialGradient(tools, block, l, direction, target.results, target.divisor);
}

/** What all cells of a layer pass down, into dx: part by part, the directions added up. */
function layerInputGradient(tools: LaneTools, block: Block, l: number, dx: readonly Panels[]): void {
  const { kernels: k, g, model, scratch } = tools;
  const { layers, d } = block.workspace;
  dx.forEach((part, p) => {
    layers[l].forEach((cell, direction) => {
      const packed = model.packedCells[l * g.directions + direction];
      const dz = d[l % 2][direction];
      cellInputGradient(k, model.cells[l], packed, cell, dz, p, part, scratch, direction > 0);
    });
    if (l > 0 && block.dropoutKey !== null) dropUnits(tools, block, l - 1, p, part, part);
  });
}

/** dh0 of a cell into the caller's [L · D, B, H], divided like a weight's gradient: initial states count as parameters. */
function writeInitialGradient(
  tools: LaneTools,
  block: Block,
  l: number,
  direction: number,
  memory: BatchMemory,
  divisor: number,
): void {
  const { kernels: k, g, model, scratch } = tools;
  const { layers, d, dzFirst, dh0 } = block.workspace;
  const number = l * g.directions + direction;
  const dz = d[l % 2][direction];
  const packed = model.packedCells[number];
  cellInitialGradient(k, model.cells[l], packed, layers[l][direction], dz, dzFirst, dh0, scratch);
  for (let i = 0; i < block.count; i++) {
    const to = memory.dh0 + stateOffset(tools, block, number, i);
    k.scatterRows(to, rowAt(dh0, i), dh0.stride, dh0.pitch, 1, g.hiddenSize, divisor);
  }
}

/** dx into the caller's [B, T, I], not averaged; zero past a row's last step. */
function writeInputGradient(tools: LaneTools, block: Block, memory: BatchMemory): void {
  const { kernels: k, g, model, reals } = tools;
  const { dx } = block.workspace;
  const step = stepOf(block, dx);
  const rowSize = memory.time * g.inputSize;
  for (let i = 0; i < block.count; i++) {
    const first = memory.dx / g.realBytes + positionOf(block, i) * rowSize;
    const length = lengthOf(block, i);
    const { zeros, std } = model.normalization;
    if (g.normalized) k.normalizeRows(rowAt(dx, i), dx.stride, step, length, g.inputPanels, zeros, std);
    k.scatterRows(first * g.realBytes, rowAt(dx, i), dx.stride, step, length, g.inputSize, 1);
    reals.fill(0, first + length * g.inputSize, first + rowSize);
  }
}
