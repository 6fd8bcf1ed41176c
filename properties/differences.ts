import type { Forward, Network } from './reference.ts';
import { isReverse } from './reference.ts';

/**
 * Central differences with two Richardson extrapolations. With D(h) = (f(h) − f(−h)) / 2h,
 *
 *     R = (64·D(h/4) − 20·D(h/2) + D(h)) / 45        R − f'(0) = f⁽⁷⁾ h⁶ / (7!·64) + O(h⁸)
 *
 * so that a step of 2⁻⁷ is short enough for little truncation and long enough for little cancellation.
 *
 * relu has kinks. Where the same units are at work at all points that are asked for, the values there are those of one
 * smooth function (products and sums of the variables, then softmax), and R is the derivative of that: `isOneBranch`.
 * Other directions say nothing about the gradient and are left to the complex step and to PyTorch.
 */
const differenceStep = 2 ** -7;

/**
 * What truncation may be, as a part of the gradient's norm: h⁶ / (7!·64) is 7e-19, so that this leaves room for a
 * seventh derivative of 10⁷ times the first.
 */
export const truncation = 1e-11;

/** The signed distances at which f is asked for. */
const distances = [1, 1 / 2, 1 / 4].flatMap((part) => [part * differenceStep, -part * differenceStep]);

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

/** Which units are at work, all cells and steps, the initial states left out. */
function unitsAtWork(network: Network, { states }: Forward): string {
  const computed = (c: number, all: number[][]) => (isReverse(network, c) ? all.slice(0, -1) : all.slice(1));
  const values = states.flatMap((sample) => sample.flatMap((all, c) => computed(c, all).flat()));
  return values.map((h) => (h > 0 ? '1' : '0')).join('');
}

/** Whether no kink lies between the points of a difference. run: the forward pass at a signed distance. */
export function isOneBranch(network: Network, run: (distance: number) => Forward): boolean {
  if (network.nonlinearity !== 'relu') return true;
  const here = unitsAtWork(network, run(0));
  return distances.every((distance) => unitsAtWork(network, run(distance)) === here);
}
