import { setFlagsFromString } from 'node:v8';
import { KERNEL_MAKERS } from '../engine/kernels/makers.ts';
import { checkOneOf } from '../engine/validation.ts';

/** The kernels this run is about: ELMAN_KERNELS=blas runs every law over the system's BLAS. */
export const kernelsOfRun = checkOneOf('ELMAN_KERNELS', process.env.ELMAN_KERNELS ?? 'wasm', KERNEL_MAKERS);

// What Node.js 20 has behind a flag; V8 reads it when a module is compiled.
if (kernelsOfRun === 'wasm-relaxed') setFlagsFromString('--experimental-wasm-relaxed-simd');
