/**
 * Who makes the kernels: WebAssembly, with the same bits everywhere; WebAssembly with relaxed SIMD,
 * which fuses multiplication and addition where the machine can; or the system's BLAS.
 */
export const KERNEL_MAKERS = ['wasm', 'wasm-relaxed', 'blas'] as const;
export type KernelMaker = (typeof KERNEL_MAKERS)[number];

/** Which kernels a model uses. */
export interface KernelOptions {
  readonly maker: KernelMaker;
  /** The BLAS library's path; by default it is looked for under the usual names. */
  readonly blasPath?: string;
}
