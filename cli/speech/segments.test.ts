import { describe, expect, it } from 'vitest';
import { cutSegments } from './segments.ts';

// At 1000 Hz a sample is a millisecond.
const rate = 1_000;

describe('cutSegments', () => {
  it('reaches 15 ms into both neighbours and stays inside the utterance', () => {
    const phonemes = [
      { id: 'h', onsetMs: 5 },
      { id: 'ˈaɪ', onsetMs: 80 },
      { id: '', onsetMs: 195 },
    ];
    expect(cutSegments(phonemes, 200, rate)).toEqual([
      { label: 'h', start: 0, end: 95 },
      { label: 'aɪ', start: 65, end: 200 },
    ]);
  });

  it('gives pauses, silent sounds and the last event no segment', () => {
    const phonemes = [
      { id: '', onsetMs: 0 },
      { id: 'ʔ', onsetMs: 50 },
      { id: 'm', onsetMs: 100 },
    ];
    expect(cutSegments(phonemes, 500, rate)).toEqual([]);
  });

  it('keeps durations from 15 to 400 ms, both included', () => {
    const onsets = [0, 14, 29, 429, 830];
    const phonemes = onsets.map((onsetMs, index) => ({ id: 'abcde'[index], onsetMs }));
    expect(cutSegments(phonemes, 2_000, rate).map(({ label }) => label)).toEqual(['b', 'c']);
  });

  it('rounds to the nearest sample', () => {
    const phonemes = [
      { id: 's', onsetMs: 20 },
      { id: '', onsetMs: 100 },
    ];
    // 5 ms × 22.05 = 110.25 and 115 ms × 22.05 = 2535.75 samples.
    expect(cutSegments(phonemes, 5_000, 22_050)).toEqual([{ label: 's', start: 110, end: 2_536 }]);
  });

  it('refuses onsets that go back', () => {
    const phonemes = [
      { id: 's', onsetMs: 20 },
      { id: 't', onsetMs: 10 },
    ];
    expect(() => cutSegments(phonemes, 100, rate)).toThrow('The onset 10 ms of "t" lies before 20 ms.');
  });
});
