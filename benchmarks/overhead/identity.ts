import { duration, percent } from '../../cli/common/format.ts';
import { median } from '../../cli/common/quantile.ts';
import type { Effort } from '../common/effort.ts';
import { CORES } from '../common/machine.ts';
import { measureRounds, timesOf } from '../common/rounds.ts';
import { nameOf, type Size, seededData } from '../common/sizes.ts';
import { pairedRatios, summarize } from '../common/statistics.ts';
import { createModel } from '../common/steps.ts';
import { markdownTable, quartiles, rowByRow } from '../common/table.ts';
import { withOpen } from '../common/with-open.ts';
import { ReplayTeam } from '../replay/replay-team.ts';
import { callsByThread, oneBufferAThread, recordStep } from '../replay/trace.ts';

/**
 * What it costs that results do not depend on the number of threads: the kernels of a step as they are, a gradient
 * buffer a lane, against the same with one a thread, added up in whatever order the lanes were claimed.
 */
export async function identityCost(sizes: readonly Size[], effort: Effort): Promise<void> {
  const rows = await rowByRow(sizes, (size) => costAt(size, effort));
  console.log(`\n## The cost of bit-identity, ${CORES} threads, kernels alone\n`);
  console.log(
    markdownTable(['B,T,I,H,L', 'a buffer a lane', 'spread', 'a buffer a thread', 'cost', 'quartiles'], rows),
  );
}

async function costAt(size: Size, { rounds, seconds }: Effort): Promise<string[]> {
  const { trace, memory } = await withOpen([createModel(size, CORES)], (model) =>
    recordStep(model, seededData(size), CORES),
  );
  const calls = { lanes: callsByThread(trace), threads: callsByThread(oneBufferAThread(trace)) };
  const times = await withOpen([ReplayTeam.start(memory, CORES, calls)], (team) =>
    measureRounds([team.contestant('lanes'), team.contestant('threads')], rounds, seconds),
  );
  const [lanes, threads] = [timesOf(times, 'lanes'), timesOf(times, 'threads')];
  const { median: time, spread } = summarize(lanes);
  const costs = pairedRatios(lanes, threads).map((ratio) => ratio - 1);
  return [
    nameOf(size),
    duration(time),
    percent(spread),
    duration(median(threads)),
    percent(median(costs)),
    quartiles(costs, percent),
  ];
}
