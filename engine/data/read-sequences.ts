import { lengthOf } from '../describe.ts';
import { badArgument } from '../errors.ts';
import {
  type Dtype,
  type NumberArray,
  newReals,
  type RealArray,
  realArray,
  realBytes,
} from '../numeric/reals.ts';
import { isShapedData, readTensor } from '../read-tensor.ts';
import type { ShapedData, Tensor, TensorLike } from '../tensor.ts';
import { checkInteger, checkKeys, isList } from '../validation.ts';
import type { Labels } from './read-labels.ts';
import type { Sequences } from './sequences.ts';

/**
 * Sequences in one of three forms: [batch, time, input]; an array of [time, input], each of its own
 * length; or padded [batch, time, input], with the length of each row.
 */
export type SequencesLike =
  | TensorLike
  | readonly TensorLike[]
  | (ShapedData & { readonly lengths: NumberArray });

/** Checked sequences, in the form they were given: nothing is copied yet. */
export interface SequenceInput {
  readonly rows: number;
  /** Steps of the longest sequence. */
  readonly steps: number;
  /** Steps a row has, padding included. */
  readonly time: number;
  readonly lengths: Int32Array;
  /** Number of frames to be copied: those of all sequences, without padding. */
  readonly frames: number;
  /** Copies the frames of rows `from` to `to` − 1, one sequence after the other. */
  copyTo(values: RealArray, from: number, to: number): void;
  /** The given array and each row's first frame in it, where it already lies in shared memory. */
  readonly shared: { readonly values: RealArray; readonly starts: Uint32Array } | null;
}

/** Reads sequences in any of the three forms. Throws BAD_ARGUMENT, naming the argument and what was given. */
export function readSequences(name: string, x: unknown, inputSize: number, dtype: Dtype): SequenceInput {
  if (Array.isArray(x) && !isBatchOfEqualRows(x)) return readList(name, x, inputSize, dtype);
  const shaped: (ShapedData & { readonly lengths?: unknown }) | null = isShapedData(x) ? x : null;
  if (shaped) checkShapedKeys(name, shaped, [...TENSOR_KEYS, 'lengths']);
  return readPadded(name, readTensor(name, x, ['batch', 'time', inputSize], dtype), shaped?.lengths);
}

const TENSOR_KEYS = ['data', 'shape', 'dtype'];

/** With a misspelt `lengths`, or with one on a row, padding would be read as frames. */
function checkShapedKeys(name: string, x: ShapedData, known: readonly string[]): void {
  if (Object.getPrototypeOf(x) === Object.prototype) checkKeys(name, x, known);
}

/** Whether nested arrays form one [B, T, I], so that they need not be read row by row. */
const isBatchOfEqualRows = (x: readonly unknown[]): boolean => {
  const [first] = x;
  if (!Array.isArray(first)) return x.length === 0;
  return x.every((row) => Array.isArray(row) && row.length === first.length);
};

function readPadded(name: string, x: Tensor, given: unknown): SequenceInput {
  const [rows, time, inputSize] = x.shape;
  const lengths =
    given === undefined ? new Int32Array(rows).fill(time) : readLengths(name, given, rows, time);
  const starts = new Uint32Array(rows);
  let frames = 0;
  for (let i = 0; i < rows; i++) {
    starts[i] = i * time;
    frames += lengths[i];
  }
  return {
    rows,
    steps: given === undefined ? time : longest(lengths),
    time,
    lengths,
    frames,
    copyTo: (values, from, to) => {
      const whole = frames === rows * time;
      if (whole) values.set(x.data.subarray(from * time * inputSize, to * time * inputSize));
      else copyRows(x.data, starts, lengths, inputSize, values, from, to);
    },
    shared: x.data.buffer instanceof SharedArrayBuffer ? { values: x.data, starts } : null,
  };
}

function copyRows(
  frames: RealArray,
  starts: Uint32Array,
  lengths: Int32Array,
  inputSize: number,
  values: RealArray,
  from: number,
  to: number,
): void {
  let at = 0;
  for (let i = from; i < to; i++) {
    const first = starts[i] * inputSize;
    values.set(frames.subarray(first, first + lengths[i] * inputSize), at);
    at += lengths[i] * inputSize;
  }
}

/**
 * The same input with frames of its own, so that what it was read from may change: a copy, except of frames in shared
 * memory, which stay there.
 */
export function withOwnFrames(input: SequenceInput, inputSize: number, dtype: Dtype): SequenceInput {
  if (input.shared) return input;
  const values = newReals(dtype, input.frames * inputSize);
  input.copyTo(values, 0, input.rows);
  const starts = new Uint32Array(input.rows);
  consecutiveStarts(input.lengths, starts);
  const startOf = (row: number) => (row < input.rows ? starts[row] : input.frames) * inputSize;
  const copyTo: SequenceInput['copyTo'] = (to, first, end) =>
    to.set(values.subarray(startOf(first), startOf(end)));
  return { ...input, copyTo };
}

