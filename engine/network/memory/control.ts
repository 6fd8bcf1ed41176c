import { TeamWord } from '../../parallel/team-words.ts';

/**
 * The control block, at the start of a model's memory: what its threads tell each other and the main thread. While a
 * call runs, each word is written only by those its comment names; between two calls the main thread sets what the next
 * one begins with.
 */

/** 32-bit words. */
export const Word = {
  ...TeamWord,
  /** Not 0: end `fit` after this step. Written by the main thread. */
  stopRequest: 7,
  /**
   * Whether a prediction is to be served between two steps (see Serve). Written by the main thread, and by the last
   * thread at the barrier after which it has been.
   */
  serve: 8,
  /** What the threads do after a step (see Command). Written by the last thread at the step's last barrier. */
  command: 9,
  /** Which of the two copies of parameters and optimizer state is current. Written as `command` is. */
  parity: 10,
  /** Whole steps done in this epoch. Written as `command` is. */
  step: 11,
  /** Correctly classified rows (or steps) of this epoch. Written as `command` is. */
  correct: 12,
  /** Rows (or labels that count) of this epoch seen so far. Written as `command` is. */
  seen: 13,
  /** Steps left out since their loss or gradient was not finite. Written as `command` is. */
  skipped: 14,
  /**
   * Memory of the prediction to be served: start in cache lines, rows, steps, padded steps, frames.
   * Written by the main thread.
   */
  serveSpec: 15,
  /**
   * 1: the weights are packed, by the main thread before the call or by the call. Written by the last
   * thread at a barrier.
   */
  packed: 20,
  /**
   * 1: the second copies that a call makes are complete. Reset by the main thread before the call,
   * written by the last thread at a barrier.
   */
  whole: 21,
  /** Size of the memory in pages, once it has grown; 0 before. Written by the main thread. */
  pages: 22,
} as const;

/** 64-bit floats, behind the words. Written by the last thread at a barrier, before a call by the main thread. */
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

export const Serve = { nothing: 0, asked: 1, served: 2 } as const;

/** Bytes of the control block: 32 words, then 24 floats. */
const WORD_BYTES = 128;
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
