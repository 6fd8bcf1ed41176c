import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import createEspeak, { type EspeakModule, type EspeakWorker } from '@echogarden/espeak-ng-emscripten';
import { concatenate } from './concatenate.ts';

/** A phoneme as the synthesizer reports it. */
export interface PhonemeEvent {
  /** IPA with stress marks; '' is a pause. */
  id: string;
  /** Onset in milliseconds from the start of the utterance. */
  onsetMs: number;
}

export interface Utterance {
  /** Mono audio, 16 bits a sample. */
  samples: Int16Array;
  /** In the order of their onsets; onsets never decrease. */
  phonemes: PhonemeEvent[];
}

/** Hertz. The cutting and the features rely on it, so it is checked for every instance. */
export const sampleRate = 22_050;

/** The language every speaker speaks; `variantDirectory` says in what voice. */
const language = 'en-us';
const variantDirectory = '/usr/share/espeak-ng-data/voices/!v';

let packageData: ArrayBuffer | undefined;

/** A module that has not spoken yet. The 24 MB of language data are read once per thread and never written. */
async function freshModule(): Promise<EspeakModule> {
  if (packageData === undefined) {
    const path = createRequire(import.meta.url).resolve('@echogarden/espeak-ng-emscripten/espeak-ng.data');
    packageData = Uint8Array.from(readFileSync(path)).buffer;
  }
  const data = packageData;
  return await createEspeak({ getPreloadedPackage: () => data });
}

/** The noise in breathy voices is seeded from the time of the start, so the clock is stopped meanwhile. */
function startWithoutClock(module: EspeakModule): EspeakWorker {
  const now = Date.now;
  Date.now = () => 0;
  try {
    return new module.eSpeakNGWorker();
  } finally {
    Date.now = now;
  }
}

function variantNames(module: EspeakModule): string[] {
  return module.FS.readdir(variantDirectory)
    .filter((name) => !name.startsWith('.'))
    .sort();
}

/** The definition files of every voice variant in the package, by name, sorted by code unit. */
export async function bundledVariants(): Promise<Map<string, string>> {
  const module = await freshModule();
  return new Map(
    variantNames(module).map((name) => [
      name,
      module.FS.readFile(`${variantDirectory}/${name}`, { encoding: 'utf8' }),
    ]),
  );
}

/**
 * One speaker in one instance of eSpeak NG. What it says depends on what the instance said before, so there
 * is no way to change the speaker: the same texts in the same order to a new `Synthesizer` give the same
 * samples, bit for bit.
 */
export class Synthesizer {
  readonly #worker: EspeakWorker;

  private constructor(worker: EspeakWorker) {
    this.#worker = worker;
  }

  /**
   * @param variant - name of a bundled variant, or '' for the plain voice
   * @throws Error if there is no such variant, or the synthesizer refuses it
   */
  static async forVariant(variant: string): Promise<Synthesizer> {
    const module = await freshModule();
    // An unknown variant is ignored silently, so its file must be looked for.
    if (variant !== '' && !variantNames(module).includes(variant)) {
      throw new Error(`eSpeak NG has no voice variant "${variant}".`);
    }
    const worker = startWithoutClock(module);
    const voice = variant === '' ? language : `${language}+${variant}`;
    const code = worker.set_voice(voice);
    if (code !== 0) {
      throw new Error(`eSpeak NG refused the voice "${voice}" with code ${code}.`);
    }
    if (worker.get_samplerate() !== sampleRate) {
      throw new Error(`eSpeak NG speaks at ${worker.get_samplerate()} Hz, but ${sampleRate} Hz is expected.`);
    }
    return new Synthesizer(worker);
  }

  /**
   * Speaks a text.
   *
   * @param text - one English sentence
   * @param options.rate - words per minute, 80 to 450
   * @param options.pitch - 0 to 99, 50 is the voice's own
   * @throws RangeError if rate or pitch is outside; Error if the synthesizer stays silent
   */
  speak(text: string, options: { rate: number; pitch: number }): Utterance {
    const { rate, pitch } = options;
    if (!(rate >= 80 && rate <= 450) || !(pitch >= 0 && pitch <= 99)) {
      throw new RangeError(`rate must be 80 to 450 and pitch 0 to 99, not ${rate} and ${pitch}.`);
    }
    this.#worker.set_rate(rate);
    this.#worker.set_pitch(pitch);
    const chunks: Int16Array[] = [];
    const phonemes: PhonemeEvent[] = [];
    this.#worker.synthesize(text, (samples, events) => {
      chunks.push(samples);
      for (const { type, id, audio_position } of events) {
        if (type === 'phoneme') phonemes.push({ id: String(id), onsetMs: audio_position });
      }
      return false;
    });
    const samples = concatenate(chunks, Int16Array);
    if (samples.length === 0) throw new Error(`eSpeak NG made no sound for "${text}".`);
    return { samples, phonemes };
  }
}
