import { expect, it } from 'vitest';
import { majorityAccuracy, score } from './score.ts';

const split = (labels: number[], speakers: number[]) => ({
  frames: new Float32Array(0),
  lengths: new Int32Array(labels.length).fill(1),
  labels: Int32Array.from(labels),
  speakers: Int32Array.from(speakers),
});

it('a score counts [true class, predicted class], and each voice by itself', () => {
  const heard = Int32Array.of(0, 1, 1, 1, 0);
  const result = score(heard, split([0, 0, 0, 1, 1], [0, 0, 0, 2, 2]), ['a', 'b'], ['x', 'y', 'z']);
  expect(result.confusion).toEqual([
    [1, 2],
    [1, 1],
  ]);
  expect(result.accuracy).toBe(2 / 5);
  expect(result.perVoice).toEqual([
    { name: 'x', count: 3, accuracy: 1 / 3 },
    { name: 'z', count: 2, accuracy: 1 / 2 },
  ]);
  expect(result.worstVoice.name).toBe('x');
});

it('the majority class is that of training, whatever is frequent in the test', () => {
  expect(majorityAccuracy(split([0, 0, 1], [0, 0, 0]), split([1, 1, 1, 0], [0, 0, 0, 0]), 2)).toBe(1 / 4);
});
