import { describe, quote, shorten } from './describe.ts';

/** What went wrong, for programs to test; the message is for people. */
export type ErrorCode =
  | 'BAD_ARGUMENT'
  | 'BAD_FILE_DTYPE'
  | 'BAD_FILE_DUPLICATE'
  | 'BAD_FILE_HEADER'
  | 'BAD_FILE_HEADER_SIZE'
  | 'BAD_FILE_HOLE'
  | 'BAD_FILE_METADATA'
  | 'BAD_FILE_OFFSETS'
  | 'BAD_FILE_OVERLAP'
  | 'BAD_FILE_SHAPE'
  | 'BAD_FILE_SIZE_MISMATCH'
  | 'BAD_FILE_TRAILING'
  | 'BAD_FILE_TRUNCATED'
  | 'BAD_MODEL_FILE'
  | 'BLAS_MISSING'
  | 'BUSY'
  | 'CLOSED'
  | 'MEMORY_TOO_LARGE'
  | 'NOT_BUILT'
  | 'NOT_EXPORTABLE'
  | 'NO_FORWARD'
  | 'RELAXED_SIMD_MISSING'
  | 'NOT_FINITE'
  | 'WORKER_FAILED'
  | 'WORKER_LOST';

/** An error of this library: `code` says what went wrong. */
export class ElmanError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ElmanError';
    this.code = code;
  }
}

/** What a caught value says; anything may be thrown. */
export const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));

/** For example `x: expected [batch, time, 39], got [32, 20, 40]`. */
export const badArgument = (argument: string, expected: string, got: unknown): ElmanError =>
  new ElmanError('BAD_ARGUMENT', `${shorten(argument)}: expected ${expected}, got ${describe(got)}`);

export const busy = (method: string): ElmanError =>
  new ElmanError(
    'BUSY',
    `${method}: busy, a call on this model is in flight, await it first (a callback of fit may not wait for another call)`,
  );

export const closed = (method: string): ElmanError =>
  new ElmanError('CLOSED', `${method}: the model is closed`);

export const blasMissing = (fault: string, cause?: unknown): ElmanError =>
  new ElmanError('BLAS_MISSING', `kernels: 'blas' needs a BLAS of the system's: ${fault}`, { cause });

export const relaxedSimdMissing = (): ElmanError =>
  new ElmanError(
    'RELAXED_SIMD_MISSING',
    "kernels: 'wasm-relaxed' needs relaxed SIMD, which this Node.js does not have: " +
      'Node.js 22 does, Node.js 20 with --experimental-wasm-relaxed-simd',
  );

export const noForward = (method: string, missing = 'forward'): ElmanError =>
  new ElmanError('NO_FORWARD', `${method}: there has been no ${missing} before it`);

export const notBuilt = (path: string): ElmanError =>
  new ElmanError(
    'NOT_BUILT',
    `${path} does not exist: a bundler must leave elman out of its bundle (as external), a clone needs npm run build`,
  );

export const notExportable = (reason: string): ElmanError =>
  new ElmanError('NOT_EXPORTABLE', `exportOnnx: ${reason}`);

/** The first value of a data set that is not finite. */
export interface NotFiniteValue {
  readonly row: number;
  readonly frame: number;
  /** Its place in the frame. */
  readonly column: number;
  readonly value: number;
  readonly dtype: 'float32' | 'float64';
}

/** An Infinity may be one in float32 only. */
const placeIn = (x: string, { column, frame, row, value, dtype }: NotFiniteValue): string =>
  `${x}: the value ${column} of frame ${frame} of sequence ${row} is ${value}${Number.isNaN(value) ? '' : ` in ${dtype}`}`;

/** `value` is the first one of the training data that is not finite; null where all are. */
export const notFinite = (
  { epoch, step }: { epoch: number; step: number },
  { loss, norm, largestNorm }: { loss: number; norm: number; largestNorm: number },
  value: NotFiniteValue | null,
): ElmanError => {
  const advice = value ? placeIn('data.x', value) : 'try a lower learning rate, or clipNorm';
  return new ElmanError(
    'NOT_FINITE',
    `fit: loss ${loss} and gradient norm ${norm} in epoch ${epoch}, step ${step}` +
      (step > 0 ? ` (the largest norm in this epoch so far: ${largestNorm})` : '') +
      `; the parameters are those before this step (${advice})`,
  );
};

/** For data that were evaluated. `value` is null where all of them are finite, so that the model is at fault. */
export const lossNotFinite = (data: string, loss: number, value: NotFiniteValue | null): ElmanError =>
  new ElmanError(
    'NOT_FINITE',
    `${data}: their loss is ${loss} (${value ? placeIn(`${data}.x`, value) : 'a parameter of the model or a state is not finite'})`,
  );

export const normNotFinite = (norm: number): ElmanError =>
  new ElmanError('NOT_FINITE', `step: the gradient norm is ${norm}; nothing has changed`);

