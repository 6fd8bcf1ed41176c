import type { Kernels, Nonlinearity } from '../kernels/kernels.ts';
import { type Panels, panelsFor } from '../kernels/layout.ts';
import type { Dtype } from '../numeric/reals.ts';

/**
 * What the engine knows of a recurrent cell. Each step computes the pre-activations z_t, `gates`
 * vectors [H], from a frame and the previous states, and the new states, `states` vectors [H], from
 * z_t. The shapes of the parameters follow from the number of gates, as in PyTorch's RNN, GRU and LSTM:
 *
 *     W_ih [gates · H, I]     W_hh [gates · H, H]     b_ih, b_hh [gates · H]
 *
 * What is computed for each gate, dz and the packed weights, is a matrix of its own.
 */

/**
 * A kind of cell. Its methods process all time steps of one block of rows. In everything they read,
 * columns past H are zero, and must be in everything they write: matmuls go over whole panels. At steps
 * where a row has no frame it keeps its states, and its dz is zero.
 */
export interface CellKind {
  readonly gates: number;
  /**
   * State vectors [H] that are carried from step to step. The first is h, which the layer above and the
   * output layer read.
   */
  readonly states: number;
  /** Further arrays [steps · rows, H] that `forward` keeps for `backward`. */
  readonly saved: number;
  /** Number of packed rows of biases [H]. */
  readonly biasRows: number;
  /** Whether `forward` also takes blocks of a single row, where the kernels have RowKernels. */
  readonly takesRows: boolean;
  packBiases(kernels: Kernels, sizes: CellSizes, packed: PackedCell, from: CellAddresses): void;
  /** Computes the states from the initial ones, which are zero where `fromRest`. */
  forward(run: CellRun, fromRest: boolean): void;
  /**
   * In: d = ∂L/∂h_t from above, for every step [steps · rows, H], 0 where a row has no frame. Out: for each gate
   * the dz that W_ih and b_ih are multiplied with [steps · rows, H]. The dz of a single gate takes the place of d.
   */
  backward(run: CellRun, d: Panels, dz: readonly Panels[]): void;
  /**
   * Writes the gradients, summed over all rows and steps, to their arrays; adds them where `add`. Here
   * `outerProduct` may defer its result (see shared-products.ts): so each part of an array is a single
   * product, whose operands must stay unchanged.
   */
  weightGradients(run: CellRun, dz: readonly Panels[], gradients: CellAddresses, target: SumTarget): void;
  /** dx_t = dz_t W_ih of one part of the input, for all steps; added to dx where `add`. */
  inputGradient(run: CellRun, dz: readonly Panels[], part: number, dx: Panels, add: boolean): void;
  /**
   * Computes the gradients of the initial states, one array [rows, H] for each, from what `backward`
   * was given and has computed; `dzFirst` is room for the dz of each row's first step.
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
  /** Whether all initial states are zero: the first step then adds nothing to dW_hh. */
  readonly fromRest: boolean;
}

/** Sizes and variant of one cell. Its input comes in parts: one for each direction of the layer below. */
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
    parts,
    partSize,
    hiddenSize,
    dtype,
    nonlinearity,
    bias,
    partPanels: panelsFor(partSize, dtype),
    hiddenPanels: panelsFor(hiddenSize, dtype),
  };
}

/** Addresses of a cell's parameters, or of their gradients. Those of biases mean nothing where the cell has none. */
export interface CellAddresses {
  W_ih: number;
  W_hh: number;
  b_ih: number;
  b_hh: number;
}

/** Addresses of one gate's weights as the matmuls read them. */
export interface PackedGate {
  /** W_ihᵀ, part by part, and W_hhᵀ, for the forward pass. */
  readonly W_ihT: readonly number[];
  readonly W_hhT: number;
  /** W_ih, part by part, and W_hh, for the backward pass. */
  readonly W_ih: readonly number[];
  readonly W_hh: number;
}

/** A cell's packed weights. */
export interface PackedCell {
  readonly gates: readonly PackedGate[];
  /** Rows of biases as the kind adds them, padded; zeros where the cell has none. */
  readonly biases: readonly number[];
}

/** The arrays of one block of rows in a cell. The rows of step t begin at row t · rows of `x` and of gradients. */
export interface CellBlock {
  /** Rows, in whole tiles of 4; or one, see RowKernels. */
  readonly rows: number;
  readonly steps: number;
  readonly reverse: boolean;
  /** [steps · rows, part] for each part. */
  readonly x: readonly Panels[];
  /**
   * The states, h first, each [(steps + 1) · rows, H]: the initial state, then one for each step; in
   * reverse the initial state comes last.
   */
  readonly states: readonly Panels[];
  /** Further arrays that the kind keeps, each [steps · rows, H]. */
  readonly saved: readonly Panels[];
}

/** What a cell needs to process a block of rows, the longest first. */
export interface CellRun {
  readonly kernels: Kernels;
  readonly sizes: CellSizes;
  readonly packed: PackedCell;
  readonly block: CellBlock;
  readonly lengths: Lengths;
  readonly scratch: Scratch;
}

/** Number of frames of each row of a block, the longest first. Rows past the last one only fill up its tile. */
export type Lengths = Int32Array;

export const EDGE_BYTES = 128;

/** Memory for results that reach past the end of their array, and what a matmul without a bias starts from. */
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

/** The state after each frame, from frame 0 on. */
export function statesAfter({ states, reverse, rows }: CellBlock, state = 0): Panels {
  return reverse ? states[state] : fromRow(states[state], rows);
}

/** The state before each frame, from frame 0 on. */
export function statesBefore({ states, reverse, rows }: CellBlock, state = 0): Panels {
  return reverse ? fromRow(states[state], rows) : states[state];
}

/** The state that each row begins with [rows, H]. */
export function initialStates({ states, reverse, rows, steps }: CellBlock, state = 0): Panels {
  return reverse ? fromRow(states[state], steps * rows) : states[state];
}

/** The state that each row ends with [rows, H]. */
export function finalStates({ states, reverse, rows, steps }: CellBlock, state = 0): Panels {
  return reverse ? states[state] : fromRow(states[state], steps * rows);
}

/** Number of rows that have a frame at step t; they are the first ones. */
export function rowsAt(lengths: Lengths, t: number): number {
  let rows = lengths.length;
  while (rows > 0 && lengths[rows - 1] <= t) rows--;
  return rows;
}
