import { describe, expect, it } from 'vitest';
import { measureNormalization } from './normalization.ts';

describe('measureNormalization', () => {
  it('gives what never changes the deviation 1, though its mean is rounded', () => {
    for (const [value, frames] of [
      [0.1, 3],
      [0.3, 1000],
      [-7, 5],
    ]) {
      const x = [Array.from({ length: frames }, (_, t) => [value, t])];
      const { mean, std } = measureNormalization(x, 2);
      expect(std[0]).toBe(1);
      expect(Math.abs(mean[0] - value)).toBeLessThan(1e-12);
      expect(std[1]).toBeCloseTo(Math.sqrt((frames ** 2 - 1) / 12), 9);
    }
  });

  it('gives mean and deviation over all frames, padding left out, and 1 where nothing varies', () => {
    const data = [1, 5, 3, 5, Number.NaN, Number.NaN, 5, 5, 7, 5, 9, 5];
    const { mean, std } = measureNormalization({ data, shape: [2, 3, 2], lengths: [2, 3] }, 2);
    expect(mean).toEqual([5, 5]);
    expect(std).toEqual([Math.sqrt((16 + 4 + 0 + 4 + 16) / 5), 1]);
  });
});

describe('frames to be measured', () => {
  it('are refused where one is not finite, and named', () => {
    const x = [
      [[1, 2]],
      [
        [3, 4],
        [5, Number.NaN],
      ],
    ];
    expect(() => measureNormalization(x, 2)).toThrow(
      'x: value 1 of frame 1 of sequence 1: expected a finite number, got NaN',
    );
  });
});
