import type { Kernels } from '../kernels/kernels.ts';
import { looksBeforeSleep } from '../parallel/barrier.ts';
import { Word } from '../parallel/control.ts';
import type { Place, Program } from '../parallel/program.ts';

/**
 * A thread that has no lane left helps those at their last ones: of these the sums dzᵀ x, a third of a lane's work that nothing in
 * the lane waits for, are put off and offered in pieces that anybody may compute. Each element of a weight gradient is
 * the same sum whoever computes it, so no bit changes.
 *
 * What a thread offers is a ring of pieces with three counters that only grow (and wrap around): pieces offered, claimed,
 * done. A piece's words are written before it is offered, and again only when all before it are done.
 */

/** Pieces of one product, at most, and their rows of the weight gradient, at least: whole panels of dz. */
const PIECES = 8;
const PIECE_ROWS = 16;
/** Pieces on offer at a time, a power of two; a product for which there is no room is computed at once. */
const CAPACITY = 64;

/** Places in a thread's offers, in words: the counters, each in a cache line of its own, then the pieces. */
const OFFERED = 0;
const CLAIMED = 16;
const DONE = 32;
const FIRST_PIECE = 48;
/** A piece: all arguments of `outerProduct` but the edge, which is the computing thread's own. */
const PIECE_WORDS = 10;
const OFFER_WORDS = FIRST_PIECE + CAPACITY * PIECE_WORDS;
export const OFFER_BYTES = 4 * OFFER_WORDS;

/** A thread that sleeps looks at least this often whether there is something to do. */
const SLEEP_MS = 1;

/** Where the piece with this number lies. */
const pieceAt = (number: number): number => FIRST_PIECE + (number & (CAPACITY - 1)) * PIECE_WORDS;

/** Every thread's offers, which lie one after the other in the model's memory. */
export function offersIn(buffer: ArrayBufferLike, at: number, threads: number): Int32Array[] {
  return Array.from({ length: threads }, (_, i) => new Int32Array(buffer, at + i * OFFER_BYTES, OFFER_WORDS));
}

/** Before a call: what a call that was given up has left is nobody's work. */
export function withdrawOffers(offers: readonly Int32Array[]): void {
  for (const own of offers) own.fill(0, 0, FIRST_PIECE);
}

export interface SharedProductsSetup {
  readonly kernels: Kernels;
  /** The control block's words. */
  readonly words: Int32Array;
  /** Of every thread that takes part. */
  readonly offers: readonly Int32Array[];
  readonly place: Place;
  /** 128 bytes of this thread's own. */
  readonly edge: number;
  /** Columns of a panel of dz; null where a product must stay whole: a BLAS may round one of another shape differently. */
  readonly panelColumns: number | null;
}

type Product = Parameters<Kernels['outerProduct']>;

/** One thread's part in it. */
export class SharedProducts {
  /** The thread's kernels; `outerProduct` may only promise its result, until `finish`. */
  readonly kernels: Kernels;
  readonly #setup: SharedProductsSetup;
  readonly #own: Int32Array;
  readonly #looks: number;
  #lanes = Number.POSITIVE_INFINITY;

  constructor(setup: SharedProductsSetup) {
    const { kernels, offers, place } = setup;
    this.#setup = setup;
    this.#own = offers[place.index];
    this.#looks = looksBeforeSleep(place.parties);
    const outerProduct = (...product: Product): void => {
      if (!this.#putOff(product)) kernels.outerProduct(...product);
    };
    this.kernels = place.parties > 1 ? { ...kernels, outerProduct } : kernels;
  }

  /** Says how many lanes the batch has. */
  begin(lanes: number): void {
    this.#lanes = lanes;
  }

  /** Offers a product; false where it is to be computed at once. */
  #putOff([c, cRow, m, n, a, aStride, b, bStride, depth, , add]: Product): boolean {
    const own = this.#own;
    const { words, panelColumns } = this.#setup;
    if (Atomics.load(words, Word.nextLane) < this.#lanes) return false;
    const rows = panelColumns ? PIECE_ROWS * Math.ceil(m / (PIECE_ROWS * PIECES)) : m;
    const count = Math.ceil(m / rows);
    const offered = own[OFFERED];
    if (((offered + count - Atomics.load(own, DONE)) | 0) > CAPACITY) return false;
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

  /** Computes a piece of a thread's offers; false where all are claimed. */
  #compute(offers: Int32Array): boolean {
    const next = Atomics.load(offers, CLAIMED);
    if (next === Atomics.load(offers, OFFERED)) return false;
    if (Atomics.compareExchange(offers, CLAIMED, next, next + 1) !== next) return true;
    const { kernels, edge } = this.#setup;
    const i = pieceAt(next);
    const [c, a, b] = [offers[i], offers[i + 1], offers[i + 2]];
    const [cRow, aStride, bStride] = [offers[i + 3], offers[i + 4], offers[i + 5]];
    const [m, n, depth, add] = [offers[i + 6], offers[i + 7], offers[i + 8], offers[i + 9]];
    // Addresses from 2 GiB on are negative as words.
    kernels.outerProduct(c >>> 0, cRow, m, n, a >>> 0, aStride, b >>> 0, bStride, depth, edge, add);
    Atomics.add(offers, DONE, 1);
    return true;
  }

  /** Returns when all that this thread has put off is done; or the call given up, as the next barrier says. */
  finish(): void {
    const own = this.#own;
    while (this.#compute(own));
    for (let looks = 0; ; looks++) {
      const done = Atomics.load(own, DONE);
      if (done === own[OFFERED] || Atomics.load(this.#setup.words, Word.abort)) return;
      if (looks > this.#looks) Atomics.wait(own, DONE, done, SLEEP_MS);
    }
  }

  /** For a thread that has no lane left: computes what others offer, until none has one. */
  *help(): Program {
    const { words, offers, place } = this.#setup;
    Atomics.add(words, Word.helping, 1);
    this.#tell();
    for (;;) {
      const news = Atomics.load(words, Word.offers);
      for (const others of offers) while (this.#compute(others));
      if (Atomics.load(words, Word.helping) === place.parties || Atomics.load(words, Word.abort)) return;
      let looks = 0;
      while (Atomics.load(words, Word.offers) === news && looks < this.#looks) looks++;
      if (looks < this.#looks) continue;
      Atomics.wait(words, Word.offers, news, SLEEP_MS);
      yield null;
    }
  }

  #tell(): void {
    const { words } = this.#setup;
    Atomics.add(words, Word.offers, 1);
    Atomics.notify(words, Word.offers);
  }
}
