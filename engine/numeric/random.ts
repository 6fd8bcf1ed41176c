import { badArgument } from '../errors.ts';
import { checkInteger } from '../validation.ts';
import { cosPi, log } from './elementary.ts';

/** How many 32-bit words the state of a generator has. */
const STATE_WORDS = 4;

/**
 * A seeded generator of random numbers, the same on every machine: xoshiro128** 1.1 (D. Blackman, S. Vigna,
 * "Scrambled Linear Pseudorandom Number Generators", 2021, https://prng.di.unimi.it/), period 2¹²⁸ − 1.
 * Not for secrets.
 */
export class Random {
  readonly #state = new Uint32Array(STATE_WORDS);

  /**
   * @param seed an integer from 0 to 2⁵³ − 1; different seeds give unrelated sequences
   * @throws BAD_ARGUMENT
   */
  constructor(seed: number) {
    checkInteger('seed', seed, 0);
    const [low, high] = [seed >>> 0, Math.floor(seed / 2 ** 32)];
    for (let i = 0; i < STATE_WORDS; i++) {
      // Every word depends on the whole seed; the odd multiples of the golden ratio keep the words apart.
      const step = Math.imul(2 * i + 1, 0x9e3779b9);
      this.#state[i] = mix(mix(low + step) ^ (high + step));
    }
    if (this.#state.every((word) => word === 0)) this.#state[0] = 1;
  }

  /** Restores the generator that returned `state`. @throws BAD_ARGUMENT where it cannot be a state */
  static fromState(state: ArrayLike<number>): Random {
    const words = Uint32Array.from(state);
    const isState = words.length === STATE_WORDS && words.every((word, i) => word === state[i]);
    if (!isState || words.every((word) => word === 0)) {
      throw badArgument('state', `${STATE_WORDS} 32-bit words, not all 0`, Array.from(state));
    }
    const random = new Random(0);
    random.#state.set(words);
    return random;
  }

  /** A copy of the state, 4 words, from which `fromState` continues. */
  state(): Uint32Array {
    return this.#state.slice();
  }

  /** An integer from 0 to 2³² − 1. */
  uint32(): number {
    const s = this.#state as Uint32Array & [number, number, number, number];
    const result = Math.imul(rotateLeft(Math.imul(s[1], 5), 7), 9) >>> 0;
    const shifted = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotateLeft(s[3], 11);
    return result;
  }

  /** A multiple of 2⁻⁵³ in [0, 1). */
  uniform(): number {
    const high = this.uint32() >>> 5;
    const low = this.uint32() >>> 6;
    return (high * 2 ** 26 + low) / 2 ** 53;
  }

  /** An integer from 0 to n − 1, each as likely as the others, for n from 1 to 2³². @throws BAD_ARGUMENT */
  integer(n: number): number {
    checkInteger('n', n, 1, 2 ** 32);
    // What lies past the last multiple of n is drawn again: it would favour small numbers.
    const limit = 2 ** 32 - (2 ** 32 % n);
    let drawn = this.uint32();
    while (drawn >= limit) drawn = this.uint32();
    return drawn % n;
  }

  /**
   * A draw from the normal distribution with mean 0 and variance 1 (G. E. P. Box, M. E. Muller, 1958).
   * Their method gives a pair, of which only one is used: so every draw takes two uniforms, and there
   * is no state besides the generator's.
   */
  normal(): number {
    const radius = Math.sqrt(-2 * log(1 - this.uniform()));
    return radius * cosPi(2 * this.uniform());
  }

  /** Shuffles the elements in place (R. A. Fisher, F. Yates). Returns its argument. */
  shuffle<T extends Int32Array | Uint32Array>(items: T): T {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      const item = items[i];
      items[i] = items[j];
      items[j] = item;
    }
    return items;
  }
}

function rotateLeft(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}

/** A bijection of 32-bit words that spreads every bit: the finalizer of MurmurHash3 (A. Appleby). */
export function mix(word: number): number {
  let h = word | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
