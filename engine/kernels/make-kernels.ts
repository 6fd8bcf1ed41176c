import { blasKernels } from './blas-kernels.ts';
import { loadBlas } from './blas-library.ts';
import type { Dtype, KernelMaker, Kernels } from './kernels.ts';
import { wasmKernels } from './wasm-kernels.ts';

/** Which kernels a model wants. */
export interface KernelOptions {
  readonly maker: KernelMaker;
  /** The BLAS library's path; by default it is looked for under the usual names. */
  readonly blasPath?: string;
}

/** Makes the kernels for one thread on a memory. Throws BLAS_MISSING. */
export function makeKernels(
  { maker, blasPath }: KernelOptions,
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  dtype: Dtype,
): Kernels {
  if (maker === 'blas') return blasKernels(module, memory, dtype, loadBlas(dtype, blasPath));
  return wasmKernels(module, memory, dtype);
}
