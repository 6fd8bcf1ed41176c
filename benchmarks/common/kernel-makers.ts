import type { KernelMaker } from '../../engine/kernels/kernels.ts';

/** Who may multiply matrices, as a command line names them. */
export const KERNEL_MAKERS = ['wasm', 'wasm-relaxed', 'blas'] as const satisfies readonly KernelMaker[];
