import type { Measurement, RunResults } from './results.ts';

/** Two runs of the same benchmark, case by case. */

export type Verdict = 'slower' | 'faster' | 'same';

export interface Change {
  readonly suite: string;
  readonly name: string;
  readonly threads: number;
  /** New time over the kept one, each in units of what one core gave in its own run. */
  readonly ratio: number;
  /** What the ratio may differ from 1 by before anything is said. */
  readonly noise: number;
  readonly verdict: Verdict;
}

export interface Comparison {
  readonly changes: readonly Change[];
  /** Cases that only one of the runs has. */
  readonly unmatched: readonly string[];
  /** What the limit of one core came to, new over kept: 1 on the same machine in the same state. */
  readonly limitRatio: number;
}

/** Below this no difference is told, however still the machine was. */
const LEAST_NOISE = 0.03;

const keyOf = ({ suite, name, threads }: Measurement): string => `${suite}, ${name}, ${threads} threads`;

/**
 * Sets a new run against a kept one. Quartile distances stand for the noise: a case counts as changed when its
 * medians differ by more than both distances together. The two runs' limits take out what the machine differed by.
 */
export function compareRuns(kept: RunResults, fresh: RunResults): Comparison {
  const limitRatio = ratioOfLimits(kept.limits, fresh.limits);
  const before = new Map(kept.measurements.map((measurement) => [keyOf(measurement), measurement]));
  const after = new Map(fresh.measurements.map((measurement) => [keyOf(measurement), measurement]));
  const changes: Change[] = [];
  for (const [key, now] of after) {
    const then = before.get(key);
    if (then) changes.push(changeOf(then, now, limitRatio));
  }
  const unmatched = [...before.keys(), ...after.keys()].filter((key) => !(before.has(key) && after.has(key)));
  return { changes, unmatched, limitRatio };
}

function ratioOfLimits(kept: RunResults['limits'], fresh: RunResults['limits']): number {
  const common = Object.keys(kept).filter((dtype) => dtype in fresh);
  if (common.length === 0) return 1;
  return common.reduce((product, dtype) => product * (fresh[dtype] / kept[dtype]), 1) ** (1 / common.length);
}

function changeOf(then: Measurement, now: Measurement, limitRatio: number): Change {
  const ratio = (now.seconds / then.seconds) * limitRatio;
  const noise = Math.max(LEAST_NOISE, then.spread + now.spread);
  const { suite, name, threads } = now;
  return { ...{ suite, name, threads, ratio, noise }, verdict: verdictOf(ratio, noise) };
}

function verdictOf(ratio: number, noise: number): Verdict {
  if (ratio > 1 + noise) return 'slower';
  return ratio < 1 / (1 + noise) ? 'faster' : 'same';
}
