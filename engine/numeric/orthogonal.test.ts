import { describe, expect, it } from 'vitest';
import { orthogonal } from './orthogonal.ts';
import { Random } from './random.ts';

/** The largest |QᵀQ − I|, or of QQᵀ − I where `ofRows`. */
function worstDeviation(q: Float64Array, n: number, ofRows: boolean): number {
  const at = (i: number, k: number) => (ofRows ? q[i * n + k] : q[k * n + i]) as number;
  let worst = 0;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let k = 0; k < n; k++) sum += at(i, k) * at(j, k);
      worst = Math.max(worst, Math.abs(sum - (i === j ? 1 : 0)));
    }
  }
  return worst;
}

describe('orthogonal', () => {
  it.each([1, 2, 3, 17, 64, 200])('makes rows and columns orthonormal to 1e-13 for n = %d', (n) => {
    const q = orthogonal(n, new Random(n));
    expect(worstDeviation(q, n, true)).toBeLessThan(1e-13);
    expect(worstDeviation(q, n, false)).toBeLessThan(1e-13);
  });

  it('gives the same bits for the same seed, others for another', () => {
    expect(orthogonal(8, new Random(1))).toEqual(orthogonal(8, new Random(1)));
    expect(orthogonal(8, new Random(1))).not.toEqual(orthogonal(8, new Random(2)));
  });

  it('favours no sign: every element has mean 0 and variance 1/n', () => {
    const [n, draws] = [3, 20_000];
    const random = new Random(3);
    const sums = new Float64Array(n * n);
    const squares = new Float64Array(n * n);
    for (let i = 0; i < draws; i++) {
      orthogonal(n, random).forEach((x, k) => {
        sums[k] = (sums[k] as number) + x / draws;
        squares[k] = (squares[k] as number) + (x * x) / draws;
      });
    }
    // Five standard errors: x is uniform in [−1, 1] for n = 3, so x and x² have variances 1/3 and 4/45.
    for (const mean of sums) expect(Math.abs(mean)).toBeLessThan(5 * Math.sqrt(1 / 3 / draws));
    for (const mean of squares) expect(Math.abs(mean - 1 / n)).toBeLessThan(5 * Math.sqrt(4 / 45 / draws));
  });

  it.each([0, -1, 1.5, NaN])('refuses n = %d', (n) => {
    expect(() => orthogonal(n, new Random(1))).toThrow(`n: expected an integer, 1 or more, got ${n}`);
  });
});
