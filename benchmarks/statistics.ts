/** Robust summaries of repeated measurements. */

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

/** A sample in three numbers. */
export interface Summary {
  readonly median: number;
  /** Distance of the quartiles, relative to the median: half of all measurements lie that close together. */
  readonly spread: number;
  readonly count: number;
}

export function summarise(sample: readonly number[]): Summary {
  const middle = median(sample);
  const width = quantile(sample, 0.75) - quantile(sample, 0.25);
  return { median: middle, spread: width / middle, count: sample.length };
}

/** The quotients of two samples measured by turns: the noise that both share falls out of each. */
export const pairedRatios = (a: readonly number[], b: readonly number[]): number[] =>
  a.slice(0, b.length).map((value, i) => value / b[i]);

/** Slope of a straight line through (ln x, ln y): the power of x that y grows with. */
export function logLogSlope(points: readonly (readonly [number, number])[]): number {
  const logs = points.map(([x, y]) => [Math.log(x), Math.log(y)] as const);
  const meanX = logs.reduce((sum, [x]) => sum + x, 0) / logs.length;
  const meanY = logs.reduce((sum, [, y]) => sum + y, 0) / logs.length;
  const covariance = logs.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  return covariance / logs.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
}
