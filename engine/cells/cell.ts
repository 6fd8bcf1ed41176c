import { type Dtype, type Kernels, type Nonlinearity, type Panels, panelsFor } from '../kernels/kernels.ts';

/**
 * What the engine knows of a recurrent cell. Every step makes z_t, `gates` times [H], of a frame and of the states before, and
 * `states` times [H] of z_t. The parameters follow from the number of gates, as in PyTorch's RNN, GRU and LSTM:
 *
 *     W_ih [gates · H, I]     W_hh [gates · H, H]     b_ih, b_hh [gates · H]
 *
 * What is made for each gate is a matrix of its own: dz, and the packed weights.
 */

/**
 * A kind of cell, over all time steps of one block of rows. Of what it writes, columns past H are zero, like those of what it
 * reads: matmuls go over whole panels. A row keeps its states at steps where it has no frame, and its dz is zero there.
 */
export interface CellKind {
  readonly gates: number;
  /** States [H] that go from step to step: the first is h, which the layer above and the output layer read. */
  readonly states: number;
  /** Further arrays [steps · rows, H] it keeps from the way forward for the way back. */
  readonly saved: number;
  /** Packed rows of biases [H]. */
  readonly biasRows: number;
  /** Whether its forward takes blocks of one row, too, where there are RowKernels. */
  readonly takesRows: boolean;
  packBiases(kernels: Kernels, sizes: CellSizes, packed: PackedCell, from: CellArrays): void;
  /** Fills the states from the initial ones; `fromRest` says that these are zeros. */
  forward(run: CellRun, fromRest: boolean): void;
  /**
   * In: d = ∂L/∂h_t from above, every step [steps · rows, H], 0 where a row has no frame. Out: of each gate the dz that W_ih and
   * b_ih are multiplied with [steps · rows, H]. The dz of a single gate lies where d does.
   */
  backward(run: CellRun, d: Panels, dz: readonly Panels[]): void;
  /**
   * Sums of the gradients over all rows and steps, to their arrays, or onto them where `add`. `outerProduct` may only promise its
   * result here: one product for each part of an array, whose operands stay as they are.
   */
  weightGradients(run: CellRun, dz: readonly Panels[], gradients: CellArrays, target: SumTarget): void;
  /** dx_t = dz_t W_ih for all steps, one part of it; onto dx where `add`. */
  inputGradient(run: CellRun, dz: readonly Panels[], part: number, dx: Panels, add: boolean): void;
  /**
   * Gradients of the initial states, one array [rows, H] a state, from what backward was given and has made; `dzFirst` is room for
   * the dz of each row's first step.
   */
  initialGradients(
    run: CellRun,
    d: Panels,
    dz: readonly Panels[],
    dzFirst: readonly Panels[],
    dStates: readonly Panels[],
  ): void;
}

/** How sums are written. */
export interface SumTarget {
  readonly add: boolean;
  /** Whether all initial states are zeros: their step adds nothing to dW_hh. */
  readonly fromRest: boolean;
}

/** Sizes of one cell, and what it computes. Its input comes in parts: the states of each direction of the layer below. */
export interface CellSizes {
  readonly parts: number;
  /** Width of one part. */
  readonly partSize: number;
  readonly partPanels: number;
  readonly hiddenSize: number;
  readonly hiddenPanels: number;
  readonly dtype: Dtype;
  readonly nonlinearity: Nonlinearity;
  readonly bias: boolean;
}

/** What may differ from cell to cell of a kind. */
export type CellVariant = Pick<CellSizes, 'nonlinearity' | 'bias'>;

export function cellSizes(
  partSize: number,
  hiddenSize: number,
  dtype: Dtype,
  { nonlinearity, bias }: CellVariant,
  parts = 1,
): CellSizes {
  return {
    ...{ parts, partSize, hiddenSize, dtype, nonlinearity, bias },
    partPanels: panelsFor(partSize, dtype),
    hiddenPanels: panelsFor(hiddenSize, dtype),
  };
}

/** Addresses of a cell's parameters, or of their gradients. Those of biases mean nothing where the cell has none. */
export interface CellArrays {
  W_ih: number;
  W_hh: number;
  b_ih: number;
  b_hh: number;
}

/** Addresses of one gate's weights as the matmuls read them. */
export interface PackedGate {
  /** W_ihᵀ, part by part, and W_hhᵀ, for the way forward. */
  readonly W_ihT: readonly number[];
  readonly W_hhT: number;
  /** W_ih and W_hh, for the way back. */
  readonly W_ih: readonly number[];
  readonly W_hh: number;
}

/** A cell's packed weights. */
export interface PackedCell {
  readonly gates: readonly PackedGate[];
  /** Rows of biases as the kind adds them, padded; zeros where the cell has none. */
  readonly biases: readonly number[];
}

/** One block of rows on its way through a cell. Step t's rows begin t · rows rows into `x` and `d`. */
export interface CellBlock {
  /** Rows, in whole tiles of 4; or one, see RowKernels. */
  readonly rows: number;
  readonly steps: number;
  readonly reverse: boolean;
  /** [steps · rows, part] for each part. */
  readonly x: readonly Panels[];
  /** h first, each [(steps + 1) · rows, H]: the initial state, then one a step; in reverse the initial state comes last. */
  readonly states: readonly Panels[];
  /** What the kind keeps besides, each [steps · rows, H]. */
  readonly saved: readonly Panels[];
}

/** A cell at work on a block of rows, longest rows first. */
export interface CellRun {
  readonly kernels: Kernels;
  readonly sizes: CellSizes;
  readonly packed: PackedCell;
  readonly block: CellBlock;
  readonly lengths: Lengths;
  readonly scratch: Scratch;
}

/** Frames of each row of a block, the longest first; rows behind them only fill the last tile up. */
export type Lengths = Int32Array;

export const EDGE_BYTES = 128;

/** Where sums over rows go that stick out of their array, and what a matmul without a bias starts from. */
export interface Scratch {
  /** EDGE_BYTES of this thread's own. */
  readonly edge: number;
  /** 32 bytes of zeros. */
  readonly zeros: number;
}

export const fromRow = ({ at, stride, pitch }: Panels, row: number): Panels => ({
  at: at + row * pitch,
  stride,
  pitch,
});

/** The states that the frames make, from frame 0 on. */
export function madeStates({ states, reverse, rows }: CellBlock, state = 0): Panels {
  return reverse ? states[state] : fromRow(states[state], rows);
}

/** The states that the frames find, from frame 0 on. */
export function foundStates({ states, reverse, rows }: CellBlock, state = 0): Panels {
  return reverse ? fromRow(states[state], rows) : states[state];
}

/** The state each row begins with, and the one it ends with [rows, H]. */
export function initialStates({ states, reverse, rows, steps }: CellBlock, state = 0): Panels {
  return reverse ? fromRow(states[state], steps * rows) : states[state];
}

export function finalStates({ states, reverse, rows, steps }: CellBlock, state = 0): Panels {
  return reverse ? states[state] : fromRow(states[state], steps * rows);
}

/** Rows that have a frame at step t: the first so many. */
export function rowsAt(lengths: Lengths, t: number): number {
  let rows = lengths.length;
  while (rows > 0 && lengths[rows - 1] <= t) rows--;
  return rows;
}
