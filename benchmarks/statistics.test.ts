import { describe, expect, it } from 'vitest';
import { logLogSlope, median, pairedRatios, quantile, summarise } from './statistics.ts';

describe('statistics', () => {
  it('takes the middle value, or halfway between two', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(quantile([1, 2, 3, 4, 5], 0.25)).toBe(2);
    expect(() => median([])).toThrow(RangeError);
  });

  it('gives the quartiles’ distance relative to the median', () => {
    expect(summarise([1, 2, 3, 4, 5])).toEqual({ median: 3, spread: 2 / 3, count: 5 });
  });

  it('divides what was measured in the same round', () => {
    expect(pairedRatios([2, 6, 9], [1, 2, 3])).toEqual([2, 3, 3]);
  });

  it('finds the power of a power law', () => {
    expect(logLogSlope([1, 2, 4, 8].map((x) => [x, 3 * x ** 1.5]))).toBeCloseTo(1.5, 12);
  });
});
