import { lengthOf, plain } from '../describe.ts';
import { badArgument } from '../errors.ts';
import type { NumberArray } from '../numeric/reals.ts';
import { isShapedData } from '../read-tensor.ts';
import { type ShapedData, sizeOf, type TensorLike } from '../tensor.ts';
import { isList } from '../validation.ts';
import type { SequenceInput } from './read-sequences.ts';

/**
 * Classes, from 0: one for each sequence [B] or, with output 'steps', one for each frame, [B, T] or an array of [Tᵢ].
 */
export type LabelsLike = NumberArray | TensorLike | readonly NumberArray[];

/** Labels as the engine reads them. */
export interface Labels {
  /** Row after row; −1 marks a label that does not count. */
  readonly labels: Int32Array;
  /** Index of each row's first label. */
  readonly labelStarts: Uint32Array;
  /** Number of labels of each row that count. */
  readonly counted: Int32Array;
}

/** Which labels are valid. */
export interface LabelRule {
  readonly classes: number;
  readonly perStep: boolean;
  /** The label that does not count; null where all do. */
  readonly ignored: number | null;
}

/** Reads labels. Throws BAD_ARGUMENT, naming the label and what was expected. */
export function readLabels(name: string, value: unknown, input: SequenceInput, rule: LabelRule): Labels {
  const { rows, lengths } = input;
  const perRow = rule.perStep ? stepLabels(name, value, input) : rowLabels(name, value, rows);
  const labelStarts = new Uint32Array(rows);
  const counted = new Int32Array(rows);
  const labels = new Int32Array(rule.perStep ? input.frames : rows);
  let at = 0;
  for (let i = 0; i < rows; i++) {
    labelStarts[i] = at;
    const count = rule.perStep ? lengths[i] : 1;
    for (let t = 0; t < count; t++) {
      const given = perRow(i, t);
      const label = classOf(given, rule);
      if (label === null) throw badLabel(rule.perStep ? `${name}[${i}][${t}]` : `${name}[${i}]`, given, rule);
      if (label >= 0) counted[i]++;
      labels[at++] = label;
    }
  }
  if (!counted.some((count) => count > 0)) {
    throw badArgument(name, `at least one label other than ${rule.ignored}`, plain('none'));
  }
  return { labels, labelStarts, counted };
}

/** A label as the engine reads it; null where it is not valid. */
function classOf(label: unknown, { classes, ignored }: LabelRule): number | null {
  if (ignored !== null && label === ignored) return -1;
  const isClass = typeof label === 'number' && Number.isInteger(label) && label >= 0 && label < classes;
  return isClass ? label : null;
}

function badLabel(name: string, label: unknown, { classes, ignored }: LabelRule): Error {
  const expected = `an integer from 0 to ${classes - 1}${ignored === null ? '' : ` or ${ignored}`}`;
  return badArgument(name, expected, label);
}

type LabelOf = (row: number, step: number) => unknown;

function rowLabels(name: string, value: unknown, rows: number): LabelOf {
  if (isShapedData(value)) {
    const data = shapedLabels(name, value, [rows], 'a label a row');
    return (row) => data[row];
  }
  if (!isList(value) || value.length !== rows)
    throw badArgument(name, `${rows} labels, one a row`, lengthOf(value));
  return (row) => value[row];
}

function stepLabels(name: string, value: unknown, { rows, time, lengths }: SequenceInput): LabelOf {
  if (isShapedData(value)) {
    const data = shapedLabels(name, value, [rows, time], 'a label a step');
    return (row, step) => data[row * time + step];
  }
  if (!isList(value) || value.length !== rows)
    throw badArgument(name, `${rows} rows of labels, one a step`, lengthOf(value));
  const lists = Array.from(value, (list, i) => {
    if (isList(list) && (list.length === lengths[i] || list.length === time)) return list;
    throw badArgument(`${name}[${i}]`, `${lengths[i]} labels, one a step`, lengthOf(list));
  });
  return (row, step) => lists[row][step];
}

function shapedLabels(
  name: string,
  { data, shape }: ShapedData,
  expected: readonly number[],
  meaning: string,
): ArrayLike<number> {
  if (shape.length !== expected.length || expected.some((size, d) => shape[d] !== size))
    throw badArgument(name, `[${expected.join(', ')}], ${meaning}`, shape);
  if (data.length !== sizeOf(expected))
    throw badArgument(`${name}.data`, `${sizeOf(expected)} labels`, lengthOf(data));
  return data;
}
