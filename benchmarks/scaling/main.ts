import { writeFileSync } from 'node:fs';
import { positive, readCommandLine, text } from '../../cli/common/command-line.ts';
import { digits, duration, percent } from '../../cli/common/format.ts';
import { axisTitle, colours, muted, renderSvg } from '../../cli/common/page.ts';
import { median } from '../../cli/common/quantile.ts';
import { MAX_THREADS } from '../../engine/classifier/classifier-options.ts';
import { wasmModule } from '../../engine/kernels/wasm-kernels.ts';
import { SortedBatch } from '../../engine/network/memory/sorted-batch.ts';
import { packPieces } from '../../engine/network/programs/pack-plan.ts';
import { runCount } from '../../engine/network/programs/reduce.ts';
import { networkOf } from '../../engine/network/registry.ts';
import { PAGE_BYTES } from '../../engine/parallel/memory-map.ts';
import { newMemory } from '../../engine/parallel/shared-memory.ts';
import { EFFORT, effortOf } from '../common/effort.ts';
import { CORES, describeMachine, machineLine } from '../common/machine.ts';
import { type Contestant, measureRounds, syncContestant, timesOf } from '../common/rounds.ts';
import { LARGE, MEDIUM, nameOf, type Size, SMALL, seededData } from '../common/sizes.ts';
import { pairedRatios } from '../common/statistics.ts';
import { createModel, engage, stepInside, withModels } from '../common/steps.ts';
import { markdownTable } from '../common/table.ts';
import { bareTeam } from '../replay/bare-team.ts';
import { ReplayTeam } from '../replay/replay-team.ts';
import { callsByThread, lanesAdded, PHASES, recordStep } from '../replay/trace.ts';
import {
  barrierLine,
  type MachineCosts,
  type Prediction,
  predictStep,
  type StepCosts,
} from './prediction.ts';

/**
 * Measures what the parts of a step cost, predicts steps on up to 64 cores from them, and sets the predictions for
 * 1 and all threads, and for twice as many threads as cores, against measured steps: `npm run bench:scaling`.
 */
const options = readCommandLine('npm run bench:scaling', {
  ...EFFORT,
  bandwidth: positive('GB/s that all cores of the machine predicted for move together (200)'),
  picture: text('FILE', 'where to draw the predicted speed-ups, as SVG'),
});
const { rounds, seconds } = effortOf(options, { rounds: 11, seconds: 0.5 }, { rounds: 3, seconds: 0.1 });
const bandwidth = 1e9 * (options.bandwidth ?? 200);

/** What is measured: one core's threads, all cores', and twice as many, as far as a model may have so many. */
const measuredCounts = [...new Set([1, CORES, Math.min(2 * CORES, MAX_THREADS)])];
const predictedCounts = [1, 2, 4, 8, 16, 32, 64];

/** A step recorded for one thread, and what it is cut into. */
async function recordAlone(size: Size) {
  return withModels([createModel(size, 1)], async (model) => {
    const { g, model: plan } = networkOf(model);
    const { trace, memory } = await recordStep(model, seededData(size), 1);
    return {
      ...{ trace, memory },
      lanes: lanesAdded(trace),
      parameterBytes: g.blockSize * g.realBytes,
      runs: runCount(g),
      pieces: packPieces(g, plan).length,
    };
  });
}

/** Steps inside fit for each measured count, and `phases` besides, by turns. */
function measureTogether(size: Size, phases: readonly Contestant[]): Promise<Map<string, number[]>> {
  return withModels(
    measuredCounts.map((threads) => createModel(size, threads)),
    (...models) => {
      for (const [i, model] of models.entries()) engage(model, measuredCounts[i]);
      const steps = models.map((model, i) => stepInside(stepName(measuredCounts[i]), model, size));
      return measureRounds([...steps, ...phases], rounds, seconds);
    },
  );
}

interface Measured {
  /** What a step's parts cost on one thread alone. */
  readonly costs: StepCosts;
  /** Whole steps for each measured count. */
  readonly steps: ReadonlyMap<number, number>;
  /** What the bare loop on all cores at once takes over what it takes on one. */
  readonly crowding: number;
}

