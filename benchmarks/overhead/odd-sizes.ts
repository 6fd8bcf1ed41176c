import type { Effort } from '../effort.ts';
import { CORES } from '../machine.ts';
import { measureRounds, timesOf } from '../rounds.ts';
import { MEDIUM, nameOf, type Size, SMALL, stepFlops } from '../sizes.ts';
import { pairedRatios, quantile } from '../statistics.ts';
import { createModel, stepInside, withModels } from '../steps.ts';
import { markdownTable, percent, rowByRow } from '../table.ts';

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

async function costOf({ odd, even, per, work }: Pair, { rounds, seconds }: Effort): Promise<string[]> {
  const sizes = [odd, even];
  const times = await withModels(
    sizes.map((size) => createModel(size, CORES)),
    (...models) =>
      measureRounds(
        models.map((model, i) => stepInside(nameOf(sizes[i]), model, sizes[i])),
        rounds,
        seconds,
      ),
  );
  const ratios = pairedRatios(timesOf(times, nameOf(odd)), timesOf(times, nameOf(even)));
  const costs = ratios.map((ratio) => (ratio * work(even)) / work(odd) - 1);
  const quartiles = [0.25, 0.75].map((q) => percent(quantile(costs, q))).join(' – ');
  return [nameOf(odd), nameOf(even), per, percent(quantile(costs, 0.5)), quartiles];
}
