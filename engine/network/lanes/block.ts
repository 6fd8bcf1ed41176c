import type { CellBlock, CellRun, Scratch } from '../../cells/cell.ts';
import type { Kernels } from '../../kernels/kernels.ts';
import type { Panels } from '../../kernels/layout.ts';
import type { RealArray } from '../../numeric/reals.ts';
import type { SharedProducts } from '../../parallel/shared-products.ts';
import type { BlockWorkspace } from '../memory/batch-memory.ts';
import type { Geometry } from '../memory/geometry.ts';
import type { ModelMemory } from '../memory/model-memory.ts';
import type { SortedBatch } from '../memory/sorted-batch.ts';

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

/** Byte offset of a row's state in [L · D, B, H], or, where cells have several, in [L · D · states, B, H]. */
export function stateOffset({ g }: LaneTools, block: Block, number: number, i: number): number {
  return (number * block.batch.rows + positionOf(block, i)) * g.hiddenSize * g.realBytes;
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

/** Number of steps of row i that have logits; 0 where the row only fills up a tile. */
export function outputsOf({ g }: LaneTools, block: Block, i: number): number {
  if (i >= block.count) return 0;
  return g.output === 'steps' ? block.lengths[i] : 1;
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
