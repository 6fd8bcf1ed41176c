import { type Dtype, realBytes } from '../numeric/reals.ts';
import { type Blas, NoTrans, RowMajor, Trans } from './blas-library.ts';
import type { BackwardKernel, ForwardKernel, Kernels, StepBackwardKernel, StepKernel } from './kernels.ts';
import { PANEL_BYTES, panelColumns, panelsFor } from './layout.ts';
import { wasmExports } from './wasm-kernels.ts';

/**
 * Up to a million multiply-adds OpenBLAS multiplies matrices where they lie; above, every call first
 * copies them into an order of its own. For the few rows of a step that takes as long as the product:
 * such products are computed in several calls, for some columns each. (interface/gemm.c and
 * kernel/x86_64/sgemm_small_kernel_permit_skylakex.c of OpenBLAS.)
 */
const UNCOPIED = 1e6;
const FEW_ROWS = 16;
const COLUMNS_UNIT = 64;

/** Columns of b to multiply in one call. */
function columnsAtOnce(rows: number, n: number, k: number): number {
  if (rows > FEW_ROWS || rows * n * k <= UNCOPIED) return n;
  return Math.max(1, Math.floor(UNCOPIED / (rows * k * COLUMNS_UNIT))) * COLUMNS_UNIT;
}

/**
 * Kernels with the matmuls of a BLAS and everything else in WebAssembly, on the same memory. Matrices consist of
 * rows of whole panels, so that their leading dimension is the padded width. The shapes passed to the BLAS depend
 * on the lane only, never on the number of threads: on one machine, any number of threads gives the same bits.
 */
export function blasKernels(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  dtype: Dtype,
  { gemm, addressOf }: Blas,
): Kernels {
  const wasm = wasmExports(module, memory);
  const columns = panelColumns(dtype);
  const bytes = realBytes(dtype);
  const base = addressOf(memory.buffer);
  const padded = (width: number) => panelsFor(width, dtype) * columns;

  /** c [rows, n] = a [rows, k] b [k, n] + beta c, all in whole panels. */
  const multiplyAdd = (
    c: number,
    rows: number,
    nPanels: number,
    a: number,
    kPanels: number,
    b: number,
    beta: number,
  ) => {
    const n = nPanels * columns;
    const k = kPanels * columns;
    const atOnce = columnsAtOnce(rows, n, k);
    for (let first = 0; first < n; first += atOnce) {
      const skipped = first * bytes;
      const width = Math.min(atOnce, n - first);
      const right = base + b + skipped;
      gemm(RowMajor, NoTrans, NoTrans, rows, width, k, 1, base + a, k, right, n, beta, base + c + skipped, n);
    }
  };

  /** The kernels of a nonlinearity. To those for panels, consecutive rows of whole panels are one long panel. */
  const stepping = (forward: ForwardKernel, backward: BackwardKernel) => {
    const onward: ForwardKernel = (c, _cStride, rows, nPanels) => forward(c, 0, rows * nPanels, 1);
    const back: BackwardKernel = (d, _dStride, h, _hStride, rows, nPanels) =>
      backward(d, 0, h, 0, rows * nPanels, 1);
    const step: StepKernel = (c, cStride, rows, nPanels, a, _aStride, kPanels, b) => {
      multiplyAdd(c, rows, nPanels, a, kPanels, b, 1);
      onward(c, cStride, rows, nPanels);
    };
    const stepBackward: StepBackwardKernel = (
      d,
      dStride,
      rows,
      nPanels,
      a,
      _aStride,
      kPanels,
      b,
      h,
      hStride,
    ) => {
      multiplyAdd(d, rows, nPanels, a, kPanels, b, 1);
      back(d, dStride, h, hStride, rows, nPanels);
    };
    return { forward: onward, backward: back, step, stepBackward };
  };
  const tanh = stepping(wasm.tanhForward, wasm.tanhBackward);
  const relu = stepping(wasm.reluForward, wasm.reluBackward);

  return {
    ...wasm,
    packTransposed: (b, W, n, k, width, panel) =>
      wasm.packTransposed(
        b + panel * PANEL_BYTES,
        padded(n) * bytes,
        W,
        n,
        k,
        width,
        padded(k),
        panel * columns,
      ),
    packPlain: (b, W, k, n, width, panel) => {
      const first = panel * columns;
      const row = padded(n) * bytes;
      wasm.packPlain(b + first * row, row, PANEL_BYTES, W, k, n, width, first);
    },
    project: (c, _cStride, rows, nPanels, a, _aStride, kPanels, b, bias) => {
      wasm.repeatRow(c, bias, nPanels * PANEL_BYTES, rows);
      multiplyAdd(c, rows, nPanels, a, kPanels, b, 1);
    },
    multiply: (c, _cStride, rows, nPanels, a, _aStride, kPanels, b) => {
      multiplyAdd(c, rows, nPanels, a, kPanels, b, 0);
    },
    accumulate: (c, _cStride, rows, nPanels, a, _aStride, kPanels, b) => {
      multiplyAdd(c, rows, nPanels, a, kPanels, b, 1);
    },
    row: null,
    tanhForward: tanh.forward,
    tanhStep: tanh.step,
    tanhBackward: tanh.backward,
    tanhStepBackward: tanh.stepBackward,
    reluForward: relu.forward,
    reluStep: relu.step,
    reluBackward: relu.backward,
    reluStepBackward: relu.stepBackward,
    outerProduct: (c, cRow, m, n, a, _aStride, b, _bStride, depth, _edge, add) => {
      gemm(
        RowMajor,
        Trans,
        NoTrans,
        m,
        n,
        depth,
        1,
        base + a,
        padded(m),
        base + b,
        padded(n),
        add,
        base + c,
        cRow / bytes,
      );
    },
  };
}
