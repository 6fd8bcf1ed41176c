import benny from 'benny';
import { renderResults } from './chart.ts';
import { list, oneOf, readCommandLine } from './command-line.ts';
import { EFFORT } from './effort.ts';
import { measureLimit } from './limit.ts';
import { coresUsed, describeMachine, machineLine, threadCounts } from './machine.ts';
import { type Measurement, saveResults } from './results.ts';
import { nameOf, SIZE_LIST, type Size, sizesOf } from './sizes.ts';
import { summarise } from './statistics.ts';
import { type Case, SUITES, type SuiteKind } from './suites.ts';
import { digits, duration, markdownTable, percent } from './table.ts';

/** The library's speed by size and thread count: `npm run bench`. */
const options = readCommandLine('npm run bench', {
  quick: EFFORT.quick,
  only: oneOf(
    SUITES.map(({ name }) => name),
    'one suite',
  ),
  sizes: SIZE_LIST,
  kernels: oneOf(['wasm', 'wasm-relaxed', 'blas'], 'who multiplies matrices'),
  threads: list('N,N,…', 'thread counts; 0 computes on the calling thread', ',', parseCount),
});

const sizes = options.sizes ?? sizesOf(options.quick);
const maker = options.kernels ?? 'wasm';
const counts = options.threads ?? threadCounts();
const cases = options.quick ? { minSamples: 3, maxTime: 0.15 } : { minSamples: 15, maxTime: 2 };
const suites = SUITES.filter(({ name }) => options.only === undefined || name === options.only);

function parseCount(text: string): number {
  if (!/^\d+$/.test(text))
    throw new RangeError(`--threads: expected whole numbers, got ${text || 'nothing'}`);
  return Number(text);
}

/** Runs one suite at one size over all thread counts. */
async function runSuite(kind: SuiteKind, size: Size, limit: number): Promise<Measurement[]> {
  const prepared: Case[] = [];
  try {
    for (const threads of counts) {
      if (threads > 0 || kind.runsHere) prepared.push(await kind.prepare(size, threads, maker));
    }
    for (const { work } of prepared) await warmUp(work);
    const summary = await benny.suite(
      `${kind.name} ${nameOf(size)}`,
      ...prepared.map(({ threads, work }) =>
        benny.add(`${threads} threads`, async () => void (await work()), cases),
      ),
    );
    return prepared.map((one, i) =>
      measurement(kind, size, one, summary.results[i].details.sampleResults, limit),
    );
  } finally {
    for (const one of prepared) await one.close();
  }
}

/** V8 compiles the code of a step in the background, on the cores that are measured. */
async function warmUp(work: () => Promise<unknown>): Promise<void> {
  const end = performance.now() + (options.quick ? 100 : 2_000);
  do await work();
  while (performance.now() < end);
}

const suiteName = (name: string): string => (maker === 'wasm' ? name : `${name}, ${maker}`);

/** `samples`: seconds of one call, as benny took them. */
function measurement(
  { name: suite }: SuiteKind,
  size: Size,
  { threads, flops, sequences, pieces }: Case,
  samples: readonly number[],
  limit: number,
): Measurement {
  const { median, spread } = summarise(samples);
  const rate = flops / median;
  return {
    ...{ suite: suiteName(suite), name: nameOf(size), threads, seconds: median / pieces, spread },
    gflops: rate / 1e9,
    sequencesPerSecond: sequences / median,
    limit: limit / 1e9,
    share: rate / (coresUsed(threads) * limit),
  };
}

function print(kind: SuiteKind, limit: number, measurements: readonly Measurement[]): void {
  const rows = measurements.map(({ name, threads, seconds, spread, gflops, sequencesPerSecond, share }) => [
    ...[name, String(threads), duration(seconds), percent(spread)],
    ...[digits(sequencesPerSecond ?? 0), digits(gflops ?? 0), percent(share ?? 0)],
  ]);
  const columns = ['B,T,I,H,L', 'threads', 'median', 'spread', 'sequences/s', 'GFLOP/s', 'of the limit'];
  console.log(
    `\n## ${suiteName(kind.name)}: ${kind.piece}; one core's limit ${digits(limit / 1e9)} GFLOP/s\n`,
  );
  console.log(`${markdownTable(columns, rows)}\n`);
}

const machine = describeMachine();
console.log(machineLine(machine));
const measurements: Measurement[] = [];
for (const kind of suites) {
  const limit = await measureLimit('float32', options.quick ? 0.1 : 1);
  const own: Measurement[] = [];
  for (const size of sizes) own.push(...(await runSuite(kind, size, limit)));
  print(kind, limit, own);
  measurements.push(...own);
}
const results = {
  ...{ command: 'bench', machine, threadCounts: counts, measurements },
  options: { quick: options.quick, maker },
};
console.log(`Saved to ${saveResults(results, renderResults(results)).join(' and ')}`);
