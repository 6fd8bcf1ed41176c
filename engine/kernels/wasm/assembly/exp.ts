import { constant, horner, LOG2_E, powerOfTwo } from './elementary';

/**
 * The rounding constant: adding it rounds to an integer k and leaves k + twice the exponent's bias in
 * the lowest bits of the sum, so that half of them is a biased exponent, too.
 */
@inline
function roundingConstant(): v128 {
  return sizeof<real>() == 4 ? constant(12582912.0 + 254.0) : constant(6755399441055744.0 + 2046.0);
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

/**
 * eˣ = 2ᵏ (1 + r + r² q(r)). Overflows to +∞, underflows through the denormal numbers to 0; NaN stays NaN. Within
 * one unit in the last place of the correctly rounded result; against the exact one the largest error met is 1.02
 * units for f32 (every float) and 1.01 for f64 (8 million points).
 */
@inline
export function expV(x: v128): v128 {
  // Beyond these limits eˣ is +∞ or 0 anyway. `pmin` and `pmax` keep their first argument if that is NaN.
  const upper = sizeof<real>() == 4 ? constant(89.0) : constant(710.0);
  const lower = sizeof<real>() == 4 ? constant(-104.0) : constant(-746.0);
  const a = v128.pmax<real>(v128.pmin<real>(x, upper), lower);
  const shifted = v128.add<real>(v128.mul<real>(a, constant(LOG2_E)), roundingConstant());
  const k = v128.sub<real>(shifted, roundingConstant());
  const r = v128.sub<real>(v128.sub<real>(a, v128.mul<real>(k, ln2High())), v128.mul<real>(k, ln2Low()));
  const square = v128.mul<real>(v128.mul<real>(r, r), q(r));
  const y = v128.add<real>(constant(1.0), v128.add<real>(r, square));
  // 2ᵏ as a product of two powers, since it may not be a normal number itself. Only the last product can round.
  const half = halve(shifted);
  return v128.mul<real>(
    v128.mul<real>(y, powerOfTwo(half)),
    powerOfTwo(subtractBits(shifted, half)),
  );
}

/** x ← eˣ over `bytes` bytes, a multiple of 16. */
export function expArray(at: usize, bytes: usize): void {
  for (const end = at + bytes; at != end; at += 16) v128.store(at, expV(v128.load(at)));
}
