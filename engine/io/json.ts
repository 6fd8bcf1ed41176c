/** More than anything this library writes: a tensor takes nine entries, and a model of 10,000 layers has 240,000. */
const MAX_DEPTH = 16;
const MAX_ENTRIES = 2 ** 22;

/**
 * Parses JSON from a file, which may be hostile: for a hundred megabytes of brackets JSON.parse would take gigabytes, and
 * end the process.
 * @throws SyntaxError
 */
export function parseJson(text: string, revive?: (key: string, value: unknown) => unknown): unknown {
  let [depth, entries] = [0, 0];
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === '"') at = endOfString(text, at);
    else if (character === '{' || character === '[') depth++;
    else if (character === '}' || character === ']') depth--;
    else if (character === ',') entries++;
    if (depth > MAX_DEPTH) throw new SyntaxError(`nested deeper than ${MAX_DEPTH} levels`);
    if (entries > MAX_ENTRIES) throw new SyntaxError(`more than ${MAX_ENTRIES} entries`);
  }
  return JSON.parse(text, revive);
}

/** Where the string that begins with the quote at `start` has its closing quote, or the text ends. */
export function endOfString(json: string, start: number): number {
  let at = start + 1;
  while (at < json.length && json[at] !== '"') at += json[at] === '\\' ? 2 : 1;
  return at;
}
