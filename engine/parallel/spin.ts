import { availableParallelism } from 'node:os';

/**
 * A thread that waits looks this often before it goes to sleep. Where each thread has a core, some 100 µs: to be woken takes as
 * long, on a virtual machine. Where threads share cores, hardly at all: the thread that is awaited may need this one's.
 */
const SPINS = 20_000;
const SPINS_SHARING = 1_000;
export const CORES = availableParallelism();

/** How often a thread of so many looks for what it waits for before it goes to sleep. */
export const spinsBeforeSleep = (parties: number): number => (parties > CORES ? SPINS_SHARING : SPINS);

/** Looks at a word so often; true as soon as it is no longer `value`. */
export function spin(words: Int32Array, word: number, value: number, spins: number): boolean {
  for (let i = 0; i < spins; i++) if (Atomics.load(words, word) !== value) return true;
  return false;
}
