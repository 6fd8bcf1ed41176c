import { badArgument } from './errors.ts';

/** Checks that an options object has known keys only: a misspelt option is an error, not a default. */
export function checkKeys(name: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw badArgument(name, `an object with ${known.join(', ')}`, options);
  }
  for (const key of Object.keys(options)) {
    if (!known.includes(key))
      throw badArgument(`${name}.${key}`, `one of the options ${known.join(', ')}`, key);
  }
}

export function checkInteger(name: string, value: unknown, least: number): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < least) {
    throw badArgument(name, `an integer, ${least} or more`, value);
  }
  return value;
}

export function checkPositive(name: string, value: unknown): number {
  if (typeof value !== 'number' || !(value > 0) || !Number.isFinite(value)) {
    throw badArgument(name, 'a number above 0', value);
  }
  return value;
}

/** Class labels, one for each row: integers from 0 to below `classes`. */
export function readLabels(
  name: string,
  value: unknown,
  rows: number,
  classes: number,
  into: Int32Array,
): void {
  const list =
    Array.isArray(value) || ArrayBuffer.isView(value) ? (value as ArrayLike<unknown>) : readData(value);
  if (!list || list.length !== rows)
    throw badArgument(name, `${rows} labels, one a row`, list ? list.length : value);
  for (let i = 0; i < rows; i++) {
    const label = list[i];
    if (typeof label !== 'number' || !Number.isInteger(label) || label < 0 || label >= classes) {
      throw badArgument(`${name}[${i}]`, `an integer from 0 to ${classes - 1}`, label);
    }
    into[i] = label;
  }
}

const readData = (value: unknown): ArrayLike<unknown> | null =>
  typeof value === 'object' && value !== null && 'data' in value && ArrayBuffer.isView(value.data)
    ? (value.data as unknown as ArrayLike<unknown>)
    : null;
