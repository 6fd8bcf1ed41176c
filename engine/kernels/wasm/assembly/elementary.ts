/**
 * tanh and exp of whole vectors of `real`, from + − × ÷, comparisons and integer shifts only: the same bits on every
 * machine, no table, no branch.
 *
 * Both cut the argument as W. J. Cody and W. Waite do (Software Manual for the Elementary Functions, 1980, chapters 6
 * and 12), x = k ln 2 + r with |r| ≤ ln 2 / 2, and take eʳ − 1 = r + r² q(r) with one minimax polynomial q, whose
 * coefficients scripts/fit-elementary.py prints.
 */

const LOG2_E: f64 = 1.4426950408889634;

@inline
function constant(x: f64): v128 {
  return v128.splat<real>(<real>x);
}

/** Adding it rounds to an integer k and leaves k + bias in the lowest bits of the sum: shifted up, the bits of 2ᵏ. */
@inline
function roundingConstant(): v128 {
  return sizeof<real>() == 4 ? constant(12582912.0 + 127.0) : constant(6755399441055744.0 + 1023.0);
}

/** The rounding constant with twice the bias, so that a half of the lowest bits is an exponent too. */
@inline
function rounding2Constant(): v128 {
  return sizeof<real>() == 4 ? constant(12582912.0 + 254.0) : constant(6755399441055744.0 + 2046.0);
}

/** Shifts the lowest bits of each number to where the exponent lies. */
@inline
function powerOfTwo(bits: v128): v128 {
  return sizeof<real>() == 4 ? v128.shl<i32>(bits, 23) : v128.shl<i64>(bits, 52);
}

@inline
function halve(bits: v128): v128 {
  return sizeof<real>() == 4 ? v128.shr<u32>(bits, 1) : v128.shr<u64>(bits, 1);
}

@inline
function subtractBits(a: v128, b: v128): v128 {
  return sizeof<real>() == 4 ? v128.sub<i32>(a, b) : v128.sub<i64>(a, b);
}

/** ln 2 cut after 16 bits (f32) or 42 bits (f64): its product with any k that occurs is exact. */
@inline
function ln2High(): v128 {
  return sizeof<real>() == 4 ? constant(0.693145751953125) : constant(0.6931471805598903);
}

@inline
function ln2Low(): v128 {
  return sizeof<real>() == 4 ? constant(1.428606765330187e-6) : constant(5.497923018708371e-14);
}

@inline
function signMask(): v128 {
  return sizeof<real>() == 4 ? v128.splat<u32>(0x80000000) : v128.splat<u64>(0x8000000000000000);
}

/** c + r p: one step of Horner's scheme. */
@inline
function horner(p: v128, r: v128, c: f64): v128 {
  return v128.add<real>(constant(c), v128.mul<real>(r, p));
}

/** q(r), with eʳ − 1 = r + r² q(r) to 0.28 (f32) or 0.31 (f64) units of the machine epsilon, |r| ≤ ln 2 / 2. */
@inline
function q(r: v128): v128 {
  if (sizeof<real>() == 4) {
    let p = horner(constant(0.0013882522471249104), r, 0.008366520516574383);
    p = horner(p, r, 0.04166720062494278);
    p = horner(p, r, 0.1666654348373413);
    return horner(p, r, 0.4999999701976776);
  }
  let p = horner(constant(2.505377515874087e-8), r, 2.7626037943833443e-7);
  p = horner(p, r, 2.755740754123276e-6);
  p = horner(p, r, 2.4801505273653316e-5);
  p = horner(p, r, 0.00019841269719009797);
  p = horner(p, r, 0.001388888893156499);
  p = horner(p, r, 0.00833333333338955);
  p = horner(p, r, 0.04166666666657676);
  p = horner(p, r, 0.16666666666666588);
  return horner(p, r, 0.5000000000000006);
}

