/** How matrices lie in memory: in panels, in rows, or packed. */
import type { Dtype } from '../numeric/reals.ts';
import type { KernelMaker } from './makers.ts';

/** Bytes of one row of a panel, in either data type. */
export const PANEL_BYTES = 32;
/** Rows of a tile: row counts given to the kernels are multiples of it. */
export const TILE_ROWS = 4;

/** Columns of a panel: 8 for float32, 4 for float64. */
export const panelColumns = (dtype: Dtype): 4 | 8 => (dtype === 'float32' ? 8 : 4);

/** Panels that hold `width` columns. */
export const panelsFor = (width: number, dtype: Dtype): number => Math.ceil(width / panelColumns(dtype));

/** Rows in whole tiles. */
export const tiledRows = (rows: number): number => Math.ceil(rows / TILE_ROWS) * TILE_ROWS;

/**
 * A matrix of activations in memory. Its columns come in panels of 32 bytes, zero past its width:
 * `address(row, panel) = at + panel · stride + row · pitch`.
 */
export interface Panels {
  readonly at: number;
  /** Bytes from panel to panel. */
  readonly stride: number;
  /** Bytes from row to row. */
  readonly pitch: number;
}

/** The layout of consecutive rows, the values of each consecutive. */
export function rowLayout(rows: number, panels: number): Omit<Panels, 'at'> & { bytes: number } {
  const pitch = panels * PANEL_BYTES;
  return { stride: PANEL_BYTES, pitch, bytes: rows * pitch };
}

/**
 * The layout that a maker's kernels need. Those of WebAssembly read panel by panel: the rows of a panel
 * are consecutive, and from panel to panel there is an odd number of tiles, so that the panels of one
 * row do not all fall into the same few sets of the cache. A BLAS needs rows.
 */
export function layoutOf(
  maker: KernelMaker,
  rows: number,
  panels: number,
): Omit<Panels, 'at'> & { bytes: number } {
  if (maker === 'blas') return rowLayout(rows, panels);
  const stride = ((rows / TILE_ROWS) | 1) * TILE_ROWS * PANEL_BYTES;
  return { stride, pitch: PANEL_BYTES, bytes: panels * stride };
}

/** Bytes of a matrix [n, k] that is packed, as it is or transposed. */
export const packedBytes = (n: number, k: number, dtype: Dtype): number =>
  panelsFor(n, dtype) * panelsFor(k, dtype) * panelColumns(dtype) * PANEL_BYTES;

/** The groups of rows of a weight matrix that are packed together: a panel's width each, the last one what is left. */
export const rowGroups = (rows: number, dtype: Dtype): { group: number; rows: number }[] =>
  Array.from({ length: panelsFor(rows, dtype) }, (_, group) => ({
    group,
    rows: Math.min(panelColumns(dtype), rows - group * panelColumns(dtype)),
  }));
