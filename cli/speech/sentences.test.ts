import { dictionary } from 'cmu-pronouncing-dictionary';
import { describe, expect, it } from 'vitest';
import { randomIntegers } from './random.ts';
import { randomSentence } from './sentences.ts';

describe('randomIntegers', () => {
  it('draws the same from streams of the same name and differently from others', () => {
    const stream = (name: string) => {
      const random = randomIntegers(name);
      return Array.from({ length: 20 }, () => random(1_000));
    };
    expect(stream('a')).toEqual(stream('a'));
    expect(stream('a')).not.toEqual(stream('b'));
  });

  it('draws each number alike', () => {
    const random = randomIntegers('dice');
    const counts = new Array<number>(6).fill(0);
    for (let i = 0; i < 60_000; i++) counts[random(6)]++;
    // Five standard deviations of a binomial count: 5 √(60 000 · 1/6 · 5/6) = 456.
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(456);
  });

  it('refuses bounds it cannot serve', () => {
    expect(() => randomIntegers('a')(0)).toThrow(RangeError);
    expect(() => randomIntegers('a')(2 ** 21)).toThrow(RangeError);
  });
});

describe('randomSentence', () => {
  it('makes eight words of the dictionary', () => {
    const sentence = randomSentence(randomIntegers('a'));
    const words = sentence.slice(0, -1).split(' ');
    expect(sentence.endsWith('.')).toBe(true);
    expect(words).toHaveLength(8);
    for (const word of words) expect(dictionary).toHaveProperty(word);
  });

  it('says rare phonemes often', () => {
    const random = randomIntegers('a');
    const text = Array.from({ length: 300 }, () => randomSentence(random)).join(' ');
    const words = text.replaceAll('.', '').split(' ');
    // One of 12 rare phonemes in every second word: 300 · 4 / 12 = 100 words, and some more by chance.
    for (const rare of ['ZH', 'DH', 'OY']) {
      expect(words.filter((word) => dictionary[word].includes(rare)).length).toBeGreaterThan(60);
    }
  });
});
