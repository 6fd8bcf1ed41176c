import type { Panels } from '../../kernels/layout.ts';
import type { BatchMemory } from '../memory/batch-memory.ts';
import { outputRowSize } from '../memory/geometry.ts';
import { cellAddresses } from '../memory/model-memory.ts';
import {
  type Block,
  cellRun,
  clearNoLogits,
  type LaneTools,
  outputsOf,
  positionOf,
  rowAt,
  stateOffset,
  stepOf,
} from './block.ts';
import { dropUnits } from './dropout.ts';

/** The backward pass through a block of rows. */

/** Copies the caller's delta, [B, O] or [B, T, O], over the logits. */
export function readDelta(tools: LaneTools, block: Block, memory: BatchMemory): void {
  const { kernels: k, g } = tools;
  const { logits } = block.workspace;
  clearNoLogits(tools, block);
  for (let i = 0; i < block.count; i++) {
    const row = positionOf(block, i) * outputRowSize(g, memory.spec.time);
    const from = memory.delta + row * g.realBytes;
    const count = outputsOf(tools, block, i);
    k.gatherRows(rowAt(logits, i), logits.stride, stepOf(block, logits), from, count, g.outputSize);
  }
}

/** Where a block's gradients go. */
export interface GradientTarget {
  /** The lane's block of sums. */
  readonly block: number;
  /** Whether to add to what it holds: from the lane's second block of rows on. */
  add: boolean;
  /** Where the gradients of the caller's own arrays go, in a call that returns them. */
  readonly results: BatchMemory | null;
  /** What averages are divided by: the number of rows of the whole batch, or of its labels that count. */
  readonly divisor: number;
}

/**
 * The classifier's backward pass on one block, from delta in the logits' place. Gradients are sums over
 * the block's rows, not yet averaged.
 */
export function backwardBlock(tools: LaneTools, block: Block, target: GradientTarget): void {
  const { g } = tools;
  const { layers, d } = block.workspace;
  clearPadding(tools, target.block);
  outputBackward(tools, block, target);
  for (let l = g.numLayers - 1; l >= 0; l--) {
    layers[l].forEach((_, direction) => {
      stateGradients(tools, block, l, direction);
    });
    // The deferred products still read the d of the layer above, into which this layer's input gradient goes.
    tools.products.finish();
    layers[l].forEach((_, direction) => {
      cellGradients(tools, block, l, direction, target);
    });
    if (l > 0) layerInputGradient(tools, block, l, d[(l - 1) % 2]);
  }
  if (target.results?.spec.inputGradient) {
    layerInputGradient(tools, block, 0, [block.workspace.dx]);
    writeInputGradient(tools, block, target.results);
  }
  // The next block reuses this workspace.
  tools.products.finish();
}

/** Clears the padding at the gradient buffer's end: it counts in the global norm like the rest. */
function clearPadding({ g, reals }: LaneTools, gradients: number): void {
  const first = gradients / g.realBytes;
  reals.fill(0, first + g.parameterCount, first + g.paddedCount);
}

/** The backward pass of the output layer; leaves the gradients of the top layer's states in its d. */
function outputBackward(tools: LaneTools, block: Block, target: GradientTarget): void {
  const { kernels: k, g, model, scratch } = tools;
  const { outerProduct } = tools.products.kernels;
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
    outerProduct(dW, width, outputSize, hiddenSize, at, stride, h.at, h.stride, rows, edge, add);
    const to = g.output === 'steps' ? top[direction] : dFeatures[direction];
    const W = model.packedOutput.W[direction];
    k.multiply(to.at, to.stride, rows, hiddenPanels, at, stride, outputPanels, W, zeros);
    if (g.output !== 'steps') spreadGradient(tools, block, direction, to, top[direction]);
  });
  const db = target.block + g.b.offset * realBytes;
  k.sumRows(db, db, outputSize, delta.at, delta.stride, delta.pitch, rows, edge, add);
}

