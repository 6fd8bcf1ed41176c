// The package comes without types. Only what `synthesizer.ts` uses is declared here.
declare module '@echogarden/espeak-ng-emscripten' {
  interface EspeakEvent {
    type: string;
    /** Milliseconds from the start of the utterance. */
    audio_position: number;
    /** For a phoneme, its IPA with stress marks, or '' for a pause. */
    id: string | number | undefined;
  }

  interface EspeakWorker {
    /** Returns 0 even where the variant after `+` is unknown. */
    set_voice(name: string): number;
    set_rate(wordsPerMinute: number): void;
    set_pitch(pitch: number): void;
    get_samplerate(): number;
    /** Calls back with 16-bit samples and events, chunk by chunk; a truthy answer stops it. */
    synthesize(text: string, callback: (samples: Int16Array, events: EspeakEvent[]) => boolean): void;
  }

  interface EspeakModule {
    eSpeakNGWorker: new () => EspeakWorker;
    FS: {
      readdir(path: string): string[];
      readFile(path: string, options: { encoding: 'utf8' }): string;
    };
  }

  export default function create(options: {
    /** Gives the bytes of `espeak-ng.data`, which are otherwise read from disk by each instance. */
    getPreloadedPackage?: () => ArrayBuffer;
  }): Promise<EspeakModule>;
}
