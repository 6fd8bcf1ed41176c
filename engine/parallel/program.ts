/**
 * What a thread does in a call, as a generator that pauses where threads meet: it yields a function that
 * the last thread to arrive runs while the others wait, or null for a mere break between two lanes. The
 * same program runs in workers, where such a function means a barrier, and on the calling thread, where
 * it does so only if others take part, and where every pause is a chance for the event loop.
 */
export type Program = Generator<(() => void) | null, void, void>;

/** Yielded where threads only wait for each other. */
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
