/**
 * The words through which the threads of a call meet, and share what is left of it: the first of a model's control
 * block (network/memory/control.ts). While a call runs, each is written only by those its comment names; between two
 * calls the main thread sets what the next one begins with.
 */
export const TeamWord = {
  /**
   * Threads that have arrived at the barrier in this round. Written by arriving threads, reset by the
   * last one, and by the main thread before a call.
   */
  arrived: 0,
  /** Rounds the barrier has completed; waiting threads sleep on it. Written by the last thread to arrive. */
  round: 1,
  /** Not 0: leave every barrier with an error. Written by the main thread or by a thread that failed. */
  abort: 2,
  /** The next lane to be claimed. Incremented by whoever claims one, reset by the last thread at a barrier. */
  nextLane: 3,
  /** Threads that have no lane left. Incremented by each of them, reset where `nextLane` is. */
  withoutLane: 4,
  /** Changes whenever there is something new for those threads to look at. Incremented by whoever brings it. */
  news: 5,
  /**
   * Threads that are done with a call in which the calling thread takes no part. Incremented by each of
   * them, reset by the main thread before the call.
   */
  ended: 6,
} as const;
