import { type RowKernels, rowKernelsFor } from '../kernels/kernels.ts';
import type { Panels } from '../kernels/layout.ts';
import { realBytes } from '../numeric/reals.ts';
import {
  type CellAddresses,
  type CellBlock,
  type CellKind,
  type CellRun,
  fromRow,
  rowsAt,
  type SumTarget,
  statesAfter,
  statesBefore,
} from './cell.ts';

/**
 * The Elman cell (J. L. Elman, "Finding Structure in Time", 1990; the equations of
 * https://pytorch.org/docs/stable/generated/torch.nn.RNNCell.html) over all time steps of one block of
 * rows, φ being tanh or relu:
 *
 *     h_t = φ(x_t W_ihᵀ + b_ih + h_{t−1} W_hhᵀ + b_hh)
 *     dz_t = dh_t ∘ φ′(z_t)             dh_{t−1} += dz_t W_hh          dx_t = dz_t W_ih
 *     dW_ih += Σ_t dz_tᵀ x_t            dW_hh += Σ_t dz_tᵀ h_{t−1}     db_ih = db_hh += Σ_t Σ_rows dz_t
 *
 * φ′ is 1 − h_t² for tanh; for relu 1 where h_t > 0, else 0. Everything that does not depend on the
 * previous step is one matmul over all steps. A reverse cell starts at each row's own last frame; for
 * it, read t + 1 for t − 1. A row keeps its state at steps where it has no frame.
 */

/** Bytes from one step's rows to the next one's. */
const stepBytes = ({ rows, states: [h] }: CellBlock): number => rows * h.pitch;

/**
 * The kernels of each nonlinearity: first that of a step without a recurrent term (forward, the first
 * step from a state of zeros; backward, the last step), then that of every other step. Names are
 * spelled out: composing them would allocate strings in every lane.
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

/** Computes h from its initial states, which are zero where `fromRest`. */
function forward(run: CellRun, fromRest: boolean): void {
  const row = rowKernelsFor(run.kernels, run.block.rows);
  if (row) forwardRow(run, row);
  else forwardTiles(run, fromRest);
}

function forwardTiles({ kernels: k, sizes, packed, block, lengths }: CellRun, fromRest: boolean): void {
  const { partPanels, hiddenPanels, nonlinearity } = sizes;
  const {
    gates: [{ W_ihT, W_hhT }],
    biases: [bias],
  } = packed;
  const { rows, steps, x, reverse } = block;
  const made = statesAfter(block);
  const found = statesBefore(block);
  const { stride, pitch } = made;
  const step = stepBytes(block);
  const all = steps * rows;
  k.project(made.at, stride, all, hiddenPanels, x[0].at, x[0].stride, partPanels, W_ihT[0], bias);
  for (let part = 1; part < x.length; part++) {
    const { at, stride: xStride } = x[part];
    k.accumulate(made.at, stride, all, hiddenPanels, at, xStride, partPanels, W_ihT[part]);
  }
  const [first, next] = STEP_KERNELS[nonlinearity].forward;
  for (let i = 0; i < steps; i++) {
    const t = reverse ? steps - 1 - i : i;
    const to = made.at + t * step;
    const from = found.at + t * step;
    if (i === 0 && fromRest) k[first](to, stride, rows, hiddenPanels);
    else k[next](to, stride, rows, hiddenPanels, from, stride, hiddenPanels, W_hhT);
    for (let row = rowsAt(lengths, t); row < rows; row++) {
      k.copyRow(to + row * pitch, stride, from + row * pitch, stride, hiddenPanels);
    }
  }
}

function forwardRow({ sizes, packed, block }: CellRun, kernels: RowKernels): void {
  const { partPanels, hiddenPanels, nonlinearity } = sizes;
  const {
    gates: [{ W_ihT, W_hhT }],
    biases: [bias],
  } = packed;
  const { x, steps, reverse } = block;
  const [made, found] = [statesAfter(block), statesBefore(block)];
  const step = nonlinearity === 'tanh' ? kernels.tanhStepRow : kernels.reluStepRow;
  for (let i = 0; i < steps; i++) {
    const t = reverse ? steps - 1 - i : i;
    const h_t = made.at + t * made.pitch;
    kernels.projectRow(h_t, hiddenPanels, x[0].at + t * x[0].pitch, partPanels, W_ihT[0], bias);
    for (let part = 1; part < x.length; part++)
      kernels.accumulateRow(h_t, hiddenPanels, x[part].at + t * x[part].pitch, partPanels, W_ihT[part]);
    step(h_t, hiddenPanels, found.at + t * found.pitch, hiddenPanels, W_hhT);
  }
}

