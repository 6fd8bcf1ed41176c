import { expV } from './exp';
import { COLUMNS, PANEL } from './layout';

/** Writes −∞ into the columns from `tail` on of the last panel, so that they carry no probability. */
function blankPadding(panel: usize, tail: i32): void {
  for (let j = tail; j < COLUMNS; j++) store<real>(panel + <usize>j * sizeof<real>(), -Infinity);
}

/** The largest of a row's values; uses 16 bytes of scratch. */
function maximum(row: usize, stride: usize, panels: i32, scratch: usize): real {
  let most = v128.load(row);
  for (let p = 0; p < panels; p++, row += stride) {
    most = v128.pmax<real>(v128.pmax<real>(most, v128.load(row)), v128.load(row, 16));
  }
  v128.store(scratch, most);
  let largest = load<real>(scratch);
  for (let i = sizeof<real>(); i < 16; i += sizeof<real>()) largest = max<real>(largest, load<real>(scratch + i));
  return largest;
}

/** Index of the first occurrence of `value` in a row; 0 if there is none. */
function indexOf(value: real, row: usize, stride: usize, width: i32): i32 {
  for (let first = 0; first < width; first += COLUMNS, row += stride) {
    for (let j = 0; j < min(COLUMNS, width - first); j++) {
      if (load<real>(row + <usize>j * sizeof<real>()) == value) return first + j;
    }
  }
  return 0;
}

/** The sum over a register's lanes; uses 16 bytes of scratch. */
function sumOfLanes(v: v128, scratch: usize): real {
  v128.store(scratch, v);
  let sum: real = 0;
  for (let i: usize = 0; i < 16; i += sizeof<real>()) sum += load<real>(scratch + i);
  return sum;
}

/**
 * row ← softmax(row) = exp(z − max z) / Σ exp(z − max z), in place; returns the index of the largest
 * logit, of equals the first.
 *   row: a row of panels `stride` bytes apart, `width` values; columns past them come out as zeros
 *   returned through `sums`, two f64: the largest logit and Σ exp(z − max z), from which the caller takes the
 *   logarithm: log Σ exp z = max z + log Σ exp(z − max z)
 */
export function softmaxRow(row: usize, stride: usize, width: i32, sums: usize): i32 {
  const panels = (width + COLUMNS - 1) / COLUMNS;
  const tail = width % COLUMNS;
  if (tail) blankPadding(row + <usize>(panels - 1) * stride, tail);
  const most = maximum(row, stride, panels, sums);
  const best = indexOf(most, row, stride, width);
  const shift = v128.splat<real>(most);
  let total = v128.splat<real>(0);
  let at = row;
  for (let p = 0; p < panels; p++, at += stride) {
    for (let i: usize = 0; i < PANEL; i += 16) {
      const e = expV(v128.sub<real>(v128.load(at + i), shift));
      v128.store(at + i, e);
      total = v128.add<real>(total, e);
    }
  }
  const sum = sumOfLanes(total, sums);
  store<f64>(sums, <f64>most);
  store<f64>(sums, <f64>sum, 8);
  const divisor = v128.splat<real>(sum);
  at = row;
  for (let p = 0; p < panels; p++, at += stride) {
    v128.store(at, v128.div<real>(v128.load(at), divisor));
    v128.store(at, v128.div<real>(v128.load(at, 16), divisor), 16);
  }
  return best;
}
