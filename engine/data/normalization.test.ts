import { describe, expect, it } from 'vitest';
import { measureNormalization, normalizationSpec } from './normalization.ts';

describe('a normalization', () => {
  it('must be one in the model’s data type', () => {
    const spec = (mean: number, std: number, dtype: 'float32' | 'float64') =>
      normalizationSpec({ mean: [mean], std: [std] }, 1, dtype);
    expect(spec(1e39, 1e-50, 'float64')).toEqual({ mean: [1e39], std: [1e-50] });
    expect(() => spec(1e39, 1, 'float32')).toThrow(
      'normalization.mean[0]: expected a finite number in float32, got 1e+39',
    );
    expect(() => spec(0, 1e-50, 'float32')).toThrow(
      'normalization.std[0]: expected a finite number above 0 in float32, got 1e-50',
    );
  });
});

describe('measureNormalization', () => {
  it('looks at each number once, and knows which of them vary', () => {
    const x = [
      [
        [1, 2, 5],
        [1, 3, 5],
      ],
      [[1, 2, 6]],
    ];
    expect(Array.from(measureNormalization(x, 3).std, (value) => value === 1)).toEqual([true, false, false]);
  });

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
  it('are refused where their variance is too large for a number', () => {
    expect(() => measureNormalization([[[0, 1e200]], [[1, -1e200]]], 2)).toThrow(
      'x: expected frames whose variance is a number, got some too large at value 1',
    );
  });

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
