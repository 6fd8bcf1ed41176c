import { monitorEventLoopDelay } from 'node:perf_hooks';
import { positive, readCommandLine } from '../cli/common/command-line.ts';
import { digits } from '../cli/common/format.ts';
import { EFFORT } from './common/effort.ts';
import { CORES, describeMachine, machineLine } from './common/machine.ts';
import { LARGE, MEDIUM, nameOf, type Size, SMALL, seededData } from './common/sizes.ts';
import { createModel, stepsPerFit } from './common/steps.ts';
import { markdownTable } from './common/table.ts';
import { withOpen } from './common/with-open.ts';

/** How late the main thread's event loop is while `fit` runs on all cores: `npm run bench:loop`. */
const options = readCommandLine('npm run bench:loop', {
  quick: EFFORT.quick,
  seconds: positive('seconds of each case'),
});
const { seconds = options.quick ? 1 : 10 } = options;

/** The histogram counts from one tick to the next, which are so far apart when nothing holds the loop up. */
const TICK_MS = 1;

async function delayDuring(work: () => Promise<unknown>): Promise<string[]> {
  const histogram = monitorEventLoopDelay({ resolution: TICK_MS });
  histogram.enable();
  const end = performance.now() + 1000 * seconds;
  while (performance.now() < end) await work();
  histogram.disable();
  const values = [histogram.percentile(50), histogram.percentile(99), histogram.max];
  return values.map((nanoseconds) => `${digits(nanoseconds / 1e6)} ms`);
}

async function row(size: Size, threads: number): Promise<string[]> {
  const data = seededData(size, { rows: size.B * stepsPerFit(size) });
  const delays = await withOpen([createModel(size, threads)], async (model) => {
    const work = () => model.fit(data, { batchSize: size.B, callbacks: { onProgress: () => {} } });
    await work();
    return delayDuring(work);
  });
  return [nameOf(size), String(threads), ...delays];
}

console.log(
  `${machineLine(describeMachine())}\n\nDelay of the event loop from tick to tick, ${TICK_MS} ms when idle:\n`,
);
const idle = await delayDuring(() => new Promise((resolve) => setTimeout(resolve, 100)));
const rows = [['nothing', '–', ...idle]];
for (const size of options.quick ? [SMALL] : [SMALL, MEDIUM, LARGE]) {
  rows.push(await row(size, CORES), await row(size, 0));
}
console.log(markdownTable(['fit of B,T,I,H,L', 'threads', 'median', 'p99', 'largest'], rows));
