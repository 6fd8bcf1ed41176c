import type { Kernels } from '../kernels/kernels.ts';
import type { Place, Program } from './program.ts';
import { spin, spinsBeforeSleep } from './spin.ts';
import { TeamWord } from './team-words.ts';

/**
 * A thread that has no lane left helps those at their last ones. In these the sums dzᵀ x, a third of a
 * lane's work for which nothing in the lane waits, are deferred and offered in pieces that any thread
 * may compute. Each element of a weight gradient is the same sum whoever computes it, so no bit changes.
 *
 * A thread's offers are a ring of pieces with three counters that only grow (and wrap around): pieces offered, claimed,
 * done. A piece's words are written before it is offered, and again only when all that was offered before is done.
 *
 * The calling thread helps, but offers nothing: while it waited for a piece, it could not hear that the
 * thread that had claimed it was dead.
 */

/** The most pieces of one product, and the fewest rows of the weight gradient in a piece: whole panels of dz. */
const PIECES = 8;
const PIECE_ROWS = 16;
/** Pieces on offer at a time, a power of two; a product for which there is no room is computed at once. */
const CAPACITY = 64;

/** Offsets in a thread's offers, in words: the counters, each in a cache line of its own, then the pieces. */
const OFFERED = 0;
const CLAIMED = 16;
const DONE = 32;
const FIRST_PIECE = 48;
/** A piece: all arguments of `outerProduct` but the edge, which is the computing thread's own. */
const PIECE_WORDS = 10;
const OFFER_WORDS = FIRST_PIECE + CAPACITY * PIECE_WORDS;
export const OFFER_BYTES = 4 * OFFER_WORDS;

/** A sleeping thread looks at the abort flag at least this often. */
const SLEEP_MS = 1;

/** Where the piece with this number lies. */
const pieceAt = (number: number): number => FIRST_PIECE + (number & (CAPACITY - 1)) * PIECE_WORDS;

/** Every thread's offers, which lie one after the other in the model's memory. */
export function offersIn(buffer: ArrayBufferLike, at: number, threads: number): Int32Array[] {
  return Array.from({ length: threads }, (_, i) => new Int32Array(buffer, at + i * OFFER_BYTES, OFFER_WORDS));
}

/** Clears the offers before a call: nobody is to compute what a call that was given up has left. */
export function withdrawOffers(offers: readonly Int32Array[]): void {
  for (const own of offers) own.fill(0, 0, FIRST_PIECE);
}

export interface SharedProductsSetup {
  readonly kernels: Kernels;
  /** The control block's words. */
  readonly words: Int32Array;
  /** The offers of every thread that takes part. */
  readonly offers: readonly Int32Array[];
  readonly place: Place;
  /** Whether this thread may sleep: the calling thread may not. */
  readonly maySleep: boolean;
  /** 128 bytes of this thread's own. */
  readonly edge: number;
  /**
   * Columns of a panel of dz; null where a product must stay whole: a BLAS may round one of another shape differently.
   */
  readonly panelColumns: number | null;
}

type Product = Parameters<Kernels['outerProduct']>;

/** One thread's part in shared products. */
export class SharedProducts {
  /** The thread's kernels; `outerProduct` may defer its result until `finish`. */
  readonly kernels: Kernels;
  readonly #setup: SharedProductsSetup;
  readonly #own: Int32Array;
  readonly #spins: number;
  #lanes = Number.POSITIVE_INFINITY;
  /** Pieces offered before, all of which are done. */
  #settled = 0;

