import { expected, list } from '../../cli/common/command-line.ts';
import { Random } from '../../engine/numeric/random.ts';
import { type Dtype, realBytes } from '../../engine/numeric/reals.ts';

/** One training problem: B sequences of T steps with I inputs, L layers of H hidden units, O classes. */
export interface Size {
  readonly B: number;
  readonly T: number;
  readonly I: number;
  readonly H: number;
  readonly L: number;
}

/** Classes: about the phonemes of a language. */
export const O = 48;

export const TINY: Size = { B: 8, T: 5, I: 4, H: 8, L: 1 };
export const SMALL: Size = { B: 32, T: 20, I: 39, H: 64, L: 2 };
export const MEDIUM: Size = { B: 64, T: 50, I: 40, H: 128, L: 2 };
export const LARGE: Size = { B: 128, T: 50, I: 40, H: 256, L: 2 };

export const SIZES: readonly Size[] = [
  SMALL,
  { B: 32, T: 50, I: 40, H: 128, L: 2 },
  MEDIUM,
  LARGE,
  { B: 64, T: 100, I: 40, H: 512, L: 2 },
  { B: 256, T: 50, I: 128, H: 256, L: 3 },
];

/** The sizes of a run; a quick one leaves out what takes more than a tenth of a second a step. */
export const sizesOf = (quick: boolean): readonly Size[] =>
  quick ? SIZES.filter((size) => stepFlops(size) < 2e9) : SIZES;

/** How a size is written everywhere, e.g. `32,20,39,64,2`. */
export const nameOf = ({ B, T, I, H, L }: Size): string => [B, T, I, H, L].join(',');

/** An option of a command line. */
export const SIZE_LIST = list('B,T,I,H,L;…', 'other sizes than the usual ones', ';', parseSize);

/** The size `nameOf` wrote. Throws RangeError for anything else. */
export function parseSize(text: string): Size {
  const numbers = text.split(',').map(Number);
  if (numbers.length !== 5 || numbers.some((n) => !Number.isInteger(n) || n < 1)) {
    throw expected('five whole numbers B,T,I,H,L', text);
  }
  const [B, T, I, H, L] = numbers as [number, number, number, number, number];
  return { B, T, I, H, L };
}

/**
 * Multiplications and additions of one forward pass: x W_ihᵀ and h W_hhᵀ for every step of every layer, and the
 * output layer.
 */
export function forwardFlops({ B, T, I, H, L }: Size): number {
  const first = 2 * B * T * H * (I + H);
  const above = 2 * B * T * H * (H + H);
  return first + (L - 1) * above + 2 * B * H * O;
}

/**
 * Of one training step: forward; as many for the weight gradients (dzᵀ x, dzᵀ h); and as many for the gradients of
 * the inputs (dz W_hh, dz W_ih), less the first layer's dx, which nobody needs.
 */
export function stepFlops(size: Size): number {
  const { B, T, I, H } = size;
  return 3 * forwardFlops(size) - 2 * B * T * H * I;
}

/** Options of a model of this size. */
export const modelOptions = ({ I, H, L }: Size) =>
  ({ inputSize: I, hiddenSize: H, outputSize: O, numLayers: L, seed: 1 }) as const;

/** Sequences as the library takes them. */
export interface SeededData {
  readonly x: {
    readonly data: Float32Array | Float64Array;
    readonly shape: readonly [number, number, number];
  };
  readonly labels: Int32Array;
}

interface DataOptions {
  /** Rows; by default one batch. */
  readonly rows?: number;
  readonly dtype?: Dtype;
  /** Whether x lies in shared memory, where the threads read it without a copy. Default true. */
  readonly shared?: boolean;
}

/** Normally distributed frames and even labels, the same in every run. */
export function seededData(size: Size, options: DataOptions = {}): SeededData {
  const { rows = size.B, dtype = 'float32', shared = true } = options;
  const { T, I } = size;
  const random = new Random(2);
  const bytes = rows * T * I * realBytes(dtype);
  const buffer = shared ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes);
  const data = dtype === 'float32' ? new Float32Array(buffer) : new Float64Array(buffer);
  // Normal draws are slow: a long data set repeats a short one, each time moved on by one value.
  const draws = Float64Array.from({ length: Math.min(data.length, 1 << 16) }, () => random.normal());
  for (let i = 0; i < data.length; i++) data[i] = draws[(i + Math.floor(i / draws.length)) % draws.length];
  return {
    x: { data, shape: [rows, T, I] },
    labels: Int32Array.from({ length: rows }, () => random.integer(O)),
  };
}
