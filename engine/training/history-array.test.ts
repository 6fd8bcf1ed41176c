import { expect, it } from 'vitest';
import { historyArray, readHistory } from './history-array.ts';

const log = (epoch: number) => ({
  epoch,
  loss: 0.1 + epoch,
  accuracy: 1 / 3,
  learningRate: -0,
  gradientNorm: Number.POSITIVE_INFINITY,
  skippedSteps: epoch,
  sequencesPerSecond: Number.NaN,
});
const validated = (epoch: number) => ({ ...log(epoch), validationLoss: Math.E, validationAccuracy: 0.5 });

it('a history in an array comes back as it was, with a validation and without, and an empty one', () => {
  for (const history of [[], [log(0)], [validated(0), validated(1), validated(2)]])
    expect(readHistory(historyArray(history))).toEqual(history);
});

it('no array, or one of another width, is no history', () => {
  expect(readHistory(undefined)).toBeNull();
  expect(readHistory({ dtype: 'float64', shape: [1, 8], data: new Float64Array(8) })).toBeNull();
  expect(readHistory({ dtype: 'float64', shape: [1e8, 9, 0], data: new Float64Array(0) })).toBeNull();
  expect(readHistory({ dtype: 'float64', shape: [7], data: new Float64Array(7) })).toBeNull();
});
