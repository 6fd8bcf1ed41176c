import { expect, it } from 'vitest';
import { checksum } from './checksum.ts';
import type { StoredTensor } from './safetensors.ts';

it('a checksum tells texts, names, data types, shapes and numbers apart', () => {
  const tensor = (shape: number[], ...values: number[]): StoredTensor => ({
    dtype: 'float64',
    shape,
    data: Float64Array.from(values),
  });
  const a = tensor([1, 2], 3, 4);
  const sums = [
    checksum('', { a }),
    checksum('x', { a }),
    checksum('', { b: a }),
    checksum('', { a: tensor([2, 1], 3, 4) }),
    checksum('', { a: tensor([1, 2], 4, 3) }),
    checksum('', { a: { dtype: 'float32', shape: [1, 4], data: new Float32Array(a.data.buffer) } }),
  ];
  expect(new Set(sums).size).toBe(sums.length);
  expect(checksum('', { b: a, a })).toBe(checksum('', { a, b: a }));
});
