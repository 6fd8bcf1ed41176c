import { foldPhoneme } from './phonemes.ts';
import type { PhonemeEvent } from './synthesizer.ts';

/** A stretch of an utterance that holds one phoneme. */
export interface Segment {
  label: string;
  /** First sample. */
  start: number;
  /** One past the last sample. */
  end: number;
}

/** What is heard of the neighbours on each side. */
export const contextMs = 15;
/** Shorter phonemes are swallowed by the synthesizer, longer ones are artefacts of its pauses. */
export const shortestMs = 15;
export const longestMs = 400;

/**
 * Cuts an utterance at its phoneme events: a segment reaches from 15 ms before a phoneme's onset to 15 ms
 * after the onset of the next event, kept inside the utterance. Pauses, silent sounds and phonemes shorter
 * than 15 ms or longer than 400 ms give no segment, nor does the last event, whose end is not known.
 *
 * @param phonemes - events with their onsets in ascending order
 * @param sampleCount - samples of the utterance
 * @param sampleRate - Hertz
 * @throws RangeError if an onset lies before the one before it
 */
export function cutSegments(phonemes: PhonemeEvent[], sampleCount: number, sampleRate: number): Segment[] {
  const sampleAt = (ms: number) => Math.min(sampleCount, Math.max(0, Math.round((ms * sampleRate) / 1000)));
  const segments: Segment[] = [];
  for (const [index, { id, onsetMs }] of phonemes.entries()) {
    const next = phonemes[index + 1];
    if (next === undefined) break;
    const durationMs = next.onsetMs - onsetMs;
    if (durationMs < 0) {
      throw new RangeError(`The onset ${next.onsetMs} ms of "${next.id}" lies before ${onsetMs} ms.`);
    }
    const label = foldPhoneme(id);
    if (label === undefined || durationMs < shortestMs || durationMs > longestMs) continue;
    segments.push({ label, start: sampleAt(onsetMs - contextMs), end: sampleAt(next.onsetMs + contextMs) });
  }
  return segments;
}
