import {
  type Dtype,
  type Kernels,
  PANEL_BYTES,
  type Panels,
  panelColumns,
  panelsFor,
  realBytes,
} from '../kernels/kernels.ts';

/**
 * The Elman cell (J. L. Elman, "Finding Structure in Time", 1990; the equations of
 * https://pytorch.org/docs/stable/generated/torch.nn.RNNCell.html) over all time steps of one block of rows:
 *
 *     h_t = tanh(x_t W_ihᵀ + b_ih + h_{t−1} W_hhᵀ + b_hh)
 *     dz_t = dh_t ∘ (1 − h_t²)          dh_{t−1} += dz_t W_hh          dx_t = dz_t W_ih
 *     dW_ih += Σ_t dz_tᵀ x_t            dW_hh += Σ_t dz_tᵀ h_{t−1}     db_ih = db_hh += Σ_t Σ_rows dz_t
 *
 * Everything that does not depend on the step before is one matmul over all steps.
 */

/** Sizes of one cell. */
export interface CellSizes {
  readonly inputSize: number;
  readonly hiddenSize: number;
  readonly inputPanels: number;
  readonly hiddenPanels: number;
}

export const cellSizes = (inputSize: number, hiddenSize: number, dtype: Dtype): CellSizes => ({
  ...{ inputSize, hiddenSize },
  inputPanels: panelsFor(inputSize, dtype),
  hiddenPanels: panelsFor(hiddenSize, dtype),
});

/** Addresses of a cell's parameters, or of their gradients. */
export interface CellArrays {
  W_ih: number;
  W_hh: number;
  b_ih: number;
  b_hh: number;
}

/** Addresses of a cell's weights as the matmuls read them. */
export interface PackedCell {
  /** W_ihᵀ and W_hhᵀ, for the way forward. */
  readonly W_ihT: number;
  readonly W_hhT: number;
  /** W_ih and W_hh, for the way back. */
  readonly W_ih: number;
  readonly W_hh: number;
  /** b_ih + b_hh, padded. */
  readonly bias: number;
}

/** One block of rows on its way through a cell. Step t's rows begin t · rows rows into `x` and `d`. */
export interface CellBlock {
  /** Rows, in whole tiles of 4. */
  readonly rows: number;
  readonly steps: number;
  /** [steps · rows, input] */
  readonly x: Panels;
  /** [(steps + 1) · rows, hidden]: the initial state, then one a step. */
  readonly h: Panels;
}

/** Bytes of a cell's packed weights, array by array. */
export function packedCellBytes(sizes: CellSizes, dtype: Dtype): Record<keyof PackedCell, number> {
  const columns = panelColumns(dtype);
  const input = sizes.inputPanels * columns * sizes.hiddenPanels * PANEL_BYTES;
  const hidden = sizes.hiddenPanels * columns * sizes.hiddenPanels * PANEL_BYTES;
  return { W_ihT: input, W_hhT: hidden, W_ih: input, W_hh: hidden, bias: sizes.hiddenPanels * PANEL_BYTES };
}

/** Packing, cut into pieces that any thread may do in any order; each reads parameters from `from`. */
export type PackPiece = (kernels: Kernels, from: CellArrays) => void;

export function packCellPieces(sizes: CellSizes, packed: PackedCell): PackPiece[] {
  const { inputSize, hiddenSize, inputPanels, hiddenPanels } = sizes;
  const pieces: PackPiece[] = [(k, from) => k.packBias(packed.bias, from.b_ih, from.b_hh, hiddenSize)];
  for (let p = 0; p < hiddenPanels; p++) {
    pieces.push(
      (k, from) => k.packTransposed(packed.W_ihT, from.W_ih, hiddenSize, inputSize, p),
      (k, from) => k.packTransposed(packed.W_hhT, from.W_hh, hiddenSize, hiddenSize, p),
      (k, from) => k.packPlain(packed.W_hh, from.W_hh, hiddenSize, hiddenSize, p),
    );
  }
  for (let p = 0; p < inputPanels; p++) {
    pieces.push((k, from) => k.packPlain(packed.W_ih, from.W_ih, hiddenSize, inputSize, p));
  }
  return pieces;
}

