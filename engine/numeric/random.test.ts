import { describe, expect, it } from 'vitest';
import { Random } from './random.ts';

const draw = <T>(count: number, next: () => T): T[] => Array.from({ length: count }, next);

describe('Random', () => {
  it('gives the numbers of the published xoshiro128** from the state 1, 2, 3, 4', () => {
    const random = Random.fromState([1, 2, 3, 4]);
    expect(draw(10, () => random.uint32())).toEqual([
      11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849, 3729100597, 4258142804,
    ]);
  });

  it('keeps its sequences: a change of seeding or drawing would change every trained model', () => {
    const random = new Random(7);
    expect([random.uint32(), random.uniform(), random.integer(1000), random.normal()]).toEqual([
      2076286256, 0.2836783917493857, 783, -3.0711492406683334,
    ]);
    expect([...random.shuffle(Int32Array.from([0, 1, 2, 3, 4, 5, 6, 7]))]).toEqual([6, 2, 3, 1, 4, 7, 0, 5]);
  });

  it('goes on from a saved state, normals included', () => {
    const random = new Random(5);
    draw(9, () => random.normal());
    const resumed = Random.fromState(random.state());
    expect(draw(20, () => resumed.normal())).toEqual(draw(20, () => random.normal()));
  });

  it('hands out a copy of its state', () => {
    const random = new Random(5);
    const state = random.state();
    state.fill(1);
    expect(random.state()).not.toEqual(state);
  });

  it('gives different sequences for different seeds, the upper 21 bits included', () => {
    const seeds = [0, 1, 2, 3, 2 ** 31, 2 ** 32, 2 ** 32 + 1, 2 ** 40, 2 ** 53 - 1];
    const firsts = seeds.map((seed) => new Random(seed).uniform());
    expect(new Set(firsts).size).toBe(seeds.length);
    const ofLowSeeds = Array.from({ length: 10_000 }, (_, seed) => new Random(seed).uniform());
    // Five standard errors of a mean of 10 000 uniforms.
    expect(Math.abs(mean(ofLowSeeds) - 0.5)).toBeLessThan(5 * Math.sqrt(1 / 12 / 10_000));
    expect(new Set(ofLowSeeds).size).toBe(10_000);
  });

  it.each([
    [-1, 'an integer, 0 or more'],
    [0.5, 'an integer, 0 or more'],
    [2 ** 53, 'an integer below 2⁵³, 0 or more'],
    [NaN, 'an integer, 0 or more'],
  ])('refuses the seed %d', (seed, expected) => {
    expect(() => new Random(seed)).toThrow(`seed: expected ${expected}, got ${seed}`);
  });

  it.each([
    [[0, 0, 0, 0]],
    [[1, 2, 3]],
    [[1, 2, 3, 4, 5]],
    [[1, 2, 3, 2 ** 32]],
    [[1, 2, 3, -1]],
    [[1, 2, 3, 0.5]],
  ])('refuses the state %j', (state) => {
    expect(() => Random.fromState(state)).toThrow(expect.objectContaining({ code: 'BAD_ARGUMENT' }));
  });

  const COUNT = 100_000;
  /** Five standard errors of a mean of COUNT draws with this standard deviation. */
  const fiveErrors = (deviation: number) => (5 * deviation) / Math.sqrt(COUNT);

  it('draws uniforms in [0, 1) with the mean and variance of the uniform distribution', () => {
    const random = new Random(11);
    const xs = draw(COUNT, () => random.uniform());
    expect(xs.every((x) => x >= 0 && x < 1 && Number.isInteger(x * 2 ** 53))).toBe(true);
    expect(Math.abs(mean(xs) - 1 / 2)).toBeLessThan(fiveErrors(Math.sqrt(1 / 12)));
    expect(Math.abs(mean(xs.map((x) => x * x)) - 1 / 3)).toBeLessThan(fiveErrors(Math.sqrt(4 / 45)));
  });

  it('draws normals with the first four moments of the normal distribution', () => {
    const random = new Random(12);
    const xs = draw(COUNT, () => random.normal());
    // The variance of x^n is E[x^2n] − E[x^n]²: 1, 2, 15 and 96.
    expect(Math.abs(mean(xs))).toBeLessThan(fiveErrors(1));
    expect(Math.abs(mean(xs.map((x) => x ** 2)) - 1)).toBeLessThan(fiveErrors(Math.sqrt(2)));
    expect(Math.abs(mean(xs.map((x) => x ** 3)))).toBeLessThan(fiveErrors(Math.sqrt(15)));
    expect(Math.abs(mean(xs.map((x) => x ** 4)) - 3)).toBeLessThan(fiveErrors(Math.sqrt(96)));
  });

  it.each([1, 2, 3, 10, 3 * 2 ** 30, 2 ** 32])('draws integers below %d evenly', (n) => {
    const random = new Random(13);
    const xs = draw(COUNT, () => random.integer(n));
    expect(xs.every((x) => Number.isInteger(x) && x >= 0 && x < n)).toBe(true);
    expect(Math.abs(mean(xs) / n - (n - 1) / (2 * n))).toBeLessThanOrEqual(fiveErrors(Math.sqrt(1 / 12)));
  });

  it.each([
    [0, 'an integer, 1 or more'],
    [1.5, 'an integer, 1 or more'],
    [NaN, 'an integer, 1 or more'],
    [2 ** 32 + 1, 'at most 4294967296'],
  ])('refuses to draw an integer below %d', (n, expected) => {
    expect(() => new Random(1).integer(n)).toThrow(`n: expected ${expected}, got ${n}`);
  });

  it('shuffles to a permutation', () => {
    const order = new Random(14).shuffle(Uint32Array.from({ length: 1000 }, (_, i) => i));
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => i));
    expect([...order].filter((item, i) => item === i).length).toBeLessThan(10);
  });

  it('shuffles to each of the orders of three equally often', () => {
    const random = new Random(15);
    const counts = new Map<string, number>();
    for (let i = 0; i < 60_000; i++) {
      const order = random.shuffle(Int32Array.of(0, 1, 2)).join();
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).toBe(6);
    // A count has mean 10 000 and standard deviation √(60 000 · 1/6 · 5/6) = 91.
    for (const count of counts.values()) expect(Math.abs(count - 10_000)).toBeLessThan(5 * 91.3);
  });
});

function mean(xs: number[]): number {
  return xs.reduce((sum, x) => sum + x, 0) / xs.length;
}
