import { describe, expect, it } from 'vitest';
import { cosPi, log } from './elementary.ts';
import { Random } from './random.ts';

/** |actual − expected| in units in the last place of the expected number. */
function ulps(actual: number, expected: number): number {
  if (Object.is(actual, expected)) return 0;
  const magnitude = Math.abs(expected);
  const unit = 2 ** Math.max(Math.floor(Math.log2(magnitude)) - 52, -1074);
  return Math.abs(actual - expected) / unit;
}

describe('log', () => {
  /** Fails with the worst of 200 000 arguments. */
  function expectWithinTwoUlps(draw: () => number): void {
    let worst = { error: 0, x: 0 };
    for (let i = 0; i < 200_000; i++) {
      const x = draw();
      const error = ulps(log(x), Math.log(x));
      if (!(error <= worst.error)) worst = { error, x };
    }
    expect(worst.error, `log(${worst.x})`).toBeLessThanOrEqual(2);
  }

  it('is within 2 ulp of Math.log over the whole range', () => {
    const random = new Random(1);
    expectWithinTwoUlps(() => 2 ** (random.integer(2097) - 1074) * (1 + random.uniform()));
  });

  it('is within 2 ulp of Math.log near 1 and near the powers of two and of √2', () => {
    const random = new Random(2);
    expectWithinTwoUlps(
      () => 2 ** ((random.integer(9) - 4) / 2) * (1 + (random.uniform() - 0.5) * 2 ** -random.integer(40)),
    );
  });

  // Correctly rounded by mpmath at 60 digits.
  it.each([
    [2, Math.LN2],
    [10, Math.LN10],
    [0.75, -0.2876820724517809],
    [5e-324, -744.4400719213812],
    [1.7976931348623157e308, 709.782712893384],
    [1 + 2 ** -52, 2.2204460492503128e-16],
    [1 - 2 ** -53, -1.1102230246251565e-16],
    [Math.SQRT1_2, -0.3465735902799726],
  ])('log(%d) is %d', (x, expected) => {
    expect(log(x)).toBe(expected);
  });

  it('answers special arguments as Math.log does', () => {
    for (const x of [0, -0, 1, -1, Infinity, -Infinity, NaN]) expect(log(x)).toBe(Math.log(x));
  });
});

describe('cosPi', () => {
  /** π · 2^200, rounded down. */
  const PI = 5048344754617993871973410141242436836214643421488662971535368n;
  const ONE = 1n << 200n;

  /** 2^200 cos(πx) by the Taylor series in integers, |x| ≤ 1. */
  function reference(x: number): bigint {
    const angle = (PI * BigInt(x * 2 ** 60)) >> 60n;
    const minusSquare = -((angle * angle) >> 200n);
    let term = ONE;
    let sum = ONE;
    for (let n = 2n; term !== 0n && term !== -1n; n += 2n) {
      term = ((term * minusSquare) >> 200n) / (n * (n - 1n));
      sum += term;
    }
    return sum;
  }

  /** The error of cosPi(x) in units in the last place, to about 20 decimals; |cos(πx)| > 2^-60. */
  function errorAt(x: number): number {
    const actual = cosPi(x);
    const unit = 2 ** (Math.floor(Math.log2(Math.abs(actual))) - 52);
    const difference = (BigInt(actual * 2 ** 120) << 80n) - reference(x);
    return Math.abs(Number(difference)) / 2 ** 200 / unit;
  }

  it('is within 0.8 ulp of the exact cosine', () => {
    const random = new Random(3);
    for (let i = 0; i < 5000; i++) {
      const x = Math.floor(random.uniform() * 2 ** 52) / 2 ** 52;
      expect(errorAt(x), `cosPi(${x})`).toBeLessThanOrEqual(0.8);
    }
  });

  it('is within 0.8 ulp of the exact cosine near its zero and near the borders of the reduction', () => {
    const random = new Random(4);
    for (let i = 0; i < 3000; i++) {
      // Never 0: the reference has no relative precision at the zero itself.
      const offset = (Math.floor((random.uniform() - 0.5) * 2 ** (5 + random.integer(40))) + 0.5) / 2 ** 52;
      const x = ([0.25, 0.5, 0.75][random.integer(3)] as number) + offset;
      expect(errorAt(x), `cosPi(${x})`).toBeLessThanOrEqual(0.8);
    }
  });

  it('is within 2 ulp of Math.cos where πx is nearly a double', () => {
    for (let i = 1; i < 1000; i++) {
      const x = i / 4000;
      expect(ulps(cosPi(x), Math.cos(Math.PI * x)), `cosPi(${x})`).toBeLessThanOrEqual(2);
    }
  });

  it('is exact at multiples of a half', () => {
    const xs = [0, 0.5, 1, 1.5, 2, 2.5, 1e300, -1, -0.5];
    expect(xs.map(cosPi)).toEqual([1, 0, -1, 0, 1, 0, 1, -1, 0]);
  });

  it('is even and has period 2', () => {
    for (const x of [0.125, 0.3, 0.7, 0.99]) {
      expect(cosPi(-x)).toBe(cosPi(x));
      expect(cosPi(x + 2 - x)).toBe(1);
    }
    expect(cosPi(1024.125)).toBe(cosPi(0.125));
  });

  it('answers NaN to what is not finite', () => {
    expect([Infinity, -Infinity, NaN].map(cosPi)).toEqual([NaN, NaN, NaN]);
  });
});
