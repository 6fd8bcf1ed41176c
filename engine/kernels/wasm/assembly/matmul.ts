import { tanhArray, tanhTile } from './tanh';
import { COLUMNS, PANEL, storePart, TILE } from './layout';
import { multiplyAdd } from './multiply-add';

/** What `finish` does to a tile of results. */
const TANH: i32 = 1;
const TANH_BACKWARD: i32 = 2;
const RELU: i32 = 3;
const RELU_BACKWARD: i32 = 4;

/**
 * Rows multiplied by all of B at a time: at 384 columns of f32, 24 KB, which a first-level cache holds
 * beside a panel of B.
 */
const ROWS: usize = 16;
/**
 * Beyond this many panels of A that cache no longer holds sixteen rows; with more rows at a time B is read less often.
 */
const WIDE: i32 = 48;
const ROWS_OF_WIDE: usize = 64;
/** Rows of dzᵀ x summed at a time: 16 KB of a panel of each operand, one of which stays in the first-level cache. */
const DEPTH: i32 = 512;
/**
 * Panels of the right operand that each tile of the left one's columns is multiplied by in turn: 256
 * KB, which stay in the second-level cache.
 */
const PANELS: i32 = 16;

// Nearly all of the time is spent in the loops of `tile` and `outerTile`. On a core that starts six instructions
// a cycle, everything else delays their multiplications and additions. So the build unrolls several rounds
// (scripts/unroll.mjs): V8's interrupt check at the head of a loop then runs once for all of them.
//  - A round ends in a branch that is taken only after the last one of a panel (in `outerTile`: of four). V8 schedules
//    the instructions between two branches from the last to the first, and places a load once everything that needs
//    it, and the load after it, have been placed: without branches all loads of all rounds would come first.
//  - Rows are loaded right before the arithmetic that needs them, one or two at a time, and what needs
//    the last load is written last. With all loads of a round first a Zen 3 takes a quarter longer.
//  - Pointers are advanced before they are used: a sum serves as an address as it is, whereas a value
//    carried into a round has to be widened first.
//
// `node --print-wasm-code --no-liftoff` shows the outcome.

/**
 * c = start + A B on one tile of 4 rows and one panel of columns: the micro-kernel. Eight accumulators,
 * two registers of B and the broadcasts of A fill the registers that V8 has to give.
 *   a: the tile's first row in A's first panel          b: B's packed panel [k, COLUMNS]
 *   start: row r starts from the values at start + r · startStep (a bias row: step 0; c itself: step 32)
 *   c: the tile [4, COLUMNS]
 */
@inline
function tile(c: usize, a: usize, aStride: usize, kPanels: i32, b: usize, start: usize, startStep: usize): void {
  let c00 = v128.load(start), c01 = v128.load(start, 16);
  start += startStep;
  let c10 = v128.load(start), c11 = v128.load(start, 16);
  start += startStep;
  let c20 = v128.load(start), c21 = v128.load(start, 16);
  start += startStep;
  let c30 = v128.load(start), c31 = v128.load(start, 16);
  if (kPanels) {
    a -= sizeof<real>();
    b -= PANEL;
    const last = b + <usize>kPanels * COLUMNS * PANEL;
    while (true) {
      for (let panel = 0; panel < PANELS_A_ROUND; panel++) { // unroll
        for (let k = 0; k < COLUMNS; k++) { // unroll
          a += sizeof<real>();
          b += PANEL;
          const b0 = v128.load(b), b1 = v128.load(b, 16);
          const a2 = v128.load_splat<real>(a, 64);
          const a3 = v128.load_splat<real>(a, 96);
          c20 = multiplyAdd(a2, b0, c20);
          c21 = multiplyAdd(a2, b1, c21);
          c30 = multiplyAdd(a3, b0, c30);
          c31 = multiplyAdd(a3, b1, c31);
          const a0 = v128.load_splat<real>(a);
          const a1 = v128.load_splat<real>(a, 32);
          c00 = multiplyAdd(a0, b0, c00);
          c01 = multiplyAdd(a0, b1, c01);
          c10 = multiplyAdd(a1, b0, c10);
          c11 = multiplyAdd(a1, b1, c11);
          if (b == last) break;
        }
        a += aStride - PANEL;
      }
    }
  }
  v128.store(c, c00);
  v128.store(c, c01, 16);
  v128.store(c, c10, 32);
  v128.store(c, c11, 48);
  v128.store(c, c20, 64);
  v128.store(c, c21, 80);
  v128.store(c, c30, 96);
  v128.store(c, c31, 112);
}

/**
 * Sets what is smaller than 2⁻⁹⁶ (f32) or 2⁻⁹⁶⁰ (f64) to 0: a gradient that has faded to subnormal numbers on its way
 * back through time costs a hundred times as much as any other, and is negligible beside the gradients of later steps.
 */
