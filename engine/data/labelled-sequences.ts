import type { LabelsLike } from './read-labels.ts';
import type { SequencesLike } from './read-sequences.ts';

/** Labelled sequences. */
export interface LabelledSequences {
  /** [B, T, I], an array of [Tᵢ, I], or `{ data, shape, lengths }` */
  x: SequencesLike;
  /** Class of each row, or of each frame, from 0. */
  labels: LabelsLike;
}
