import { expect, it } from 'vitest';
import { orderByLength } from './sorted-batch.ts';

it('orders rows from the longest to the shortest and keeps equal ones in order', () => {
  const order = new Int32Array(6);
  orderByLength(Int32Array.of(2, 7, 2, 1, 7, 3), 6, 7, order);
  expect([...order]).toEqual([1, 4, 5, 0, 2, 3]);
});