/** eʳ − 1 for r = high − low, |r| ≤ ln 2 / 2: a − k ln 2 in the two parts that `cutHigh` and `cutLow` give. */
@inline
function expm1Reduced(high: v128, low: v128): v128 {
  const r = v128.sub<real>(high, low);
  const square = v128.mul<real>(v128.mul<real>(r, r), q(r));
  if (sizeof<real>() == 4) return v128.add<real>(r, square);
  // The high part is exact, and the low one joins the small terms: r is not rounded by itself, which f64 needs to
  // stay below 2 units in the last place in tanh.
  return v128.add<real>(high, v128.sub<real>(square, low));
}

@inline
function cutHigh(a: v128, k: v128): v128 {
  return v128.sub<real>(a, v128.mul<real>(k, ln2High()));
}

@inline
function cutLow(k: v128): v128 {
  return v128.mul<real>(k, ln2Low());
}

/** a / ln 2 + the rounding constant. */
@inline
function shift(a: v128): v128 {
  return v128.add<real>(v128.mul<real>(a, constant(LOG2_E)), roundingConstant());
}

@inline
function unshift(shifted: v128): v128 {
  return v128.sub<real>(shifted, roundingConstant());
}

// tanh x = (1 − e) / (1 + e) with e = e^{−2|x|} = 2ᵏ (1 + m), the sign of x put back: both terms as (1 ∓ 2ᵏ) ∓ 2ᵏ m.
//
// tanh(±0) = ±0, tanh(±∞) = ±1, NaN stays NaN, and |tanh x| never exceeds 1. Within 2 units in the last place of the
// correctly rounded result; against the exact one the largest error met is 1.96 units for f32 (every float) and 2.13
// for f64 (40 million points, most of them where the error peaks, near 0.12 and 0.5).

/** −2|x|, but no less than where the quotient rounds to 1 anyway. `pmax` keeps its first argument if that is NaN. */
@inline
function exponent(x: v128): v128 {
  const minus = v128.or(x, signMask());
  const limit = sizeof<real>() == 4 ? constant(-20.0) : constant(-40.0);
  return v128.pmax<real>(v128.add<real>(minus, minus), limit);
}

/** tanh x, given the shifted exponent and m. */
@inline
function quotient(x: v128, shifted: v128, m: v128): v128 {
  const scale = powerOfTwo(shifted);
  const scaled = v128.mul<real>(scale, m);
  const numerator = v128.sub<real>(v128.sub<real>(constant(1.0), scale), scaled);
  const denominator = v128.add<real>(v128.add<real>(constant(1.0), scale), scaled);
  return v128.or(v128.and(x, signMask()), v128.div<real>(numerator, denominator));
}

@inline
function tanhV(x: v128): v128 {
  const a = exponent(x);
  const shifted = shift(a);
  const k = unshift(shifted);
  return quotient(x, shifted, expm1Reduced(cutHigh(a, k), cutLow(k)));
}

/**
 * tanh of eight vectors in place, c of 128 bytes. A tanh is a chain of some 25 operations, each waiting for the one
 * before, and a processor looks ahead over no more than five such chains. So all eight go through the chain a third
 * at a time; what the thirds hand on lies in c, for V8 keeps the order of loads and stores, and of nothing else.
 */
