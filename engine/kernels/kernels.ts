/**
 * The arithmetic of the engine: the kernels that lanes are computed with. Addresses are bytes in the model's memory.
 */

/** Activation function of a cell. */
export const NONLINEARITIES = ['tanh', 'relu'] as const;
export type Nonlinearity = (typeof NONLINEARITIES)[number];

/**
 * Kernels for a single row of consecutive values. They give the same bits as those for tiles, without
 * computing the three unused rows of one.
 */
export interface RowKernels {
  /** c = bias + a B */
  projectRow(c: number, nPanels: number, a: number, kPanels: number, b: number, bias: number): void;
  /** c ← c + a B */
  accumulateRow(c: number, nPanels: number, a: number, kPanels: number, b: number): void;
  /** c ← tanh(c + a B) */
  tanhStepRow(c: number, nPanels: number, a: number, kPanels: number, b: number): void;
  /** c ← relu(c + a B) */
  reluStepRow(c: number, nPanels: number, a: number, kPanels: number, b: number): void;
}

/** The kernels for a block of a single row; null for other blocks, which are computed in tiles. */
export const rowKernelsFor = ({ row }: Kernels, rows: number): RowKernels | null => (rows === 1 ? row : null);

export type StepKernel = (
  c: number,
  cStride: number,
  rows: number,
  nPanels: number,
  a: number,
  aStride: number,
  kPanels: number,
  b: number,
) => void;

export type ForwardKernel = (c: number, cStride: number, rows: number, panels: number) => void;

export type StepBackwardKernel = (
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
) => void;

export type BackwardKernel = (
  d: number,
  dStride: number,
  h: number,
  hStride: number,
  rows: number,
  panels: number,
) => void;

/**
 * What a maker provides. Row counts are multiples of 4. Weights are packed before use, a panel's width of their rows
 * at a time. The AssemblyScript sources in wasm/assembly say what each function computes, argument by argument.
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
  /** dst_i += scale · src_i; a step may be 0. */
  addRows(
    dst: number,
    dstStride: number,
    dstStep: number,
    src: number,
    srcStride: number,
    srcStep: number,
    count: number,
    panels: number,
    scale: number,
  ): void;
  /** x_i ← (x_i − mean) / std. */
  normalizeRows(
    x: number,
    stride: number,
    step: number,
    count: number,
    panels: number,
    mean: number,
    std: number,
  ): void;
  /** dst_t ← src_t ∘ mask_t. */
  dropRows(
    dst: number,
    dstStride: number,
    dstStep: number,
    src: number,
    srcStride: number,
    srcStep: number,
    count: number,
    panels: number,
    key: number,
    firstUnit: number,
    threshold: number,
    scale: number,
  ): void;
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
  /**
   * Packs a panel's width of the rows of W [n, k], which lie `width` elements apart, as panel `panel`
   * of B = Wᵀ; b is the address of all of B.
   */
  packTransposed(b: number, W: number, n: number, k: number, width: number, panel: number): void;
  /** Packs the same rows of W [k, n] into B = W, where they are rows of every panel. */
  packPlain(b: number, W: number, k: number, n: number, width: number, panel: number): void;
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
  /** c += a B */
  accumulate: StepKernel;
  tanhForward: ForwardKernel;
  reluForward: ForwardKernel;
  tanhStep: StepKernel;
  reluStep: StepKernel;
  tanhStepBackward: StepBackwardKernel;
  reluStepBackward: StepBackwardKernel;
  tanhBackward: BackwardKernel;
  reluBackward: BackwardKernel;
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
    twin: number,
    width: number,
    src: number,
    srcStride: number,
    srcStep: number,
    rows: number,
    edge: number,
    add: number,
  ): void;
  softmaxRow(row: number, stride: number, width: number, sums: number): number;

  /** Null where the maker has none: to a BLAS a row is like any other matrix. */
  readonly row: RowKernels | null;

  // After the lanes.
  reduceLanes(
    first: number,
    stride: number,
    count: number,
    bytes: number,
    out: number,
    old: number,
    divisor: number,
  ): number;
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
