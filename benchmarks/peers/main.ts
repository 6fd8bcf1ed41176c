import { fail, flag, readCommandLine, text } from '../../cli/common/command-line.ts';
import { digits, duration, percent } from '../../cli/common/format.ts';
import { median } from '../../cli/common/quantile.ts';
import { EFFORT, effortOf } from '../common/effort.ts';
import { heldTo, limitContestant, limitOf } from '../common/limit.ts';
import { CORES, coresUsed, describeMachine, machineLine, workerCounts } from '../common/machine.ts';
import { type Measurement, saveResults } from '../common/results.ts';
import { measureRounds, timesOf } from '../common/rounds.ts';
import { nameOf, SIZE_LIST, SIZES, type Size, SMALL, stepFlops, TINY } from '../common/sizes.ts';
import { pairedRatios, type Summary, summarize } from '../common/statistics.ts';
import { createModel } from '../common/steps.ts';
import { markdownTable, quartiles } from '../common/table.ts';
import { brainStep } from './brain.ts';
import { elmanFit, elmanStep, stepTitle } from './elman.ts';
import { settleOpenBlas } from './openblas.ts';
import { checkLoss, type Peer, type Problem, problemOf } from './problem.ts';
import { tfjsStep } from './tfjs.ts';
import { findTorch, torchStep } from './torch.ts';

/**
 * The same model and batch in several libraries, by turns: `npm run bench:peers`. One step is forward, mean
 * cross-entropy and backward, without an optimizer; first every loss must agree.
 */
const options = readCommandLine('npm run bench:peers', {
  ...EFFORT,
  only: text('TEXT', 'only peers whose name contains this; elman itself is always there'),
  sizes: SIZE_LIST,
  all: flag('slow peers too, where a step takes them many seconds'),
});
const { only = '' } = options;
const PEERS = ['BLAS', 'PyTorch', 'tfjs wasm', 'tfjs cpu', 'brain.js'];
const isWanted = (name: string): boolean => name.toLowerCase().includes(only.toLowerCase());
if (!PEERS.some(isWanted)) fail(`--only: expected part of ${PEERS.join(', ')}, got ${only}`);
const { rounds, seconds } = effortOf(options, { rounds: 11, seconds: 0.6 }, { rounds: 3, seconds: 0.2 });

/** A step with more operations than this takes a slow peer many seconds: it is left out, unless asked for. */
const SLOW = { 'tfjs wasm': 12e9, 'tfjs cpu': 3e9, 'brain.js': 1e9 } as const;

/** Of worker threads; the best of each library's is what counts. */
const counts = workerCounts();

type Maker = (problem: Problem) => Promise<Peer>;

/** Who takes part at a size. */
function makers(size: Size): Maker[] {
  const isFast = (name: keyof typeof SLOW) =>
    isWanted(name) && (options.all || stepFlops(size) <= SLOW[name] / (options.quick ? 10 : 1));
  return [
    ...counts.map(
      (threads): Maker =>
        (problem) =>
          elmanStep(problem, threads, 'wasm'),
    ),
    (problem) => elmanFit(problem, CORES, 'wasm'),
    ...(hasBlas && isWanted('blas')
      ? counts.map(
          (threads): Maker =>
            (problem) =>
              elmanStep(problem, threads, 'blas'),
        )
      : []),
    ...(python && isWanted('pytorch')
      ? counts.map(
          (threads): Maker =>
            (problem) =>
              torchStep(problem, python, threads),
        )
      : []),
    ...(isFast('tfjs wasm') ? [(problem: Problem) => tfjsStep(problem, 'wasm')] : []),
    ...(isFast('tfjs cpu') ? [(problem: Problem) => tfjsStep(problem, 'cpu')] : []),
    ...(isFast('brain.js') ? [async (problem: Problem) => brainStep(problem)] : []),
  ];
}

