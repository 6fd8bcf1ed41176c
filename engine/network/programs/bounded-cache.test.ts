import { expect, it } from 'vitest';
import { BoundedCache } from './bounded-cache.ts';

it('makes a value once, and holds no more than it may', () => {
  let made = 0;
  const remembered = new BoundedCache<string>(3);
  const ask = (...keys: string[]) => keys.map((key) => remembered.get(key, () => `${key}${++made}`));
  expect(ask('a', 'b', 'a', 'c', 'b')).toEqual(['a1', 'b2', 'a1', 'c3', 'b2']);
  // A fourth makes it forget the three.
  expect(ask('d', 'a', 'd')).toEqual(['d4', 'a5', 'd4']);
});
