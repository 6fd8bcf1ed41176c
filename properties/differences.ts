/**
 * Central differences with two Richardson extrapolations. With D(h) = (f(h) − f(−h)) / 2h,
 *
 *     R = (64·D(h/4) − 20·D(h/2) + D(h)) / 45        R − f'(0) = f⁽⁷⁾ h⁶ / (7!·64) + O(h⁸)
 *
 * so that a step of 2⁻⁷ is short enough for a truncation near 1e-13 and long enough for little cancellation.
 */
export const differenceStep = 2 ** -7;

/** f: the function along a line, at a signed distance from the point. */
export async function richardson(f: (distance: number) => number | Promise<number>): Promise<number> {
  const h = differenceStep;
  const difference = async (step: number) => ((await f(step)) - (await f(-step))) / (2 * step);
  return (64 * (await difference(h / 4)) - 20 * (await difference(h / 2)) + (await difference(h))) / 45;
}

/**
 * How far rounding alone can move the extrapolated difference when each value of f is wrong by at most
 * `valueError`: each D(s) moves by valueError / s, hence (64·4 + 20·2 + 1) / 45 ≤ 6.6 times valueError / h.
 */
export function differenceRounding(valueError: number): number {
  return (6.6 * valueError) / differenceStep;
}
