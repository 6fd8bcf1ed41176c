import { readCommandLine } from '../cli/common/command-line.ts';
import { digits, percent } from '../cli/common/format.ts';
import { limitContestant, limitOf, measureLimit } from './common/limit.ts';
import { describeMachine, machineLine } from './common/machine.ts';
import { markdownTable } from './common/table.ts';

/** One core's limit for each data type: `npm run bench:limit`. */
readCommandLine('npm run bench:limit', {});
const rows: string[][] = [];
for (const dtype of ['float32', 'float64'] as const) {
  const limit = limitContestant(dtype);
  const { median, spread } = limitOf(limit, await measureLimit(limit, 10, 0.1));
  rows.push([dtype, digits(median / 1e9), percent(spread)]);
}
console.log(
  `${machineLine(describeMachine())}\n\n${markdownTable(['limit of one core', 'GFLOP/s', 'spread'], rows)}`,
);