async function measureSize(size: Size): Promise<Measured> {
  const { trace, memory, lanes, parameterBytes, runs, pieces } = await recordAlone(size);
  const team = new ReplayTeam(memory, wasmModule('float32'), 1);
  for (const phase of PHASES) await team.load(phase, callsByThread(trace, [phase]));
  // The lanes leave the reduction cold caches, here as in a step.
  const phases = [
    team.contestant('lanes'),
    team.contestantAfter('lanes', 'reduce'),
    team.contestant('update'),
  ];
  const bare = await Promise.all([bareTeam(1), bareTeam(CORES)]);
  const times = await measureTogether(size, [...phases, sorting(size), ...bare]);
  await Promise.all([team, ...bare].map((threads) => threads.close()));
  const take = (name: string) => median(timesOf(times, name));
  const [kernels, reduce, update] = PHASES.map(take);
  const serial = take(SORTING);
  // What one thread's step takes besides its kernels is bookkeeping around the lanes.
  const bookkeeping = Math.max(0, take(stepName(1)) - kernels - reduce - update - serial);
  const costs: StepCosts = {
    lanes: new Array<number>(lanes).fill((kernels + bookkeeping) / lanes),
    // A lane writes its gradient buffer, which the reduction reads on another core; activations stay in its cache.
    laneBytes: parameterBytes,
    ...{ reduce, update, runs, pieces, serial },
    reduceBytes: (lanes + 2) * parameterBytes,
    updateBytes: 3 * parameterBytes,
  };
  const steps = new Map(measuredCounts.map((threads) => [threads, take(stepName(threads))]));
  const [one, all] = bare.map(({ name }) => timesOf(times, name));
  // No core is the faster for others being busy: where it looks like that, the clock has changed.
  return { costs, steps, crowding: Math.max(1, median(pairedRatios(all, one))) };
}

const stepName = (threads: number): string => `step on ${threads}`;
const SORTING = 'sorting the batch';

function sorting(size: Size): Contestant {
  const data = {
    lengths: new Int32Array(size.B).fill(size.T),
    counted: new Int32Array(size.B).fill(1),
  };
  const batch = new SortedBatch(size.B);
  return syncContestant(SORTING, () => batch.fill(data, 0, null), 100);
}

/**
 * Seconds of a barrier of threads that arrive together, by thread count. Where every thread has a core the fastest of
 * many bursts counts: anything else has waited for somebody else's time slice. Where threads share cores that very
 * waiting is the cost.
 */
async function measureBarriers(): Promise<Map<number, number>> {
  const barriers = new Map<number, number>();
  for (const threads of measuredCounts) {
    const memory = newMemory(PAGE_BYTES);
    const team = new ReplayTeam(memory, wasmModule('float32'), threads);
    const isCrowded = threads > CORES;
    const times: number[] = [];
    for (let i = 0; i < (isCrowded ? 9 : 60); i++) times.push(await team.barrier(isCrowded ? 100 : 1_000));
    await team.close();
    barriers.set(threads, isCrowded ? median(times) : Math.min(...times));
  }
  return barriers;
}

function rowOf(
  label: string,
  prediction: Prediction,
  one: number,
  measured?: number,
  measuredOne?: number,
): string[] {
  const { lanes, reduce, update, barriers, serial, step } = prediction;
  const parts = [lanes, reduce, update, barriers, serial].map((part) => percent(part / step));
  // The parts on one thread are set by its step, unless they alone take longer.
  const isSet = label === '1' && measured !== undefined && Math.abs(step / measured - 1) < 1e-3;
  const found =
    measured === undefined || measuredOne === undefined
      ? ['', '', '']
      : [duration(measured), digits(measuredOne / measured), isSet ? 'set' : percent(step / measured - 1)];
  return [label, duration(step), digits(one / step), ...found, ...parts];
}

const COLUMNS = [
  ...['threads', 'predicted', 'speed-up', 'measured', 'speed-up', 'off by'],
  ...['lanes', 'reduce', 'update', 'barriers', 'serial'],
];

