import { type KernelMaker, TILE_ROWS } from '../kernels/kernels.ts';

/**
 * How a batch is cut into lanes. A lane is a run of rows that is computed by one thread, by itself, into gradient
 * buffers of its own; the plan depends on the batch and the model only, never on the number of threads, and that is
 * why the results do not either.
 */

/** More lanes than this gain nothing on 64 cores and cost a gradient buffer each. */
const MAX_LANES = 64;
/** The lanes' gradient buffers take at most this much memory together, a single lane excepted. */
const LANE_GRADIENT_BYTES = 64 * 2 ** 20;
/** A lane works through its rows in blocks of at most this many, so that a block's activations stay in cache. */
export const BLOCK_ROWS = 16;

/** Of so few weights a tile's step is less work than calling for it. */
const FEW_WEIGHTS = 512;

/**
 * Rows of the smallest lanes: a tile, or two where its work is not worth the calls. Those of a BLAS cost more in any case; of few
 * weights it is two where that makes one lane or pairs of them, of which two threads get equal shares.
 * @param weights of the first cell
 */
export function smallestLane(maker: KernelMaker, rows: number, weights: number): number {
  const two = 2 * TILE_ROWS;
  const lanes = Math.ceil(rows / two);
  const isShared = lanes === 1 || lanes % 2 === 0;
  return maker === 'blas' || (weights <= FEW_WEIGHTS && isShared) ? two : TILE_ROWS;
}

/** Lanes of a batch: as many as there are smallest lanes, 64 at most, fewer where their gradient buffers are too large. */
export function laneCount(rows: number, gradientBytes: number, laneRows: number): number {
  const affordable = Math.max(1, Math.floor(LANE_GRADIENT_BYTES / gradientBytes));
  return Math.min(Math.ceil(rows / laneRows), MAX_LANES, affordable);
}

/** First row of a lane, in the batch's order of lengths; lane `lanes` begins where the last one ends. */
export function laneStart(lane: number, lanes: number, rows: number): number {
  const tiles = Math.ceil(rows / TILE_ROWS);
  return Math.min(rows, Math.floor((lane * tiles) / lanes) * TILE_ROWS);
}

/** Rows of the largest block of the largest lane, in whole tiles. */
export function largestBlock(rows: number, lanes: number): number {
  const tiles = Math.ceil(rows / TILE_ROWS);
  return Math.min(BLOCK_ROWS, Math.ceil(tiles / lanes) * TILE_ROWS);
}

/** Blocks of the largest lane. */
export function blocksPerLane(rows: number, lanes: number): number {
  const tiles = Math.ceil(rows / TILE_ROWS);
  return Math.ceil((Math.ceil(tiles / lanes) * TILE_ROWS) / BLOCK_ROWS);
}

/**
 * The rows of a batch from the longest to the shortest, equal lengths in the caller's order: counting sort,
 * O(rows + longest), for it runs in every step.
 */
export function orderByLength(lengths: Int32Array, rows: number, longest: number, order: Int32Array): void {
  const first = new Int32Array(longest + 2);
  for (let row = 0; row < rows; row++) first[longest - lengths[row] + 1]++;
  for (let gap = 0; gap <= longest; gap++) first[gap + 1] += first[gap];
  for (let row = 0; row < rows; row++) order[first[longest - lengths[row]]++] = row;
}
