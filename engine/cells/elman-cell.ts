import {
  type Dtype,
  type Kernels,
  type Nonlinearity,
  PANEL_BYTES,
  type Panels,
  panelColumns,
  panelsFor,
  realBytes,
  rowGroups,
} from '../kernels/kernels.ts';

/**
 * The Elman cell (J. L. Elman, "Finding Structure in Time", 1990; the equations of
 * https://pytorch.org/docs/stable/generated/torch.nn.RNNCell.html) over all time steps of one block of rows, φ being
 * tanh or relu:
 *
 *     h_t = φ(x_t W_ihᵀ + b_ih + h_{t−1} W_hhᵀ + b_hh)
 *     dz_t = dh_t ∘ φ′(z_t)             dh_{t−1} += dz_t W_hh          dx_t = dz_t W_ih
 *     dW_ih += Σ_t dz_tᵀ x_t            dW_hh += Σ_t dz_tᵀ h_{t−1}     db_ih = db_hh += Σ_t Σ_rows dz_t
 *
 * φ′ is 1 − h_t² for tanh; for relu 1 where h_t > 0, else 0. Everything that does not depend on the step before is one
 * matmul over all steps. A cell that reads in reverse starts at each row's own last frame: t − 1 above is t + 1 then.
 * A row keeps its state at steps where it has no frame.
 */

/** Sizes of one cell, and what it computes. Its input comes in parts: the states of each direction of the layer below. */
export interface CellSizes {
  readonly parts: number;
  /** Width of one part. */
  readonly partSize: number;
  readonly partPanels: number;
  readonly hiddenSize: number;
  readonly hiddenPanels: number;
  readonly nonlinearity: Nonlinearity;
  readonly bias: boolean;
}

/** What kind of cell it is. */
export type CellKind = Pick<CellSizes, 'nonlinearity' | 'bias'>;

