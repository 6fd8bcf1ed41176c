/**
 * What a thread does in a call, as a generator that pauses where threads meet: a function is run by the last thread
 * to arrive, while the others wait; null is a place to draw breath between two lanes. The same program runs in
 * workers, where a pause is a barrier, and on the calling thread, where it is one if others take part, and a chance for the
 * event loop.
 */
export type Program = Generator<(() => void) | null, void, void>;

/** A pause at which nothing is done but wait for all. */
export const nothing = (): void => {};

/** A thread's place in a call. */
export interface Place {
  readonly index: number;
  readonly parties: number;
}

/** The place of a thread that computes a call by itself. */
export const ALONE: Place = { index: 0, parties: 1 };

/** The share of `count` pieces that falls to a thread: a run of whole pieces. */
export function share(count: number, place: Place): { from: number; to: number } {
  return {
    from: Math.floor((place.index * count) / place.parties),
    to: Math.floor(((place.index + 1) * count) / place.parties),
  };
}