@inline
function withoutFaded(dz: v128): v128 {
  const least = v128.splat<real>(sizeof<real>() == 4 ? <real>1.262177448e-29 : <real>1.0261342003245941e-289);
  // The magnitude by a mask: V8 would make that of `abs` anew each time.
  const magnitude = sizeof<real>() == 4 ? v128.splat<u32>(0x7fffffff) : v128.splat<u64>(0x7fffffffffffffff);
  return v128.andnot(dz, v128.lt<real>(v128.and(dz, magnitude), least));
}

/** d ∘ (1 − h²): tanh'(z) in terms of h = tanh(z). */
@inline
function tanhBackwardV(d: v128, h: v128): v128 {
  return withoutFaded(v128.mul<real>(d, v128.sub<real>(v128.splat<real>(1), v128.mul<real>(h, h))));
}

@inline
function tanhBackwardTile(d: usize, h: usize): void {
  for (let i = 0; i < 8; i++) { // unroll
    v128.store(d, tanhBackwardV(v128.load(d), v128.load(h)));
    d += 16;
    h += 16;
  }
}

/** c ← max(c, 0); NaN stays NaN. */
function reluTile(c: usize): void {
  const zero = v128.splat<real>(0);
  for (const end = c + 4 * PANEL; c != end; c += 16) v128.store(c, v128.max<real>(v128.load(c), zero));
}

/** d ← d where h > 0, else 0: relu'(z) in terms of h = relu(z), 0 at z = 0. */
function reluBackwardTile(d: usize, h: usize): void {
  const zero = v128.splat<real>(0);
  for (const end = d + 4 * PANEL; d != end; d += 16, h += 16) {
    v128.store(d, withoutFaded(v128.and(v128.load(d), v128.gt<real>(v128.load(h), zero))));
  }
}

/** Does to a tile of c what `after` says, once its sums are complete. */
@inline
function finish(c: usize, h: usize, after: i32): void {
  if (after == TANH) tanhTile(c);
  else if (after == TANH_BACKWARD) tanhBackwardTile(c, h);
  else if (after == RELU) reluTile(c);
  else if (after == RELU_BACKWARD) reluBackwardTile(c, h);
}

/**
 * c = start + A B, finished as `after` says. A and c are panels; B is packed (see pack.ts). A few rows of A
 * are multiplied by all of B before the next ones, so that an A larger than a cache is read only once. Inlined
 * into each kernel that is a matmul, so that what is the same for all of a kernel's tiles is a constant.
 *
 * A tile is finished only after the next one has been summed: by then its sums have reached memory, and
 * while tanh makes the core wait, it has the arithmetic of another tile to do.
 */
@inline
function matmul(
  c: usize, cStride: usize, rows: i32, nPanels: i32,
  a: usize, aStride: usize, kPanels: i32, b: usize,
  start: usize, startStride: usize, startStep: usize,
  after: i32, h: usize, hStride: usize,
): void {
  const bStride = <usize>kPanels * COLUMNS * PANEL;
  const block = kPanels > WIDE ? ROWS_OF_WIDE : ROWS;
  const stepStart: usize = startStep ? block * PANEL : 0;
  let summed: usize = 0, summedH: usize = 0;
  for (let left = <usize>rows; left; left -= min(left, block)) {
    const end = min(left, block) * PANEL;
    let cPanel = c, bPanel = b, startPanel = start, hPanel = h;
    for (let n = 0; n < nPanels; n++) {
      let row: usize = 0;
      do {
        const at = cPanel + row;
        tile(at, a + row, aStride, kPanels, bPanel, startStep ? startPanel + row : startPanel, startStep);
        if (after) {
          if (summed) finish(summed, summedH, after);
          summed = at;
          summedH = hPanel + row;
        }
        row += <usize>TILE * PANEL;
      } while (row != end);
      cPanel += cStride;
      bPanel += bStride;
      startPanel += startStride;
      hPanel += hStride;
    }
    c += block * PANEL;
    a += block * PANEL;
    h += block * PANEL;
    start += stepStart;
  }
  if (after && summed) finish(summed, summedH, after);
}

/** c = bias + a B, bias a padded row: the input projection of every time step at once, and the output layer. */
export function project(
  c: usize, cStride: usize, rows: i32, nPanels: i32,
  a: usize, aStride: usize, kPanels: i32, b: usize, bias: usize,
): void {
  matmul(c, cStride, rows, nPanels, a, aStride, kPanels, b, bias, PANEL, 0, 0, 0, 0);
}

/** c = a B, `zeros` being 32 bytes of zeros: dz W. */
export function multiply(
  c: usize, cStride: usize, rows: i32, nPanels: i32,
  a: usize, aStride: usize, kPanels: i32, b: usize, zeros: usize,
): void {
  matmul(c, cStride, rows, nPanels, a, aStride, kPanels, b, zeros, 0, 0, 0, 0, 0);
}

