import { median } from '../../cli/common/quantile.ts';

/** Something to be timed: does its work so often and returns when it is done. */
export interface Contestant {
  readonly name: string;
  /** Seconds the work took, for one time. Awaited. */
  measure(seconds: number): Promise<number>;
}

/**
 * Before the first round everybody runs for so many times the seconds of a round, but no longer than that: V8 compiles
 * the code of a training step in the background for some two seconds, on the cores that are to be measured.
 */
const WARM_UP_ROUNDS = 10;
const WARM_UP_SECONDS = 3;

/**
 * Measures contestants by turns: one after the other in each round, so that whatever slows the machine down for a
 * while slows all of them. Each order is the reverse of the one before. Returns each one's seconds, round by round.
 */
export async function measureRounds(
  contestants: readonly Contestant[],
  rounds: number,
  secondsEach: number,
): Promise<Map<string, number[]>> {
  const times = new Map(contestants.map(({ name }): [string, number[]] => [name, []]));
  const warmUp = Math.min(WARM_UP_ROUNDS * secondsEach, WARM_UP_SECONDS);
  for (const { measure } of contestants) await measure(warmUp);
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? contestants : contestants.toReversed();
    for (const { name, measure } of order) times.get(name)?.push(await measure(secondsEach));
  }
  return times;
}

/** The times of one contestant. */
export function timesOf(times: ReadonlyMap<string, number[]>, name: string): number[] {
  const found = times.get(name);
  if (!found) throw new RangeError(`Nothing was measured under the name ${name}.`);
  return found;
}

/** Repeats asynchronous works one after the other for some time; the median of each one's single times, in seconds. */
export async function mediansByTurns(
  works: readonly (() => Promise<unknown>)[],
  seconds: number,
): Promise<number[]> {
  const times = works.map((): number[] => []);
  const end = performance.now() + 1000 * seconds;
  do {
    for (const [i, work] of works.entries()) {
      const begun = performance.now();
      await work();
      times[i].push((performance.now() - begun) / 1000);
    }
  } while (performance.now() < end);
  return times.map(median);
}

/** Repeats asynchronous work for some time; the median of the single times. */
export function asyncContestant(name: string, work: () => Promise<unknown>): Contestant {
  return { name, measure: async (seconds) => (await mediansByTurns([work], seconds))[0] };
}

/** Repeats synchronous work for some time, in bursts of at least `burst` calls; the median of the bursts. */
export function syncContestant(name: string, work: () => void, burst = 1): Contestant {
  const once = () => {
    const begun = performance.now();
    for (let i = 0; i < burst; i++) work();
    return (performance.now() - begun) / 1000 / burst;
  };
  return timedContestant(name, once);
}

/** Repeats for some time what says by itself how many seconds it took; the median of these. */
export function timedContestant(name: string, once: () => number | Promise<number>): Contestant {
  const measure = async (seconds: number): Promise<number> => {
    const times: number[] = [];
    const end = performance.now() + 1000 * seconds;
    do times.push(await once());
    while (performance.now() < end);
    return median(times);
  };
  return { name, measure };
}
