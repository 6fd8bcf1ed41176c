import { lengthOf, plain } from '../../describe.ts';
import { badArgument } from '../../errors.ts';
import { log } from '../../numeric/elementary.ts';
import type { NumberArray, RealArray } from '../../numeric/reals.ts';
import { checkFraction, isList } from '../../validation.ts';

/** Options of the softmax cross-entropy. */
export interface LossOptions {
  /**
   * Weight of each class [O]: the losses of its rows are multiplied by it before the mean over all rows
   * is taken. Default 1.
   */
  classWeights?: NumberArray | undefined;
  /** ε: the target is (1 − ε) onehot + ε / O instead of onehot (https://arxiv.org/abs/1512.00567). Default 0. */
  labelSmoothing?: number | undefined;
}

/** Checked options. */
export interface LossSpec {
  readonly weights: readonly number[] | null;
  readonly smoothing: number;
}

export const plainLoss: LossSpec = { weights: null, smoothing: 0 };

/** Checks the options. Throws BAD_ARGUMENT. */
export function lossSpec({ classWeights, labelSmoothing = 0 }: LossOptions, classes: number): LossSpec {
  checkFraction('labelSmoothing', labelSmoothing);
  if (classWeights === undefined) return { weights: null, smoothing: labelSmoothing };
  if (!isList(classWeights) || classWeights.length !== classes)
    throw badArgument('classWeights', `${classes} numbers, one a class`, lengthOf(classWeights));
  const weights = Array.from({ length: classes }, (_, k) => classWeights[k]);
  const bad = weights.findIndex(
    (weight) => typeof weight !== 'number' || !(weight >= 0 && weight < Infinity),
  );
  if (bad >= 0) throw badArgument(`classWeights[${bad}]`, 'a finite number, 0 or more', weights[bad]);
  if (weights.every((weight) => weight === 0))
    throw badArgument('classWeights', 'at least one above 0', plain('zeros'));
  return { weights, smoothing: labelSmoothing };
}

/**
 * The loss of a row from its logits z, the largest of them m and Σ exp(z − m):
 *
 *     w (log Σ exp z − (1 − ε) z_label − ε mean z),     log Σ exp z = m + log Σ exp(z − m)
 *
 * `chosen` is z_label, `mean` the mean of z.
 */
export function rowLoss(
  spec: LossSpec,
  label: number,
  most: number,
  sum: number,
  chosen: number,
  mean: number,
): number {
  const { weights, smoothing } = spec;
  const hard = log(sum) + (most - chosen);
  const smoothed = smoothing === 0 ? hard : hard + smoothing * (chosen - mean);
  return weights ? weights[label] * smoothed : smoothed;
}

/** A row of values in panels: value j stands ⌊j / columns⌋ panels on. */
export interface PanelRow {
  readonly values: RealArray;
  /** Index of value 0. */
  readonly first: number;
  /** Values from a panel's row to the next panel's. */
  readonly stride: number;
  readonly columns: number;
  readonly width: number;
}

/** Index of value j. */
export const placeOf = ({ first, stride, columns }: PanelRow, j: number): number =>
  first + Math.floor(j / columns) * stride + (j % columns);

/** Turns a row of probabilities into ∂loss/∂z = w (p − (1 − ε) onehot − ε / O), in place. */
export function rowDelta(spec: LossSpec, label: number, row: PanelRow): void {
  const { weights, smoothing } = spec;
  const { values, width } = row;
  values[placeOf(row, label)] -= 1 - smoothing;
  if (!weights && smoothing === 0) return;
  const weight = weights ? weights[label] : 1;
  for (let j = 0; j < width; j++) {
    const at = placeOf(row, j);
    values[at] = weight * (values[at] - smoothing / width);
  }
}

/** The mean of a row's values. */
export function meanOf(row: PanelRow): number {
  let sum = 0;
  for (let j = 0; j < row.width; j++) sum += row.values[placeOf(row, j)];
  return sum / row.width;
}