/** A size's speed-ups by thread count, for the picture. */
interface Curve {
  readonly name: string;
  readonly predicted: readonly (readonly [threads: number, speedUp: number])[];
  readonly measured: readonly (readonly [threads: number, speedUp: number])[];
}

async function scalingOf(size: Size, barriers: ReadonlyMap<number, number>): Promise<Curve> {
  const { costs, steps, crowding } = await measureSize(size);
  const line = barrierLine([...barriers].filter(([threads]) => threads <= CORES));
  const barrier = (threads: number): number => barriers.get(threads) ?? line(threads);
  const here: MachineCosts = { cores: CORES, crowding, bandwidth: Number.POSITIVE_INFINITY, barrier };
  const one = predictStep(costs, here, 1).step;
  const alone = steps.get(1) ?? Number.NaN;
  const rows = measuredCounts.map((threads) => {
    const label = threads > CORES ? `${threads} on ${CORES} cores` : String(threads);
    return rowOf(label, predictStep(costs, here, threads), one, steps.get(threads), alone);
  });
  const predicted = predictedCounts.map((threads) => {
    const there: MachineCosts = { cores: threads, crowding, bandwidth, barrier: line };
    const prediction = predictStep(costs, threads > CORES ? there : here, threads);
    if (threads > CORES) rows.push(rowOf(`${threads} on as many`, prediction, one));
    return [threads, one / prediction.step] as const;
  });
  const { lanes, runs } = costs;
  const crowded = `busy cores take ${digits(crowding)} times as long here`;
  console.log(`\n## (${nameOf(size)}): ${lanes.length} lanes, ${runs} runs of parameters; ${crowded}\n`);
  console.log(markdownTable(COLUMNS, rows));
  const measured = [...steps].filter(([threads]) => threads <= CORES);
  return {
    name: nameOf(size),
    predicted,
    measured: measured.map(([threads, step]) => [threads, alone / step]),
  };
}

/** Dashed lines for predictions, dots for measurements, on axes where twice as fast on twice the threads is a diagonal. */
function picture(curves: readonly Curve[]): string {
  const axis = { type: 'log', logBase: 2, min: 1, max: 64 };
  const ideal = {
    type: 'line',
    name: 'ideal',
    symbol: 'none',
    color: '#cbd5e1',
    data: [
      [1, 1],
      [64, 64],
    ],
  };
  const lines = curves.map(({ name, predicted }, i) => ({
    ...{ type: 'line', name, data: predicted, color: colours[i], symbol: 'emptyCircle', symbolSize: 5 },
    lineStyle: { type: 'dashed' },
  }));
  const dots = curves.map(({ name, measured }, i) => ({
    ...{ type: 'scatter', name: `${name}, measured`, data: measured, color: colours[i], symbolSize: 11 },
  }));
  return renderSvg(760, 480, {
    title: {
      ...{ text: 'Dashed: predicted. Dots: measured. B, T, I, H, L =', left: 8, top: 8 },
      textStyle: { fontSize: 13, fontWeight: 'normal', color: muted },
    },
    legend: { left: 0, top: 30, itemGap: 24, data: [...lines, ideal].map(({ name }) => name) },
    grid: { left: 60, right: 30, top: 75, bottom: 55 },
    xAxis: { ...axis, ...axisTitle('threads, a core each', 32) },
    yAxis: { ...axis, ...axisTitle('times as fast as one thread', 36) },
    series: [ideal, ...lines, ...dots],
  });
}

console.log(machineLine(describeMachine()));
const barriers = await measureBarriers();
const told = [...barriers]
  .map(([threads, cost]) => `${threads} thread${threads === 1 ? '' : 's'} ${duration(cost)}`)
  .join(', ');
console.log(
  `\nA barrier: ${told}. Memory, for more cores than there are: ${bandwidth / 1e9} GB/s, as given.`,
);
const curves: Curve[] = [];
for (const size of options.quick ? [SMALL] : [SMALL, MEDIUM, LARGE, { ...LARGE, B: 256 }]) {
  curves.push(await scalingOf(size, barriers));
}
if (options.picture !== undefined) writeFileSync(options.picture, picture(curves));
