/** ab + c. With relaxed SIMD it is rounded once where the machine can, otherwise twice, as IEEE 754 prescribes. */
@inline
export function multiplyAdd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return v128.relaxed_madd<real>(a, b, c);
  return v128.add<real>(c, v128.mul<real>(a, b));
}
