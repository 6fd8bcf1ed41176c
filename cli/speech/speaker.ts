import { createHash } from 'node:crypto';
import { concatenate } from './concatenate.ts';
import { CepstrumExtractor, featureSize } from './features.ts';
import { type RandomInteger, randomIntegers } from './random.ts';
import { cutSegments } from './segments.ts';
import { randomSentence } from './sentences.ts';
import { speechSettings } from './speech-settings.ts';
import { Synthesizer, sampleRate, type Utterance } from './synthesizer.ts';

/** What one speaker is asked for. */
export interface SpeakerTask {
  /** Variant of the synthesizer; '' is the plain voice. */
  variant: string;
  /** Names the stream of random numbers, together with the variant. */
  seed: string;
  /** How many segments to cut. */
  segments: number;
}

export interface SpeakerResult {
  /** Packed cepstra [sum of lengths, 20], less their utterance's mean. */
  frames: Float32Array;
  /** Frames of each segment. */
  lengths: Int32Array;
  /** Phoneme of each segment. */
  labels: string[];
  /** Hash of a sentence that every speaker says first, with the same rate and pitch. */
  voiceprint: string;
  /** Seconds of speech, the first sentence left out. */
  seconds: number;
}

const voiceprintSentence = 'She had your dark suit in greasy wash water.';

/**
 * Lets one speaker talk until enough segments are cut. A function of the task alone: each call starts a
 * synthesizer of its own and draws from a stream of its own.
 *
 * @throws Error if the synthesizer has no such voice, or the voice utters no phonemes
 */
export async function recordSpeaker(task: SpeakerTask): Promise<SpeakerResult> {
  const synthesizer = await Synthesizer.forVariant(task.variant);
  const voiceprint = createHash('sha256')
    .update(synthesizer.speak(voiceprintSentence, { rate: 175, pitch: 50 }).samples)
    .digest('hex');
  const random = randomIntegers(`${task.seed}/${task.variant}`);
  const extractor = new CepstrumExtractor(sampleRate);
  const recorded: LabelledCepstra[] = [];
  let samplesSpoken = 0;
  while (recorded.length < task.segments) {
    const utterance = synthesizer.speak(randomSentence(random), {
      rate: integerWithin(speechSettings.rate, random),
      pitch: integerWithin(speechSettings.pitch, random),
    });
    const segments = describeSegments(utterance, extractor);
    if (segments.length === 0) throw new Error(`The voice "${task.variant}" uttered no phonemes.`);
    recorded.push(...segments);
    samplesSpoken += utterance.samples.length;
  }
  // The last sentence was spoken to its end, for its mean, though only its first segments are needed.
  recorded.length = task.segments;
  return {
    frames: concatenate(
      recorded.map(({ cepstra }) => cepstra),
      Float32Array,
    ),
    lengths: Int32Array.from(recorded, ({ cepstra }) => cepstra.length / featureSize),
    labels: recorded.map(({ label }) => label),
    voiceprint,
    seconds: samplesSpoken / sampleRate,
  };
}

interface LabelledCepstra {
  label: string;
  /** [frames, 20] */
  cepstra: Float32Array;
}

/** The segments of an utterance that hold at least one frame, less the mean of all their frames. */
function describeSegments(utterance: Utterance, extractor: CepstrumExtractor): LabelledCepstra[] {
  const { samples, phonemes } = utterance;
  const segments = cutSegments(phonemes, samples.length, sampleRate)
    .map(({ label, start, end }) => ({ label, cepstra: extractor.extract(samples, start, end) }))
    .filter(({ cepstra }) => cepstra.length > 0);
  subtractMean(segments.map(({ cepstra }) => cepstra));
  return segments;
}

function integerWithin([lowest, highest]: readonly [number, number], random: RandomInteger): number {
  return lowest + random(highest - lowest + 1);
}

/** Cepstral mean normalization over the segments [frames, 20] of an utterance, in place. */
function subtractMean(segments: Float32Array[]): void {
  const mean = new Float64Array(featureSize);
  let frames = 0;
  for (const segment of segments) {
    frames += segment.length / featureSize;
    for (let i = 0; i < segment.length; i++) mean[i % featureSize] += segment[i];
  }
  for (let k = 0; k < featureSize; k++) mean[k] /= frames;
  for (const segment of segments) {
    for (let i = 0; i < segment.length; i++) segment[i] -= mean[i % featureSize];
  }
}
