import { checkInteger } from '../validation.ts';
import type { Random } from './random.ts';

/**
 * A random orthogonal matrix, every one equally likely (the Haar measure): the start that A. M. Saxe et al., "Exact
 * solutions to the nonlinear dynamics of learning in deep linear neural networks", 2014, give recurrent weights.
 *
 * The rows are normal draws made orthonormal one after another (Gram–Schmidt). The lengths it divides by are the
 * diagonal of R in the QR decomposition; being positive, they need no sign fix as Householder's method does
 * (F. Mezzadri, "How to generate random matrices from the classical compact groups", 2007).
 *
 * @param n rows and columns, at least 1
 * @returns n·n numbers, row by row
 * @throws BAD_ARGUMENT
 */
export function orthogonal(n: number, random: Random): Float64Array {
  checkInteger('n', n, 1);
  const matrix = Float64Array.from({ length: n * n }, () => random.normal());
  for (let i = 0; i < n; i++) {
    const row = matrix.subarray(i * n, (i + 1) * n);
    // Twice is enough: the second round removes what rounding left in the first (Kahan, in Parlett 1980).
    for (let round = 0; round < 2; round++) {
      for (let j = 0; j < i; j++) removeComponent(row, matrix.subarray(j * n, (j + 1) * n));
    }
    const length = Math.sqrt(dot(row, row));
    for (let k = 0; k < n; k++) row[k] /= length;
  }
  return matrix;
}

/** row −= (row · unit) unit */
function removeComponent(row: Float64Array, unit: Float64Array): void {
  const component = dot(row, unit);
  for (let k = 0; k < row.length; k++) row[k] -= component * unit[k];
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let k = 0; k < a.length; k++) sum += a[k] * b[k];
  return sum;
}
