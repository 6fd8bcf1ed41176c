import { expect, it } from 'vitest';
import { digits, duration, threadsText } from './format.ts';

it('writes a number in three digits, and whatever is not finite as a dash', () => {
  expect([1234.5, 0.00012345, Number.NaN].map(digits)).toEqual(['1,230', '0.000123', '–']);
});

it('picks the unit of a duration', () => {
  expect([2e-6, 0.25, 3].map(duration)).toEqual(['2 µs', '250 ms', '3 s']);
});

it('counts threads', () => {
  expect([0, 1, 2].map(threadsText)).toEqual(['0 threads', '1 thread', '2 threads']);
});
