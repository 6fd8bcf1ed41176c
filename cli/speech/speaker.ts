import { createHash } from 'node:crypto';
import { CepstrumExtractor, featureSize } from './features.ts';
import { type RandomInteger, randomIntegers } from './random.ts';
import { cutSegments } from './segments.ts';
import { randomSentence } from './sentences.ts';
import { Synthesizer, sampleRate } from './synthesizer.ts';

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

/** Ranges the rate (words a minute) and the pitch of each utterance are drawn from, both ends included. */
export const rateRange = [140, 220] as const;
export const pitchRange = [20, 80] as const;

const voiceprintSentence = 'She had your dark suit in greasy wash water.';

/** Sentences in a row without a single segment, after which something is wrong with the voice. */
const patience = 10;

/**
 * Lets one speaker talk until enough segments are cut. A function of the task alone: each call starts a
 * synthesizer of its own and draws from a stream of its own.
 */
export async function recordSpeaker(task: SpeakerTask): Promise<SpeakerResult> {
  const synthesizer = await Synthesizer.forVariant(task.variant);
  const voiceprint = createHash('sha256')
    .update(synthesizer.speak(voiceprintSentence, { rate: 175, pitch: 50 }).samples)
    .digest('hex');
  const random = randomIntegers(`${task.seed}/${task.variant}`);
  const extractor = new CepstrumExtractor(sampleRate);
  const frames: Float32Array[] = [];
  const labels: string[] = [];
  let samplesSpoken = 0;
  let fruitless = 0;
  while (labels.length < task.segments) {
    const utterance = synthesizer.speak(randomSentence(random), {
      rate: integerWithin(rateRange, random),
      pitch: integerWithin(pitchRange, random),
    });
    samplesSpoken += utterance.samples.length;
    const before = labels.length;
    const spoken: Float32Array[] = [];
    for (const { label, start, end } of cutSegments(
      utterance.phonemes,
      utterance.samples.length,
      sampleRate,
    )) {
      const cepstra = extractor.extract(utterance.samples, start, end);
      if (cepstra.length === 0) continue;
      spoken.push(cepstra);
      labels.push(label);
    }
    subtractMean(spoken);
    frames.push(...spoken);
    fruitless = labels.length === before ? fruitless + 1 : 0;
    if (fruitless === patience) throw new Error(`The voice "${task.variant}" gives no phonemes.`);
  }
  // The last sentence is heard to its end, for its mean, though only its first segments may be needed.
  frames.length = task.segments;
  labels.length = task.segments;
  return {
    frames: concatenate(frames),
    lengths: Int32Array.from(frames, (segment) => segment.length / featureSize),
    labels,
    voiceprint,
    seconds: samplesSpoken / sampleRate,
  };
}

function integerWithin([lowest, highest]: readonly [number, number], random: RandomInteger): number {
  return lowest + random(highest - lowest + 1);
}

/** Cepstral mean normalisation over the segments [frames, 20] of an utterance, in place. */
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

function concatenate(segments: Float32Array[]): Float32Array {
  const packed = new Float32Array(segments.reduce((sum, segment) => sum + segment.length, 0));
  let offset = 0;
  for (const segment of segments) {
    packed.set(segment, offset);
    offset += segment.length;
  }
  return packed;
}