export const parameterNotFinite = (method: string, name: string, at: number, value: number): ElmanError =>
  new ElmanError('NOT_FINITE', `${method}: ${name} is ${value} at ${at}; nothing is saved`);

export const workerLost = (cause: unknown): ElmanError =>
  new ElmanError(
    'WORKER_LOST',
    'a worker thread died during the call; what it was to change is as it was before, in fit as after the last whole step; ' +
      'the next call starts new threads',
    { cause },
  );

export const workerFailed = (message: string, cause?: unknown): ElmanError =>
  new ElmanError('WORKER_FAILED', `a worker thread failed: ${message}`, { cause });

/** For what would fill the heap, which ends the process. */
export const matrixTooLarge = (classes: number): ElmanError =>
  new ElmanError(
    'MEMORY_TOO_LARGE',
    `confusion: a matrix of ${classes} classes is too large; accuracy and recall need none`,
  );

export function memoryTooLarge(
  regions: readonly { readonly name: string; readonly bytes: number }[],
  limit: number,
): ElmanError {
  const largest = [...regions].sort((a, b) => b.bytes - a.bytes).slice(0, 4);
  const total = regions.reduce((sum, region) => sum + region.bytes, 0);
  const sizes = largest.map(({ name, bytes }) => `${name} ${megabytes(bytes)}`).join(', ');
  return new ElmanError(
    'MEMORY_TOO_LARGE',
    `a model and its batch must fit into ${megabytes(limit)}, this one needs more than ${megabytes(total)} (${sizes})`,
  );
}

/** For memory that the system refuses: the limit is the machine's or the process's, not 4 GiB. */
export const noMemory = (bytes: number, cause: unknown): ElmanError =>
  new ElmanError(
    'MEMORY_TOO_LARGE',
    `the system refuses ${megabytes(bytes)} of memory for a model, its batch or a stream, or the 10 GiB of addresses ` +
      `that each memory reserves (ulimit -v): ${messageOf(cause)}`,
    { cause },
  );

const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(bytes < 2 ** 20 ? 3 : 1)} MiB`;

// ---- Damaged or unsuitable files -----------------------------------------------------------------------------------

export const badModelFile = (path: string, fault: string, cause?: unknown): ElmanError =>
  new ElmanError('BAD_MODEL_FILE', `${path}: ${fault}`, { cause });

export const fileTruncated = (needed: number, got: number): ElmanError =>
  new ElmanError(
    'BAD_FILE_TRUNCATED',
    `safetensors: the file ends early: it needs ${needed} bytes, got ${got}`,
  );

export const fileTrailing = (bytes: number): ElmanError =>
  new ElmanError('BAD_FILE_TRAILING', `safetensors: ${bytes} bytes after the last tensor belong to none`);

export const fileHeaderSize = (size: bigint, limit: number): ElmanError =>
  new ElmanError(
    'BAD_FILE_HEADER_SIZE',
    `safetensors: the header claims ${size} bytes, at most ${limit} are possible`,
  );

export const fileHeader = (fault: string, cause?: unknown): ElmanError =>
  new ElmanError('BAD_FILE_HEADER', `safetensors: the header ${fault}`, { cause });

export const fileDuplicate = (name: string): ElmanError =>
  new ElmanError('BAD_FILE_DUPLICATE', `safetensors: the header has the name ${quote(name)} twice`);

export const fileMetadata = (fault: string): ElmanError =>
  new ElmanError('BAD_FILE_METADATA', `safetensors: __metadata__ ${fault}`);

export const fileDtype = (tensor: string, dtype: unknown): ElmanError =>
  new ElmanError(
    'BAD_FILE_DTYPE',
    `safetensors: ${quote(tensor)} has dtype ${describe(dtype)}, only F32 and F64 can be read`,
  );

export const fileShape = (tensor: string, shape: unknown): ElmanError =>
  new ElmanError(
    'BAD_FILE_SHAPE',
    `safetensors: ${quote(tensor)}: expected a shape of integers from 0 of safe product, got ${describe(shape)}`,
  );

export const fileOffsets = (tensor: string, offsets: unknown): ElmanError =>
  new ElmanError(
    'BAD_FILE_OFFSETS',
    `safetensors: ${quote(tensor)}: expected data_offsets [begin, end], got ${describe(offsets)}`,
  );

export const fileSizeMismatch = (tensor: string, needed: number, got: number): ElmanError =>
  new ElmanError(
    'BAD_FILE_SIZE_MISMATCH',
    `safetensors: ${quote(tensor)}: its shape takes ${needed} bytes, its data_offsets span ${got}`,
  );

export const fileOverlap = (tensor: string): ElmanError =>
  new ElmanError('BAD_FILE_OVERLAP', `safetensors: ${quote(tensor)} overlaps the tensor before it`);

export const fileHole = (tensor: string, bytes: number): ElmanError =>
  new ElmanError('BAD_FILE_HOLE', `safetensors: ${bytes} bytes before ${quote(tensor)} belong to no tensor`);
