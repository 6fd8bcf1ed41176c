import { LANES, PANEL } from './layout';

/**
 * One panel of columns of B = Wᵀ, for x Wᵀ: b[k, l] = W[first + l, k].
 *   W: row-major [n, k], rows `width` elements apart: k of its columns, or all
 *   b: [kPadded, LANES], rows `step` bytes apart, zero where W has no element
 */
export function packTransposed(
  b: usize, step: usize, W: usize, n: i32, k: i32, width: i32, kPadded: i32, first: i32,
): void {
  const row = <usize>width * sizeof<real>();
  const lanes = min(LANES, n - first);
  W += <usize>first * row;
  for (let l = 0; l < LANES; l++) {
    let to = b + <usize>l * sizeof<real>();
    const inside = l < lanes ? k : 0;
    for (let i = 0; i < inside; i++, to += step) store<real>(to, load<real>(W + <usize>i * sizeof<real>()));
    for (let i = inside; i < kPadded; i++, to += step) store<real>(to, 0);
    W += row;
  }
}

/**
 * One panel of columns of B = W, for dz W: b[i, l] = W[i, first + l].
 *   W: row-major [k, n], rows `width` elements apart: n of its columns, or all
 *   b: [kPadded, LANES], rows `step` bytes apart, zero where W has no element
 */
export function packPlain(
  b: usize, step: usize, W: usize, k: i32, n: i32, width: i32, kPadded: i32, first: i32,
): void {
  const row = <usize>width * sizeof<real>();
  W += <usize>first * sizeof<real>();
  const lanes = min(LANES, n - first);
  for (let i = 0; i < k; i++, W += row, b += step) {
    if (lanes == LANES) {
      v128.store(b, v128.load(W));
      v128.store(b, v128.load(W, 16), 16);
    } else {
      for (let l = 0; l < LANES; l++) {
        store<real>(b + <usize>l * sizeof<real>(), l < lanes ? load<real>(W + <usize>l * sizeof<real>()) : 0);
      }
    }
  }
  for (let i = k; i < kPadded; i++, b += step) memory.fill(b, 0, PANEL);
}

/** sum[j] = a[j] + b[j] for j < n, 0 up to the next whole panel; b may be 0 (no second bias). */
export function packBias(sum: usize, a: usize, b: usize, n: i32): void {
  const padded = ((n + LANES - 1) / LANES) * LANES;
  for (let j = 0; j < padded; j++) {
    const at = <usize>j * sizeof<real>();
    const value: real = j < n ? load<real>(a + at) : 0;
    store<real>(sum + at, j < n && b ? value + load<real>(b + at) : value);
  }
}

/** The same `bytes` (a multiple of 32) into `count` consecutive rows: the bias that a matmul is added onto. */
export function repeatRow(dst: usize, row: usize, bytes: usize, count: i32): void {
  for (let i = 0; i < count; i++, dst += bytes) memory.copy(dst, row, bytes);
}
