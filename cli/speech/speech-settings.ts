/** What is said and how, apart from the voice. Part of the cache's key. */
export const speechSettings = {
  /** Words per sentence. */
  sentenceWords: 8,
  /** How many of the dictionary's 39 phonemes count as rare. */
  rarePhonemes: 12,
  /** Words per minute, drawn for each utterance; both ends included. */
  rate: [140, 220],
  /** Scale of the synthesizer, on which 50 is the voice's own pitch; drawn likewise. */
  pitch: [20, 80],
} as const;
