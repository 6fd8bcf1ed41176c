import type { LabelsLike } from './read-labels.ts';
import type { SequencesLike } from './read-sequences.ts';

/** Sequences and their labels, for `fit` and `evaluate`. */
export interface LabelledSequences {
  /** [B, T, I], an array of [Tᵢ, I], or `{ data, shape, lengths }` */
  x: SequencesLike;
  /** Class of each sequence or, with output 'steps', of each frame; from 0. */
  labels: LabelsLike;
}