/** c ← c + a B: the second direction's part. */
export function accumulate(
  c: usize, cStride: usize, rows: i32, nPanels: i32, a: usize, aStride: usize, kPanels: i32, b: usize,
): void {
  matmul(c, cStride, rows, nPanels, a, aStride, kPanels, b, c, cStride, PANEL, 0, 0, 0);
}

/** c ← tanh(c + a B): one step forward, c holding the step's projected input. */
export function tanhStep(
  c: usize, cStride: usize, rows: i32, nPanels: i32, a: usize, aStride: usize, kPanels: i32, b: usize,
): void {
  matmul(c, cStride, rows, nPanels, a, aStride, kPanels, b, c, cStride, PANEL, TANH, 0, 0);
}

/** c ← relu(c + a B). */
export function reluStep(
  c: usize, cStride: usize, rows: i32, nPanels: i32, a: usize, aStride: usize, kPanels: i32, b: usize,
): void {
  matmul(c, cStride, rows, nPanels, a, aStride, kPanels, b, c, cStride, PANEL, RELU, 0, 0);
}

/** d ← (d + a B) ∘ (1 − h²): one step back, a being dz of the step after and d the gradient from above. */
export function tanhStepBackward(
  d: usize, dStride: usize, rows: i32, nPanels: i32, a: usize, aStride: usize, kPanels: i32, b: usize,
  h: usize, hStride: usize,
): void {
  matmul(d, dStride, rows, nPanels, a, aStride, kPanels, b, d, dStride, PANEL, TANH_BACKWARD, h, hStride);
}

/** d ← d + a B where h > 0, else 0. */
export function reluStepBackward(
  d: usize, dStride: usize, rows: i32, nPanels: i32, a: usize, aStride: usize, kPanels: i32, b: usize,
  h: usize, hStride: usize,
): void {
  matmul(d, dStride, rows, nPanels, a, aStride, kPanels, b, d, dStride, PANEL, RELU_BACKWARD, h, hStride);
}

/** c ← tanh c, for a first step from a state of zeros. */
export function tanhForward(c: usize, cStride: usize, rows: i32, panels: i32): void {
  for (let p = 0; p < panels; p++, c += cStride) tanhArray(c, <usize>rows * PANEL);
}

/** c ← relu c, for such a step. */
export function reluForward(c: usize, cStride: usize, rows: i32, panels: i32): void {
  for (let p = 0; p < panels; p++, c += cStride) reluArray(c, <usize>rows * PANEL);
}

/** d ← d ∘ (1 − h²), for the last step, which nothing follows. */
export function tanhBackward(d: usize, dStride: usize, h: usize, hStride: usize, rows: i32, panels: i32): void {
  for (let p = 0; p < panels; p++) {
    for (let r: usize = 0; r < <usize>rows * PANEL; r += <usize>TILE * PANEL) tanhBackwardTile(d + r, h + r);
    d += dStride;
    h += hStride;
  }
}

/** d ← d where h > 0, else 0, for the last step. */
export function reluBackward(d: usize, dStride: usize, h: usize, hStride: usize, rows: i32, panels: i32): void {
  for (let p = 0; p < panels; p++) {
    for (let r: usize = 0; r < <usize>rows * PANEL; r += <usize>TILE * PANEL) reluBackwardTile(d + r, h + r);
    d += dStride;
    h += hStride;
  }
}

/** x ← max(x, 0) over `bytes` bytes, a multiple of 128. */
function reluArray(at: usize, bytes: usize): void {
  for (const end = at + bytes; at != end; at += 4 * PANEL) reluTile(at);
}

/**
 * c (+)= Σ_k a[k, 0:4]ᵀ b[k, :] on one tile of 4 columns of a and one panel of b, c row-major. `depth`
 * must not be 0: with a check for that, V8, which hoists nothing out of a condition, would compute anew
 * for every tile what a whole row of tiles has in common.
 */
