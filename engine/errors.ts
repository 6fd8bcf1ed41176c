/** What went wrong, for programs; the message says it to people. */
export type ErrorCode =
  | 'BAD_ARGUMENT'
  | 'BAD_FILE_DATA_LENGTH'
  | 'BAD_FILE_DTYPE'
  | 'BAD_FILE_DUPLICATE'
  | 'BAD_FILE_HEADER'
  | 'BAD_FILE_HEADER_SIZE'
  | 'BAD_FILE_METADATA'
  | 'BAD_FILE_OFFSETS'
  | 'BAD_FILE_SHAPE'
  | 'BAD_FILE_SIZE_MISMATCH'
  | 'BAD_FILE_TRUNCATED';

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

function describe(value: unknown): string {
  return typeof value === 'object' ? (JSON.stringify(value) ?? 'an object') : String(value);
}
