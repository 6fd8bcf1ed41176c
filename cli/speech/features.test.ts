import { describe, expect, it } from 'vitest';
import { CepstrumExtractor, featureSize } from './features.ts';
import { randomIntegers } from './random.ts';

const sampleRate = 22_050;
// 23 ms and 10 ms at this rate.
const windowLength = 507;
const hop = 220.5;

const noise = (length: number) => {
  const random = randomIntegers('noise');
  return Int16Array.from({ length }, () => random(65_536) - 32_768);
};

/** The definition written out: a DFT by its sum, a filter weight for every bin, a DCT by its sum. */
function slowCepstra(samples: Int16Array, start: number): number[] {
  const power = Array.from({ length: 257 }, (_, bin) => {
    let [real, imaginary] = [0, 0];
    for (let n = 0; n < windowLength; n++) {
      const window = Math.sin((Math.PI * (n + 0.5)) / windowLength) ** 2;
      const sample = (window * samples[start + n]) / 32_768;
      real += sample * Math.cos((2 * Math.PI * bin * n) / 512);
      imaginary -= sample * Math.sin((2 * Math.PI * bin * n) / 512);
    }
    return real ** 2 + imaginary ** 2;
  });
  const mel = (hertz: number) => 1127 * Math.log(1 + hertz / 700);
  const spacing = (mel(8_000) - mel(60)) / 41;
  const logEnergies = Array.from({ length: 40 }, (_, band) => {
    const centre = mel(60) + (band + 1) * spacing;
    const energy = power.reduce((sum, value, bin) => {
      const distance = Math.abs(mel((bin * sampleRate) / 512) - centre) / spacing;
      return sum + Math.max(0, 1 - distance) * value;
    }, 0);
    return Math.log(Math.max(energy, 1e-6));
  });
  return Array.from({ length: featureSize }, (_, k) => {
    const scale = Math.sqrt((k === 0 ? 1 : 2) / 40);
    return logEnergies.reduce(
      (sum, value, band) => sum + scale * value * Math.cos((Math.PI * k * (band + 0.5)) / 40),
      0,
    );
  });
}

describe('CepstrumExtractor', () => {
  const extractor = new CepstrumExtractor(sampleRate);

  it('agrees with the definition on every frame', () => {
    const samples = noise(2_000);
    const cepstra = extractor.extract(samples, 100, 1_500);
    const frames = cepstra.length / featureSize;
    expect(frames).toBe(5);
    for (let frame = 0; frame < frames; frame++) {
      const expected = slowCepstra(samples, 100 + Math.floor(frame * hop));
      for (let k = 0; k < featureSize; k++) {
        // Cepstra of noise are below 64 in magnitude, where single precision is 4e-6 apart.
        expect(Math.abs(cepstra[frame * featureSize + k] - expected[k])).toBeLessThan(4e-6);
      }
    }
  });

  it('gives a frame only where a whole window fits, and at most 40', () => {
    expect(extractor.frameCount(windowLength - 1)).toBe(0);
    expect(extractor.frameCount(windowLength)).toBe(1);
    expect(extractor.frameCount(windowLength + 220)).toBe(1);
    expect(extractor.frameCount(windowLength + 221)).toBe(2);
    expect(extractor.frameCount(100_000)).toBe(40);
  });

  it('takes silence for the floor in every band', () => {
    const cepstra = extractor.extract(new Int16Array(windowLength), 0, windowLength);
    // The first cosine is 1/√40 in each of 40 bands, the others sum to zero.
    expect(cepstra[0]).toBeCloseTo(Math.sqrt(40) * Math.log(1e-6), 4);
    for (const value of cepstra.subarray(1)) expect(value).toBeCloseTo(0, 10);
  });

  it('refuses stretches outside the samples and rates it is not made for', () => {
    expect(() => extractor.extract(new Int16Array(10), 5, 11)).toThrow('not inside 10 samples');
    expect(() => new CepstrumExtractor(8_000)).toThrow('too low');
    expect(() => new CepstrumExtractor(48_000)).toThrow('too high');
  });
});
