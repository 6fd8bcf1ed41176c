/**
 * The words through which the threads of a model communicate, at the start of the model's memory. While
 * a call runs, each is written only by those its comment names; between two calls the main thread sets
 * what the next one begins with.
 */

/** 32-bit words. */
export const Word = {
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
  /** Not 0: end `fit` after this step. Written by the main thread. */
  stopRequest: 4,
  /**
   * 1: a prediction waits to be served between two steps; 2: it has been. Written 1 and 0 by the main
   * thread, 2 by a thread.
   */
  serve: 5,
  /** What the threads do after a step (see Command). Written by the last thread at the step's last barrier. */
  command: 6,
  /** Which of the two copies of parameters and optimizer state is current. Written as `command` is. */
  parity: 7,
  /** Whole steps done in this epoch. Written as `command` is. */
  step: 8,
  /** Correctly classified rows (or steps) of this epoch. Written as `command` is. */
  correct: 9,
  /** Rows (or labels that count) of this epoch seen so far. Written as `command` is. */
  seen: 10,
  /** Steps left out since their loss or gradient was not finite. Written as `command` is. */
  skipped: 11,
  /**
   * Memory of the prediction to be served: start in cache lines, rows, steps, padded steps, frames.
   * Written by the main thread.
   */
  serveSpec: 12,
  /**
   * 1: the weights are packed, by the main thread before the call or by the call. Written by the last
   * thread at a barrier.
   */
  packed: 17,
  /**
   * 1: the second copies that a call makes are complete. Reset by the main thread before the call,
   * written by the last thread at a barrier.
   */
  whole: 18,
  /** Threads that have no lane left. Incremented by each of them, reset where `nextLane` is. */
  withoutLane: 19,
  /** Changes whenever there is something new for those threads to look at. Incremented by whoever brings it. */
  news: 20,
  /**
   * Threads that are done with a call in which the calling thread takes no part. Incremented by each of
   * them, reset by the main thread before the call.
   */
  ended: 21,
  /** Size of the memory in pages, once it has grown; 0 before. Written by the main thread. */
  pages: 22,
} as const;

/** 64-bit floats, behind the words. */
export const Real = {
  /** Σ of the losses of the rows seen in this epoch, or in a call. */
  lossSum: 0,
  /** Global norm of the gradient of the last step, before clipping. */
  gradientNorm: 1,
  /** Largest gradient norm of this epoch. */
  largestNorm: 2,
  /** The learning rate of the last step. */
  learningRate: 3,
  /** The loss of the step that ended training because it is not finite. */
  failedLoss: 4,
  /** Optimizer state, first copy: steps taken, beta1^t, beta2^t; three more for the second copy. */
  optimizer: 8,
} as const;

export const OPTIMIZER_REALS = 3;

export const Command = { next: 0, stop: 1, serve: 2, notFinite: 3 } as const;

/** Bytes of the control block: 32 words, then 24 floats. */
export const WORD_BYTES = 128;
export const CONTROL_BYTES = WORD_BYTES + 24 * 8;

export interface Control {
  readonly words: Int32Array;
  readonly reals: Float64Array;
}

export function controlBlock(buffer: ArrayBufferLike, at: number): Control {
  return {
    words: new Int32Array(buffer, at, WORD_BYTES / 4),
    reals: new Float64Array(buffer, at + WORD_BYTES, (CONTROL_BYTES - WORD_BYTES) / 8),
  };
}
