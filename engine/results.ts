import type { Tensor } from './tensor.ts';

/** What `gradients` returns. */
export interface GradientResult {
  /** Mean softmax cross-entropy over the batch's labels. */
  readonly loss: number;
  /** [B, O]; with logits at every step [B, T, O] */
  readonly logits: Tensor;
  /** [L · D, B, H], divided by the batch's labels */
  readonly dh0: Tensor;
  /** [B, T, I], not averaged; where it was asked for */
  readonly dx?: Tensor;
  /** The states each row ends with [L · D, B, H]; where they were asked for */
  readonly hT?: Tensor;
}

/** What `gradients` returns, where the call says whether it asks for dx and for hT. */
export type RequestedGradients<Dx extends boolean, HT extends boolean> = GradientResult &
  (Dx extends true ? { readonly dx: Tensor } : unknown) &
  (HT extends true ? { readonly hT: Tensor } : unknown);

export interface Evaluation {
  readonly loss: number;
  readonly accuracy: number;
  /** Labels of each class (first index) that were given each class (second index). */
  readonly confusion: number[][];
  /** Share of each class's labels that were given their class; NaN for a class without any. */
  readonly recall: number[];
}
