import { availableParallelism } from 'node:os';

/**
 * How often a waiting thread looks before it goes to sleep. Where each thread has a core: for some 100
 * µs, as long as waking up takes on a virtual machine. Where threads share cores: hardly at all, since
 * the awaited thread may need this one's core.
 */
const SPINS = 20_000;
const SPINS_SHARING = 1_000;
export const CORES = availableParallelism();

/** How often one of `parties` threads looks for what it waits for before it goes to sleep. */
export const spinsBeforeSleep = (parties: number): number => (parties > CORES ? SPINS_SHARING : SPINS);

/** Looks at a word up to `spins` times; returns true as soon as it is no longer `value`. */
export function spin(words: Int32Array, word: number, value: number, spins: number): boolean {
  for (let i = 0; i < spins; i++) if (Atomics.load(words, word) !== value) return true;
  return false;
}
