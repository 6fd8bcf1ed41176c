/** Random numbers of a stress test's thread, which has no fast-check: each call gives one of 0 … below - 1 (G. Marsaglia, 2003). */
export function xorshift(seed) {
  let state = seed | 0;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}
