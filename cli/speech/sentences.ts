import { dictionary } from 'cmu-pronouncing-dictionary';
import type { RandomInteger } from './random.ts';
import { speechSettings } from './speech-settings.ts';

const { sentenceWords, rarePhonemes } = speechSettings;

interface Lexicon {
  words: string[];
  /** For each of the rare phonemes, the words that contain it. */
  wordsByRarePhoneme: string[][];
}

let lexicon: Lexicon | undefined;

/** `JH OY1 # comment` holds JH and OY: digits are stress, a comment tells a foreign word's origin. */
function phonemesOf(pronunciation: string): string[] {
  return pronunciation
    .replace(/#.*|\d/g, '')
    .trim()
    .split(/\s+/);
}

/** Words of letters only: no abbreviations with stops, no alternatives like `read(2)`. */
function readLexicon(): Lexicon {
  const words: string[] = [];
  const byPhoneme = new Map<string, string[]>();
  for (const [word, pronunciation] of Object.entries(dictionary)) {
    if (!/^[a-z]{2,}$/.test(word)) continue;
    words.push(word);
    for (const phoneme of new Set(phonemesOf(pronunciation))) {
      const sharing = byPhoneme.get(phoneme);
      if (sharing === undefined) byPhoneme.set(phoneme, [word]);
      else sharing.push(word);
    }
  }
  const rarestFirst = [...byPhoneme.values()].sort((a, b) => a.length - b.length);
  return { words, wordsByRarePhoneme: rarestFirst.slice(0, rarePhonemes) };
}

/**
 * A sentence without meaning, of dictionary words. Every second word is drawn from all words; the others from
 * the words with a rare phoneme, each of the rarest twelve alike. So the consonants of "measure" and "this"
 * or the vowel of "joy" are heard often enough to be learnt.
 */
export function randomSentence(random: RandomInteger): string {
  lexicon ??= readLexicon();
  const { words, wordsByRarePhoneme } = lexicon;
  const chosen = Array.from({ length: sentenceWords }, (_, position) => {
    const pool = position % 2 === 0 ? words : wordsByRarePhoneme[random(rarePhonemes)];
    return pool[random(pool.length)];
  });
  return `${chosen.join(' ')}.`;
}
