import { COLUMNS, maskHigh, maskLow, PANEL, storePart } from './layout';

/** x where it is finite, else NaN: x − (x − x). Of an infinity tanh would make a number like any other. */
@inline
function finiteOrNaN(x: v128): v128 {
  return v128.sub<real>(x, v128.sub<real>(x, x));
}

/**
 * Row-major rows → rows of panels; infinities become NaN.
 *   src: [count, width], consecutive; up to 32 bytes past its end are read and masked off
 *   dst: the first row's place in the first panel, the rows `dstStep` bytes apart, the panels `dstStride`
 */
export function gatherRows(dst: usize, dstStride: usize, dstStep: usize, src: usize, count: i32, width: i32): void {
  const tail = width % COLUMNS;
  const low = maskLow(tail), high = maskHigh(tail);
  const full = width / COLUMNS;
  for (let i = 0; i < count; i++, dst += dstStep) {
    let to = dst;
    for (let p = 0; p < full; p++, to += dstStride, src += PANEL) {
      v128.store(to, finiteOrNaN(v128.load(src)));
      v128.store(to, finiteOrNaN(v128.load(src, 16)), 16);
    }
    if (tail) {
      v128.store(to, finiteOrNaN(v128.and(v128.load(src), low)));
      v128.store(to, finiteOrNaN(v128.and(v128.load(src, 16), high)), 16);
      src += <usize>tail * sizeof<real>();
    }
  }
}

/** Writes zeros to `count` rows of panels, `dstStep` bytes apart. */
export function zeroRows(dst: usize, dstStride: usize, dstStep: usize, count: i32, panels: i32): void {
  const zero = v128.splat<real>(0);
  for (let i = 0; i < count; i++, dst += dstStep) {
    let to = dst;
    for (let p = 0; p < panels; p++, to += dstStride) {
      v128.store(to, zero);
      v128.store(to, zero, 16);
    }
  }
}

/** Copies one row of panels to another. */
export function copyRow(dst: usize, dstStride: usize, src: usize, srcStride: usize, panels: i32): void {
  for (let p = 0; p < panels; p++, dst += dstStride, src += srcStride) {
    v128.store(dst, v128.load(src));
    v128.store(dst, v128.load(src, 16), 16);
  }
}

/** dst_i ← dst_i + scale · src_i for `count` rows of panels, each `…Step` bytes from the last; a step may be 0. */
export function addRows(
  dst: usize, dstStride: usize, dstStep: usize, src: usize, srcStride: usize, srcStep: usize,
  count: i32, panels: i32, scale: real,
): void {
  const s = v128.splat<real>(scale);
  for (let i = 0; i < count; i++, dst += dstStep, src += srcStep) {
    let to = dst, from = src;
    for (let p = 0; p < panels; p++, to += dstStride, from += srcStride) {
      v128.store(to, v128.add<real>(v128.load(to), v128.mul<real>(v128.load(from), s)));
      v128.store(to, v128.add<real>(v128.load(to, 16), v128.mul<real>(v128.load(from, 16), s)), 16);
    }
  }
}

/** x ← (x − mean) / std for `count` rows of panels; mean and std are padded rows, their panels one after the other. */
export function normalizeRows(
  x: usize, stride: usize, step: usize, count: i32, panels: i32, mean: usize, std: usize,
): void {
  for (let i = 0; i < count; i++, x += step) {
    let at = x, m = mean, s = std;
    for (let p = 0; p < panels; p++, at += stride, m += PANEL, s += PANEL) {
      v128.store(at, v128.div<real>(v128.sub<real>(v128.load(at), v128.load(m)), v128.load(s)));
      v128.store(at, v128.div<real>(v128.sub<real>(v128.load(at, 16), v128.load(m, 16)), v128.load(s, 16)), 16);
    }
  }
}

/** Rows of panels → row-major rows [count, width], each value divided by `divisor`. */
export function scatterRows(
  dst: usize, src: usize, srcStride: usize, srcStep: usize, count: i32, width: i32, divisor: real,
): void {
  const d = v128.splat<real>(divisor);
  for (let i = 0; i < count; i++, src += srcStep) {
    let from = src;
    for (let left = width; left > 0; left -= COLUMNS, from += srcStride) {
      if (left >= COLUMNS) {
        v128.store(dst, v128.div<real>(v128.load(from), d));
        v128.store(dst, v128.div<real>(v128.load(from, 16), d), 16);
        dst += PANEL;
      } else {
        for (let l = 0; l < left; l++, dst += sizeof<real>()) {
          store<real>(dst, load<real>(from + <usize>l * sizeof<real>()) / divisor);
        }
      }
    }
  }
}

/**
 * sums[j] (+)= Σ_rows src[row, j], for the bias gradients: four rows at a time, `rows` a multiple of 4.
 *   src: panels `srcStride` bytes apart, their rows `srcStep` bytes apart     edge: 32 bytes of scratch
 *   twin: a second place for the same sums, or `sums` where there is none
 */
export function sumRows(
  sums: usize, twin: usize, width: i32, src: usize, srcStride: usize, srcStep: usize, rows: i32, edge: usize, add: bool,
): void {
  for (let left = width; left > 0; left -= COLUMNS, src += srcStride, sums += PANEL, twin += PANEL) {
    let low0 = v128.splat<real>(0), low1 = low0, low2 = low0, low3 = low0;
    let high0 = low0, high1 = low0, high2 = low0, high3 = low0;
    let from = src;
    for (const end = src + <usize>rows * srcStep; from != end; ) {
      low0 = v128.add<real>(low0, v128.load(from));
      high0 = v128.add<real>(high0, v128.load(from, 16));
      from += srcStep;
      low1 = v128.add<real>(low1, v128.load(from));
      high1 = v128.add<real>(high1, v128.load(from, 16));
      from += srcStep;
      low2 = v128.add<real>(low2, v128.load(from));
      high2 = v128.add<real>(high2, v128.load(from, 16));
      from += srcStep;
      low3 = v128.add<real>(low3, v128.load(from));
      high3 = v128.add<real>(high3, v128.load(from, 16));
      from += srcStep;
    }
    v128.store(edge, v128.add<real>(v128.add<real>(low0, low1), v128.add<real>(low2, low3)));
    v128.store(edge, v128.add<real>(v128.add<real>(high0, high1), v128.add<real>(high2, high3)), 16);
    const columns = min(COLUMNS, left);
    storePart(sums, edge, columns, add);
    if (twin != sums) storePart(twin, edge, columns, add);
  }
}
