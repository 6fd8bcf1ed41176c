import { duration, percent, threadsText } from '../../cli/common/format.ts';
import { median } from '../../cli/common/quantile.ts';
import type { Effort } from '../common/effort.ts';
import { CORES, workerCounts } from '../common/machine.ts';
import { measureRounds, timesOf } from '../common/rounds.ts';
import { nameOf, type Size, seededData } from '../common/sizes.ts';
import { pairedRatios } from '../common/statistics.ts';
import { createModel, engage, stepInside, stepOutside } from '../common/steps.ts';
import { markdownTable, quartiles, rowByRow } from '../common/table.ts';
import { withOpen } from '../common/with-open.ts';

/** The number of threads that a call engages by itself against fixed numbers. */
export async function engagement(sizes: readonly Size[], effort: Effort): Promise<void> {
  for (const where of ['from outside', 'inside fit'] as const) {
    const rows = await rowByRow(sizes, (size) => engagementAt(size, where, effort));
    console.log(`\n## Threads engaged, a step ${where}\n`);
    const fixed = workerCounts().map(threadsText);
    console.log(markdownTable(['B,T,I,H,L', 'by itself', ...fixed, 'against the best', 'quartiles'], rows));
  }
}

async function engagementAt(
  size: Size,
  where: 'from outside' | 'inside fit',
  { rounds, seconds }: Effort,
): Promise<string[]> {
  const data = seededData(size);
  const fixed = workerCounts();
  const names = ['by itself', ...fixed.map(String)];
  const times = await withOpen(
    names.map(() => createModel(size, CORES)),
    (own, ...others) => {
      for (const [i, model] of others.entries()) engage(model, fixed[i]);
      const contestants = [own, ...others].map((model, i) =>
        where === 'inside fit' ? stepInside(names[i], model, size) : stepOutside(names[i], model, data),
      );
      return measureRounds(contestants, rounds, seconds);
    },
  );
  const middle = (name: string) => median(timesOf(times, name));
  const best = fixed.map(String).toSorted((a, b) => middle(a) - middle(b))[0];
  const slower = pairedRatios(timesOf(times, 'by itself'), timesOf(times, best)).map((ratio) => ratio - 1);
  return [
    nameOf(size),
    ...names.map((name) => duration(middle(name))),
    percent(median(slower)),
    quartiles(slower, percent),
  ];
}
