import FFT from 'fft.js';

/** Cepstral coefficients of a frame. */
export const featureSize = 20;
/** Most frames of a segment; what is longer is cut off. */
const longestFrames = 40;

/** Everything that decides what a frame looks like. Part of the cache's key. */
export const featureSettings = {
  windowMs: 23,
  hopMs: 10,
  fftSize: 512,
  melBands: 40,
  lowestHz: 60,
  highestHz: 8_000,
  featureSize,
  longestFrames,
  /** Energy of a mel band below which it counts as silence: 16-bit rounding noise lies under it. */
  energyFloor: 1e-6,
} as const;

/** A triangle over the bins of the spectrum. */
interface MelBand {
  firstBin: number;
  weights: Float64Array;
}

/**
 * Mel-frequency cepstra (Davis and Mermelstein 1980): Hann window, power spectrum, 40 triangles that are
 * evenly spaced on the mel scale, logarithm, orthonormal DCT-II, of which the first 20 coefficients stay.
 * Keeps its buffers between calls, so one instance serves one thread.
 */
export class CepstrumExtractor {
  readonly #window: Float64Array;
  readonly #hop: number;
  readonly #fft = new FFT(featureSettings.fftSize);
  readonly #bands: MelBand[];
  readonly #cosines: Float64Array;
  readonly #frame = new Float64Array(featureSettings.fftSize);
  readonly #spectrum = new Float64Array(2 * featureSettings.fftSize);
  readonly #logEnergies = new Float64Array(featureSettings.melBands);

  /** @param sampleRate - Hertz; 8 kHz must be below half of it */
  constructor(sampleRate: number) {
    if (!(sampleRate >= 2 * featureSettings.highestHz)) {
      throw new RangeError(`${sampleRate} Hz is too low for bands up to ${featureSettings.highestHz} Hz.`);
    }
    this.#window = hannWindow(Math.round((featureSettings.windowMs * sampleRate) / 1000));
    if (this.#window.length > featureSettings.fftSize) {
      throw new RangeError(`${sampleRate} Hz is too high for an FFT of ${featureSettings.fftSize}.`);
    }
    this.#hop = (featureSettings.hopMs * sampleRate) / 1000;
    this.#bands = melBands(sampleRate);
    this.#cosines = cosineTable();
  }

  /** How many frames lie wholly inside `sampleCount` samples, at most 40. A remainder is left out. */
  frameCount(sampleCount: number): number {
    if (sampleCount < this.#window.length) return 0;
    return Math.min(longestFrames, 1 + Math.floor((sampleCount - this.#window.length) / this.#hop));
  }

  /**
   * @param samples - 16-bit audio; full scale counts as 1
   * @param start - first sample of the stretch
   * @param end - one past its last sample
   * @returns cepstra [frameCount(end - start), 20]
   * @throws RangeError if the stretch is not inside the samples
   */
  extract(samples: Int16Array, start: number, end: number): Float32Array {
    if (!(start >= 0 && start <= end && end <= samples.length)) {
      throw new RangeError(`The stretch ${start}–${end} is not inside ${samples.length} samples.`);
    }
    const frames = this.frameCount(end - start);
    const cepstra = new Float32Array(frames * featureSize);
    for (let frame = 0; frame < frames; frame++) {
      this.#loadFrame(samples, start + Math.floor(frame * this.#hop));
      this.#fft.realTransform(this.#spectrum, this.#frame);
      this.#measureBands();
      this.#writeCepstra(cepstra, frame * featureSize);
    }
    return cepstra;
  }

  #loadFrame(samples: Int16Array, start: number): void {
    for (let i = 0; i < this.#window.length; i++) {
      this.#frame[i] = (samples[start + i] * this.#window[i]) / 32_768;
    }
  }

  #measureBands(): void {
    for (const [band, { firstBin, weights }] of this.#bands.entries()) {
      let energy = 0;
      for (let i = 0; i < weights.length; i++) {
        const real = this.#spectrum[2 * (firstBin + i)];
        const imaginary = this.#spectrum[2 * (firstBin + i) + 1];
        energy += weights[i] * (real * real + imaginary * imaginary);
      }
      this.#logEnergies[band] = Math.log(Math.max(energy, featureSettings.energyFloor));
    }
  }

  #writeCepstra(cepstra: Float32Array, offset: number): void {
    const { melBands: bands } = featureSettings;
    for (let k = 0; k < featureSize; k++) {
      let sum = 0;
      for (let band = 0; band < bands; band++) {
        sum += this.#cosines[k * bands + band] * this.#logEnergies[band];
      }
      cepstra[offset + k] = sum;
    }
  }
}

function hannWindow(length: number): Float64Array {
  return Float64Array.from({ length }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * (i + 0.5)) / length));
}

const melOf = (hertz: number) => 1127 * Math.log(1 + hertz / 700);

function melBands(sampleRate: number): MelBand[] {
  const { melBands: count, lowestHz, highestHz, fftSize } = featureSettings;
  const lowest = melOf(lowestHz);
  const step = (melOf(highestHz) - lowest) / (count + 1);
  const bins = Array.from({ length: fftSize / 2 + 1 }, (_, bin) => melOf((bin * sampleRate) / fftSize));
  return Array.from({ length: count }, (_, band) => {
    const centre = lowest + (band + 1) * step;
    const weights = bins.map((mel) => Math.max(0, 1 - Math.abs(mel - centre) / step));
    const firstBin = weights.findIndex((weight) => weight > 0);
    const lastBin = weights.findLastIndex((weight) => weight > 0);
    return { firstBin, weights: Float64Array.from(weights.slice(firstBin, lastBin + 1)) };
  });
}

/** [featureSize, melBands]: rows of the orthonormal DCT-II. */
function cosineTable(): Float64Array {
  const { melBands: bands } = featureSettings;
  const table = new Float64Array(featureSize * bands);
  for (let k = 0; k < featureSize; k++) {
    const scale = Math.sqrt((k === 0 ? 1 : 2) / bands);
    for (let band = 0; band < bands; band++) {
      table[k * bands + band] = scale * Math.cos((Math.PI * k * (band + 0.5)) / bands);
    }
  }
  return table;
}
