import { digits, percent } from '../../cli/common/format.ts';
import { median } from '../../cli/common/quantile.ts';
import { type ClassifierOptions, RNNPhonemeClassifier } from '../../engine/index.ts';
import { networkOf } from '../../engine/network/registry.ts';
import type { Effort } from '../common/effort.ts';
import { CORES } from '../common/machine.ts';
import { measureRounds, timesOf } from '../common/rounds.ts';
import { MEDIUM, modelOptions } from '../common/sizes.ts';
import { pairedRatios } from '../common/statistics.ts';
import { stepInside } from '../common/steps.ts';
import { markdownTable, quartiles } from '../common/table.ts';
import { withOpen } from '../common/with-open.ts';

/** What each option of the network costs, beside the arithmetic it adds: a step inside fit against the plain model's. */

const { B, T, I } = MEDIUM;
const row = (value: number) => new Array<number>(I).fill(value);

const VARIANTS: Readonly<Record<string, Partial<ClassifierOptions>>> = {
  plain: {},
  "nonlinearity: 'relu'": { nonlinearity: 'relu' },
  'bias: false': { bias: false },
  "output: 'mean'": { output: 'mean' },
  "output: 'steps'": { output: 'steps' },
  normalization: { normalization: { mean: row(0.1), std: row(1.5) } },
  'dropout: 0.2': { dropout: 0.2 },
  bidirectional: { bidirectional: true },
};

export async function optionCosts({ rounds, seconds }: Effort): Promise<void> {
  const names = Object.keys(VARIANTS);
  const made = names.map((name) =>
    RNNPhonemeClassifier.create({ ...modelOptions(MEDIUM), threads: CORES, ...VARIANTS[name] }),
  );
  const rows = await withOpen(made, async (...models) => {
    const contestants = models.map((model, i) => stepInside(names[i], model, MEDIUM));
    const times = await measureRounds(contestants, rounds, seconds);
    const work = models.map(operationsOf);
    return names.slice(1).map((name, i) => {
      const ratios = pairedRatios(timesOf(times, name), timesOf(times, 'plain'));
      const operations = work[i + 1] / work[0];
      const costs = ratios.map((ratio) => ratio / operations - 1);
      const more = [percent(median(costs)), quartiles(costs, percent)];
      return [name, digits(median(ratios)), digits(operations), ...more];
    });
  });
  console.log(`\n## Options against the plain model, inside fit, ${CORES} threads\n`);
  const header = [
    'option',
    'time over plain',
    'operations over plain',
    'slower an operation by',
    'quartiles',
  ];
  console.log(markdownTable(header, rows));
}

/** The matrix products of a step, by the model's own table of parameters. */
function operationsOf(model: RNNPhonemeClassifier): number {
  const { g } = networkOf(model);
  const size = ({ W_ih, W_hh }: (typeof g.cells)[number]) => W_ih.size + W_hh.size;
  const cells = g.cells.reduce((sum, cell) => sum + 3 * size(cell), 0);
  const unneeded = g.cells.slice(0, g.directions).reduce((sum, { W_ih }) => sum + W_ih.size, 0);
  return 2 * B * (T * (cells - unneeded) + (g.output === 'steps' ? T : 1) * 3 * g.W.size);
}
