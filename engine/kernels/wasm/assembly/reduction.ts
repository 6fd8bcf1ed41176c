/** Groups of eight lanes are added in registers; two rounds of eight make the 64 lanes a plan may have. */
const GROUP: i32 = 8;

// Inlined down to the loads, once for a full group and once for any other: where the number of lanes is
// a constant, each vector takes eight loads and seven additions, and no branches.

/** (0 + 1) + (2 + 3), lanes from `count` on being absent. */
@inline
function sum4(p: usize, stride: usize, count: i32): v128 {
  let left = v128.load(p);
  if (count == 1) return left;
  left = v128.add<real>(left, v128.load(p + stride));
  if (count == 2) return left;
  let right = v128.load(p + 2 * stride);
  if (count > 3) right = v128.add<real>(right, v128.load(p + 3 * stride));
  return v128.add<real>(left, right);
}

@inline
function sum8(p: usize, stride: usize, count: i32): v128 {
  if (count <= 4) return sum4(p, stride, count);
  return v128.add<real>(sum4(p, stride, 4), sum4(p + 4 * stride, stride, count - 4));
}

function addGroups(first: usize, stride: usize, count: i32, bytes: usize): void {
  for (let g = 0; g < count; g += GROUP) {
    const members = min(GROUP, count - g);
    const group = first + <usize>g * stride;
    if (members == GROUP) addGroup(group, stride, GROUP, bytes);
    else if (members > 1) addGroup(group, stride, members, bytes);
  }
}

@inline
function addGroup(first: usize, stride: usize, count: i32, bytes: usize): void {
  for (let i: usize = 0; i < bytes; i += 16) v128.store(first + i, sum8(first + i, stride, count));
}

/** The squares of the first (second) half of the values of a vector, as f64. For f64 the first half is all. */
@inline
function firstSquares(v: v128): v128 {
  const values = sizeof<real>() == 4 ? f64x2.promote_low_f32x4(v) : v;
  return f64x2.mul(values, values);
}

@inline
function secondSquares(v: v128): v128 {
  if (sizeof<real>() == 8) return f64x2.splat(0);
  const values = f64x2.promote_low_f32x4(v128.shuffle<i64>(v, v, 1, 1));
  return f64x2.mul(values, values);
}

@inline
function total(first: v128, second: v128): f64 {
  const both = f64x2.add(first, second);
  return f64x2.extract_lane(both, 0) + f64x2.extract_lane(both, 1);
}

/**
 * out = sum / divisor, or out = old + sum / divisor where `old` is not 0; returns Σ out², in f64. The lanes are
 * summed along the binary tree over their numbers, ((0+1)+(2+3))+((4+5)+(6+7))…, absent lanes skipped: the result
 * depends on the lanes' values only, not on who computes it. Memory is the bottleneck: up to eight lanes are read
 * in a single pass; of more, groups of eight are first summed into the buffer of each group's first lane.
 *   first: the block in lane 0's buffer     stride: bytes from lane to lane     bytes: a multiple of 16
 */
export function reduceLanes(
  first: usize, stride: usize, count: i32, bytes: usize, out: usize, old: usize, divisor: real,
): f64 {
  if (count > GROUP) {
    addGroups(first, stride, count, bytes);
    stride *= GROUP;
    count = (count + GROUP - 1) / GROUP;
  }
  const d = v128.splat<real>(divisor);
  return count == GROUP
    ? averageGroup(first, stride, GROUP, bytes, out, old, d)
    : averageGroup(first, stride, count, bytes, out, old, d);
}

@inline
function averageGroup(
  first: usize, stride: usize, count: i32, bytes: usize, out: usize, old: usize, d: v128,
): f64 {
  let squares = f64x2.splat(0), others = f64x2.splat(0);
  for (let i: usize = 0; i < bytes; i += 16) {
    let value = v128.div<real>(sum8(first + i, stride, count), d);
    if (old) value = v128.add<real>(v128.load(old + i), value);
    v128.store(out + i, value);
    squares = f64x2.add(squares, firstSquares(value));
    others = f64x2.add(others, secondSquares(value));
  }
  return total(squares, others);
}

/** Σ x², each value and the sum in f64. */
export function squaredNorm(x: usize, bytes: usize): f64 {
  let squares = f64x2.splat(0), others = f64x2.splat(0);
  for (const end = x + bytes; x != end; x += 16) {
    const v = v128.load(x);
    squares = f64x2.add(squares, firstSquares(v));
    others = f64x2.add(others, secondSquares(v));
  }
  return total(squares, others);
}