export function tanhTile(c: usize): void {
  const x0 = v128.load(c), x1 = v128.load(c, 16), x2 = v128.load(c, 32), x3 = v128.load(c, 48);
  const x4 = v128.load(c, 64), x5 = v128.load(c, 80), x6 = v128.load(c, 96), x7 = v128.load(c, 112);

  const a0 = exponent(x0), s0 = shift(a0), k0 = unshift(s0);
  v128.store(c, cutHigh(a0, k0));
  const a1 = exponent(x1), s1 = shift(a1), k1 = unshift(s1);
  v128.store(c, cutHigh(a1, k1), 16);
  const a2 = exponent(x2), s2 = shift(a2), k2 = unshift(s2);
  v128.store(c, cutHigh(a2, k2), 32);
  const a3 = exponent(x3), s3 = shift(a3), k3 = unshift(s3);
  v128.store(c, cutHigh(a3, k3), 48);
  const a4 = exponent(x4), s4 = shift(a4), k4 = unshift(s4);
  v128.store(c, cutHigh(a4, k4), 64);
  const a5 = exponent(x5), s5 = shift(a5), k5 = unshift(s5);
  v128.store(c, cutHigh(a5, k5), 80);
  const a6 = exponent(x6), s6 = shift(a6), k6 = unshift(s6);
  v128.store(c, cutHigh(a6, k6), 96);
  const a7 = exponent(x7), s7 = shift(a7), k7 = unshift(s7);
  v128.store(c, cutHigh(a7, k7), 112);

  v128.store(c, expm1Reduced(v128.load(c), cutLow(k0)));
  v128.store(c, expm1Reduced(v128.load(c, 16), cutLow(k1)), 16);
  v128.store(c, expm1Reduced(v128.load(c, 32), cutLow(k2)), 32);
  v128.store(c, expm1Reduced(v128.load(c, 48), cutLow(k3)), 48);
  v128.store(c, expm1Reduced(v128.load(c, 64), cutLow(k4)), 64);
  v128.store(c, expm1Reduced(v128.load(c, 80), cutLow(k5)), 80);
  v128.store(c, expm1Reduced(v128.load(c, 96), cutLow(k6)), 96);
  v128.store(c, expm1Reduced(v128.load(c, 112), cutLow(k7)), 112);

  v128.store(c, quotient(x0, s0, v128.load(c)));
  v128.store(c, quotient(x1, s1, v128.load(c, 16)), 16);
  v128.store(c, quotient(x2, s2, v128.load(c, 32)), 32);
  v128.store(c, quotient(x3, s3, v128.load(c, 48)), 48);
  v128.store(c, quotient(x4, s4, v128.load(c, 64)), 64);
  v128.store(c, quotient(x5, s5, v128.load(c, 80)), 80);
  v128.store(c, quotient(x6, s6, v128.load(c, 96)), 96);
  v128.store(c, quotient(x7, s7, v128.load(c, 112)), 112);
}

/**
 * eˣ = 2ᵏ (1 + r + r² q(r)). Overflows to +∞, underflows through the denormal numbers to 0; NaN stays NaN. Within
 * one unit in the last place of the correctly rounded result; against the exact one the largest error met is 1.02
 * units for f32 (every float) and 0.90 for f64 (millions of points).
 */
@inline
export function expV(x: v128): v128 {
  // Beyond these limits eˣ is +∞ or 0 anyway. `pmin` and `pmax` keep their first argument if that is NaN.
  const upper = sizeof<real>() == 4 ? constant(89.0) : constant(710.0);
  const lower = sizeof<real>() == 4 ? constant(-104.0) : constant(-746.0);
  const a = v128.pmax<real>(v128.pmin<real>(x, upper), lower);
  const shifted = v128.add<real>(v128.mul<real>(a, constant(LOG2_E)), rounding2Constant());
  const k = v128.sub<real>(shifted, rounding2Constant());
  const y = v128.add<real>(constant(1.0), expm1Reduced(cutHigh(a, k), cutLow(k)));
  // 2ᵏ as the product of two halves: by itself it may be no normal number. Only the last product can round.
  const half = halve(shifted);
  return v128.mul<real>(
    v128.mul<real>(y, powerOfTwo(half)),
    powerOfTwo(subtractBits(shifted, half)),
  );
}

/** x ← tanh x over `bytes` bytes, a multiple of 16. */
export function tanhArray(at: usize, bytes: usize): void {
  const end = at + bytes;
  for (; at + 128 <= end; at += 128) tanhTile(at);
  for (; at < end; at += 16) v128.store(at, tanhV(v128.load(at)));
}

/** x ← eˣ over `bytes` bytes, a multiple of 16. */
export function expArray(at: usize, bytes: usize): void {
  for (const end = at + bytes; at != end; at += 16) v128.store(at, expV(v128.load(at)));
}
