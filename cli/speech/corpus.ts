/** Segments one after the other. */
export interface Split {
  /** Packed frames, [sum of lengths, featureSize]. */
  frames: Float32Array;
  /** Frames of each segment. */
  lengths: Int32Array;
  /** Index into `classes`. */
  labels: Int32Array;
  /** Index into `voices`. */
  speakers: Int32Array;
}

export interface Corpus {
  /** IPA, sorted by code unit. */
  classes: string[];
  featureSize: number;
  /** Every speaker, of all three splits. A speaker occurs in one split only. */
  voices: string[];
  train: Split;
  validation: Split;
  test: Split;
  /** Phonemes with too few training segments, with that number. Their segments are in no split. */
  droppedClasses: { label: string; count: number }[];
  leftOutVoices: { name: string; reason: string }[];
  /** Seconds of speech the segments were cut from. */
  speechSeconds: number;
  /** SHA-256 over everything above. */
  hash: string;
  fromCache: boolean;
}

/** A corpus without the fields that say where it came from. */
export type StoredCorpus = Omit<Corpus, 'hash' | 'fromCache'>;