/** Rows `from` to `to` − 1 of an input, as an input of their own. */
export function sliceRows(input: SequenceInput, from: number, to: number): SequenceInput {
  const lengths = input.lengths.subarray(from, to);
  const { shared } = input;
  return {
    rows: to - from,
    steps: longest(lengths),
    time: input.time,
    lengths,
    frames: total(lengths),
    copyTo: (values, first, last) => input.copyTo(values, from + first, from + last),
    shared: shared && { values: shared.values, starts: shared.starts.subarray(from, to) },
  };
}

/** The rows of several inputs as one input, which can only be copied as a whole. */
export function joinRows(inputs: readonly SequenceInput[]): SequenceInput {
  const lengths = Int32Array.from(inputs.flatMap((input) => Array.from(input.lengths)));
  const frames = total(lengths);
  return {
    rows: lengths.length,
    steps: longest(lengths),
    time: Math.max(...inputs.map(({ time }) => time)),
    lengths,
    frames,
    copyTo: (values) => {
      const inputSize = values.length / frames;
      let at = 0;
      for (const input of inputs) {
        input.copyTo(values.subarray(at), 0, input.rows);
        at += input.frames * inputSize;
      }
    },
    shared: null,
  };
}

export const longest = (lengths: Int32Array): number => lengths.reduce((a, b) => Math.max(a, b), 0);
export const total = (lengths: Int32Array): number => lengths.reduce((a, b) => a + b, 0);

function readLengths(name: string, given: unknown, rows: number, time: number): Int32Array {
  if (!isList(given) || given.length !== rows)
    throw badArgument(`${name}.lengths`, `${rows} lengths, one a row`, lengthOf(given));
  return Int32Array.from({ length: rows }, (_, i) => {
    const length = checkInteger(`${name}.lengths[${i}]`, given[i], 1);
    if (length > time) throw badArgument(`${name}.lengths[${i}]`, `at most ${time}, the padded time`, length);
    return length;
  });
}

function readList(name: string, x: readonly unknown[], inputSize: number, dtype: Dtype): SequenceInput {
  // Not map, which skips holes.
  const sequences = Array.from(x, (row, i) => {
    if (isShapedData(row)) checkShapedKeys(`${name}[${i}]`, row, TENSOR_KEYS);
    return readTensor(`${name}[${i}]`, row, ['time', inputSize], dtype);
  });
  const lengths = Int32Array.from(sequences, (sequence) => sequence.shape[0]);
  const steps = longest(lengths);
  return {
    rows: sequences.length,
    steps,
    time: steps,
    lengths,
    frames: total(lengths),
    copyTo: (values, from, to) => {
      let at = 0;
      for (const { data } of sequences.slice(from, to)) {
        values.set(data, at);
        at += data.length;
      }
    },
    shared: null,
  };
}

/** Writes the index of each sequence's first frame, where sequences lie one after the other. */
export function consecutiveStarts(lengths: Int32Array, into: Uint32Array): void {
  let at = 0;
  for (let i = 0; i < lengths.length; i++) {
    into[i] = at;
    at += lengths[i];
  }
}

/** Puts sequences into shared memory, for calls that visit them many times: one copy serves all threads. */
export function shareSequences(
  input: SequenceInput,
  { labels, labelStarts, counted }: Labels,
  inputSize: number,
  dtype: Dtype,
): Sequences {
  const rows = {
    lengths: sharedCopy(Int32Array, input.lengths),
    labels: sharedCopy(Int32Array, labels),
    labelStarts: sharedCopy(Uint32Array, labelStarts),
    counted: sharedCopy(Int32Array, counted),
  };
  if (input.shared) {
    return { values: input.shared.values, starts: sharedCopy(Uint32Array, input.shared.starts), ...rows };
  }
  const size = input.frames * inputSize;
  const values = realArray(dtype, new SharedArrayBuffer(size * realBytes(dtype)), 0, size);
  input.copyTo(values, 0, input.rows);
  const starts = new Uint32Array(new SharedArrayBuffer(4 * input.rows));
  consecutiveStarts(input.lengths, starts);
  return { values, starts, ...rows };
}

type Words = Int32Array | Uint32Array;

function sharedCopy<T extends Words>(type: { new (buffer: SharedArrayBuffer): T }, words: T): T {
  const copy = new type(new SharedArrayBuffer(words.byteLength));
  copy.set(words);
  return copy;
}
