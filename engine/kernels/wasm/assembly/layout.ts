// The layout that all kernels share. `real` is f32 or f64: a compiler option, one module for each.
//
// A matrix of activations [rows, columns] lies in *panels* of 32 bytes of columns (8 × f32 or 4 × f64):
// panel p holds columns p·COLUMNS … p·COLUMNS + COLUMNS − 1 of every row, one row after the other,
//
//     address(row, panel) = base + panel · stride + row · 32
//
// Rows come in whole tiles of 4; columns past the matrix's width are zero. Without any packing such a matrix is
// the left operand of x Wᵀ and dz W and either operand of dzᵀ x, and a tile of results is 128 consecutive bytes.

/** Bytes of one row of a panel: two v128 registers. */
export const PANEL: usize = 32;
/** Rows of a tile. */
export const TILE: i32 = 4;
/** Columns of a panel. */
export const COLUMNS: i32 = 32 / sizeof<real>();

/**
 * c (+)= the first `columns` values of a row of a panel. Nothing behind them is touched: it may be another thread's.
 */
export function storePart(c: usize, row: usize, columns: i32, add: bool): void {
  for (; columns >= COLUMNS / 2; columns -= COLUMNS / 2, c += 16, row += 16) {
    const values = v128.load(row);
    v128.store(c, add ? v128.add<real>(v128.load(c), values) : values);
  }
  for (; columns > 0; columns--, c += sizeof<real>(), row += sizeof<real>()) {
    const value = load<real>(row);
    store<real>(c, add ? load<real>(c) + value : value);
  }
}

/** Mask of the first (second) half of a row of a panel: ones in the columns below `width`, zeros from there on. */
export function maskLow(width: i32): v128 {
  if (sizeof<real>() == 4) return i32x4.lt_s(i32x4(0, 1, 2, 3), i32x4.splat(width));
  return i64x2.lt_s(i64x2(0, 1), i64x2.splat(<i64>width));
}

export function maskHigh(width: i32): v128 {
  if (sizeof<real>() == 4) return i32x4.lt_s(i32x4(4, 5, 6, 7), i32x4.splat(width));
  return i64x2.lt_s(i64x2(2, 3), i64x2.splat(<i64>width));
}
