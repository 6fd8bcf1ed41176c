import { readFileSync } from 'node:fs';
import { kernelFile } from '../artifacts.ts';
import { relaxedSimdMissing } from '../errors.ts';
import type { Dtype } from '../numeric/reals.ts';
import type { Kernels, RowKernels } from './kernels.ts';
import { PANEL_BYTES, panelColumns, panelsFor } from './layout.ts';
import type { KernelMaker } from './makers.ts';

const modules = new Map<string, WebAssembly.Module>();

/**
 * The compiled kernels of a data type; compiled once per process, then sent to the workers by message.
 * @throws RELAXED_SIMD_MISSING
 */
export function wasmModule(dtype: Dtype, maker: KernelMaker = 'wasm'): WebAssembly.Module {
  const name = (dtype === 'float32' ? 'f32' : 'f64') + (maker === 'wasm-relaxed' ? '-relaxed' : '');
  let module = modules.get(name);
  if (!module) {
    const bytes = readFileSync(kernelFile(name));
    if (maker === 'wasm-relaxed' && !WebAssembly.validate(bytes)) throw relaxedSimdMissing();
    module = new WebAssembly.Module(bytes);
    modules.set(name, module);
  }
  return module;
}

/**
 * What the module exports: most of `Kernels` as it is, packing for any layout, and functions for whole arrays and rows.
 */
export interface WasmExports extends Omit<Kernels, 'packTransposed' | 'packPlain' | 'row'>, RowKernels {
  packTransposed(
    b: number,
    step: number,
    W: number,
    n: number,
    k: number,
    width: number,
    kPadded: number,
    first: number,
  ): void;
  packPlain(
    b: number,
    step: number,
    panelStep: number,
    W: number,
    k: number,
    n: number,
    width: number,
    first: number,
  ): void;
  repeatRow(dst: number, row: number, bytes: number, count: number): void;
  tanhArray(at: number, bytes: number): void;
  expArray(at: number, bytes: number): void;
}

export function wasmExports(module: WebAssembly.Module, memory: WebAssembly.Memory): WasmExports {
  return new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as WasmExports;
}

/** The WebAssembly kernels on a memory. Packed weights lie panel after panel. */
export function wasmKernels(module: WebAssembly.Module, memory: WebAssembly.Memory, dtype: Dtype): Kernels {
  const wasm = wasmExports(module, memory);
  const columns = panelColumns(dtype);
  const padded = (k: number) => panelsFor(k, dtype) * columns;
  const panelBytes = (k: number) => padded(k) * PANEL_BYTES;
  return {
    ...wasm,
    row: wasm,
    packTransposed: (b, W, n, k, width, panel) =>
      wasm.packTransposed(b + panel * panelBytes(k), PANEL_BYTES, W, n, k, width, padded(k), panel * columns),
    packPlain: (b, W, k, n, width, panel) => {
      const first = panel * columns;
      wasm.packPlain(b + first * PANEL_BYTES, PANEL_BYTES, panelBytes(k), W, k, n, width, first);
    },
  };
}
