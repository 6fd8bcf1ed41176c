import { availableParallelism } from 'node:os';
import { type Normalization, type NormalizationSpec, normalizationSpec } from '../data/normalization.ts';
import { lengthOf } from '../describe.ts';
import { badArgument } from '../errors.ts';
import { NONLINEARITIES, type Nonlinearity } from '../kernels/kernels.ts';
import { KERNEL_MAKERS, type KernelMaker, type KernelOptions } from '../kernels/makers.ts';
import { RECURRENT_INITS, type RecurrentInit } from '../network/initialize.ts';
import { type NetworkShape, OUTPUT_MODES, type OutputMode } from '../network/memory/geometry.ts';
import { checkDtype, type Dtype } from '../numeric/reals.ts';
import { checkFlag, checkFraction, checkInteger, checkKeys, checkOneOf, keysOf } from '../validation.ts';

/** Options of `RNNPhonemeClassifier.create`. */
export interface ClassifierOptions {
  /** Values per frame (I). */
  inputSize: number;
  /** Units of each layer, in each direction (H). */
  hiddenSize: number;
  /** Number of classes (O). */
  outputSize: number;
  /** Stacked layers (L), at most 10,000; default 2. */
  numLayers?: number | undefined;
  /** Activation function of the cells; default tanh. */
  nonlinearity?: Nonlinearity | undefined;
  /** Whether each layer has a second cell that reads in reverse; default false. */
  bidirectional?: boolean | undefined;
  /** Whether the cells have biases; default true. The output layer always has one. */
  bias?: boolean | undefined;
  /** Probability with which `gradients` and `fit` drop each output of every layer but the last; default 0. */
  dropout?: number | undefined;
  /**
   * What the output layer reads. `last` (default): each sequence's last state (of a reverse cell, its state after the
   * first frame). `mean`: the mean of its states. `steps`: every state, which gives logits and labels at each step.
   */
  output?: OutputMode | undefined;
  /** Normalizes every frame to (x − mean) / std; default, or null: frames are used as they are. */
  normalization?: Normalization | null | undefined;
  /** Names of the classes, saved with the model; default, or null: none. */
  classes?: readonly string[] | null | undefined;
  /** Worker threads, at most 256; default: one for each core this process may use; 0 computes on the calling thread. */
  threads?: number | undefined;
  /** Data type of the parameters and of all arithmetic; default float32. */
  dtype?: Dtype | undefined;
  /** Seed of the initial weights, and of the dropout masks of `gradients`; default 0. */
  seed?: number | undefined;
  /** Initial values of W_hh: uniform (default), as in PyTorch, or orthogonal. */
  recurrentInit?: RecurrentInit | undefined;
  /**
   * What computes the matrix products. `wasm` (default): WebAssembly, with the same bits on every machine.
   * `wasm-relaxed`: the same with fused multiply-add where the machine has it; needs a Node.js with relaxed
   * SIMD. `blas`: the system's OpenBLAS, MKL or Accelerate, found by its usual names or at a path; faster on
   * wide layers, needs the package koffi. Each gives the same bits for any number of threads on one machine.
   */
  kernels?: KernelMaker | { blas: string } | undefined;
}

/** Options that a file written by another program does not contain. */
export const FOREIGN_OPTIONS = ['nonlinearity', 'output', 'dropout', 'normalization', 'classes'] as const;
export type ForeignOptions = Pick<ClassifierOptions, (typeof FOREIGN_OPTIONS)[number]>;

/**
 * Options of `RNNPhonemeClassifier.load`. All but `threads`, `kernels` and `seed` are only for files
 * that another program wrote: the library's own files contain them.
 */
export type LoadOptions = Pick<ClassifierOptions, 'threads' | 'kernels' | 'seed'> & ForeignOptions;

const OPTIONS = keysOf<ClassifierOptions>({
  inputSize: true,
  hiddenSize: true,
  outputSize: true,
  numLayers: true,
  nonlinearity: true,
  bidirectional: true,
  bias: true,
  dropout: true,
  output: true,
  normalization: true,
  classes: true,
  threads: true,
  dtype: true,
  seed: true,
  recurrentInit: true,
  kernels: true,
});

