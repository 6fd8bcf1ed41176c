import { describe, expect, it } from 'vitest';
import { Random } from '../numeric/random.ts';
import { bucketByLength } from './batch-order.ts';

const rows = 1_000;
const lengths = Int32Array.from({ length: rows }, (_, i) => 1 + ((i * 37) % 90));
const fresh = () => Uint32Array.from({ length: rows }, (_, i) => (i * 7) % rows);

/** Longest less shortest row of each batch, on average. */
function spread(order: Uint32Array, batchSize: number): number {
  let sum = 0;
  const batches = Math.floor(order.length / batchSize);
  for (let b = 0; b < batches; b++) {
    const of = [...order.subarray(b * batchSize, (b + 1) * batchSize)].map((row) => lengths[row]);
    sum += Math.max(...of) - Math.min(...of);
  }
  return sum / batches;
}

describe('bucketByLength', () => {
  it('keeps every row, the last and smaller batch where it was, and brings like lengths together', () => {
    const order = fresh();
    bucketByLength(order, lengths, 30, new Random(1));
    expect([...order].sort((a, b) => a - b)).toEqual([...fresh()].sort((a, b) => a - b));
    expect(order.subarray(990)).toEqual(fresh().subarray(990));
    expect(spread(order, 30)).toBeLessThan(spread(fresh(), 30) / 10);
  });

  it('shuffles the batches from the seed, not the rows within them', () => {
    const [sorted, one, same, other] = [null, new Random(1), new Random(1), new Random(2)].map((random) => {
      const order = fresh();
      bucketByLength(order, lengths, 30, random);
      return order;
    });
    expect(one).toEqual(same);
    expect(one).not.toEqual(other);
    const batchesOf = (order: Uint32Array) =>
      Array.from({ length: 33 }, (_, b) => order.subarray(b * 30, (b + 1) * 30).join()).sort();
    expect(batchesOf(one)).toEqual(batchesOf(sorted));
    expect(one).not.toEqual(sorted);
  });

  it('leaves rows of equal lengths in their order', () => {
    const order = fresh();
    bucketByLength(order, new Int32Array(rows).fill(5), 30, null);
    expect(order).toEqual(fresh());
  });
});
