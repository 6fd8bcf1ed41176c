import { fileURLToPath } from 'node:url';
import { shorten } from './describe.ts';
import { badArgument } from './errors.ts';

/** Names that a message lists; a deep model has thousands of parameters. */
const MAX_NAMES = 40;

const shownOf = (names: readonly string[]): string =>
  names.slice(0, MAX_NAMES).join(', ') + (names.length > MAX_NAMES ? ', …' : '');

/** Checks that an options object has known keys only: a misspelt option is an error, not a default. */
export function checkKeys(name: string, options: unknown, known: readonly string[], kind = 'options'): void {
  const isArray = Array.isArray(options) || ArrayBuffer.isView(options);
  if (typeof options !== 'object' || options === null || isArray) {
    throw badArgument(name, `an object with ${shownOf(known)}`, options);
  }
  const names = new Set(known);
  for (const key of Object.keys(options)) {
    if (!names.has(key))
      throw badArgument(shorten(`${name}.${key}`), `one of the ${kind} ${shownOf(known)}`, key);
  }
}

/** The names of all options of a type: where one is missing, or there is one too many, this does not compile. */
export const keysOf = <T>(names: Record<keyof T, true>): readonly string[] => Object.keys(names);

/** Whether a value is an array or a typed array; its entries may be anything. */
export const isList = (value: unknown): value is ArrayLike<unknown> =>
  Array.isArray(value) || (ArrayBuffer.isView(value) && 'length' in value);

export function checkInteger(
  name: string,
  value: unknown,
  least: number,
  most = Number.MAX_SAFE_INTEGER,
): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < least) {
    const isTooLarge = typeof value === 'number' && value > Number.MAX_SAFE_INTEGER;
    throw badArgument(name, `an integer${isTooLarge ? ' below 2⁵³' : ''}, ${least} or more`, value);
  }
  if (value > most) throw badArgument(name, `at most ${most}`, value);
  return value;
}

/** Reads a path, or a file: URL of one. */
export function checkPath(path: unknown, name = 'path', expected = 'the path of a file'): string {
  return pathOf(path) ?? refuse(name, expected, path);
}

/** A file, by its path as above or as its bytes. */
export function checkSource(source: unknown): string | Uint8Array {
  if (source instanceof Uint8Array) return source;
  return pathOf(source) ?? refuse('source', 'the path of a file, or its bytes in a Uint8Array', source);
}

function pathOf(value: unknown): string | null {
  const text = value instanceof URL ? pathOfUrl(value) : value;
  return typeof text === 'string' && text !== '' && !text.includes('\0') ? text : null;
}

function pathOfUrl(url: URL): string | null {
  try {
    return fileURLToPath(url);
  } catch {
    return null;
  }
}

function refuse(name: string, expected: string, value: unknown): never {
  throw badArgument(name, expected, value instanceof URL ? value.href : value);
}

export function checkPositive(name: string, value: unknown): number {
  if (typeof value !== 'number' || !(value > 0) || !Number.isFinite(value)) {
    throw badArgument(name, 'a finite number above 0', value);
  }
  return value;
}

export function checkNotNegative(name: string, value: unknown): number {
  if (typeof value !== 'number' || !(value >= 0) || !Number.isFinite(value)) {
    throw badArgument(name, 'a finite number, 0 or more', value);
  }
  return value;
}

/** A share, or a decay: [0, 1). */
export function checkFraction(name: string, value: unknown): number {
  if (typeof value !== 'number' || !(value >= 0 && value < 1))
    throw badArgument(name, 'a number from 0 to below 1', value);
  return value;
}

export function checkFlag(name: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw badArgument(name, 'true or false', value);
  return value;
}

export function checkOneOf<T extends string>(name: string, value: unknown, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === value);
  if (found === undefined) {
    const quoted = choices.map((choice) => `'${choice}'`);
    throw badArgument(name, `${quoted.slice(0, -1).join(', ')} or ${quoted.at(-1)}`, value);
  }
  return found;
}

export function checkSignal(signal: unknown): AbortSignal | undefined {
  if (signal === undefined || signal instanceof AbortSignal) return signal;
  throw badArgument('signal', 'an AbortSignal', signal);
}
