import { percent } from '../../cli/common/format.ts';
import { median } from '../../cli/common/quantile.ts';
import type { Effort } from '../common/effort.ts';
import { CORES } from '../common/machine.ts';
import { MEDIUM, nameOf, type Size, SMALL, stepFlops } from '../common/sizes.ts';
import { pairedRatios } from '../common/statistics.ts';
import { stepsByTurns } from '../common/steps.ts';
import { markdownTable, quartiles, rowByRow } from '../common/table.ts';

/** Sizes that do not fill tiles or panels against neighbours that do, for the same amount of work. */
interface Pair {
  readonly odd: Size;
  readonly even: Size;
  readonly per: string;
  readonly work: (size: Size) => number;
}

const PAIRS: readonly Pair[] = [
  { odd: { ...MEDIUM, I: 39 }, even: MEDIUM, per: 'operation', work: stepFlops },
  { odd: { ...SMALL, I: 39 }, even: { ...SMALL, I: 40 }, per: 'operation', work: stepFlops },
  { odd: { ...SMALL, B: 30 }, even: SMALL, per: 'row', work: ({ B }) => B },
];

export async function oddSizes(effort: Effort): Promise<void> {
  const rows = await rowByRow(PAIRS, (pair) => costOf(pair, effort));
  console.log(`\n## Odd sizes against even ones, inside fit, ${CORES} threads\n`);
  console.log(markdownTable(['odd', 'even', 'for each', 'slower by', 'quartiles'], rows));
}

async function costOf({ odd, even, per, work }: Pair, effort: Effort): Promise<string[]> {
  const [oddTimes, evenTimes] = await stepsByTurns([odd, even], effort);
  const costs = pairedRatios(oddTimes, evenTimes).map((ratio) => (ratio * work(even)) / work(odd) - 1);
  return [nameOf(odd), nameOf(even), per, percent(median(costs)), quartiles(costs, percent)];
}
