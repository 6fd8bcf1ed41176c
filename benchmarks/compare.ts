import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type Change, compareRuns } from './comparison.ts';
import { machineLine } from './machine.ts';
import type { RunResults } from './results.ts';
import { digits, markdownTable, percent } from './table.ts';

/** Sets a new run against a kept one: `npm run bench:compare kept.json new.json`. Exits with 1 if a case is slower. */
const { positionals } = parseArgs({ allowPositionals: true });
const [keptPath, newPath] = positionals;
if (keptPath === undefined || newPath === undefined || positionals.length > 2) {
  throw new RangeError('Two files are needed: npm run bench:compare kept.json new.json');
}

const read = (path: string): RunResults => JSON.parse(readFileSync(path, 'utf8')) as RunResults;
const [kept, fresh] = [read(keptPath), read(newPath)];
const { changes, unmatched, limitRatio } = compareRuns(kept, fresh);

const rowOf = ({ suite, name, threads, ratio, noise, verdict }: Change): string[] => [
  ...[suite, name, String(threads), `${digits(ratio)}`, `± ${percent(noise)}`],
  verdict === 'same' ? '' : verdict,
];

console.log(`kept  ${machineLine(kept.machine)}\nnew   ${machineLine(fresh.machine)}`);
console.log(`one core's limit, new over kept: ${digits(limitRatio)}\n`);
const sorted = changes.toSorted((a, b) => b.ratio - a.ratio);
console.log(
  markdownTable(['suite', 'case', 'threads', 'time, new over kept', 'noise', ''], sorted.map(rowOf)),
);
if (unmatched.length > 0) {
  const some = unmatched.slice(0, 3).join('; ');
  console.log(`\n${unmatched.length} cases are in one run only: ${some}${unmatched.length > 3 ? '; …' : ''}`);
}
const slower = changes.filter(({ verdict }) => verdict === 'slower');
console.log(`\n${slower.length} of ${changes.length} cases slower beyond the noise`);
if (slower.length > 0) process.exitCode = 1;