/** Passes the gradient of each row's last state, or of the mean of its states, on to that of every state it has. */
function spreadGradient(tools: LaneTools, block: Block, direction: number, from: Panels, to: Panels): void {
  const { kernels: k, g } = tools;
  const { rows, steps, layers } = block.workspace;
  const { reverse } = layers[g.numLayers - 1][direction];
  const step = stepOf(block, to);
  k.zeroRows(to.at, to.stride, to.pitch, rows * steps, g.hiddenPanels);
  for (let i = 0; i < block.count; i++) {
    const length = block.lengths[i];
    const row = rowAt(to, i);
    const feature = rowAt(from, i);
    if (g.output === 'mean') {
      k.addRows(row, to.stride, step, feature, from.stride, 0, length, g.hiddenPanels, 1 / length);
    } else {
      const last = reverse ? 0 : length - 1;
      k.copyRow(row + last * step, to.stride, feature, from.stride, g.hiddenPanels);
    }
  }
}

/** Backward pass through time of one cell, from its d to its dz. */
function stateGradients(tools: LaneTools, block: Block, l: number, direction: number): void {
  const { d, dz } = block.workspace;
  const run = cellRun(tools, block, l, direction);
  tools.g.kind.backward(run, d[l % 2][direction], dz[l % 2][direction]);
}

/** The gradients that follow from a cell's dz, summed over its rows, to the target. */
function cellGradients(
  tools: LaneTools,
  block: Block,
  l: number,
  direction: number,
  target: GradientTarget,
): void {
  const { products, g } = tools;
  const run = cellRun(tools, block, l, direction, products.kernels);
  const dz = block.workspace.dz[l % 2][direction];
  const arrays = cellAddresses(g, l * g.directions + direction, target.block);
  const { add } = target;
  g.kind.weightGradients(run, dz, arrays, { add, fromRest: block.fromRest });
  if (target.results) writeInitialGradient(tools, block, l, direction, target.results, target.divisor);
}

/** The gradient that a layer passes down, to dx: part by part, summed over the directions. */
function layerInputGradient(tools: LaneTools, block: Block, l: number, dx: readonly Panels[]): void {
  const { layers, dz } = block.workspace;
  const { kind } = tools.g;
  dx.forEach((part, p) => {
    layers[l].forEach((_, direction) => {
      kind.inputGradient(cellRun(tools, block, l, direction), dz[l % 2][direction], p, part, direction > 0);
    });
    if (l > 0 && block.dropoutKey !== null) dropUnits(tools, block, l - 1, p, part, part);
  });
}

/**
 * Writes a cell's dh0 to its place in the caller's, divided like a weight's gradient: initial states
 * count as parameters.
 */
function writeInitialGradient(
  tools: LaneTools,
  block: Block,
  l: number,
  direction: number,
  memory: BatchMemory,
  divisor: number,
): void {
  const { kernels: k, g } = tools;
  const { d, dz, dzFirst, dStates } = block.workspace;
  const first = (l * g.directions + direction) * g.kind.states;
  const run = cellRun(tools, block, l, direction);
  g.kind.initialGradients(run, d[l % 2][direction], dz[l % 2][direction], dzFirst, dStates);
  dStates.forEach((dh, state) => {
    for (let i = 0; i < block.count; i++) {
      const to = memory.dh0 + stateOffset(tools, block, first + state, i);
      k.scatterRows(to, rowAt(dh, i), dh.stride, dh.pitch, 1, g.hiddenSize, divisor);
    }
  });
}

/** Writes dx to the caller's [B, T, I], not averaged; zero past a row's last step. */
function writeInputGradient(tools: LaneTools, block: Block, memory: BatchMemory): void {
  const { kernels: k, g, model, reals } = tools;
  const { dx } = block.workspace;
  const step = stepOf(block, dx);
  const rowSize = memory.spec.time * g.inputSize;
  for (let i = 0; i < block.count; i++) {
    const first = memory.dx / g.realBytes + positionOf(block, i) * rowSize;
    const length = block.lengths[i];
    const { zeros, std } = model.normalization;
    if (g.normalized) k.normalizeRows(rowAt(dx, i), dx.stride, step, length, g.inputPanels, zeros, std);
    k.scatterRows(first * g.realBytes, rowAt(dx, i), dx.stride, step, length, g.inputSize, 1);
    reals.fill(0, first + length * g.inputSize, first + rowSize);
  }
}
