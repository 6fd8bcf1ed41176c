import { fc } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import {
  batch,
  batchSplit,
  dtype,
  gridMatrix,
  gridValue,
  hash,
  networkShape,
  permutation,
  problem,
  seed,
  seededMatrix,
  size,
} from './arbitraries.ts';
import { law } from './profile.ts';

describe('the generators', () => {
  it('reach one, primes, and both sides of every tile edge', () => {
    const sizes = new Set(fc.sample(size(), { numRuns: 2000, seed: 1 }));
    for (const n of [1, 2, 3, 4, 5, 7, 8, 9, 13, 15, 16, 17]) expect(sizes).toContain(n);
    expect(Math.max(...sizes)).toBe(17);
  });

  it('reach every combination that a law tells apart', () => {
    const seen = fc.sample(problem(), { numRuns: 400, seed: 1 }).map(({ form, h0, dtype: type, x }) => {
      const isRagged = x.some((sample) => sample.length !== x[0].length);
      return `${form} ${h0 === undefined ? 'without' : 'with'} h0, ${type}, ${isRagged ? 'ragged' : 'equal'}`;
    });
    // list, padded and shared may be ragged, dense may not.
    expect(new Set(seen).size).toBe(2 * 2 * 7);
  });

  law(
    'give values that float32 holds exactly',
    { v: gridValue(), p: problem() },
    { cases: 20 },
    ({ v, p }) => {
      const { network, x, delta } = p;
      const numbers = [v, ...x.flat(2), ...delta.flat(2), ...network.rnn.flatMap((cell) => cell.W_hh.flat())];
      for (const value of numbers) expect(Math.fround(value)).toBe(value);
    },
  );

  law(
    'give labels, lengths and states that fit the network',
    { shape: networkShape(), other: seed() },
    { cases: 50 },
    ({ shape, other }) => {
      const [made] = fc.sample(batch(shape), { numRuns: 1, seed: other });
      expect(made.labels.classes.flat().every((label) => label >= 0 && label < shape.outputSize)).toBe(true);
      expect(made.x.every((sample) => sample.length > 0)).toBe(true);
      expect(made.x.flat().every((row) => row.length === shape.inputSize)).toBe(true);
      expect(made.h0?.length ?? shape.numLayers).toBe(shape.numLayers);
    },
  );

  law(
    'split a batch into parts that are not empty and hold each row once',
    { n: size(), other: seed() },
    { cases: 50 },
    ({ n, other }) => {
      const [parts] = fc.sample(batchSplit(n), { numRuns: 1, seed: other });
      expect(parts.every((rows) => rows.length > 0)).toBe(true);
      expect(parts.flat().sort((a, b) => a - b)).toEqual(permutation(n, 0).sort((a, b) => a - b));
    },
  );

  law(
    'keep the values that remain when a shape shrinks',
    { other: seed(), rows: size(), columns: size() },
    { cases: 50 },
    ({ other, rows, columns }) => {
      const large = seededMatrix(rows + 1, columns + 1, 2, other, 'x');
      const small = seededMatrix(rows, columns, 2, other, 'x');
      expect(small).toEqual(large.slice(0, rows).map((row) => row.slice(0, columns)));
    },
  );

  it('spread seeded values over the whole span, without a lean to one side', () => {
    const values = seededMatrix(100, 100, 2, 5, 'x').flat();
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    // The mean of 10⁴ values uniform in ±2 has a standard deviation of 2/√3/100 = 0.0115.
    expect(Math.abs(mean)).toBeLessThan(5 * 0.0115);
    expect(Math.min(...values)).toBeLessThan(-1.98);
    expect(Math.max(...values)).toBeGreaterThan(1.98);
  });

  it('give another value for another seed, name or index', () => {
    const hashes = [hash(1, 'x', 0), hash(2, 'x', 0), hash(1, 'y', 0), hash(1, 'x', 1), hash(1, 'x', 0, 0)];
    expect(new Set(hashes).size).toBe(hashes.length);
  });

  it('give matrices of the size asked for, and both data types', () => {
    const [matrix] = fc.sample(gridMatrix(2, 3), { numRuns: 1, seed: 1 });
    expect(matrix.map((row) => row.length)).toEqual([3, 3]);
    expect(new Set(fc.sample(dtype(), { numRuns: 20, seed: 1 })).size).toBe(2);
  });
});
