import { writeFileSync } from 'node:fs';
import { positive, readCommandLine, text } from '../../cli/common/command-line.ts';
import { digits, duration, percent, threadsText } from '../../cli/common/format.ts';
import { EFFORT, effortOf } from '../common/effort.ts';
import { CORES, describeMachine, machineLine } from '../common/machine.ts';
import { LARGE, MEDIUM, nameOf, type Size, SMALL } from '../common/sizes.ts';
import { markdownTable } from '../common/table.ts';
import { type Measured, measureBarriers, measureSize } from './measure.ts';
import { type Curve, renderCurves } from './picture.ts';
import { barrierLine, type MachineCosts, type Prediction, predictStep } from './prediction.ts';

/**
 * Measures what the parts of a step cost, predicts steps on up to 64 cores from them, and sets the predictions for
 * 1 and all threads, and for twice as many threads as cores, against measured steps: `npm run bench:scaling`.
 */
const options = readCommandLine('npm run bench:scaling', {
  ...EFFORT,
  bandwidth: positive('GB/s that all cores of the machine predicted for move together (200)'),
  picture: text('FILE', 'where to draw the predicted speed-ups, as SVG'),
});
const effort = effortOf(options, { rounds: 11, seconds: 0.5 }, { rounds: 3, seconds: 0.1 });
const bandwidth = 1e9 * (options.bandwidth ?? 200);

const predictedCounts = [1, 2, 4, 8, 16, 32, 64];

const COLUMNS = [
  'threads',
  'predicted',
  'speed-up',
  'measured',
  'speed-up',
  'off by',
  'lanes',
  'reduce',
  'update',
  'barriers',
  'serial',
];

/** A step as it was measured, beside its prediction. */
interface MeasuredStep {
  readonly seconds: number;
  readonly speedUp: number;
  /** Whether the prediction's parts were measured with it, on one thread, so that it sets them. */
  readonly setsParts: boolean;
}

/** `one`: seconds of the predicted step on one thread. */
function rowOf(label: string, prediction: Prediction, one: number, measured?: MeasuredStep): string[] {
  const { lanes, reduce, update, barriers, serial, step } = prediction;
  const parts = [lanes, reduce, update, barriers, serial].map((part) => percent(part / step));
  const found = measured ? measuredCells(step, measured) : ['', '', ''];
  return [label, duration(step), digits(one / step), ...found, ...parts];
}

function measuredCells(predicted: number, { seconds, speedUp, setsParts }: MeasuredStep): string[] {
  const off = predicted / seconds - 1;
  // Unless the parts alone take longer than the step.
  const isSet = setsParts && Math.abs(off) < 1e-3;
  return [duration(seconds), digits(speedUp), isSet ? 'set' : percent(off)];
}

async function scalingOf(size: Size, barriers: ReadonlyMap<number, number>): Promise<Curve> {
  const measured = await measureSize(size, effort);
  const { costs, steps, crowding } = measured;
  const line = barrierLine([...barriers].filter(([threads]) => threads <= CORES));
  const barrier = (threads: number): number => barriers.get(threads) ?? line(threads);
  const here: MachineCosts = { cores: CORES, crowding, bandwidth: Number.POSITIVE_INFINITY, barrier };
  const one = predictStep(costs, here, 1).step;
  const alone = steps.get(1) ?? Number.NaN;
  const rows = [...steps].map(([threads, seconds]) => {
    const label = threads > CORES ? `${threads} on ${CORES} cores` : String(threads);
    const found = { seconds, speedUp: alone / seconds, setsParts: threads === 1 };
    return rowOf(label, predictStep(costs, here, threads), one, found);
  });
  const predicted = predictedCounts.map((threads) => {
    const there: MachineCosts = { cores: threads, crowding, bandwidth, barrier: line };
    const prediction = predictStep(costs, threads > CORES ? there : here, threads);
    if (threads > CORES) rows.push(rowOf(`${threads} on as many`, prediction, one));
    return [threads, one / prediction.step] as const;
  });
  print(size, measured, rows);
  const withACoreEach = [...steps].filter(([threads]) => threads <= CORES);
  return {
    name: nameOf(size),
    predicted,
    measured: withACoreEach.map(([threads, step]) => [threads, alone / step]),
  };
}

function print(size: Size, { costs, crowding }: Measured, rows: readonly (readonly string[])[]): void {
  const { lanes, runs } = costs;
  const crowded = `busy cores take ${digits(crowding)} times as long here`;
  console.log(`\n## (${nameOf(size)}): ${lanes.length} lanes, ${runs} runs of parameters; ${crowded}\n`);
  console.log(markdownTable(COLUMNS, rows));
}

console.log(machineLine(describeMachine()));
const barriers = await measureBarriers();
const told = [...barriers].map(([threads, cost]) => `${threadsText(threads)} ${duration(cost)}`).join(', ');
console.log(
  `\nA barrier: ${told}. Memory, for more cores than there are: ${bandwidth / 1e9} GB/s, as given.`,
);
const curves: Curve[] = [];
for (const size of options.quick ? [SMALL] : [SMALL, MEDIUM, LARGE, { ...LARGE, B: 256 }]) {
  curves.push(await scalingOf(size, barriers));
}
if (options.picture !== undefined) writeFileSync(options.picture, renderCurves(curves));
