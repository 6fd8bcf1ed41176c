import type { Effort } from '../effort.ts';
import { CORES } from '../machine.ts';
import { measureRounds, timesOf } from '../rounds.ts';
import { nameOf, type Size, stepFlops } from '../sizes.ts';
import { logLogSlope, median } from '../statistics.ts';
import { createModel, stepInside, withModels } from '../steps.ts';
import { duration, markdownTable, rowByRow } from '../table.ts';

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

async function growthIn(
  letter: keyof Size,
  values: readonly number[],
  { rounds, seconds }: Effort,
): Promise<string[]> {
  // With as many inputs as hidden units every layer has the same work.
  const sizes = values.map(
    (value): Size => ({ ...BASE, I: letter === 'L' ? BASE.H : BASE.I, [letter]: value }),
  );
  const times = await withModels(
    sizes.map((size) => createModel(size, CORES)),
    (...models) =>
      measureRounds(
        models.map((model, i) => stepInside(nameOf(sizes[i]), model, sizes[i])),
        rounds,
        seconds,
      ),
  );
  const medians = sizes.map((size) => median(timesOf(times, nameOf(size))));
  const slopeOf = (ys: readonly number[]) => logLogSlope(values.map((value, i) => [value, ys[i]])).toFixed(3);
  const slopes = [slopeOf(medians), slopeOf(sizes.map(stepFlops))];
  return [letter, values.join(', '), medians.map(duration).join(', '), ...slopes];
}
