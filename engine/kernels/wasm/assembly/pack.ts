import { COLUMNS, PANEL } from './layout';

/** Values of a register: the side of the squares that are transposed in registers. */
const SIDE: i32 = 16 / sizeof<real>();

/** b[j, i] = W[i, j] on a square of 4 × 4 values of f32, or 2 × 2 of f64. */
@inline
function transposeSquare(b: usize, step: usize, W: usize, row: usize): void {
  const r0 = v128.load(W), r1 = v128.load(W + row);
  if (sizeof<real>() == 8) {
    v128.store(b, v128.shuffle<i64>(r0, r1, 0, 2));
    v128.store(b + step, v128.shuffle<i64>(r0, r1, 1, 3));
    return;
  }
  const r2 = v128.load(W + 2 * row), r3 = v128.load(W + 3 * row);
  const left01 = v128.shuffle<i32>(r0, r1, 0, 4, 1, 5), left23 = v128.shuffle<i32>(r2, r3, 0, 4, 1, 5);
  const right01 = v128.shuffle<i32>(r0, r1, 2, 6, 3, 7), right23 = v128.shuffle<i32>(r2, r3, 2, 6, 3, 7);
  v128.store(b, v128.shuffle<i64>(left01, left23, 0, 2));
  v128.store(b + step, v128.shuffle<i64>(left01, left23, 1, 3));
  v128.store(b + 2 * step, v128.shuffle<i64>(right01, right23, 0, 2));
  v128.store(b + 3 * step, v128.shuffle<i64>(right01, right23, 1, 3));
}

/**
 * Packs one panel of columns of B = Wᵀ, for x Wᵀ: b[k, l] = W[first + l, k].
 *   W: row-major [n, k], rows `width` elements apart (more than k where only some of its columns are packed)
 *   b: [kPadded, COLUMNS], rows `step` bytes apart, zero where W has no element
 */
export function packTransposed(
  b: usize, step: usize, W: usize, n: i32, k: i32, width: i32, kPadded: i32, first: i32,
): void {
  const row = <usize>width * sizeof<real>();
  const columns = min(COLUMNS, n - first);
  W += <usize>first * row;
  const squares = columns == COLUMNS ? k - (k % SIDE) : 0;
  for (let i = 0; i < squares; i += SIDE, b += <usize>SIDE * step, W += 16) {
    for (let l: usize = 0; l < <usize>COLUMNS; l += <usize>SIDE) {
      transposeSquare(b + l * sizeof<real>(), step, W + l * row, row);
    }
  }
  for (let l = 0; l < COLUMNS; l++) {
    let to = b + <usize>l * sizeof<real>();
    const inside = l < columns ? k - squares : 0;
    for (let i = 0; i < inside; i++, to += step) store<real>(to, load<real>(W + <usize>i * sizeof<real>()));
    for (let i = inside; i < kPadded - squares; i++, to += step) store<real>(to, 0);
    W += row;
  }
}

/**
 * Packs COLUMNS rows of B = W, for dz W: panel p has b[i, l] = W[first + i, p · COLUMNS + l].
 *   W: row-major [k, n], rows `width` elements apart (more than n where only some of its columns are packed)
 *   b: [COLUMNS, COLUMNS] for each panel of columns, `panelStep` bytes apart, their rows `step` bytes apart, zero where W
 *      has no element
 */
export function packPlain(
  b: usize, step: usize, panelStep: usize, W: usize, k: i32, n: i32, width: i32, first: i32,
): void {
  const row = <usize>width * sizeof<real>();
  W += <usize>first * row;
  const rows = min(COLUMNS, k - first);
  for (; n > 0; n -= COLUMNS, b += panelStep, W += PANEL) {
    let to = b, from = W;
    for (let i = 0; i < rows; i++, to += step, from += row) copyColumns(to, from, n);
    for (let i = rows; i < COLUMNS; i++, to += step) memory.fill(to, 0, PANEL);
  }
}

/** Copies a panel's row of at most COLUMNS values, with zeros behind them. */
@inline
function copyColumns(to: usize, from: usize, columns: i32): void {
  if (columns >= COLUMNS) {
    v128.store(to, v128.load(from));
    v128.store(to, v128.load(from, 16), 16);
    return;
  }
  for (let l = 0; l < COLUMNS; l++) {
    const at = <usize>l * sizeof<real>();
    store<real>(to + at, l < columns ? load<real>(from + at) : 0);
  }
}

/** sum[j] = a[j] + b[j] for j < n, 0 up to the next whole panel; b may be 0 (no second bias). */
export function packBias(sum: usize, a: usize, b: usize, n: i32): void {
  const padded = ((n + COLUMNS - 1) / COLUMNS) * COLUMNS;
  for (let j = 0; j < padded; j++) {
    const at = <usize>j * sizeof<real>();
    const value: real = j < n ? load<real>(a + at) : 0;
    store<real>(sum + at, j < n && b ? value + load<real>(b + at) : value);
  }
}

/**
 * Copies a row of `bytes` bytes (a multiple of 32) into `count` consecutive rows: the bias that a matmul is added to.
 */
export function repeatRow(dst: usize, row: usize, bytes: usize, count: i32): void {
  for (let i = 0; i < count; i++, dst += bytes) memory.copy(dst, row, bytes);
}
