import { duration } from '../../cli/common/format.ts';
import { median } from '../../cli/common/quantile.ts';
import type { Effort } from '../common/effort.ts';
import { CORES } from '../common/machine.ts';
import { nameOf, type Size, stepFlops } from '../common/sizes.ts';
import { logLogSlope } from '../common/statistics.ts';
import { stepsByTurns } from '../common/steps.ts';
import { markdownTable, rowByRow } from '../common/table.ts';

/**
 * How the time of a step grows with one size, the others held: slope 1 on logarithmic axes is linear. The work itself
 * grows a little faster than L, since the first layer has no dx to compute.
 */
const BASE: Size = { B: 64, T: 40, I: 40, H: 128, L: 2 };
const GROWTH: readonly (readonly [keyof Size, readonly number[]])[] = [
  ['B', [64, 128, 256, 512]],
  ['T', [20, 40, 80, 160]],
  ['L', [1, 2, 4, 8]],
];

export async function growth(effort: Effort): Promise<void> {
  const rows = await rowByRow(GROWTH, ([letter, values]) => growthIn(letter, values, effort));
  console.log(`\n## Growth inside fit, ${CORES} threads, from (${nameOf(BASE)})\n`);
  console.log(markdownTable(['in', 'values', 'steps take', 'log-log slope', 'of their work'], rows));
}

async function growthIn(letter: keyof Size, values: readonly number[], effort: Effort): Promise<string[]> {
  // With as many inputs as hidden units every layer has the same work.
  const sizes = values.map(
    (value): Size => ({ ...BASE, I: letter === 'L' ? BASE.H : BASE.I, [letter]: value }),
  );
  const medians = (await stepsByTurns(sizes, effort)).map(median);
  const slopeOf = (ys: readonly number[]) => logLogSlope(values.map((value, i) => [value, ys[i]])).toFixed(3);
  const slopes = [slopeOf(medians), slopeOf(sizes.map(stepFlops))];
  return [letter, values.join(', '), medians.map(duration).join(', '), ...slopes];
}
