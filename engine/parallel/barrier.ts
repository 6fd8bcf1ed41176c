import { setImmediate } from 'node:timers';
import { spin, spinsBeforeSleep } from './spin.ts';
import { TeamWord } from './team-words.ts';

/** A sleeping thread looks at the abort flag at least this often. */
const SLEEP_MS = 100;

/** The message about a call that not all of its threads have completed. */
export const GIVEN_UP = 'the call was given up';

/** Thrown in a thread whose call was given up, because another thread failed or died. */
export class Aborted extends Error {}

/**
 * A meeting point of `parties` threads in shared memory. The last to arrive runs `leader` alone, then all go on.
 *
 * Why this suffices: `Atomics.add` on `arrived` makes every thread's writes visible to the last one to
 * arrive; that one's write to `round` makes its own writes (and so all) visible to whoever reads the
 * new round. Only the last one to arrive resets `arrived`, and does so before it opens the round: no
 * thread can have been counted for the next round yet.
 */
export class Barrier {
  readonly #words: Int32Array;
  readonly #parties: number;
  readonly #spins: number;

  constructor(words: Int32Array, parties: number) {
    this.#words = words;
    this.#parties = parties;
    this.#spins = spinsBeforeSleep(parties);
  }

  /** Waits for all; throws Aborted when the call has been given up. */
  wait(leader: () => void): void {
    const round = Atomics.load(this.#words, TeamWord.round);
    if (!this.#arrive(leader) && !spin(this.#words, TeamWord.round, round, this.#spins)) {
      while (this.#goesOn(round)) Atomics.wait(this.#words, TeamWord.round, round, SLEEP_MS);
    }
    this.#check();
  }

  /**
   * Like `wait`, for a thread that must not block its event loop, which keeps running while the others
   * are on their way.
   */
  async waitAwake(leader: () => void): Promise<void> {
    const round = Atomics.load(this.#words, TeamWord.round);
    if (!this.#arrive(leader) && !spin(this.#words, TeamWord.round, round, this.#spins)) {
      while (this.#goesOn(round)) await new Promise(setImmediate);
    }
    this.#check();
  }

  /** Counts this thread; true where it was the last, and has opened the next round. */
  #arrive(leader: () => void): boolean {
    const words = this.#words;
    if (Atomics.add(words, TeamWord.arrived, 1) + 1 < this.#parties) return false;
    leader();
    Atomics.store(words, TeamWord.arrived, 0);
    Atomics.add(words, TeamWord.round, 1);
    Atomics.notify(words, TeamWord.round);
    return true;
  }

  #goesOn(round: number): boolean {
    return (
      Atomics.load(this.#words, TeamWord.round) === round && Atomics.load(this.#words, TeamWord.abort) === 0
    );
  }

  #check(): void {
    if (Atomics.load(this.#words, TeamWord.abort)) throw new Aborted(GIVEN_UP);
  }
}

/** Makes every thread leave its barrier, with Aborted. */
export function giveUp(words: Int32Array): void {
  Atomics.store(words, TeamWord.abort, 1);
  Atomics.notify(words, TeamWord.round);
}
