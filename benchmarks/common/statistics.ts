import { median, quantile } from '../../cli/common/quantile.ts';

/** Robust summaries of repeated measurements. */

/** A sample in three numbers. */
export interface Summary {
  readonly median: number;
  /** Distance of the quartiles, relative to the median: half of all measurements lie that close together. */
  readonly spread: number;
}

export function summarize(sample: readonly number[]): Summary {
  const middle = median(sample);
  const width = quantile(sample, 0.75) - quantile(sample, 0.25);
  return { median: middle, spread: width / middle };
}

/** The quotients of two samples measured by turns: the noise that both share falls out of each. */
export const pairedRatios = (a: readonly number[], b: readonly number[]): number[] =>
  a.slice(0, b.length).map((value, i) => value / b[i]);

export type Point = readonly [x: number, y: number];

/** The straight line through points with the least squares of its distances in y; level through points of a single x. */
export function fitLine(points: readonly Point[]): { readonly slope: number; at(x: number): number } {
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / points.length;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / points.length;
  const covariance = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  const variance = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  const slope = variance === 0 ? 0 : covariance / variance;
  return { slope, at: (x) => meanY + slope * (x - meanX) };
}

/** Slope of a straight line through (ln x, ln y): the power of x that y grows with. */
export const logLogSlope = (points: readonly Point[]): number =>
  fitLine(points.map(([x, y]) => [Math.log(x), Math.log(y)])).slope;
