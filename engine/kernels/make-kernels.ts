import type { Dtype } from '../numeric/reals.ts';
import { blasKernels } from './blas-kernels.ts';
import { loadBlas } from './blas-library.ts';
import type { Kernels } from './kernels.ts';
import type { KernelOptions } from './makers.ts';
import { wasmKernels } from './wasm-kernels.ts';

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
