import { describe, expect, it } from 'vitest';
import { fitLine, logLogSlope, pairedRatios, summarize } from './statistics.ts';

describe('statistics', () => {
  it('gives the quartiles’ distance relative to the median', () => {
    expect(summarize([1, 2, 3, 4, 5])).toEqual({ median: 3, spread: 2 / 3 });
  });

  it('divides what was measured in the same round', () => {
    expect(pairedRatios([2, 6, 9], [1, 2, 3])).toEqual([2, 3, 3]);
  });

  it('draws the line with the least squares, level through points of a single x', () => {
    // Deviations −1, 0, 1 in x and −1, 1, 0 in y: slope 1 / 2 through (1, 2).
    const line = fitLine([
      [0, 1],
      [1, 3],
      [2, 2],
    ]);
    expect([line.slope, line.at(0), line.at(3)]).toEqual([0.5, 1.5, 3]);
    expect(fitLine([[4, 7]]).at(9)).toBe(7);
  });

  it('finds the power of a power law', () => {
    expect(logLogSlope([1, 2, 4, 8].map((x) => [x, 3 * x ** 1.5]))).toBeCloseTo(1.5, 12);
  });
});
