import { describe, expect, it, vi } from 'vitest';
import { bundledVariants, Synthesizer, sampleRate } from './synthesizer.ts';

const ordinary = { rate: 175, pitch: 50 };

describe('Synthesizer', () => {
  it('speaks the same bits from a new instance, and others in another voice', async () => {
    const say = async (variant: string) =>
      (await Synthesizer.forVariant(variant)).speak('A measure of joy.', ordinary);
    const [first, again, other] = [await say('m3'), await say('m3'), await say('f3')];
    expect(again).toEqual(first);
    expect(other.samples).not.toEqual(first.samples);
  });

  it('breathes the same at any time of the day', async () => {
    const sayAt = async (time: number) => {
      const clock = vi.spyOn(Date, 'now').mockReturnValue(time);
      try {
        // The definition of f2 has a breath in it, which is noise.
        return (await Synthesizer.forVariant('f2')).speak('A measure of joy.', ordinary);
      } finally {
        clock.mockRestore();
      }
    };
    expect(await sayAt(86_400_000)).toEqual(await sayAt(0));
  });

  it('reports phonemes in order, inside the audio', async () => {
    const { samples, phonemes } = (await Synthesizer.forVariant('')).speak('A measure of joy.', ordinary);
    const onsets = phonemes.map(({ onsetMs }) => onsetMs);
    expect(phonemes.map(({ id }) => id.replace(/[ˈˌ]/g, ''))).toEqual(
      expect.arrayContaining(['ʒ', 'dʒ', 'ɔɪ']),
    );
    expect(onsets).toEqual(onsets.toSorted((a, b) => a - b));
    expect(onsets[onsets.length - 1]).toBeLessThanOrEqual((1000 * samples.length) / sampleRate);
  });

  it('refuses a variant that is not in the package', async () => {
    await expect(Synthesizer.forVariant('nobody')).rejects.toThrow('no voice variant "nobody"');
  });

  it('refuses rates and pitches the engine would clip', async () => {
    const synthesizer = await Synthesizer.forVariant('');
    expect(() => synthesizer.speak('a', { rate: 20, pitch: 50 })).toThrow(RangeError);
    expect(() => synthesizer.speak('a', { rate: 175, pitch: Number.NaN })).toThrow(RangeError);
  });

  it('finds the definitions of the variants', async () => {
    const variants = await bundledVariants();
    expect(variants.get('whisper')).toContain('breath');
  });
});