/** Measures one size; returns what is kept of it. */
async function compareAt(size: Size): Promise<Measurement[]> {
  const problem = await problemOf(size);
  const peers: Peer[] = [];
  try {
    for (const make of makers(size)) peers.push(await make(problem));
    const loss = peers[0]?.loss ?? Number.NaN;
    for (const peer of peers) checkLoss(peer, loss);
    const limit = limitContestant('float32');
    const times = await measureRounds([limit, ...peers], rounds, seconds);
    const peak = limitOf(limit, timesOf(times, limit.name));
    const measurements = peers.map((peer) => measurement(size, peer, timesOf(times, peer.name), peak));
    print(size, loss, measurements, times, peak.median);
    return measurements;
  } finally {
    for (const peer of peers) await peer.close();
  }
}

function measurement(size: Size, { name, threads }: Peer, times: number[], peak: Summary): Measurement {
  const { median: middle, spread } = summarize(times);
  const rate = stepFlops(size) / middle;
  return {
    suite: `peers at ${nameOf(size)}`,
    name,
    threads,
    seconds: middle,
    spread,
    gflops: rate / 1e9,
    sequencesPerSecond: size.B / middle,
    ...heldTo(peak, rate, coresUsed(threads)),
  };
}

/** Every peer's time over that of elman on all cores, round by round. */
function print(
  size: Size,
  loss: number,
  measurements: readonly Measurement[],
  times: Map<string, number[]>,
  peak: number,
): void {
  const ours = stepTitle(CORES, 'wasm');
  const ratiosOf = (name: string) => pairedRatios(timesOf(times, name), timesOf(times, ours));
  const rows = measurements.map(({ name, seconds: middle, spread, gflops, share }) => [
    name,
    duration(middle),
    percent(spread),
    digits(gflops ?? 0),
    percent(share ?? 0),
    digits(median(ratiosOf(name))),
    quartiles(ratiosOf(name), digits),
  ]);
  const work = `${digits(stepFlops(size) / 1e9)} GFLOP a step`;
  console.log(
    `\n## (${nameOf(size)}): ${work}, all losses ${loss.toFixed(5)}, limit ${digits(peak / 1e9)} GFLOP/s\n`,
  );
  const columns = ['training step', 'median', 'spread', 'GFLOP/s', 'of the limit', '× elman', 'quartiles'];
  console.log(markdownTable(columns, rows));
  const blas = stepTitle(CORES, 'blas');
  for (const own of times.has(blas) ? [ours, blas] : [ours]) {
    for (const peer of ['PyTorch', 'tfjs', 'brain.js']) printBest(own, peer, measurements, times);
  }
}

/** How many times as fast one of ours is as the fastest of a peer's. */
function printBest(
  own: string,
  peer: string,
  measurements: readonly Measurement[],
  times: Map<string, number[]>,
): void {
  const theirs = measurements.filter(({ name }) => name.startsWith(peer));
  const [best] = theirs.toSorted((a, b) => a.seconds - b.seconds);
  if (!best) return;
  const ratios = pairedRatios(timesOf(times, best.name), timesOf(times, own));
  console.log(
    `\n${own}: ${digits(median(ratios))} times as fast (${quartiles(ratios, digits)}) as ${best.name}`,
  );
}

/** Whether `kernels: 'blas'` finds a library here. */
async function findBlas(): Promise<boolean> {
  try {
    const model = await createModel(TINY, 0, 'blas');
    await model.close();
    return true;
  } catch (error) {
    console.log(`elman with BLAS is left out: ${error instanceof Error ? error.message : String(error)}`);
    return false;
  }
}

const machine = describeMachine();
console.log(machineLine(machine));
const python = findTorch();
if (python) console.log(settleOpenBlas(python));
else console.log('No python3 with torch: PyTorch is left out (apt-get install python3-torch).');
const hasBlas = await findBlas();
const sizes = options.sizes ?? (options.quick ? [SMALL] : SIZES);
const measurements: Measurement[] = [];
for (const size of sizes) measurements.push(...(await compareAt(size)));
const [path] = saveResults({
  command: 'peers',
  machine,
  threadCounts: counts,
  options: { only, rounds, seconds, all: options.all },
  measurements,
});
console.log(`\nSaved to ${path}`);
