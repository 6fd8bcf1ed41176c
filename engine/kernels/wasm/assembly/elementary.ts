/**
 * What tanh and exp of whole vectors of `real` have in common. Both consist of + − × ÷, comparisons and
 * integer shifts, without tables or branches: the same bits on every machine. Both reduce the argument
 * as W. J. Cody and W. Waite do (Software Manual for the Elementary Functions, 1980, chapters 6 and 12)
 * and approximate the rest by a minimax polynomial, whose coefficients scripts/fit-elementary.py prints.
 */

export const LOG2_E: f64 = 1.4426950408889634;

@inline
export function constant(x: f64): v128 {
  return v128.splat<real>(<real>x);
}

/** Shifts the lowest bits of each number into its exponent. */
@inline
export function powerOfTwo(bits: v128): v128 {
  return sizeof<real>() == 4 ? v128.shl<i32>(bits, 23) : v128.shl<i64>(bits, 52);
}

/** c + x p: one step of Horner's scheme. */
@inline
export function horner(p: v128, x: v128, c: f64): v128 {
  return v128.add<real>(constant(c), v128.mul<real>(x, p));
}