/** Fills h from its first state on. */
export function cellForward(k: Kernels, sizes: CellSizes, packed: PackedCell, block: CellBlock): void {
  const { inputPanels, hiddenPanels } = sizes;
  const { rows, steps, x, h } = block;
  const step = rows * h.pitch;
  k.project(
    h.at + step,
    h.stride,
    steps * rows,
    hiddenPanels,
    x.at,
    x.stride,
    inputPanels,
    packed.W_ihT,
    packed.bias,
  );
  for (let t = 0, at = h.at; t < steps; t++, at += step) {
    k.tanhStep(at + step, h.stride, rows, hiddenPanels, at, h.stride, hiddenPanels, packed.W_hhT);
  }
}

/** In: d = ∂L/∂h_t from above, every step [steps · rows, hidden]. Out: d = dz_t. */
export function cellBackward(
  k: Kernels,
  sizes: CellSizes,
  packed: PackedCell,
  block: CellBlock,
  d: Panels,
): void {
  const { hiddenPanels } = sizes;
  const { rows, steps, h } = block;
  const step = rows * h.pitch;
  const last = (steps - 1) * step;
  k.tanhBackward(d.at + last, d.stride, h.at + last + step, h.stride, rows, hiddenPanels);
  for (let at = last - step; at >= 0; at -= step) {
    k.tanhStepBackward(
      d.at + at,
      d.stride,
      rows,
      hiddenPanels,
      d.at + at + step,
      d.stride,
      hiddenPanels,
      packed.W_hh,
      h.at + at + step,
      h.stride,
    );
  }
}

/** Where sums over rows go that stick out of their array, and what a matmul without a bias starts from. */
export interface Scratch {
  /** 128 bytes of this thread's own. */
  readonly edge: number;
  /** 32 bytes of zeros. */
  readonly zeros: number;
}

/** Adds Σ_t dz_tᵀ x_t and so on to `gradients` (or writes it there, unless `add`). */
export function cellWeightGradients(
  k: Kernels,
  sizes: CellSizes,
  dtype: Dtype,
  block: CellBlock,
  dz: Panels,
  gradients: CellArrays,
  scratch: Scratch,
  add: boolean,
): void {
  const { inputSize, hiddenSize } = sizes;
  const bytes = realBytes(dtype);
  const depth = block.rows * block.steps;
  const { x, h } = block;
  const { edge } = scratch;
  const onto = add ? 1 : 0;
  k.outerProduct(
    gradients.W_ih,
    inputSize * bytes,
    hiddenSize,
    inputSize,
    dz.at,
    dz.stride,
    x.at,
    x.stride,
    depth,
    edge,
    onto,
  );
  k.outerProduct(
    gradients.W_hh,
    hiddenSize * bytes,
    hiddenSize,
    hiddenSize,
    dz.at,
    dz.stride,
    h.at,
    h.stride,
    depth,
    edge,
    onto,
  );
  k.sumRows(gradients.b_ih, hiddenSize, dz.at, dz.stride, dz.pitch, depth, edge, onto);
  k.sumRows(gradients.b_hh, hiddenSize, dz.at, dz.stride, dz.pitch, depth, edge, onto);
}

/** dx_t = dz_t W_ih for all steps: the gradient of the layer below, or of the input. */
export function cellInputGradient(
  k: Kernels,
  sizes: CellSizes,
  packed: PackedCell,
  block: CellBlock,
  dz: Panels,
  dx: Panels,
  scratch: Scratch,
): void {
  const rows = block.rows * block.steps;
  k.multiply(
    dx.at,
    dx.stride,
    rows,
    sizes.inputPanels,
    dz.at,
    dz.stride,
    sizes.hiddenPanels,
    packed.W_ih,
    scratch.zeros,
  );
}

/** dh_{−1} = dz_0 W_hh: the gradient of the initial state. */
export function cellInitialGradient(
  k: Kernels,
  sizes: CellSizes,
  packed: PackedCell,
  block: CellBlock,
  dz: Panels,
  dh: Panels,
  scratch: Scratch,
): void {
  const { hiddenPanels } = sizes;
  k.multiply(
    dh.at,
    dh.stride,
    block.rows,
    hiddenPanels,
    dz.at,
    dz.stride,
    hiddenPanels,
    packed.W_hh,
    scratch.zeros,
  );
}
