import { createRequire } from 'node:module';
import { isMainThread } from 'node:worker_threads';
import { blasMissing } from '../errors.ts';
import type { Dtype } from '../numeric/reals.ts';
import { betterCore, processorFlags } from './openblas-core.ts';

/** C = alpha·op(A)·op(B) + beta·C on addresses in this process; row-major (see the BLAS reference's cblas_?gemm). */
export type Gemm = (
  order: number,
  transA: number,
  transB: number,
  m: number,
  n: number,
  k: number,
  alpha: number,
  A: number,
  lda: number,
  B: number,
  ldb: number,
  beta: number,
  C: number,
  ldc: number,
) => void;

/** cblas.h's constants. */
export const RowMajor = 101;
export const NoTrans = 111;
export const Trans = 112;

/** The names under which distributions install a BLAS. */
const LIBRARIES: Partial<Record<NodeJS.Platform, readonly string[]>> = {
  linux: ['libopenblas.so.0', 'libopenblas.so', 'libmkl_rt.so.2', 'libmkl_rt.so', 'libblas.so.3'],
  darwin: [
    '/System/Library/Frameworks/Accelerate.framework/Accelerate',
    '/opt/homebrew/opt/openblas/lib/libopenblas.dylib',
    'libopenblas.dylib',
  ],
  win32: ['libopenblas.dll', 'openblas.dll', 'mkl_rt.2.dll'],
};

/**
 * Functions that restrict a BLAS to one thread, since the engine's own threads share the work. The
 * first one that the library has is called.
 */
const SINGLE_THREADED = [
  'void openblas_set_num_threads(int n)',
  'void MKL_Set_Num_Threads(int n)',
  'void bli_thread_set_num_threads(long n)',
];

type Koffi = typeof import('koffi');
type Library = ReturnType<Koffi['load']>;

function loadKoffi(): Koffi {
  try {
    return createRequire(import.meta.url)('koffi');
  } catch (cause) {
    throw blasMissing('the package koffi, which calls it, is not installed: npm install koffi', cause);
  }
}

function loadLibrary(koffi: Koffi, path: string | undefined): Library {
  const names = path === undefined ? (LIBRARIES[process.platform] ?? []) : [path];
  for (const name of names) {
    try {
      return koffi.load(name);
    } catch {
      // The next name may be there; if none is, the error names them all.
    }
  }
  const hint = process.platform === 'linux' ? ' (on Debian: apt-get install libopenblas0-pthread)' : '';
  throw blasMissing(`no library found under ${names.join(', ')}${hint}`);
}

const calledOnce = (library: Library, prototype: string): boolean => {
  try {
    library.func(prototype)(1);
    return true;
  } catch {
    return false;
  }
};

/** Warns of an OpenBLAS that does not know the processor. */
function warnOfSlowKernels(library: Library): void {
  if (!isMainThread) return;
  try {
    const core = library.func('const char *openblas_get_corename(void)')() as string;
    const better = betterCore(core, processorFlags());
    if (better === undefined) return;
    process.emitWarning(
      `OpenBLAS does not know this processor and uses its ${core} kernels; OPENBLAS_CORETYPE=${better} in the environment makes it several times faster`,
    );
  } catch {
    // Another BLAS than OpenBLAS has no such function, and nothing to be warned of.
  }
}

/** A BLAS loaded into this process. */
export interface Blas {
  readonly gemm: Gemm;
  /** The address of a memory's first byte. */
  addressOf(memory: ArrayBufferLike): number;
}

/**
 * Finds the system's BLAS.
 * @param path a library to load instead of those with the usual names
 * @throws BLAS_MISSING, with what was looked for and how to get it
 */
export function loadBlas(dtype: Dtype, path?: string): Blas {
  const koffi = loadKoffi();
  const library = loadLibrary(koffi, path);
  SINGLE_THREADED.some((prototype) => calledOnce(library, prototype));
  warnOfSlowKernels(library);
  const [name, real] = dtype === 'float32' ? ['cblas_sgemm', 'float'] : ['cblas_dgemm', 'double'];
  const sizes = 'int order, int transA, int transB, int m, int n, int k';
  const matrices = `uintptr_t A, int lda, uintptr_t B, int ldb, ${real} beta, uintptr_t C, int ldc`;
  try {
    const gemm = library.func(`void ${name}(${sizes}, ${real} alpha, ${matrices})`) as unknown as Gemm;
    return { gemm, addressOf: (memory) => Number(koffi.address(new Uint8Array(memory))) };
  } catch (cause) {
    throw blasMissing(`the library has no ${name}`, cause);
  }
}
