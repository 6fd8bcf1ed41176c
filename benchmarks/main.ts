import benny from 'benny';
import { integer, list, oneOf, readCommandLine } from '../cli/common/command-line.ts';
import { digits, duration, percent } from '../cli/common/format.ts';
import { MAX_THREADS } from '../engine/classifier/classifier-options.ts';
import { KERNEL_MAKERS } from '../engine/kernels/makers.ts';
import { renderResults } from './common/chart.ts';
import { EFFORT } from './common/effort.ts';
import { heldTo, limitContestant, limitOf, measureLimit } from './common/limit.ts';
import { coresUsed, describeMachine, machineLine, threadCounts } from './common/machine.ts';
import { type Measurement, saveResults } from './common/results.ts';
import { nameOf, SIZE_LIST, type Size, sizesOf } from './common/sizes.ts';
import { type Summary, summarize } from './common/statistics.ts';
import { type Case, SUITES, type SuiteKind } from './common/suites.ts';
import { markdownTable } from './common/table.ts';

/** The library's speed by size and thread count: `npm run bench`. */
const options = readCommandLine('npm run bench', {
  quick: EFFORT.quick,
  only: oneOf(
    SUITES.map(({ name }) => name),
    'one suite',
  ),
  sizes: SIZE_LIST,
  kernels: oneOf(KERNEL_MAKERS, 'who multiplies matrices'),
  threads: list('N,N,…', 'thread counts; 0 computes on the calling thread', ',', integer(0, MAX_THREADS)),
});

const sizes = options.sizes ?? sizesOf(options.quick);
const maker = options.kernels ?? 'wasm';
const counts = options.threads ?? threadCounts();
const cases = options.quick ? { minSamples: 3, maxTime: 0.15 } : { minSamples: 15, maxTime: 2 };
const suites = SUITES.filter(({ name }) => options.only === undefined || name === options.only);

const bareLoop = limitContestant('float32');

/** Runs one suite at one size over all thread counts. */
async function runSuite(kind: SuiteKind, size: Size): Promise<Measurement[]> {
  const prepared: Case[] = [];
  try {
    for (const threads of counts) {
      if (threads > 0 || kind.runsHere) prepared.push(await kind.prepare(size, threads, maker));
    }
    for (const { work } of prepared) await warmUp(work);
    const before = await limitBeside(kind);
    const samples = await samplesOf(`${kind.name} ${nameOf(size)}`, prepared);
    const limitTimes = [...before, ...(await limitBeside(kind))];
    const limit = limitTimes.length > 0 ? limitOf(bareLoop, limitTimes) : undefined;
    return prepared.map((one, i) => measurement(kind, size, one, samples[i], limit));
  } finally {
    for (const one of prepared) await one.close();
  }
}

/** benny calls every case so often before it measures the first, all of them at the same time. */
const TRIALS = 2;

/** Seconds of each case's calls, which benny repeats and, unless the case knows better, times. */
async function samplesOf(title: string, prepared: readonly Case[]): Promise<(readonly number[])[]> {
  const own = prepared.map((): number[] => []);
  const entries = prepared.map(({ threads, work }, i) => {
    const call = async () => {
      const seconds = await work();
      if (seconds !== undefined) own[i].push(seconds);
    };
    return benny.add(`${threads} threads`, call, cases);
  });
  const { results } = await benny.suite(title, ...entries);
  return own.map((times, i) => (times.length > 0 ? times.slice(TRIALS) : results[i].details.sampleResults));
}

/** Seconds of the bare loop, right before or after the cases that are held to it. */
const limitBeside = async ({ hasLimit }: SuiteKind): Promise<number[]> =>
  hasLimit ? measureLimit(bareLoop, 5, options.quick ? 0.01 : 0.1) : [];

/** V8 compiles the code of a step in the background, on the cores that are measured. */
async function warmUp(work: () => Promise<unknown>): Promise<void> {
  const end = performance.now() + (options.quick ? 100 : 2_000);
  do await work();
  while (performance.now() < end);
}

const suiteName = (name: string): string => (maker === 'wasm' ? name : `${name}, ${maker}`);

/** `samples`: seconds of single calls. */
function measurement(
  { name: suite }: SuiteKind,
  size: Size,
  { threads, flops, sequences, pieces }: Case,
  samples: readonly number[],
  limit: Summary | undefined,
): Measurement {
  const { median, spread } = summarize(samples);
  const rate = flops / median;
  return {
    suite: suiteName(suite),
    name: nameOf(size),
    threads,
    seconds: median / pieces,
    spread,
    gflops: rate / 1e9,
    sequencesPerSecond: sequences / median,
    ...(limit && heldTo(limit, rate, coresUsed(threads))),
  };
}

function print(kind: SuiteKind, measurements: readonly Measurement[]): void {
  const rows = measurements.map(
    ({ name, threads, seconds, spread, gflops, sequencesPerSecond, limit, share }) => [
      name,
      String(threads),
      duration(seconds),
      percent(spread),
      digits(sequencesPerSecond ?? 0),
      digits(gflops ?? 0),
      ...(kind.hasLimit ? [digits(limit ?? 0), percent(share ?? 0)] : []),
    ],
  );
  const columns = ['B,T,I,H,L', 'threads', 'median', 'spread', 'sequences/s', 'GFLOP/s'];
  if (kind.hasLimit) columns.push("one core's limit", 'of the limit');
  console.log(`\n## ${suiteName(kind.name)}: ${kind.piece}\n`);
  console.log(`${markdownTable(columns, rows)}\n`);
}

const machine = describeMachine();
console.log(machineLine(machine));
const measurements: Measurement[] = [];
for (const kind of suites) {
  const own: Measurement[] = [];
  for (const size of sizes) own.push(...(await runSuite(kind, size)));
  print(kind, own);
  measurements.push(...own);
}
const results = {
  command: 'bench',
  machine,
  threadCounts: counts,
  measurements,
  options: { quick: options.quick, maker },
};
console.log(`Saved to ${saveResults(results, renderResults(results)).join(' and ')}`);
