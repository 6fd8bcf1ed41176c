import { COLUMNS } from './layout';

/**
 * Counter-based dropout: whether a unit is kept is a function of its place alone, so that any thread may
 * compute any part, and the backward pass finds the same mask again. The mixing is the finalizer of
 * MurmurHash3 (A. Appleby); see network/lanes/dropout.ts for the words that are mixed in before time and unit.
 */

const GOLDEN: u32 = 0x9e3779b1;

@inline
function finish(h: u32): u32 {
  h ^= h >> 16;
  h *= 0x85ebca6b;
  h ^= h >> 13;
  h *= 0xc2b2ae35;
  return h ^ (h >> 16);
}

@inline
function finishV(h: v128): v128 {
  h = v128.xor(h, v128.shr<u32>(h, 16));
  h = v128.mul<i32>(h, v128.splat<u32>(0x85ebca6b));
  h = v128.xor(h, v128.shr<u32>(h, 13));
  h = v128.mul<i32>(h, v128.splat<u32>(0xc2b2ae35));
  return v128.xor(h, v128.shr<u32>(h, 16));
}

/** x · scale where the unit is kept, else 0. */
@inline
function masked(to: usize, from: usize, kept: v128, scale: v128): void {
  v128.store(to, v128.and(v128.mul<real>(v128.load(from), scale), kept));
}

/**
 * dst_t ← src_t ∘ mask_t for `count` steps of one row of panels; dst may be src.
 *   key: hash of seed, step, row and layer     firstUnit: number of the first column's unit
 *   threshold: units whose hash is below it are dropped
 */
export function dropRows(
  dst: usize, dstStride: usize, dstStep: usize, src: usize, srcStride: usize, srcStep: usize,
  count: i32, panels: i32, key: u32, firstUnit: u32, threshold: u32, scale: real,
): void {
  const s = v128.splat<real>(scale);
  const least = v128.splat<u32>(threshold);
  const units = v128.add<i32>(v128.splat<u32>(firstUnit + 1), i32x4(0, 1, 2, 3));
  const first = v128.mul<i32>(units, v128.splat<u32>(GOLDEN));
  const four = v128.splat<u32>(4 * GOLDEN);
  for (let t = 0; t < count; t++, dst += dstStep, src += srcStep) {
    const place = v128.splat<u32>(finish(key ^ (<u32>(t + 1) * GOLDEN)));
    let unit = first;
    let to = dst, from = src;
    for (let p = 0; p < panels; p++, to += dstStride, from += srcStride) {
      const kept = v128.ge<u32>(finishV(v128.xor(place, unit)), least);
      unit = v128.add<i32>(unit, four);
      if (COLUMNS == 8) {
        masked(to, from, kept, s);
        masked(to + 16, from + 16, v128.ge<u32>(finishV(v128.xor(place, unit)), least), s);
        unit = v128.add<i32>(unit, four);
      } else {
        masked(to, from, v128.extend_low<i32>(kept), s);
        masked(to + 16, from + 16, v128.extend_high<i32>(kept), s);
      }
    }
  }
}
