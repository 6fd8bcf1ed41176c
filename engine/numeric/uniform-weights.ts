import type { Random } from './random.ts';

/** Fills an array uniformly from ±1/√size, as PyTorch fills nn.RNN (size: hidden) and nn.Linear (size: inputs). */
export function uniformWeights(array: Float32Array | Float64Array, size: number, random: Random): void {
  const bound = 1 / Math.sqrt(size);
  for (let i = 0; i < array.length; i++) array[i] = (2 * random.uniform() - 1) * bound;
}
