/** The arithmetic of the engine: what a lane is computed with. Addresses are bytes in the model's memory. */

export type Dtype = 'float32' | 'float64';

/** Bytes of one row of a panel, in either data type. */
export const PANEL_BYTES = 32;
/** Rows of a tile: row counts given to the kernels are multiples of it. */
export const TILE_ROWS = 4;

export const realBytes = (dtype: Dtype): 4 | 8 => (dtype === 'float32' ? 4 : 8);

/** Columns of a panel: 8 for float32, 4 for float64. */
export const panelColumns = (dtype: Dtype): 4 | 8 => (dtype === 'float32' ? 8 : 4);

/** Panels that hold `width` columns. */
export const panelsFor = (width: number, dtype: Dtype): number => Math.ceil(width / panelColumns(dtype));

/** Rows in whole tiles. */
export const tiledRows = (rows: number): number => Math.ceil(rows / TILE_ROWS) * TILE_ROWS;

/**
 * Bytes from one panel to the next for `rows` rows (a multiple of 4). An odd number of tiles, so that the panels of
 * one row do not all fall into the same few sets of the cache.
 */
export const panelStride = (rows: number): number => ((rows / TILE_ROWS) | 1) * TILE_ROWS * PANEL_BYTES;

/**
 * What a maker of kernels provides. Matrices of activations lie in panels of 32 bytes of columns,
 * `address(row, panel) = base + panel · stride + row · 32`; weights are packed before use. The AssemblyScript
 * sources beside this file say what each function computes, argument by argument.
 */
export interface Kernels {
  // Between row-major arrays and panels.
  gatherRows(
    dst: number,
    dstStride: number,
    dstStep: number,
    src: number,
    count: number,
    width: number,
  ): void;
  zeroRows(dst: number, dstStride: number, dstStep: number, count: number, panels: number): void;
  copyRow(dst: number, dstStride: number, src: number, srcStride: number, panels: number): void;
  scatterRows(
    dst: number,
    src: number,
    srcStride: number,
    srcStep: number,
    count: number,
    width: number,
    divisor: number,
  ): void;

  // Weights.
  packTransposed(b: number, W: number, n: number, k: number, kPadded: number, first: number): void;
  packPlain(b: number, W: number, k: number, n: number, kPadded: number, first: number): void;
  packBias(sum: number, a: number, b: number, n: number): void;

  // The passes.
  project(
    c: number,
    cStride: number,
    rows: number,
    nPanels: number,
    a: number,
    aStride: number,
    kPanels: number,
    b: number,
    bias: number,
  ): void;
  multiply(
    c: number,
    cStride: number,
    rows: number,
    nPanels: number,
    a: number,
    aStride: number,
    kPanels: number,
    b: number,
    zeros: number,
  ): void;
  tanhStep(
    c: number,
    cStride: number,
    rows: number,
    nPanels: number,
    a: number,
    aStride: number,
    kPanels: number,
    b: number,
  ): void;
  tanhStepBackward(
    d: number,
    dStride: number,
    rows: number,
    nPanels: number,
    a: number,
    aStride: number,
    kPanels: number,
    b: number,
    h: number,
    hStride: number,
  ): void;
  tanhBackward(d: number, dStride: number, h: number, hStride: number, rows: number, panels: number): void;
  outerProduct(
    c: number,
    cRow: number,
    m: number,
    n: number,
    a: number,
    aStride: number,
    b: number,
    bStride: number,
    depth: number,
    edge: number,
    add: number,
  ): void;
  sumRows(
    sums: number,
    width: number,
    src: number,
    srcStride: number,
    rows: number,
    edge: number,
    add: number,
  ): void;
  softmaxRow(row: number, width: number, sums: number): void;

  // After the lanes.
  addLanes(first: number, stride: number, count: number, bytes: number): void;
  average(out: number, sum: number, old: number, divisor: number, bytes: number): void;
  squaredNorm(x: number, bytes: number): number;
  sgd(
    pNew: number,
    p: number,
    g: number,
    mNew: number,
    m: number,
    bytes: number,
    scale: number,
    rate: number,
    momentum: number,
    decay: number,
    nesterov: number,
  ): void;
  adam(
    pNew: number,
    p: number,
    g: number,
    mNew: number,
    m: number,
    vNew: number,
    v: number,
    bytes: number,
    scale: number,
    rateOverC1: number,
    b1: number,
    oneMinusB1: number,
    b2: number,
    oneMinusB2: number,
    root2: number,
    eps: number,
    decay: number,
    shrink: number,
  ): void;
  rmsprop(
    pNew: number,
    p: number,
    g: number,
    mNew: number,
    m: number,
    vNew: number,
    v: number,
    bytes: number,
    scale: number,
    rate: number,
    alpha: number,
    oneMinusAlpha: number,
    eps: number,
    momentum: number,
    decay: number,
  ): void;

  /** The micro-kernel alone, for benchmarks. */
  bareTile(c: number, a: number, kPanels: number, b: number, times: number): void;
}