/** dz_t = (d_t + dz_{t+1} W_hh) ∘ φ′(z_t), written over d. */
function backward({ kernels: k, sizes, packed, block, lengths }: CellRun, d: Panels): void {
  const { hiddenPanels, nonlinearity } = sizes;
  const { rows, steps, reverse } = block;
  const { at: h, stride: hStride } = statesAfter(block);
  const { stride } = d;
  const step = stepBytes(block);
  const {
    gates: [{ W_hh }],
  } = packed;
  const [first, next] = STEP_KERNELS[nonlinearity].backward;
  for (let i = 0; i < steps; i++) {
    const t = reverse ? i : steps - 1 - i;
    const at = d.at + t * step;
    const after = reverse ? at - step : at + step;
    const h_t = h + t * step;
    if (i === 0) k[first](at, stride, h_t, hStride, rows, hiddenPanels);
    else k[next](at, stride, rows, hiddenPanels, after, stride, hiddenPanels, W_hh, h_t, hStride);
    // The gradient past a row's last frame is that of its initial state and belongs to no step.
    if (!reverse) continue;
    const active = rowsAt(lengths, t);
    k.zeroRows(at + active * d.pitch, stride, d.pitch, rows - active, hiddenPanels);
  }
}

/** Σ_t dz_tᵀ x_t, Σ_t dz_tᵀ h_{t−1} and, for both biases, Σ_t Σ_rows dz_t. */
function weightGradients(
  { kernels: k, sizes, block, scratch }: CellRun,
  [dz]: readonly Panels[],
  gradients: CellAddresses,
  { add, fromRest }: SumTarget,
): void {
  const { parts, partSize, hiddenSize, dtype, bias } = sizes;
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
  const right = fromRow(statesBefore(block), first);
  product(gradients.W_hh, hiddenSize, hiddenSize, left, right, depth - leftOut);
  if (!bias) return;
  k.sumRows(gradients.b_ih, gradients.b_hh, hiddenSize, dz.at, dz.stride, dz.pitch, depth, edge, onto);
}

/** dx_t = dz_t W_ih, one part of it: the gradient of the layer below, or of the input. */
function inputGradient(
  { kernels: k, sizes, packed, block, scratch }: CellRun,
  [dz]: readonly Panels[],
  part: number,
  dx: Panels,
  add: boolean,
): void {
  const rows = block.rows * block.steps;
  const { partPanels, hiddenPanels } = sizes;
  const W_ih = packed.gates[0].W_ih[part];
  if (add) k.accumulate(dx.at, dx.stride, rows, partPanels, dz.at, dz.stride, hiddenPanels, W_ih);
  else k.multiply(dx.at, dx.stride, rows, partPanels, dz.at, dz.stride, hiddenPanels, W_ih, scratch.zeros);
}

/** dh_0 = dz_first W_hh, dz_first being that of each row's first step. */
function initialGradients(
  { kernels: k, sizes, packed, block, lengths, scratch }: CellRun,
  _d: Panels,
  [dz]: readonly Panels[],
  [dzFirst]: readonly Panels[],
  [dh]: readonly Panels[],
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
    packed.gates[0].W_hh,
    scratch.zeros,
  );
}

export const elmanCell: CellKind = {
  gates: 1,
  states: 1,
  saved: 0,
  biasRows: 1,
  takesRows: true,
  packBiases: (k, { hiddenSize }, { biases: [sum] }, { b_ih, b_hh }) =>
    k.packBias(sum, b_ih, b_hh, hiddenSize),
  forward,
  backward,
  weightGradients,
  inputGradient,
  initialGradients,
};
