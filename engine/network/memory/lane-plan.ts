import { TILE_ROWS } from '../../kernels/layout.ts';
import type { KernelMaker } from '../../kernels/makers.ts';

/**
 * How a batch is cut into lanes. A lane is a run of rows that one thread computes by itself, into a
 * gradient buffer of its own. The plan depends on the batch and the model only, never on the number of
 * threads; that is why the results do not either.
 */

/** More lanes than this gain nothing on 64 cores and cost a gradient buffer each. */
const MAX_LANES = 64;
/** The lanes' gradient buffers take at most this much memory together, a single lane excepted. */
const LANE_GRADIENT_BYTES = 64 * 2 ** 20;
/** A lane works through its rows in blocks of at most this many, so that a block's activations stay in cache. */
export const BLOCK_ROWS = 16;

/** With no more weights than this, the work of a tile's step is less than that of calling its kernels. */
const FEW_WEIGHTS = 512;

/**
 * Rows of the smallest lanes: one tile, or two where the work of one is not worth its kernel calls.
 * With a BLAS, whose calls cost more, it is always two; with few weights only where that makes a single
 * lane or an even number of them, which two threads can share equally.
 * @param weights number of weights of the first cell
 */
export function smallestLane(maker: KernelMaker, rows: number, weights: number): number {
  const two = 2 * TILE_ROWS;
  const lanes = Math.ceil(rows / two);
  const isShared = lanes === 1 || lanes % 2 === 0;
  return maker === 'blas' || (weights <= FEW_WEIGHTS && isShared) ? two : TILE_ROWS;
}

/**
 * Number of lanes of a batch: one for every `laneRows` rows, 64 at most, fewer where their gradient
 * buffers are too large.
 */
export function laneCount(rows: number, gradientBytes: number, laneRows: number): number {
  const affordable = Math.max(1, Math.floor(LANE_GRADIENT_BYTES / gradientBytes));
  return Math.min(Math.ceil(rows / laneRows), MAX_LANES, affordable);
}

/** First row of a lane, with the batch sorted by length; for lane `lanes`, the end of the last one. */
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
