/** Groups of eight lanes are added in registers; two rounds of eight make the 64 lanes a plan may have. */
const GROUP: i32 = 8;

/** (0 + 1) + (2 + 3), lanes from `count` on being absent. */
function sum4(p: usize, stride: usize, count: i32): v128 {
  let left = v128.load(p);
  if (count == 1) return left;
  left = v128.add<real>(left, v128.load(p + stride));
  if (count == 2) return left;
  let right = v128.load(p + 2 * stride);
  if (count > 3) right = v128.add<real>(right, v128.load(p + 3 * stride));
  return v128.add<real>(left, right);
}

function sum8(p: usize, stride: usize, count: i32): v128 {
  if (count <= 4) return sum4(p, stride, count);
  return v128.add<real>(sum4(p, stride, 4), sum4(p + 4 * stride, stride, count - 4));
}

function addGroups(first: usize, stride: usize, count: i32, bytes: usize): void {
  for (let g = 0; g < count; g += GROUP) {
    const members = min(GROUP, count - g);
    const group = first + <usize>g * stride;
    if (members > 1) for (let i: usize = 0; i < bytes; i += 16) v128.store(group + i, sum8(group + i, stride, members));
  }
}

/**
 * The sum over the lanes along the binary tree over the lane number, ((0+1)+(2+3))+((4+5)+(6+7))…, absent lanes
 * skipped; it ends up in the first lane's buffer. A function of the lanes' values only, whoever computes it.
 *   first: the block in lane 0's buffer     stride: bytes from lane to lane     bytes: a multiple of 16
 */
export function addLanes(first: usize, stride: usize, count: i32, bytes: usize): void {
  addGroups(first, stride, count, bytes);
  if (count > GROUP) addGroups(first, GROUP * stride, (count + GROUP - 1) / GROUP, bytes);
}

/** out = sum / divisor, or out = old + sum / divisor where there is an `old` (not 0). */
export function average(out: usize, sum: usize, old: usize, divisor: real, bytes: usize): void {
  const d = v128.splat<real>(divisor);
  for (let i: usize = 0; i < bytes; i += 16) {
    let value = v128.div<real>(v128.load(sum + i), d);
    if (old) value = v128.add<real>(v128.load(old + i), value);
    v128.store(out + i, value);
  }
}

/** Σ x², each value and the sum in f64. */
export function squaredNorm(x: usize, bytes: usize): f64 {
  let even = f64x2.splat(0), odd = f64x2.splat(0);
  for (const end = x + bytes; x != end; x += 16) {
    const v = v128.load(x);
    if (sizeof<real>() == 4) {
      const low = f64x2.promote_low_f32x4(v);
      const high = f64x2.promote_low_f32x4(v128.shuffle<i64>(v, v, 1, 1));
      even = f64x2.add(even, f64x2.mul(low, low));
      odd = f64x2.add(odd, f64x2.mul(high, high));
    } else {
      even = f64x2.add(even, f64x2.mul(v, v));
    }
  }
  const both = f64x2.add(even, odd);
  return f64x2.extract_lane(both, 0) + f64x2.extract_lane(both, 1);
}
