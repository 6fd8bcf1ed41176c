import { finalStates, initialStates, statesAfter } from '../../cells/cell.ts';
import type { Sequences } from '../../data/sequences.ts';
import { type RowKernels, rowKernelsFor } from '../../kernels/kernels.ts';
import type { BatchMemory, BlockWorkspace } from '../memory/batch-memory.ts';
import { outputRowSize } from '../memory/geometry.ts';
import {
  type Block,
  cellRun,
  everyState,
  type LaneTools,
  outputsOf,
  positionOf,
  rowAt,
  stateOffset,
  stepOf,
} from './block.ts';
import { dropUnits } from './dropout.ts';

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
      if (above && block.dropoutKey !== null) dropUnits(tools, block, l, direction, above, statesAfter(cell));
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

/** (Σ_t h_t) · (1 / T) over each row's own steps. */
function averageStates(tools: LaneTools, block: Block): void {
  const { kernels: k, g } = tools;
  const { layers, features, dFeatures, rows } = block.workspace;
  layers[g.numLayers - 1].forEach((cell, direction) => {
    const states = statesAfter(cell);
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