  constructor(setup: SharedProductsSetup) {
    const { kernels, offers, place, maySleep } = setup;
    this.#setup = setup;
    this.#own = offers[place.index];
    this.#spins = spinsBeforeSleep(place.parties);
    const outerProduct = (...product: Product): void => {
      if (!this.#putOff(product)) kernels.outerProduct(...product);
    };
    this.kernels = maySleep && place.parties > 1 ? { ...kernels, outerProduct } : kernels;
  }

  /** Called before a batch's first lane, with the number of lanes. */
  begin(lanes: number): void {
    this.#lanes = lanes;
    this.#settled = this.#own[OFFERED];
  }

  /** Offers a product; false where it is to be computed at once. */
  #putOff([c, cRow, m, n, a, aStride, b, bStride, depth, , add]: Product): boolean {
    const own = this.#own;
    const { words, panelColumns } = this.#setup;
    if (Atomics.load(words, TeamWord.nextLane) < this.#lanes) return false;
    const rows = panelColumns ? PIECE_ROWS * Math.ceil(m / (PIECE_ROWS * PIECES)) : m;
    const count = Math.ceil(m / rows);
    const offered = own[OFFERED];
    if (((offered + count - this.#settled) | 0) > CAPACITY) return false;
    for (let i = 0; i < count; i++) {
      const first = i * rows;
      const at = pieceAt(offered + i);
      const skipped = panelColumns ? (first / panelColumns) * aStride : 0;
      const size = Math.min(rows, m - first);
      own.set([c + first * cRow, a + skipped, b, cRow, aStride, bStride, size, n, depth, add], at);
    }
    Atomics.store(own, OFFERED, offered + count);
    this.#tell();
    return true;
  }

  /** Computes a piece of a thread's offers, unless another thread is quicker; false where there is none to claim. */
  #compute(offers: Int32Array): boolean {
    const next = Atomics.load(offers, CLAIMED);
    if (next === Atomics.load(offers, OFFERED)) return false;
    if (Atomics.compareExchange(offers, CLAIMED, next, next + 1) !== next) return true;
    const { kernels, edge } = this.#setup;
    const i = pieceAt(next);
    const [c, a, b] = [offers[i], offers[i + 1], offers[i + 2]];
    const [cRow, aStride, bStride] = [offers[i + 3], offers[i + 4], offers[i + 5]];
    const [m, n, depth, add] = [offers[i + 6], offers[i + 7], offers[i + 8], offers[i + 9]];
    // Addresses from 2 GiB on are negative as signed words.
    kernels.outerProduct(c >>> 0, cRow, m, n, a >>> 0, aStride, b >>> 0, bStride, depth, edge, add);
    const done = Atomics.add(offers, DONE, 1) + 1;
    if ((done | 0) === Atomics.load(offers, OFFERED)) Atomics.notify(offers, DONE);
    return true;
  }

  /**
   * Returns when all that this thread has deferred is done, or the call has been given up: then the
   * next barrier throws.
   */
  finish(): void {
    const own = this.#own;
    while (this.#compute(own));
    for (;;) {
      const done = Atomics.load(own, DONE);
      if (done === own[OFFERED] || Atomics.load(this.#setup.words, TeamWord.abort)) break;
      if (!spin(own, DONE, done, this.#spins)) Atomics.wait(own, DONE, done, SLEEP_MS);
    }
    this.#settled = own[OFFERED];
  }

  /** For a thread that has no lane left: computes what others offer, until no thread has a lane. */
  *help(): Program {
    const { words, offers, place, maySleep } = this.#setup;
    Atomics.add(words, TeamWord.withoutLane, 1);
    this.#tell();
    for (;;) {
      const news = Atomics.load(words, TeamWord.news);
      for (const others of offers) while (this.#compute(others));
      if (Atomics.load(words, TeamWord.withoutLane) === place.parties || Atomics.load(words, TeamWord.abort))
        return;
      if (spin(words, TeamWord.news, news, this.#spins)) continue;
      if (maySleep) Atomics.wait(words, TeamWord.news, news, SLEEP_MS);
      yield null;
    }
  }

  #tell(): void {
    const { words } = this.#setup;
    Atomics.add(words, TeamWord.news, 1);
    Atomics.notify(words, TeamWord.news);
  }
}
