import { constant, horner, LOG2_E, powerOfTwo } from './elementary';

// tanh x by its addition theorem: with x = k ln 2 / 2 + v, |v| ≤ ln 2 / 4, s = 2ᵏ and t = tanh v,
//
//     tanh x = ((s − 1) + t (s + 1)) / ((s + 1) + t (s − 1)),
//
// since tanh (k ln 2 / 2) = (s − 1) / (s + 1). For k = 0 this is 2t / 2: nothing but t is rounded. For
// −x the same terms are multiplied by powers of two: tanh −x is − tanh x to the bit.
//
// tanh ±0 = 0, tanh(±∞) = ±1, NaN stays NaN, and |tanh x| never exceeds 1. Within 2 units in the last place
// of the correctly rounded result; against the exact one the largest error met is 2.50 units for f32 (every
// float) and 2.48 for f64 (13 million points), where t has the sign of x and the quotient is near ±1.

/** Adding it rounds to an integer k and leaves k + bias in the lowest bits of the sum: shifted up, the bits of 2ᵏ. */
@inline
function roundingConstant(): v128 {
  return sizeof<real>() == 4 ? constant(12582912.0 + 127.0) : constant(6755399441055744.0 + 1023.0);
}

/** x, limited to where the quotient rounds to ±1 anyway. `pmin` and `pmax` keep their first argument if that is NaN. */
@inline
function limited(x: v128): v128 {
  const limit = sizeof<real>() == 4 ? 10.0 : 20.0;
  return v128.pmax<real>(v128.pmin<real>(x, constant(limit)), constant(-limit));
}

/** k + the rounding constant. */
@inline
function shift(a: v128): v128 {
  return v128.add<real>(v128.mul<real>(a, constant(2.0 * LOG2_E)), roundingConstant());
}

/**
 * v = a − k ln 2 / 2. In f32 ln 2 is rounded to 21 bits: its products with the k that matter are exact,
 * and the error is negligible beside s. In f64 it comes in two parts.
 */
@inline
function cut(a: v128, shifted: v128): v128 {
  const k = v128.sub<real>(shifted, roundingConstant());
  if (sizeof<real>() == 4) return v128.sub<real>(a, v128.mul<real>(k, constant(0.3465735912322998)));
  const high = v128.sub<real>(a, v128.mul<real>(k, constant(0.34657359027994515)));
  return v128.sub<real>(high, v128.mul<real>(k, constant(2.7489615093541855e-14)));
}

/** g(z), with tanh v = v + v³ g(v²) to 0.004 (f32) or 0.044 (f64) units of the machine epsilon, |v| ≤ ln 2 / 4. */
@inline
function g(z: v128): v128 {
  if (sizeof<real>() == 4) {
    const p = horner(constant(-0.05272702872753143), z, 0.13331183791160583);
    return horner(p, z, -0.33333322405815125);
  }
  let p = horner(constant(0.0034448378372738675), z, -0.00885730877293993);
  p = horner(p, z, 0.021869370714766218);
  p = horner(p, z, -0.05396825278201576);
  p = horner(p, z, 0.1333333333278375);
  return horner(p, z, -0.3333333333333249);
}

/** tanh v, given z = v² and g(z). */
@inline
function tanhReduced(v: v128, z: v128, gOfZ: v128): v128 {
  return v128.add<real>(v, v128.mul<real>(v, v128.mul<real>(z, gOfZ)));
}

/** tanh x, given the shifted exponent and t. */
@inline
function quotient(shifted: v128, t: v128): v128 {
  const s = powerOfTwo(shifted);
  const sum = v128.add<real>(s, constant(1.0)), difference = v128.sub<real>(s, constant(1.0));
  const numerator = v128.add<real>(difference, v128.mul<real>(t, sum));
  const denominator = v128.add<real>(sum, v128.mul<real>(t, difference));
  return v128.div<real>(numerator, denominator);
}

@inline
function tanhV(x: v128): v128 {
  const a = limited(x);
  const shifted = shift(a);
  const v = cut(a, shifted);
  const z = v128.mul<real>(v, v);
  return quotient(shifted, tanhReduced(v, z, g(z)));
}

/**
 * tanh of eight vectors in place, 128 bytes: tanhV with its eight chains of operations interleaved, since with a
 * single one a core waits most of the time. V8 before Node 24 interleaves what lies between loads and stores by
 * itself; since then it keeps the order of the source, so the build interleaves the statements (scripts/unroll.mjs).
 */
@inline
export function tanhTile(c: usize): void {
  for (let i = 0; i < 8; i++) { // interleave
    const a = limited(v128.load(c, 16 * i));
    const shifted = shift(a);
    const v = cut(a, shifted);
    const z = v128.mul<real>(v, v);
    const gOfZ = g(z);
    const t = tanhReduced(v, z, gOfZ);
    v128.store(c, quotient(shifted, t), 16 * i);
  }
}

/** x ← tanh x over `bytes` bytes, a multiple of 16. */
export function tanhArray(at: usize, bytes: usize): void {
  const end = at + bytes;
  for (; at + 128 <= end; at += 128) tanhTile(at);
  for (; at < end; at += 16) v128.store(at, tanhV(v128.load(at)));
}
