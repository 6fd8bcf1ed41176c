import type { Tensor } from '../tensor.ts';

/** What `gradients` returns. */
export interface GradientResult {
  /** Mean softmax cross-entropy over the batch's labels. */
  readonly loss: number;
  /** Logits [B, O]; with output 'steps' [B, T, O]. */
  readonly logits: Tensor;
  /** ∂L/∂h0 [L · D, B, H], divided by the number of labels that count. */
  readonly dh0: Tensor;
  /** ∂L/∂x [B, T, I], not averaged; only with `inputGradient`. */
  readonly dx?: Tensor;
  /** The states each sequence ends with [L · D, B, H]; only with `finalStates`. */
  readonly hT?: Tensor;
}

/** What `gradients` returns, with dx and hT where the call asks for them. */
export type RequestedGradients<Dx extends boolean, HT extends boolean> = GradientResult &
  (Dx extends true ? { readonly dx: Tensor } : unknown) &
  (HT extends true ? { readonly hT: Tensor } : unknown);

/** What `evaluate` returns. */
export interface Evaluation {
  /** Mean cross-entropy over the labels that count, never weighted. */
  readonly loss: number;
  /** Share of the labels that count that were classified correctly. */
  readonly accuracy: number;
  /**
   * Counts of labels [true class, predicted class]. Of more than 1,024 classes it is made on access, of more than 8,192
   * it throws MEMORY_TOO_LARGE.
   */
  readonly confusion: number[][];
  /** Share of each class's labels that were classified correctly; NaN for a class without labels. */
  readonly recall: number[];
}
