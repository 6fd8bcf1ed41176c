import { LANES, PANEL } from './layout';

/**
 * One panel of B = Wᵀ, for x Wᵀ: b[k, l] = W[first + l, k].
 *   W: row-major [n, k]     b: [kPadded, LANES], zero where W has no element
 */
export function packTransposed(b: usize, W: usize, n: i32, k: i32, kPadded: i32, first: i32): void {
  const row = <usize>k * sizeof<real>();
  const lanes = min(LANES, n - first);
  W += <usize>first * row;
  for (let l = 0; l < LANES; l++) {
    let to = b + <usize>l * sizeof<real>();
    const inside = l < lanes ? k : 0;
    for (let i = 0; i < inside; i++, to += PANEL) store<real>(to, load<real>(W + <usize>i * sizeof<real>()));
    for (let i = inside; i < kPadded; i++, to += PANEL) store<real>(to, 0);
    W += row;
  }
}

/**
 * One panel of B = W, for dz W: b[i, l] = W[i, first + l].
 *   W: row-major [k, n]     b: [kPadded, LANES], zero where W has no element
 */
export function packPlain(b: usize, W: usize, k: i32, n: i32, kPadded: i32, first: i32): void {
  const row = <usize>n * sizeof<real>();
  W += <usize>first * sizeof<real>();
  const lanes = min(LANES, n - first);
  for (let i = 0; i < k; i++, W += row, b += PANEL) {
    if (lanes == LANES) {
      v128.store(b, v128.load(W));
      v128.store(b, v128.load(W, 16), 16);
    } else {
      for (let l = 0; l < LANES; l++) {
        store<real>(b + <usize>l * sizeof<real>(), l < lanes ? load<real>(W + <usize>l * sizeof<real>()) : 0);
      }
    }
  }
  memory.fill(b, 0, <usize>(kPadded - k) * PANEL);
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
