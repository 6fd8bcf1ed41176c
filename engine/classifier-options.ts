import { availableParallelism } from 'node:os';
import { badArgument } from './errors.ts';
import type { Dtype, KernelMaker } from './kernels/kernels.ts';
import type { KernelOptions } from './kernels/make-kernels.ts';
import type { NetworkShape } from './network/geometry.ts';
import type { RecurrentInit } from './network/initialise.ts';
import { checkDtype } from './tensor.ts';
import { checkInteger, checkKeys } from './validation.ts';

export interface ClassifierOptions {
  /** Values of a frame. */
  inputSize: number;
  /** Units of each layer. */
  hiddenSize: number;
  /** Classes. */
  outputSize: number;
  /** Stacked cells; default 2. */
  numLayers?: number;
  /** Worker threads; default: the cores this process may use; 0 computes on the calling thread. */
  threads?: number;
  /** Default float32. */
  dtype?: Dtype;
  /** Of the initial weights; default 0. */
  seed?: number;
  /** How W_hh begins; default uniform, as PyTorch. */
  recurrentInit?: RecurrentInit;
  /**
   * What computes the matmuls. wasm (default): WebAssembly, the same bits on every machine. wasm-relaxed: the same with
   * fused multiplication and addition where Node.js and the machine have it. blas: the system's OpenBLAS,
   * MKL or Accelerate, found by its usual names or at a path, faster on wide layers; needs the package koffi. All give the
   * same bits for any number of threads on one machine.
   */
  kernels?: KernelMaker | { blas: string };
}

const OPTIONS = [
  'inputSize',
  'hiddenSize',
  'outputSize',
  'numLayers',
  'threads',
  'dtype',
  'seed',
  'recurrentInit',
  'kernels',
];

/** Options, checked, with defaults. */
export interface ClassifierPlan {
  readonly shape: NetworkShape;
  readonly threads: number;
  readonly dtype: Dtype;
  readonly seed: number;
  readonly recurrentInit: RecurrentInit;
  readonly kernels: KernelOptions;
}

/** Throws BAD_ARGUMENT. */
export function readClassifierOptions(options: ClassifierOptions): ClassifierPlan {
  checkKeys('options', options, OPTIONS);
  const { numLayers = 2, threads = availableParallelism(), dtype = 'float32', seed = 0 } = options;
  const { recurrentInit = 'uniform', kernels = 'wasm' } = options;
  const shape = {
    inputSize: checkInteger('inputSize', options.inputSize, 1),
    hiddenSize: checkInteger('hiddenSize', options.hiddenSize, 1),
    outputSize: checkInteger('outputSize', options.outputSize, 1),
    numLayers: checkInteger('numLayers', numLayers, 1),
  };
  checkInteger('threads', threads, 0);
  checkInteger('seed', seed, 0);
  checkDtype(dtype);
  if (recurrentInit !== 'uniform' && recurrentInit !== 'orthogonal') {
    throw badArgument('recurrentInit', "'uniform' or 'orthogonal'", recurrentInit);
  }
  return { shape, threads, dtype, seed, recurrentInit, kernels: readKernels(kernels) };
}

function readKernels(kernels: unknown): KernelOptions {
  if (kernels === 'wasm' || kernels === 'wasm-relaxed' || kernels === 'blas') return { maker: kernels };
  const path =
    typeof kernels === 'object' && kernels !== null && 'blas' in kernels ? kernels.blas : undefined;
  if (typeof path !== 'string')
    throw badArgument('kernels', "'wasm', 'wasm-relaxed', 'blas' or { blas: path }", kernels);
  return { maker: 'blas', blasPath: path };
}