export function cellSizes(
  partSize: number,
  hiddenSize: number,
  dtype: Dtype,
  { nonlinearity, bias }: CellKind,
  parts = 1,
): CellSizes {
  return {
    ...{ parts, partSize, hiddenSize, nonlinearity, bias },
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

/** Addresses of a cell's weights as the matmuls read them. */
export interface PackedCell {
  /** W_ihᵀ, part by part, and W_hhᵀ, for the way forward. */
  readonly W_ihT: readonly number[];
  readonly W_hhT: number;
  /** W_ih and W_hh, for the way back. */
  readonly W_ih: readonly number[];
  readonly W_hh: number;
  /** b_ih + b_hh, padded; zeros where the cell has no biases. */
  readonly bias: number;
}

/** One block of rows on its way through a cell. Step t's rows begin t · rows rows into `x` and `d`. */
export interface CellBlock {
  /** Rows, in whole tiles of 4. */
  readonly rows: number;
  readonly steps: number;
  readonly reverse: boolean;
  /** [steps · rows, part] for each part. */
  readonly x: readonly Panels[];
  /** [(steps + 1) · rows, hidden]: the initial state, then one a step; in reverse the initial state comes last. */
  readonly h: Panels;
}

/** Bytes of a cell's packed weights, array by array; of one part where they come in parts. */
export function packedCellBytes(sizes: CellSizes, dtype: Dtype): Record<keyof PackedCell, number> {
  const columns = panelColumns(dtype);
  const input = sizes.partPanels * columns * sizes.hiddenPanels * PANEL_BYTES;
  const hidden = sizes.hiddenPanels * columns * sizes.hiddenPanels * PANEL_BYTES;
  return { W_ihT: input, W_hhT: hidden, W_ih: input, W_hh: hidden, bias: sizes.hiddenPanels * PANEL_BYTES };
}

/** Packs `count` parameters that lie one behind the other; `from` says where. */
export interface PackPiece<From> {
  readonly count: number;
  readonly pack: (kernels: Kernels, from: From) => void;
}

/**
 * Packing a cell's parameters, in pieces that any thread may do in any order. The pieces come in the order of `CellArrays`,
 * which is that of memory: rows of W_ih, rows of W_hh, the biases.
 */
export function packCellPieces(
  sizes: CellSizes,
  packed: PackedCell,
  dtype: Dtype,
): readonly PackPiece<CellArrays>[] {
  const { parts, partSize, hiddenSize, bias } = sizes;
  const width = parts * partSize;
  const groups = rowGroups(hiddenSize, dtype);
  const input = groups.map(
    ({ group, rows }): PackPiece<CellArrays> => ({
      count: rows * width,
      pack: (k, { W_ih }) => {
        for (let part = 0; part < parts; part++) {
          const from = W_ih + part * partSize * realBytes(dtype);
          k.packTransposed(packed.W_ihT[part], from, hiddenSize, partSize, width, group);
          k.packPlain(packed.W_ih[part], from, hiddenSize, partSize, width, group);
        }
      },
    }),
  );
  const hidden = groups.map(
    ({ group, rows }): PackPiece<CellArrays> => ({
      count: rows * hiddenSize,
      pack: (k, { W_hh }) => {
        k.packTransposed(packed.W_hhT, W_hh, hiddenSize, hiddenSize, hiddenSize, group);
        k.packPlain(packed.W_hh, W_hh, hiddenSize, hiddenSize, hiddenSize, group);
      },
    }),
  );
  const biases: PackPiece<CellArrays> = {
    count: 2 * hiddenSize,
    pack: (k, { b_ih, b_hh }) => k.packBias(packed.bias, b_ih, b_hh, hiddenSize),
  };
  return bias ? [...input, ...hidden, biases] : [...input, ...hidden];
}

/** Bytes from one step's rows to the next one's. */
const stepBytes = ({ rows, h }: CellBlock): number => rows * h.pitch;

const fromRow = (panels: Panels, row: number): Panels => ({ ...panels, at: panels.at + row * panels.pitch });

/** The states that the frames make, from frame 0 on. */
export function madeStates({ h, reverse, rows }: CellBlock): Panels {
  return reverse ? h : fromRow(h, rows);
}

/** The states that the frames find, from frame 0 on. */
function foundStates({ h, reverse, rows }: CellBlock): Panels {
  return reverse ? fromRow(h, rows) : h;
}

/** The state each row begins with, and the one it ends with [rows, hidden]. */
export function initialStates({ h, reverse, rows, steps }: CellBlock): Panels {
  return reverse ? fromRow(h, steps * rows) : h;
}

export function finalStates({ h, reverse, rows, steps }: CellBlock): Panels {
  return reverse ? h : fromRow(h, steps * rows);
}

/** Frames of each row of a block, the longest first; rows behind them only fill the last tile up. */
export type Lengths = Int32Array;

/** Rows that have a frame at step t: the first so many. */
function rowsAt(lengths: Lengths, t: number): number {
  let rows = lengths.length;
  while (rows > 0 && lengths[rows - 1] <= t) rows--;
  return rows;
}

/**
 * A nonlinearity's kernels: of the step that starts from zeros or ends the sequence, and of every other one. Whole names: to
 * join them would make strings in every lane.
 */
const STEP_KERNELS = {
  tanh: {
    forward: ['tanhForward', 'tanhStep'],
    backward: ['tanhBackward', 'tanhStepBackward'],
  },
  relu: {
    forward: ['reluForward', 'reluStep'],
    backward: ['reluBackward', 'reluStepBackward'],
  },
} as const;

/** A cell at work on a block of rows, longest rows first. */
export interface CellRun {
  readonly kernels: Kernels;
  readonly sizes: CellSizes;
  readonly packed: PackedCell;
  readonly block: CellBlock;
  readonly lengths: Lengths;
  readonly scratch: Scratch;
}

/** Fills h from its initial states; `fromRest` says that they are zeros. */
export function cellForward({ kernels: k, sizes, packed, block, lengths }: CellRun, fromRest: boolean): void {
  const { partPanels, hiddenPanels, nonlinearity } = sizes;
  const { rows, steps, x, reverse } = block;
  const made = madeStates(block);
  const found = foundStates(block);
  const { stride, pitch } = made;
  const step = stepBytes(block);
  const all = steps * rows;
  k.project(
    made.at,
    stride,
    all,
    hiddenPanels,
    x[0].at,
    x[0].stride,
    partPanels,
    packed.W_ihT[0],
    packed.bias,
  );
  for (let part = 1; part < x.length; part++) {
    const { at, stride: xStride } = x[part];
    k.accumulate(made.at, stride, all, hiddenPanels, at, xStride, partPanels, packed.W_ihT[part]);
  }
  const [first, next] = STEP_KERNELS[nonlinearity].forward;
  for (let i = 0; i < steps; i++) {
    const t = reverse ? steps - 1 - i : i;
    const to = made.at + t * step;
    const from = found.at + t * step;
    if (i === 0 && fromRest) k[first](to, stride, rows, hiddenPanels);
    else k[next](to, stride, rows, hiddenPanels, from, stride, hiddenPanels, packed.W_hhT);
    for (let row = rowsAt(lengths, t); row < rows; row++) {
      k.copyRow(to + row * pitch, stride, from + row * pitch, stride, hiddenPanels);
    }
  }
}

export const EDGE_BYTES = 128;

/** Where sums over rows go that stick out of their array, and what a matmul without a bias starts from. */
export interface Scratch {
  /** EDGE_BYTES of this thread's own. */
  readonly edge: number;
  /** 32 bytes of zeros. */
  readonly zeros: number;
}

/** In: d = ∂L/∂h_t from above, every step [steps · rows, hidden], 0 where a row has no frame. Out: d = dz_t. */
export function cellBackward({ kernels: k, sizes, packed, block, lengths }: CellRun, d: Panels): void {
  const { hiddenPanels, nonlinearity } = sizes;
  const { rows, steps, reverse } = block;
  const { at: h, stride: hStride } = madeStates(block);
  const { stride } = d;
  const step = stepBytes(block);
  const [first, next] = STEP_KERNELS[nonlinearity].backward;
  for (let i = 0; i < steps; i++) {
    const t = reverse ? i : steps - 1 - i;
    const at = d.at + t * step;
    const after = reverse ? at - step : at + step;
    const h_t = h + t * step;
    if (i === 0) k[first](at, stride, h_t, hStride, rows, hiddenPanels);
    else k[next](at, stride, rows, hiddenPanels, after, stride, hiddenPanels, packed.W_hh, h_t, hStride);
    // What flows on behind a row's last frame is the gradient of its initial state, no step's.
    if (!reverse) continue;
    const active = rowsAt(lengths, t);
    k.zeroRows(at + active * d.pitch, stride, d.pitch, rows - active, hiddenPanels);
  }
}

/**
 * Adds Σ_t dz_tᵀ x_t and so on to `gradients` (or writes it there, unless `add`). `fromRest` says that the initial states
 * are zeros: their step adds nothing to dW_hh.
 */
export function cellWeightGradients(
  { kernels: k, sizes, block, scratch }: CellRun,
  dtype: Dtype,
  dz: Panels,
  gradients: CellArrays,
  { add, fromRest }: { readonly add: boolean; readonly fromRest: boolean },
): void {
  const { parts, partSize, hiddenSize, bias } = sizes;
  const bytes = realBytes(dtype);
  const depth = block.rows * block.steps;
  const { edge } = scratch;
  const onto = add ? 1 : 0;
  const product = (to: number, width: number, columns: number, left: Panels, right: Panels, rows: number) =>
    k.outerProduct(
      to,
      width * bytes,
      hiddenSize,
      columns,
      left.at,
      left.stride,
      right.at,
      right.stride,
      rows,
      edge,
      onto,
    );
  block.x.forEach((x, part) => {
    product(gradients.W_ih + part * partSize * bytes, parts * partSize, partSize, dz, x, depth);
  });
  // A sum over no rows would write nothing: the only step of a block is never left out.
  const leftOut = fromRest && block.steps > 1 ? block.rows : 0;
  // In reverse the first step is the last in memory.
  const first = block.reverse ? 0 : leftOut;
  const left = fromRow(dz, first);
  const right = fromRow(foundStates(block), first);
  product(gradients.W_hh, hiddenSize, hiddenSize, left, right, depth - leftOut);
  if (!bias) return;
  k.sumRows(gradients.b_ih, gradients.b_hh, hiddenSize, dz.at, dz.stride, dz.pitch, depth, edge, onto);
}

/** dx_t = dz_t W_ih for all steps, one part of it: the gradient of the layer below, or of the input; onto dx where `add`. */
export function cellInputGradient(
  { kernels: k, sizes, packed, block, scratch }: CellRun,
  dz: Panels,
  part: number,
  dx: Panels,
  add: boolean,
): void {
  const rows = block.rows * block.steps;
  const { partPanels, hiddenPanels } = sizes;
  const { [part]: W_ih } = packed.W_ih;
  if (add) k.accumulate(dx.at, dx.stride, rows, partPanels, dz.at, dz.stride, hiddenPanels, W_ih);
  else k.multiply(dx.at, dx.stride, rows, partPanels, dz.at, dz.stride, hiddenPanels, W_ih, scratch.zeros);
}

/** dz_first W_hh: the gradient of the initial states. `dzFirst` is room for the dz of each row's first step. */
export function cellInitialGradient(
  { kernels: k, sizes, packed, block, lengths, scratch }: CellRun,
  dz: Panels,
  dzFirst: Panels,
  dh: Panels,
): void {
  const { hiddenPanels } = sizes;
  const { rows, reverse } = block;
  const first = reverse ? dzFirst : dz;
  if (reverse) {
    for (let row = 0; row < lengths.length; row++) {
      const from = dz.at + ((lengths[row] - 1) * rows + row) * dz.pitch;
      k.copyRow(dzFirst.at + row * dzFirst.pitch, dzFirst.stride, from, dz.stride, hiddenPanels);
    }
  }
  k.multiply(
    dh.at,
    dh.stride,
    rows,
    hiddenPanels,
    first.at,
    first.stride,
    hiddenPanels,
    packed.W_hh,
    scratch.zeros,
  );
}
