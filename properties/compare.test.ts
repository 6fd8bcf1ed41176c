import { describe, expect, it } from 'vitest';
import { expectClose, expectSameBits, gamma, largestMagnitude, unitRoundoff } from './compare.ts';

const inf = Number.POSITIVE_INFINITY;
const none = { atol: 0 };

describe('expectClose', () => {
  it('accepts an error of exactly atol + rtol·|e|', () => {
    expectClose('v', [1.5, -4], [1, -3], { atol: 0.25, rtol: 0.25 });
  });

  it('refuses an error just above it', () => {
    expect(() => expectClose('v', [1.5 + 2 ** -50], [1], { atol: 0.25, rtol: 0.25 })).toThrow(/v\[0\]/);
  });

  it('takes the tolerance relative to the expected value, not to the actual one', () => {
    expect(() => expectClose('v', [100], [1], { atol: 0, rtol: 1 })).toThrow();
  });

  it('names the tensor, the first index, both values, and the largest error and its place', () => {
    const actual = [
      [1, 2.5, 3],
      [4, 5, 16],
    ];
    const expected = [
      [1, 2, 3],
      [4, 5, 6],
    ];
    expect(() => expectClose('dW_ih', actual, expected, { atol: 0.1 })).toThrow(
      /dW_ih\[0, 1\] = 2\.5, expected 2, .*\n2 of 6 .* largest error is 1\.000e\+1: dW_ih\[1, 2\] = 16, expected 6/,
    );
  });

  it.each([
    [Number.NaN, 0],
    [0, Number.NaN],
    [Number.NaN, inf],
    [inf, Number.NaN],
    [inf, -inf],
    [inf, 1e308],
    [1e308, inf],
  ])('refuses %d where %d is expected, however wide the tolerance', (actual, expected) => {
    expect(() => expectClose('v', [actual], [expected], { atol: 1e300, rtol: 1e300 })).toThrow();
  });

  it.each([[Number.NaN], [inf], [-inf]])('accepts %d where the same is expected', (value) => {
    expectClose('v', [value], [value], none);
  });

  it('takes a tolerance for each element', () => {
    const tolerance = { atol: [[0], [1]] };
    expectClose('v', [[0], [1]], [[0], [0]], tolerance);
    expect(() => expectClose('v', [[1], [0]], [[0], [0]], tolerance)).toThrow(/v\[0, 0\]/);
  });

  it('refuses a tolerance that is NaN, infinite, negative or of another size', () => {
    for (const atol of [Number.NaN, inf, -1, [1, 1]]) {
      expect(() => expectClose('v', [0], [0], { atol })).toThrow(/tolerance/);
    }
  });

  it('refuses another shape, even of the same number of elements', () => {
    expect(() => expectClose('v', [1, 2], [[1, 2]], none)).toThrow('v: shape [2], expected [1, 2]');
    expect(() => expectClose('v', [], [1], none)).toThrow('v: shape [0], expected [1]');
  });

  it('reads typed arrays with a shape and nested arrays alike', () => {
    const tensor = { data: Float32Array.of(1, 2, 3, 4), shape: [2, 2] };
    const nested = [
      [1, 2],
      [3, 4],
    ];
    expectClose('v', tensor, nested, none);
    expectClose('v', nested, tensor, none);
    expect(() => expectClose('v', { data: tensor.data, shape: [4] }, nested, none)).toThrow();
  });

  it('compares a single number', () => {
    expectClose('loss', 1, 1, none);
    expect(() => expectClose('loss', 1, 2, none)).toThrow(/loss\[\] = 1, expected 2/);
  });
});

describe('expectSameBits', () => {
  it('accepts the same values of the same shape, NaN included', () => {
    expectSameBits('v', [[1, Number.NaN, -0]], [[1, Number.NaN, -0]]);
  });

  it('refuses a difference of one unit in the last place, and of a zero sign', () => {
    expect(() => expectSameBits('v', [1, 1 + 2 ** -52], [1, 1])).toThrow(/v\[1\]/);
    expect(() => expectSameBits('v', [0], [-0])).toThrow('v[0] = 0, expected the bits of -0');
    expect(() => expectSameBits('v', [1], [1, 1])).toThrow(/shape/);
  });
});

describe('tolerances', () => {
  it('knows the unit roundoff of both data types', () => {
    expect(Math.fround(1 + unitRoundoff('float32'))).toBe(1);
    expect(Math.fround(1 + unitRoundoff('float32') * 1.001)).toBeGreaterThan(1);
    expect(1 + unitRoundoff('float64')).toBe(1);
    expect(1 + unitRoundoff('float64') * 2).toBeGreaterThan(1);
  });

  it('computes γ_k = k·u / (1 − k·u)', () => {
    expect(gamma(4, 1 / 8)).toBe(1); // 0.5 / 0.5
    expect(() => gamma(8, 1 / 8)).toThrow(RangeError);
  });

  it('finds the largest magnitude', () => {
    expect(largestMagnitude([[1], [-3]])).toBe(3);
  });
});
