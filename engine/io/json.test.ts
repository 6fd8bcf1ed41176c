import { describe, expect, it } from 'vitest';
import { parseJson } from './json.ts';

const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);

describe('JSON from a file', () => {
  it('is read as JSON.parse reads it, brackets in its strings included', () => {
    const value = { 'a[[[[[[[[[[[[[[[[[[[[': ['\\"{{{{{{{{{{{{{{{{{{{{', { b: [1, null, ']'] }] };
    expect(parseJson(JSON.stringify(value))).toEqual(value);
    expect(parseJson('{"a":"1"}', (_, v) => (v === '1' ? 1 : v))).toEqual({ a: 1 });
  });

  it('may be 16 levels deep; what is deeper is refused before it is parsed', () => {
    expect(parseJson(nested(16))).toBeTruthy();
    for (const brackets of [nested(15), '{}'])
      expect(parseJson(`[${Array(99).fill(brackets).join()}]`)).toHaveLength(99);
    for (const deep of [nested(17), '{"a":'.repeat(3_000_000), nested(3_000_000)])
      expect(() => parseJson(deep)).toThrow('nested deeper than 16 levels');
  });

  it('may have four million entries, and more characters than that', () => {
    expect(parseJson(`${' '.repeat(2 ** 22)} 1`)).toBe(1);
    expect(() => parseJson(','.repeat(2 ** 22))).toThrow('Unexpected token');
    expect(() => parseJson(','.repeat(2 ** 22 + 1))).toThrow('more than 4194304 entries');
  });

  it.each(['', '"', '"\\', '"a\\"', '{"a', ']', '[1', '}{'])('is refused where it is none: %s', (text) => {
    expect(() => parseJson(text)).toThrow(SyntaxError);
  });
});
