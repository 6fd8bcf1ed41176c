import type { Random } from '../numeric/random.ts';

/**
 * Rows are sorted by length within so many batches: enough for lengths in a batch to be alike, few
 * enough for rows to stay mixed.
 */
const BATCHES_SORTED_TOGETHER = 64;

/**
 * Rearranges an epoch's order so that the rows of a batch have similar lengths and little padding: runs
 * of batches are sorted by length, rows of equal length stay in order. With `random`, whole batches are
 * then shuffled. The rows of a smaller last batch stay there.
 */
export function bucketByLength(
  order: Uint32Array,
  lengths: Int32Array,
  batchSize: number,
  random: Random | null,
): void {
  const batches = Math.floor(order.length / batchSize);
  const run = BATCHES_SORTED_TOGETHER * batchSize;
  for (let from = 0; from < batches * batchSize; from += run) {
    order.subarray(from, Math.min(from + run, batches * batchSize)).sort((a, b) => lengths[a] - lengths[b]);
  }
  if (random) shuffleBatches(order, batches, batchSize, random);
}

function shuffleBatches(order: Uint32Array, batches: number, batchSize: number, random: Random): void {
  const sorted = order.slice();
  const places = Uint32Array.from({ length: batches }, (_, batch) => batch);
  random.shuffle(places);
  places.forEach((batch, i) => {
    order.set(sorted.subarray(batch * batchSize, (batch + 1) * batchSize), i * batchSize);
  });
}
