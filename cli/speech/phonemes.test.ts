import { expect, it } from 'vitest';
import { foldPhoneme } from './phonemes.ts';

it.each([
  ['ˈæ', 'æ'],
  ['ˌoʊ', 'oʊ'],
  ['ˈɜː', 'ɚ'],
  ['ɐ', 'ə'],
  ['i', 'iː'],
  ['ɾ', 'd'],
  ['ɑːɹ\u0007', 'ɑːɹ'],
])('folds %j to %j', (id, label) => {
  expect(foldPhoneme(id)).toBe(label);
});

it('gives pauses and silent sounds no class', () => {
  expect(foldPhoneme('')).toBeUndefined();
  expect(foldPhoneme('ʔ')).toBeUndefined();
});
