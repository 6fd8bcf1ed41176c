import { describe, expect, it } from 'vitest';
import { bundledVariants } from './synthesizer.ts';
import { chooseVoices, reasonToLeaveOut } from './voices.ts';

const definition = (...lines: string[]) => ['language variant', 'name Someone', ...lines].join('\n');

describe('reasonToLeaveOut', () => {
  it.each([
    [definition('pitch 80 120'), undefined],
    [definition('formant 2 60 100 100', 'formant 3 140 100 100'), undefined],
    [definition('formant 2 59 100 100'), 'formant 2 at 59 %'],
    // 80 % of 1500 Hz and 310 Hz on top are 1510 Hz.
    [definition('formant 2 80 85 130 310'), undefined],
    [definition('formant 5 110 120 100 2123'), 'formant 5 at 157 %'],
    // Formants above the fifth and the levels are timbre.
    [definition('formant 1 100 20 300', 'formant 7 0 0 0'), undefined],
    [definition('pitch 80 120', 'echo 130 15'), undefined],
    [definition('pitch 80 120', 'echo 30 30'), 'echo of 30 %'],
    [definition('pitch 80 120', 'echo 0 100'), undefined],
    [definition('voicing 17'), 'whispers: voicing of 17 %'],
    [definition('gender female', '// pitch 80 120', '# echo 1 99'), 'sounds like the plain voice'],
  ])('judges %j: %j', (text, reason) => {
    expect(reasonToLeaveOut(text)).toBe(reason);
  });

  it('lets the last of repeated lines count, with any line ends', () => {
    expect(reasonToLeaveOut('voicing 10\r\nvoicing 90 // louder')).toBeUndefined();
  });
});

describe('chooseVoices', () => {
  it('keeps at least 50 speakers of the package in three parts, every variant accounted for', async () => {
    const definitions = await bundledVariants();
    const { voices, leftOut } = chooseVoices(definitions);
    const count = (part: string) => voices.filter((voice) => voice.part === part).length;
    expect([count('train'), count('validation'), count('test')]).toEqual([40, 6, 12]);
    const names = [...voices.map(({ variant }) => variant), ...leftOut.map(({ name }) => name)].sort();
    expect(names).toEqual(['', ...[...definitions.keys()].sort()]);
  });

  it('keeps voices with the same formants in one part', async () => {
    const { voices } = chooseVoices(await bundledVariants());
    const partOf = (name: string) => voices.find(({ variant }) => variant === name)?.part;
    for (const family of [
      ['', 'klatt', 'klatt2', 'croak', 'john'],
      ['edward', 'edward2'],
      ['iven', 'iven2', 'iven3', 'iven4'],
    ]) {
      expect(new Set(family.map(partOf)).size).toBe(1);
    }
  });

  it('does not depend on the order of the definitions', () => {
    const entries = Array.from({ length: 30 }, (_, index): [string, string] => [
      `voice${index}`,
      definition(`formant 1 ${85 + index} 100 100`),
    ]);
    expect(chooseVoices(new Map(entries.toReversed()))).toEqual(chooseVoices(new Map(entries)));
  });
});
