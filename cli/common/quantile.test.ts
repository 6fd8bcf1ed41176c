import { expect, it } from 'vitest';
import { median, quantile } from './quantile.ts';

it('takes the middle value, or halfway between two', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(quantile([1, 2, 3, 4, 5], 0.25)).toBe(2);
  expect(() => median([])).toThrow(RangeError);
});
