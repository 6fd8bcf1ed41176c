import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import {
  checkFlag,
  checkInteger,
  checkKeys,
  checkNotNegative,
  checkOneOf,
  checkPath,
  checkPositive,
  checkSignal,
  checkSource,
} from './validation.ts';

const known = ['b', 'c'];
const largest = Number.MAX_SAFE_INTEGER;
const web = new URL('https://example.org/model');

describe('an argument', () => {
  it('is returned as it is where it is valid', () => {
    const { signal } = new AbortController();
    const bytes = new Uint8Array(1);
    const returned: [unknown, unknown][] = [
      [checkInteger('n', 3, 3, 3), 3],
      [checkInteger('n', largest, 0), largest],
      [checkPositive('n', Number.MIN_VALUE), Number.MIN_VALUE],
      [checkNotNegative('n', 0), 0],
      [checkFlag('n', false), false],
      [checkOneOf('n', 'c', known), 'c'],
      [checkSignal(undefined), undefined],
      [checkSignal(signal), signal],
      [checkPath('/a b'), '/a b'],
      [checkSource('/a b'), '/a b'],
      [checkSource(bytes), bytes],
    ];
    for (const [actual, expected] of returned) expect(actual).toBe(expected);
    expect(() => checkKeys('a', { b: 1 }, known)).not.toThrow();
  });

  it('that is the file: URL of a path is that path', () => {
    const url = pathToFileURL('/a b');
    expect([checkPath(url), checkSource(url)]).toEqual(['/a b', '/a b']);
  });

  const refused: [() => unknown, string][] = [
    [() => checkKeys('a', null, known), 'a: expected an object with b, c, got null'],
    [() => checkKeys('a', [], known), 'a: expected an object with b, c, got []'],
    [() => checkKeys('a', 'b', known), 'a: expected an object with b, c, got "b"'],
    [() => checkKeys('a', { b: 1, d: 1 }, known), 'a.d: expected one of the options b, c, got "d"'],
    [() => checkKeys('a', { d: 1 }, known, 'parts'), 'a.d: expected one of the parts b, c, got "d"'],
    [() => checkInteger('n', 2, 3), 'n: expected an integer, 3 or more, got 2'],
    [() => checkInteger('n', 3.5, 3), 'n: expected an integer, 3 or more, got 3.5'],
    [() => checkInteger('n', '4', 3), 'n: expected an integer, 3 or more, got "4"'],
    [() => checkInteger('n', 2n ** 53n, 3), 'n: expected an integer, 3 or more, got 9007199254740992n'],
    [
      () => checkInteger('n', 2 ** 53, 3),
      'n: expected an integer below 2⁵³, 3 or more, got 9007199254740992',
    ],
    [() => checkInteger('n', 5, 3, 4), 'n: expected at most 4, got 5'],
    ...[0, -1, Number.NaN, Number.POSITIVE_INFINITY, true].map((value): [() => unknown, string] => [
      () => checkPositive('n', value),
      `n: expected a finite number above 0, got ${value}`,
    ]),
    ...[-1, Number.NaN, Number.POSITIVE_INFINITY, true].map((value): [() => unknown, string] => [
      () => checkNotNegative('n', value),
      `n: expected a finite number, 0 or more, got ${value}`,
    ]),
    [() => checkFlag('n', 1), 'n: expected true or false, got 1'],
    [() => checkOneOf('n', 'd', ['a', ...known]), "n: expected 'a', 'b' or 'c', got \"d\""],
    [() => checkSignal({ aborted: false }), 'signal: expected an AbortSignal, got Object'],
    ...[1, '', 'a\0b'].map((value): [() => unknown, string] => [
      () => checkPath(value),
      `path: expected the path of a file, got ${JSON.stringify(value)}`,
    ]),
    [() => checkPath(web), 'path: expected the path of a file, got "https://example.org/model"'],
    [
      () => checkSource(new ArrayBuffer(1)),
      'source: expected the path of a file, or its bytes in a Uint8Array, got ArrayBuffer',
    ],
  ];
  for (const [check, message] of refused)
    it(`that is not is refused: ${message}`, () => {
      expect(check).toThrow(message);
    });
});
