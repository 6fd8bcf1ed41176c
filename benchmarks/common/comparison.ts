import type { Measurement, RunResults } from './results.ts';

/** Two runs of the same benchmark, case by case. */

type Verdict = 'slower' | 'faster' | 'same';

export interface Change {
  readonly suite: string;
  readonly name: string;
  readonly threads: number;
  /** New time over the kept one, each in units of what one core gave beside it, if that was measured. */
  readonly ratio: number;
  /** The limit of one core, new over kept: 1 on the same machine in the same state. */
  readonly limitRatio: number | undefined;
  /** What the ratio may differ from 1 by before anything is said. */
  readonly noise: number;
  readonly verdict: Verdict;
}

export interface Comparison {
  readonly changes: readonly Change[];
  /** Cases that only one of the runs has. */
  readonly unmatched: readonly string[];
}

/** Below this no difference is told, however still the machine was. */
const LEAST_NOISE = 0.03;

const keyOf = ({ suite, name, threads }: Measurement): string => `${suite}, ${name}, ${threads} threads`;

/**
 * Sets a new run against a kept one. Quartile distances stand for the noise: a case counts as changed when its
 * medians differ by more than all distances together. The limits measured beside them take out what the machine differed
 * by, and bring in noise of their own. Throws RangeError for runs that have no case in common, or were asked for with
 * other options.
 */
export function compareRuns(kept: RunResults, fresh: RunResults): Comparison {
  requireSameOptions(kept, fresh);
  const [before, after] = [kept, fresh].map(casesOf);
  const changes: Change[] = [];
  for (const [key, now] of after) {
    const then = before.get(key);
    if (then) changes.push(changeOf(then, now));
  }
  if (changes.length === 0) throw new RangeError('The two runs have no case in common.');
  const unmatched = [...before.keys(), ...after.keys()].filter((key) => !(before.has(key) && after.has(key)));
  return { changes, unmatched };
}

const casesOf = ({ measurements }: RunResults): Map<string, Measurement> =>
  new Map(measurements.map((measurement) => [keyOf(measurement), measurement]));

function requireSameOptions(kept: RunResults, fresh: RunResults): void {
  const [before, after] = [kept, fresh].map(({ command, options }) =>
    JSON.stringify({ command, ...options }),
  );
  if (before !== after) throw new RangeError(`The kept run is of ${before}, the new one of ${after}.`);
}

function changeOf(then: Measurement, now: Measurement): Change {
  const limitRatio = then.limit === undefined || now.limit === undefined ? undefined : now.limit / then.limit;
  const ratio = (now.seconds / then.seconds) * (limitRatio ?? 1);
  const noise = Math.max(LEAST_NOISE, noiseOf(then) + noiseOf(now));
  const { suite, name, threads } = now;
  return { suite, name, threads, ratio, limitRatio, noise, verdict: verdictOf(ratio, noise) };
}

const noiseOf = ({ spread, limitSpread = 0 }: Measurement): number => spread + limitSpread;

function verdictOf(ratio: number, noise: number): Verdict {
  if (ratio > 1 + noise) return 'slower';
  return ratio < 1 / (1 + noise) ? 'faster' : 'same';
}
