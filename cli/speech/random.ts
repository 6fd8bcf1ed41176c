import { createHash } from 'node:crypto';

/** Gives an integer in [0, bound), for a bound from 1 to 2^20. */
export type RandomInteger = (bound: number) => number;

/**
 * Reproducible integers, a separate stream for each name (SplitMix with 32 bits of state, "mulberry32").
 * Only integer arithmetic and one exact product in double precision, so every machine draws the same.
 */
export function randomIntegers(streamName: string): RandomInteger {
  let state = createHash('sha256').update(streamName).digest().readUInt32LE(0);
  return (bound) => {
    if (!Number.isInteger(bound) || bound < 1 || bound > 2 ** 20) {
      throw new RangeError(`bound must be an integer from 1 to 2^20, not ${bound}.`);
    }
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    mixed = (mixed ^ (mixed >>> 14)) >>> 0;
    // Below 2^52, hence exact.
    return Math.floor((mixed * bound) / 2 ** 32);
  };
}
