import { digits, duration, percent } from '../../cli/common/format.ts';
import { median } from '../../cli/common/quantile.ts';
import type { Effort } from '../common/effort.ts';
import { limitContestant, limitOf } from '../common/limit.ts';
import { CORES } from '../common/machine.ts';
import { measureRounds, timesOf } from '../common/rounds.ts';
import { nameOf, type Size, stepFlops } from '../common/sizes.ts';
import { pairedRatios } from '../common/statistics.ts';
import { createModel, engage, stepInside } from '../common/steps.ts';
import { markdownTable, quartiles, rowByRow } from '../common/table.ts';
import { withOpen } from '../common/with-open.ts';
import { bareName, bareTeam } from '../replay/bare-team.ts';

/**
 * A step inside `fit` on all cores against one on one thread, and against the limit of as many cores. The bare loop, on
 * all cores at once with nothing between the threads, shows what the machine itself has to give.
 */
export async function speedUp(sizes: readonly Size[], effort: Effort): Promise<void> {
  const rows = await rowByRow(sizes, (size) => speedUpAt(size, effort));
  const columns = ['1 thread', `${CORES} threads`, 'speed-up', 'quartiles', 'bare loop’s'];
  console.log(`\n## ${CORES} threads against one, a step inside fit\n`);
  console.log(markdownTable(['B,T,I,H,L', ...columns, 'GFLOP/s', 'of the limit'], rows));
}

async function speedUpAt(size: Size, { rounds, seconds }: Effort): Promise<string[]> {
  const limit = limitContestant('float32');
  const times = await withOpen(
    [createModel(size, 1), createModel(size, CORES), bareTeam(1), bareTeam(CORES)],
    (one, all, ...bare) => {
      engage(all, CORES);
      const steps = [stepInside('one', one, size), stepInside('all', all, size)];
      return measureRounds([limit, ...bare, ...steps], rounds, seconds);
    },
  );
  const [bareOne, bareAll] = [1, CORES].map((parties) => timesOf(times, bareName(parties)));
  const bareRatio = CORES * median(pairedRatios(bareOne, bareAll));
  const [one, all] = [timesOf(times, 'one'), timesOf(times, 'all')];
  const ratios = pairedRatios(one, all);
  const rate = stepFlops(size) / median(all);
  const { median: peak } = limitOf(limit, timesOf(times, limit.name));
  return [
    nameOf(size),
    duration(median(one)),
    duration(median(all)),
    digits(median(ratios)),
    quartiles(ratios, digits),
    digits(bareRatio),
    digits(rate / 1e9),
    percent(rate / (CORES * peak)),
  ];
}