@inline
function outerTile(c: usize, cRow: usize, a: usize, b: usize, depth: i32, add: bool): void {
  let c00 = v128.splat<real>(0), c01 = v128.splat<real>(0);
  let c10 = v128.splat<real>(0), c11 = v128.splat<real>(0);
  let c20 = v128.splat<real>(0), c21 = v128.splat<real>(0);
  let c30 = v128.splat<real>(0), c31 = v128.splat<real>(0);
  a -= PANEL;
  b -= PANEL;
  const last = a + <usize>depth * PANEL;
  do {
    for (let k = 0; k < 4; k++) { // unroll
      a += PANEL;
      b += PANEL;
      const b0 = v128.load(b), b1 = v128.load(b, 16);
      const a3 = v128.load_splat<real>(a, 3 * sizeof<real>());
      c30 = multiplyAdd(a3, b0, c30);
      c31 = multiplyAdd(a3, b1, c31);
      const a2 = v128.load_splat<real>(a, 2 * sizeof<real>());
      c20 = multiplyAdd(a2, b0, c20);
      c21 = multiplyAdd(a2, b1, c21);
      const a1 = v128.load_splat<real>(a, sizeof<real>());
      c10 = multiplyAdd(a1, b0, c10);
      c11 = multiplyAdd(a1, b1, c11);
      const a0 = v128.load_splat<real>(a);
      c00 = multiplyAdd(a0, b0, c00);
      c01 = multiplyAdd(a0, b1, c01);
      if (a == last) break;
    }
  } while (a != last);
  const c1 = c + cRow, c2 = c1 + cRow, c3 = c2 + cRow;
  if (add) {
    c00 = v128.add<real>(v128.load(c), c00);
    c01 = v128.add<real>(v128.load(c, 16), c01);
    c10 = v128.add<real>(v128.load(c1), c10);
    c11 = v128.add<real>(v128.load(c1, 16), c11);
    c20 = v128.add<real>(v128.load(c2), c20);
    c21 = v128.add<real>(v128.load(c2, 16), c21);
    c30 = v128.add<real>(v128.load(c3), c30);
    c31 = v128.add<real>(v128.load(c3, 16), c31);
  }
  v128.store(c, c00);
  v128.store(c, c01, 16);
  v128.store(c1, c10);
  v128.store(c1, c11, 16);
  v128.store(c2, c20);
  v128.store(c2, c21, 16);
  v128.store(c3, c30);
  v128.store(c3, c31, 16);
}

/** outerTile where only `rows` × `columns` of the tile lie inside c; `edge` is 128 bytes of scratch. */
function outerEdge(
  c: usize, cRow: usize, a: usize, b: usize, depth: i32, edge: usize, rows: i32, columns: i32, add: bool,
): void {
  outerTile(edge, PANEL, a, b, depth, false);
  for (const end = edge + <usize>rows * PANEL; edge != end; edge += PANEL, c += cRow) storePart(c, edge, columns, add);
}

/**
 * outerTile for all of a c of few panels, one row of tiles after the other: two panels share the cache
 * lines of c, which has left every cache since the previous step. Tiles at the edge have a loop of
 * their own: any check made for each tile delays its sums.
 */
function outerPanels(
  c: usize, cRow: usize, m: i32, n: i32,
  a: usize, aStride: usize, b: usize, bStride: usize, depth: i32, edge: usize, add: bool,
): void {
  for (let i = 0; i < m; i += TILE) {
    const aTile = a + <usize>(i / COLUMNS) * aStride + <usize>(i % COLUMNS) * sizeof<real>();
    const rows = min(TILE, m - i);
    let at = c, bPanel = b, left = n;
    if (rows == TILE) {
      for (; left >= COLUMNS; left -= COLUMNS, at += PANEL, bPanel += bStride) {
        outerTile(at, cRow, aTile, bPanel, depth, add);
      }
    }
    for (; left > 0; left -= COLUMNS, at += PANEL, bPanel += bStride) {
      outerEdge(at, cRow, aTile, bPanel, depth, edge, rows, min(COLUMNS, left), add);
    }
    c += <usize>TILE * cRow;
  }
}

/**
 * c (+)= aᵀ b, summed over all `depth` rows: the weight gradient dzᵀ x of all time steps at once.
 *   c: row-major [m, n], rows cRow bytes apart     a: panels [depth, m]     b: panels [depth, n]
 *   edge: 128 bytes of scratch for tiles that reach past c     add: whether to add to what c holds
 */
export function outerProduct(
  c: usize, cRow: usize, m: i32, n: i32,
  a: usize, aStride: usize, b: usize, bStride: usize, depth: i32, edge: usize, add: bool,
): void {
  for (let done = 0; done < depth; done += DEPTH) {
    const now = min(DEPTH, depth - done);
    for (let block = 0; block < n; block += PANELS * COLUMNS) {
      const width = min(PANELS * COLUMNS, n - block);
      const panels = b + <usize>(block / COLUMNS) * bStride;
      outerPanels(c + <usize>block * sizeof<real>(), cRow, m, width, a, aStride, panels, bStride, now, edge, add);
    }
    add = true;
    a += <usize>DEPTH * PANEL;
    b += <usize>DEPTH * PANEL;
  }
}

/** Runs the micro-kernel alone on operands that stay in the first-level cache: the limit for the other kernels. */
export function bareTile(c: usize, a: usize, kPanels: i32, b: usize, times: i32): void {
  for (let i = 0; i < times; i++) tile(c, a, 4 * PANEL, kPanels, b, c, PANEL);
}
