import type { Panels } from '../../kernels/layout.ts';
import { mix } from '../../numeric/random.ts';
import { type Block, type LaneTools, positionOf, rowAt, stepOf } from './block.ts';

/**
 * Counter-based dropout masks (N. Srivastava et al., JMLR 15, 2014). Whether a unit is kept is a function of
 *
 *     seed, step, row in the whole batch, layer, time, unit
 *
 * alone: 32-bit words, folded one after the other with the finalizer of MurmurHash3. Time and unit are folded
 * in by the kernel (kernels/wasm/assembly/dropout.ts). docs/mathematics.md writes the whole function down.
 */

const START = 0x2545f491;
const GOLDEN = 0x9e3779b1;

const fold = (hash: number, word: number): number => mix(hash ^ Math.imul(word + 1, GOLDEN));

/** The key of a whole batch, from the seed (a safe integer) and the number of the step. */
export function batchKey(seed: number, step: number): number {
  return fold(fold(fold(START, seed >>> 0), Math.floor(seed / 2 ** 32)), step);
}

/** The key of one row's outputs of one layer. */
export const rowKey = (batch: number, row: number, layer: number): number => fold(fold(batch, row), layer);

/** A unit whose bits are below this is dropped. */
export const dropThreshold = (share: number): number => Math.min(Math.round(share * 2 ** 32), 2 ** 32 - 1);

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
