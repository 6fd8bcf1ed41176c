import { tanhArray } from './tanh';
import { COLUMNS, PANEL } from './layout';
import { multiplyAdd } from './multiply-add';

/**
 * c = start + a B for a single row, four panels at a time: the same operations in the same order as for a row of a
 * tile, hence the same bits, without computing the three other rows of one. The last panel comes first in a round:
 * in the other order V8 in Node 20 and 22 has more values at hand than registers, and takes half as long again.
 *   a: [k] consecutive values     b: packed panels [k, COLUMNS], one after the other     start, c: [nPanels · COLUMNS]
 */
function multiplyRow(c: usize, nPanels: i32, a: usize, k: i32, b: usize, start: usize): void {
  const bStep = <usize>k * PANEL;
  const end = a + <usize>k * sizeof<real>();
  let n = 0;
  for (; n + 4 <= nPanels; n += 4) {
    let c0 = v128.load(start), c1 = v128.load(start, 16), c2 = v128.load(start, 32), c3 = v128.load(start, 48);
    let c4 = v128.load(start, 64), c5 = v128.load(start, 80), c6 = v128.load(start, 96), c7 = v128.load(start, 112);
    let b0 = b, b1 = b + bStep, b2 = b1 + bStep, b3 = b2 + bStep;
    for (let at = a; at != end; at += sizeof<real>(), b0 += PANEL, b1 += PANEL, b2 += PANEL, b3 += PANEL) {
      const x = v128.load_splat<real>(at);
      c6 = multiplyAdd(x, v128.load(b3), c6);
      c7 = multiplyAdd(x, v128.load(b3, 16), c7);
      c4 = multiplyAdd(x, v128.load(b2), c4);
      c5 = multiplyAdd(x, v128.load(b2, 16), c5);
      c2 = multiplyAdd(x, v128.load(b1), c2);
      c3 = multiplyAdd(x, v128.load(b1, 16), c3);
      c0 = multiplyAdd(x, v128.load(b0), c0);
      c1 = multiplyAdd(x, v128.load(b0, 16), c1);
    }
    v128.store(c, c0);
    v128.store(c, c1, 16);
    v128.store(c, c2, 32);
    v128.store(c, c3, 48);
    v128.store(c, c4, 64);
    v128.store(c, c5, 80);
    v128.store(c, c6, 96);
    v128.store(c, c7, 112);
    c += 4 * PANEL;
    start += 4 * PANEL;
    b += 4 * bStep;
  }
  for (; n < nPanels; n++, c += PANEL, start += PANEL) {
    let c0 = v128.load(start), c1 = v128.load(start, 16);
    for (let at = a; at != end; at += sizeof<real>(), b += PANEL) {
      const x = v128.load_splat<real>(at);
      c0 = multiplyAdd(x, v128.load(b), c0);
      c1 = multiplyAdd(x, v128.load(b, 16), c1);
    }
    v128.store(c, c0);
    v128.store(c, c1, 16);
  }
}

/** c = bias + a B for one row. */
export function projectRow(c: usize, nPanels: i32, a: usize, kPanels: i32, b: usize, bias: usize): void {
  multiplyRow(c, nPanels, a, kPanels * COLUMNS, b, bias);
}

/** c ← c + a B for one row. */
export function accumulateRow(c: usize, nPanels: i32, a: usize, kPanels: i32, b: usize): void {
  multiplyRow(c, nPanels, a, kPanels * COLUMNS, b, c);
}

/** c ← relu(c + a B) for one row. */
export function reluStepRow(c: usize, nPanels: i32, a: usize, kPanels: i32, b: usize): void {
  accumulateRow(c, nPanels, a, kPanels, b);
  const zero = v128.splat<real>(0);
  for (const end = c + <usize>nPanels * PANEL; c != end; c += 16) v128.store(c, v128.max<real>(v128.load(c), zero));
}

/** c ← tanh(c + a B) for one row. */
export function tanhStepRow(c: usize, nPanels: i32, a: usize, kPanels: i32, b: usize): void {
  accumulateRow(c, nPanels, a, kPanels, b);
  tanhArray(c, <usize>nPanels * PANEL);
}
