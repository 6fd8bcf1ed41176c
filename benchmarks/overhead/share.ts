import { digits, duration, percent } from '../../cli/common/format.ts';
import { median } from '../../cli/common/quantile.ts';
import type { Kernels } from '../../engine/kernels/kernels.ts';
import { wasmKernels, wasmModule } from '../../engine/kernels/wasm-kernels.ts';
import type { Effort } from '../common/effort.ts';
import { CORES } from '../common/machine.ts';
import { measureRounds, timesOf } from '../common/rounds.ts';
import { nameOf, type Size, seededData } from '../common/sizes.ts';
import { pairedRatios, summarize } from '../common/statistics.ts';
import { createModel, engage, stepInside } from '../common/steps.ts';
import { markdownTable, rowByRow } from '../common/table.ts';
import { withOpen } from '../common/with-open.ts';
import { Replay } from '../replay/replay.ts';
import { ReplayTeam } from '../replay/replay-team.ts';
import { callsByThread, recordStep } from '../replay/trace.ts';

/**
 * Where the time of a step inside `fit` goes: the kernel calls of one step are recorded and run again in a bare
 * loop, on as many threads at the same time; what the step takes longer is barriers and bookkeeping.
 */

const CLASSES: Readonly<Record<string, readonly (keyof Kernels)[]>> = {
  matmul: [
    'project',
    'multiply',
    'tanhForward',
    'tanhStep',
    'tanhBackward',
    'tanhStepBackward',
    'outerProduct',
    'sumRows',
  ] as const,
  loss: ['softmaxRow'],
  gather: ['gatherRows', 'zeroRows', 'copyRow', 'scatterRows'],
  pack: ['packTransposed', 'packPlain', 'packBias'],
  reduce: ['reduceLanes'],
  update: ['sgd', 'adam', 'rmsprop'],
};

export async function kernelShare(sizes: readonly Size[], effort: Effort): Promise<void> {
  const threads = CORES === 1 ? [1] : [1, CORES];
  const cases = sizes.flatMap((size) => threads.map((count) => [size, count] as const));
  const rows = await rowByRow(cases, ([size, count]) => shareAt(size, count, effort));
  console.log('\n## Where the time of a step inside fit goes\n');
  console.log(
    markdownTable(
      ['B,T,I,H,L', 'threads', 'step', 'spread', ...Object.keys(CLASSES), 'the rest', 'not a kernel'],
      rows,
    ),
  );
  console.log(
    '\nThe rest: barriers, idle time at their ends, bookkeeping. Not a kernel: the rest and gather.',
  );
}

async function shareAt(size: Size, threads: number, { rounds, seconds }: Effort): Promise<string[]> {
  const data = seededData(size);
  const { trace, memory } = await withOpen([createModel(size, threads)], (model) =>
    recordStep(model, data, threads),
  );
  const team = ReplayTeam.start(memory, threads, { 'kernels alone': callsByThread(trace) });
  const times = await withOpen([createModel(size, threads), team], (model, replaying) => {
    // As many as the replay has, also where the step is worth fewer.
    engage(model, threads);
    return measureRounds(
      [stepInside('step', model, size), replaying.contestant('kernels alone')],
      rounds,
      seconds,
    );
  });
  const alone = new Replay(wasmKernels(wasmModule('float32'), memory, 'float32'), callsByThread(trace)[0]);
  const { median: step, spread } = summarize(timesOf(times, 'step'));
  const rest = 1 - median(pairedRatios(timesOf(times, 'kernels alone'), timesOf(times, 'step')));
  const shares = classShares(alone, seconds, step).map((share) => share * (1 - rest));
  const gather = shares[Object.keys(CLASSES).indexOf('gather')];
  const cells = [...shares, rest, rest + gather].map(percent);
  return [nameOf(size), digits(threads), duration(step), percent(spread), ...cells];
}

/** Each class's share of all kernels' time, taken with a clock between them. */
function classShares(replay: Replay, seconds: number, step: number): number[] {
  replay.timeByKernel(3);
  const times = replay.timeByKernel(Math.max(3, Math.round(seconds / step)));
  const all = [...times.values()].reduce((a, b) => a + b, 0);
  const known = new Set(Object.values(CLASSES).flat());
  const unknown = [...times.keys()].filter((kernel) => !known.has(kernel));
  if (unknown.length > 0) throw new Error(`${unknown.join(', ')}: in no class of kernels`);
  return Object.values(CLASSES).map(
    (kernels) => kernels.reduce((sum, kernel) => sum + (times.get(kernel) ?? 0), 0) / all,
  );
}
