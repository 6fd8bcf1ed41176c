import { fileURLToPath } from 'node:url';
import { badArgument, shorten } from './errors.ts';

/** Checks that an options object has known keys only: a misspelt option is an error, not a default. */
export function checkKeys(name: string, options: unknown, known: readonly string[], kind = 'options'): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw badArgument(name, `an object with ${known.join(', ')}`, options);
  }
  for (const key of Object.keys(options)) {
    if (!known.includes(key))
      throw badArgument(shorten(`${name}.${key}`), `one of the ${kind} ${known.join(', ')}`, key);
  }
}

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
export function checkPath(path: unknown): string {
  const text = path instanceof URL ? pathOf(path) : path;
  if (typeof text !== 'string' || text === '' || text.includes('\0'))
    throw badArgument('path', 'the path of a file', path instanceof URL ? path.href : path);
  return text;
}

function pathOf(url: URL): string | null {
  try {
    return fileURLToPath(url);
  } catch {
    return null;
  }
}

export function checkPositive(name: string, value: unknown): number {
  if (typeof value !== 'number' || !(value > 0) || !Number.isFinite(value)) {
    throw badArgument(name, 'a number above 0', value);
  }
  return value;
}

export function checkNotNegative(name: string, value: unknown): number {
  if (typeof value !== 'number' || !(value >= 0) || !Number.isFinite(value)) {
    throw badArgument(name, 'a number, 0 or more', value);
  }
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
