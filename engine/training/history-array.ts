import type { StoredTensor } from '../io/safetensors.ts';
import type { EpochLog } from './fit-options.ts';

/** The logs of epochs as an array [epochs, fields], for a checkpoint: as text a million would not fit into its header. */

const FIELDS = [
  'epoch',
  'loss',
  'accuracy',
  'learningRate',
  'gradientNorm',
  'skippedSteps',
  'sequencesPerSecond',
  'validationLoss',
  'validationAccuracy',
] as (keyof EpochLog)[];
const FIELDS_WITHOUT_VALIDATION = FIELDS.length - 2;

export function historyArray(history: readonly EpochLog[]): StoredTensor {
  const isValidated = history[0]?.validationLoss !== undefined;
  const fields = isValidated ? FIELDS : FIELDS.slice(0, FIELDS_WITHOUT_VALIDATION);
  const data = new Float64Array(history.length * fields.length);
  history.forEach((log, epoch) => {
    fields.forEach((field, k) => {
      data[epoch * fields.length + k] = log[field] ?? Number.NaN;
    });
  });
  return { dtype: 'float64', shape: [history.length, fields.length], data };
}

/** The logs of such an array; null where it is none. */
export function readHistory(array: StoredTensor | undefined): EpochLog[] | null {
  const [epochs, width] = array?.shape ?? [];
  const isWide = width === FIELDS.length || width === FIELDS_WITHOUT_VALIDATION;
  if (!array || !isWide || array.data.length !== epochs * width) return null;
  const fields = FIELDS.slice(0, width);
  return Array.from(
    { length: epochs },
    (_, epoch) =>
      Object.fromEntries(
        fields.map((field, k) => [field, array.data[epoch * width + k]]),
      ) as unknown as EpochLog,
  );
}
