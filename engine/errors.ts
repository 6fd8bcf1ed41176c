import type { Region } from './parallel/memory-map.ts';

/** What went wrong, for programs; the message says it to people. */
export type ErrorCode =
  | 'BAD_ARGUMENT'
  | 'BUSY'
  | 'CLOSED'
  | 'MEMORY_TOO_LARGE'
  | 'NO_FORWARD'
  | 'NOT_FINITE'
  | 'WORKER_FAILED'
  | 'WORKER_LOST';

/** Every error this library throws. */
export class ElmanError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ElmanError';
    this.code = code;
  }
}

/** `x: expected [batch, time, 39], got [32, 20, 40]`. */
export const badArgument = (argument: string, expected: string, got: unknown): ElmanError =>
  new ElmanError('BAD_ARGUMENT', `${argument}: expected ${expected}, got ${describe(got)}`);

export const busy = (method: string): ElmanError =>
  new ElmanError('BUSY', `${method}: busy, a call on this model is in flight; await it first`);

export const closed = (method: string): ElmanError =>
  new ElmanError('CLOSED', `${method}: the model is closed`);

export const noForward = (): ElmanError =>
  new ElmanError('NO_FORWARD', 'backward: there has been no forward before it');

export const notFinite = (epoch: number, step: number, loss: number, norm: number): ElmanError =>
  new ElmanError(
    'NOT_FINITE',
    `fit: loss ${loss} and gradient norm ${norm} in epoch ${epoch}, step ${step}; ` +
      'the parameters are those before this step (try a lower learning rate, or clipNorm)',
  );

export const workerLost = (cause: unknown): ElmanError =>
  new ElmanError(
    'WORKER_LOST',
    'a worker thread died during the call; parameters and gradients are as they were before it, the next call starts new threads',
    { cause },
  );

export const workerFailed = (message: string): ElmanError =>
  new ElmanError('WORKER_FAILED', `a worker thread failed: ${message}`);

export function memoryTooLarge(regions: readonly Region[], limit: number): ElmanError {
  const largest = [...regions].sort((a, b) => b.bytes - a.bytes).slice(0, 4);
  const total = regions.reduce((sum, region) => sum + region.bytes, 0);
  const sizes = largest.map(({ name, bytes }) => `${name} ${megabytes(bytes)}`).join(', ');
  return new ElmanError(
    'MEMORY_TOO_LARGE',
    `a model and its batch must fit into ${megabytes(limit)}, this one needs more than ${megabytes(total)} (${sizes})`,
  );
}

const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

/** A value in a few words: arrays by their shape, strings in quotes. */
function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (Array.isArray(value) && value.every((entry) => typeof entry === 'number'))
    return `[${value.join(', ')}]`;
  if (typeof value === 'object' && value !== null) return value.constructor?.name ?? 'an object';
  return String(value);
}
