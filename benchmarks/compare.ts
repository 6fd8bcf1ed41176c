import { readFileSync } from 'node:fs';
import { fail } from '../cli/common/command-line.ts';
import { digits, percent } from '../cli/common/format.ts';
import { type Change, type Comparison, compareRuns } from './common/comparison.ts';
import { machineLine } from './common/machine.ts';
import type { RunResults } from './common/results.ts';
import { markdownTable } from './common/table.ts';

/** Sets a new run against a kept one: `npm run bench:compare kept.json new.json`. Exits with 1 if a case is slower. */
const USAGE = 'npm run bench:compare kept.json new.json';
const [keptPath, newPath, ...more] = process.argv.slice(2);
if (keptPath === '--help') {
  console.log(
    `${USAGE}\n\n  Two runs as \`npm run bench\` saves them; exits with 1 if a case is slower beyond the noise.`,
  );
  process.exit();
}
if (keptPath === undefined || newPath === undefined || more.length > 0) {
  fail(`Two files are needed: ${USAGE}`);
}

function read(path: string): RunResults {
  try {
    const run = JSON.parse(readFileSync(path, 'utf8')) as Partial<RunResults>;
    if (!run.machine || !run.options || !run.measurements)
      throw new Error('machine, options or measurements missing');
    return run as RunResults;
  } catch (error) {
    fail(`${path} is not a run that a benchmark saved: ${error instanceof Error ? error.message : error}`);
  }
}

const [kept, fresh] = [read(keptPath), read(newPath)];
const { changes, unmatched } = compare();

function compare(): Comparison {
  try {
    return compareRuns(kept, fresh);
  } catch (error) {
    fail(error);
  }
}

const rowOf = ({ suite, name, threads, ratio, limitRatio, noise, verdict }: Change): string[] => [
  suite,
  name,
  String(threads),
  digits(ratio),
  `± ${percent(noise)}`,
  digits(limitRatio ?? Number.NaN),
  verdict === 'same' ? '' : verdict,
];

console.log(`kept  ${machineLine(kept.machine)}\nnew   ${machineLine(fresh.machine)}\n`);
const sorted = changes.toSorted((a, b) => b.ratio - a.ratio);
console.log(
  markdownTable(
    ['suite', 'case', 'threads', 'time, new over kept', 'noise', "one core's limit", ''],
    sorted.map(rowOf),
  ),
);
if (unmatched.length > 0) {
  const some = unmatched.slice(0, 3).join('; ');
  console.log(`\n${unmatched.length} cases are in one run only: ${some}${unmatched.length > 3 ? '; …' : ''}`);
}
const slower = changes.filter(({ verdict }) => verdict === 'slower');
console.log(`\n${slower.length} of ${changes.length} cases slower beyond the noise`);
if (slower.length > 0) process.exitCode = 1;
