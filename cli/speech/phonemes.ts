/** Sounds that eSpeak NG tells apart but that are one phoneme of American English, or one sound to the ear. */
const folded = new Map([
  ['ɐ', 'ə'],
  ['ᵻ', 'ɪ'],
  ['i', 'iː'],
  ['ɔ', 'ɔː'],
  ['ɾ', 'd'],
  ['ɜː', 'ɚ'],
]);

/** eSpeak NG renders the glottal stop as silence: there is nothing to recognize. */
const silent = new Set(['', 'ʔ']);

/**
 * The class a phoneme event belongs to: its IPA without stress marks (and without the control character that
 * eSpeak NG now and then leaves at the end), near-identical sounds folded together.
 * @returns undefined for pauses and for sounds that are rendered as silence
 */
export function foldPhoneme(id: string): string | undefined {
  const plain = id.replace(/[ˈˌ\p{Cc}]/gu, '');
  return silent.has(plain) ? undefined : (folded.get(plain) ?? plain);
}