/**
 * No batch has this many lanes, and thousands of threads would exhaust the process's memory, which no code could catch.
 */
export const MAX_THREADS = 256;
/**
 * Each layer also takes heap beside the model's memory: a file that claims a million of them must not end the process.
 */
const MAX_LAYERS = 10_000;

/** Checked options with all defaults filled in. */
export interface ClassifierSpec {
  readonly shape: NetworkShape;
  readonly normalization: NormalizationSpec | null;
  readonly classes: readonly string[] | null;
  readonly threads: number;
  readonly dtype: Dtype;
  readonly seed: number;
  readonly recurrentInit: RecurrentInit;
  readonly kernels: KernelOptions;
}

/** Checks the options and fills in the defaults. Throws BAD_ARGUMENT. */
export function classifierSpec(options: ClassifierOptions): ClassifierSpec {
  checkKeys('options', options, OPTIONS);
  const {
    numLayers = 2,
    threads = Math.min(availableParallelism(), MAX_THREADS),
    dtype = 'float32',
    seed = 0,
  } = options;
  const { recurrentInit = 'uniform', kernels = 'wasm', normalization = null, classes = null } = options;
  const { nonlinearity = 'tanh', bidirectional = false, bias = true, dropout = 0, output = 'last' } = options;
  const shape = {
    inputSize: checkInteger('inputSize', options.inputSize, 1),
    hiddenSize: checkInteger('hiddenSize', options.hiddenSize, 1),
    outputSize: checkInteger('outputSize', options.outputSize, 1),
    numLayers: checkInteger('numLayers', numLayers, 1, MAX_LAYERS),
    nonlinearity: checkOneOf('nonlinearity', nonlinearity, NONLINEARITIES),
    bidirectional: checkFlag('bidirectional', bidirectional),
    bias: checkFlag('bias', bias),
    dropout: checkDropout(dropout, numLayers),
    output: checkOneOf('output', output, OUTPUT_MODES),
    normalized: normalization !== null,
  };
  checkInteger('threads', threads, 0, MAX_THREADS);
  checkInteger('seed', seed, 0);
  checkDtype(dtype);
  return {
    shape,
    threads,
    dtype,
    seed,
    kernels: readKernels(kernels),
    recurrentInit: checkOneOf('recurrentInit', recurrentInit, RECURRENT_INITS),
    normalization: normalization === null ? null : normalizationSpec(normalization, shape.inputSize, dtype),
    classes: classes === null ? null : readClasses(classes, shape.outputSize),
  };
}

function checkDropout(share: unknown, layers: number): number {
  const checked = checkFraction('dropout', share);
  if (checked > 0 && layers === 1)
    throw badArgument('dropout', '0 where numLayers is 1, since it lies between layers', share);
  return checked;
}

function readClasses(classes: unknown, outputSize: number): readonly string[] {
  if (!Array.isArray(classes) || classes.length !== outputSize)
    throw badArgument('classes', `${outputSize} names`, lengthOf(classes));
  const bad = classes.findIndex((name) => typeof name !== 'string');
  if (bad >= 0) throw badArgument(`classes[${bad}]`, 'a string', classes[bad]);
  const seen = new Set<string>();
  const twice = classes.findIndex((name) => seen.size === seen.add(name).size);
  if (twice >= 0) throw badArgument(`classes[${twice}]`, 'a name of its own', classes[twice]);
  // Frozen, since the model shows them.
  return Object.freeze(classes.slice());
}

function readKernels(kernels: unknown): KernelOptions {
  const maker = KERNEL_MAKERS.find((name) => name === kernels);
  if (maker) return { maker };
  const path =
    typeof kernels === 'object' && kernels !== null && 'blas' in kernels ? kernels.blas : undefined;
  if (typeof path !== 'string')
    throw badArgument('kernels', "'wasm', 'wasm-relaxed', 'blas' or { blas: path }", kernels);
  return { maker: 'blas', blasPath: path };
}
