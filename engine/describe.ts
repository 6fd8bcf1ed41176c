/** Text from a file, which may be hostile, is shown up to this length. */
const MAX_SHOWN = 80;

export function quote(name: string): string {
  return JSON.stringify(shorten(name));
}

export function shorten(text: string): string {
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}

/** A description that an error shows in place of a value. */
class Words {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** For `got`: text to be shown verbatim, without quotes. */
export const plain = (text: string): unknown => new Words(text);

/** For `got` where an array of another length was expected: the array's length, or the value if it is not an array. */
export const lengthOf = (value: unknown): unknown =>
  Array.isArray(value) || (ArrayBuffer.isView(value) && 'length' in value)
    ? plain(`an array of ${(value as unknown as ArrayLike<unknown>).length}`)
    : value;

/** A short description of a value: number arrays by their numbers, strings in quotes. */
export function describe(value: unknown): string {
  if (value instanceof Words) return value.text;
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'string') return quote(value);
  if (Array.isArray(value)) {
    // More numbers than that are not shown, and may be millions.
    const first = value.slice(0, MAX_SHOWN);
    if (first.every((entry) => typeof entry === 'number')) return `[${shorten(first.join(', '))}]`;
  }
  if (typeof value === 'function') return 'a function';
  return typeof value === 'object' && value !== null ? kindOf(value) : String(value);
}

/** The class of an object. What comes from a file may have a property called constructor, of any kind. */
function kindOf(value: object): string {
  const name: unknown = value.constructor?.name;
  return typeof name === 'string' && name !== '' ? shorten(name) : 'an object';
}
