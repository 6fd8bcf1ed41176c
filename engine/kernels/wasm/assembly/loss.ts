import { expV } from './exp';
import { LANES } from './layout';

/** Writes −∞ into the columns from `width` to the end of the last panel, so that they carry no probability. */
function blankPadding(row: usize, width: i32): void {
  const padded = ((width + LANES - 1) / LANES) * LANES;
  for (let j = width; j < padded; j++) store<real>(row + <usize>j * sizeof<real>(), -Infinity);
}

function maximum(row: usize, width: i32): real {
  let most = load<real>(row);
  for (let j = 1; j < width; j++) most = max<real>(most, load<real>(row + <usize>j * sizeof<real>()));
  return most;
}

/** The sum over a register's lanes, by way of 16 bytes of scratch. */
function sumOfLanes(v: v128, scratch: usize): real {
  v128.store(scratch, v);
  let sum: real = 0;
  for (let i: usize = 0; i < 16; i += sizeof<real>()) sum += load<real>(scratch + i);
  return sum;
}

/**
 * row ← softmax(row) = exp(z − max z) / Σ exp(z − max z), in place.
 *   row: `width` values with room up to a whole panel; the padding comes out as zeros
 *   returned through `sums`, two f64: the largest logit and Σ exp(z − max z), from which the caller takes the
 *   logarithm: log Σ exp z = max z + log Σ exp(z − max z)
 */
export function softmaxRow(row: usize, width: i32, sums: usize): void {
  blankPadding(row, width);
  const bytes = <usize>((width + LANES - 1) / LANES) * 32;
  const most = maximum(row, width);
  const shift = v128.splat<real>(most);
  let total = v128.splat<real>(0);
  for (let i: usize = 0; i < bytes; i += 16) {
    const e = expV(v128.sub<real>(v128.load(row + i), shift));
    v128.store(row + i, e);
    total = v128.add<real>(total, e);
  }
  const sum = sumOfLanes(total, sums);
  store<f64>(sums, <f64>most);
  store<f64>(sums, <f64>sum, 8);
  const divisor = v128.splat<real>(sum);
  for (let i: usize = 0; i < bytes; i += 16) v128.store(row + i, v128.div<real>(v128.load(row + i), divisor));
}
