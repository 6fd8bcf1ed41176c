import { digits, duration } from '../../cli/common/format.ts';
import { median } from '../../cli/common/quantile.ts';
import type { Effort } from '../common/effort.ts';
import { CORES } from '../common/machine.ts';
import { measureRounds, timesOf } from '../common/rounds.ts';
import { nameOf, type Size, seededData } from '../common/sizes.ts';
import { createModel, stepAlone, stepOutside } from '../common/steps.ts';
import { markdownTable, quartiles, rowByRow } from '../common/table.ts';
import { withOpen } from '../common/with-open.ts';

/**
 * A step called from outside against one inside `fit`, which has the optimizer's update besides; and what copying
 * the batch in takes where `x` does not lie in shared memory.
 */
export async function callOverhead(sizes: readonly Size[], effort: Effort): Promise<void> {
  const rows = await rowByRow(sizes, (size) => overheadAt(size, effort));
  console.log(`\n## gradients from outside against a step inside fit, ${CORES} threads\n`);
  const columns = ['inside fit', 'from outside, x shared', 'more', 'quartiles', 'x not shared', 'copied at'];
  console.log(markdownTable(['B,T,I,H,L', ...columns], rows));
}

async function overheadAt(size: Size, { rounds, seconds }: Effort): Promise<string[]> {
  const [shared, own] = [seededData(size), seededData(size, { shared: false })];
  const times = await withOpen([createModel(size, CORES), createModel(size, CORES)], (training, called) =>
    measureRounds(
      [
        stepAlone('inside', training, size),
        stepOutside('shared', called, shared),
        stepOutside('own', called, own),
      ],
      rounds,
      seconds,
    ),
  );
  const [inside, fromShared, fromOwn] = ['inside', 'shared', 'own'].map((name) => timesOf(times, name));
  const more = fromShared.map((time, i) => time - inside[i]);
  const copying = median(fromOwn.map((time, i) => time - fromShared[i]));
  // A difference within the noise has no rate.
  const rate = copying > 1e-6 ? `${digits(own.x.data.byteLength / copying / 1e9)} GB/s` : '–';
  const microseconds = (time: number) => String(Math.round(time * 1e6));
  return [
    nameOf(size),
    duration(median(inside)),
    duration(median(fromShared)),
    `${microseconds(median(more))} µs`,
    quartiles(more, microseconds),
    duration(median(fromOwn)),
    rate,
  ];
}
