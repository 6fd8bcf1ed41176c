/** Value below which a fraction of the sample lies, interpolated between neighbours. Throws for no sample. */
export function quantile(sample: readonly number[], fraction: number): number {
  if (sample.length === 0) throw new RangeError('A quantile needs at least one measurement.');
  const sorted = sample.toSorted((a, b) => a - b);
  const at = fraction * (sorted.length - 1);
  const low = Math.floor(at);
  const below = sorted[low];
  const above = sorted[Math.min(low + 1, sorted.length - 1)];
  return below + (at - low) * (above - below);
}

export const median = (sample: readonly number[]): number => quantile(sample, 0.5);
