import { CORES } from '../machine.ts';
import { measureRounds, timesOf } from '../rounds.ts';
import { nameOf, type Size, seededData } from '../sizes.ts';
import { summarise } from '../statistics.ts';
import { createModel, stepInside, stepOutside, withModels } from '../steps.ts';
import { digits, duration, markdownTable } from '../table.ts';
import type { Effort } from './effort.ts';

/**
 * A step called from outside against one inside `fit`, which has the optimizer's update besides; and what copying
 * the batch in takes where `x` does not lie in shared memory.
 */
export async function callOverhead(sizes: readonly Size[], effort: Effort): Promise<void> {
  const rows: string[][] = [];
  for (const size of sizes) rows.push(await overheadAt(size, effort));
  console.log(`\n## gradients from outside against a step inside fit, ${CORES} threads\n`);
  console.log(
    markdownTable(
      ['B,T,I,H,L', 'inside fit', 'from outside, x shared', 'more', 'x not shared', 'copied at'],
      rows,
    ),
  );
}

async function overheadAt(size: Size, { rounds, seconds }: Effort): Promise<string[]> {
  const [shared, own] = [seededData(size), seededData(size, { shared: false })];
  const times = await withModels([createModel(size, CORES), createModel(size, CORES)], (training, called) =>
    measureRounds(
      [
        stepInside('inside', training, size),
        stepOutside('shared', called, shared),
        stepOutside('own', called, own),
      ],
      rounds,
      seconds,
    ),
  );
  const inside = timesOf(times, 'inside');
  const fromShared = timesOf(times, 'shared');
  const more = summarise(fromShared.map((time, i) => time - inside[i])).median;
  const copying = summarise(timesOf(times, 'own').map((time, i) => time - fromShared[i])).median;
  // A difference within the noise has no rate.
  const rate = copying > 1e-6 ? `${digits(own.x.data.byteLength / copying / 1e9)} GB/s` : '–';
  return [
    ...[nameOf(size), duration(summarise(inside).median), duration(summarise(fromShared).median)],
    ...[`${digits(more * 1e6)} µs`, duration(summarise(timesOf(times, 'own')).median), rate],
  ];
}
