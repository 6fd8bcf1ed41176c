import { concatenate } from './concatenate.ts';
import type { Split, StoredCorpus } from './corpus.ts';
import { featureSize } from './features.ts';
import type { SpeakerResult } from './speaker.ts';
import { displayName, type Part, type Voice, type VoiceChoice } from './voices.ts';

/**
 * What the speakers have said, by split. A class has at least `smallestClass` training segments; segments of other
 * phonemes are left out.
 */
export function assembleCorpus(
  voices: Voice[],
  results: SpeakerResult[],
  leftOutVoices: VoiceChoice['leftOut'],
  smallestClass: number,
): StoredCorpus {
  const counts = countTrainingLabels(voices, results);
  const labels = [...counts.keys()].sort();
  const classes = labels.filter((label) => (counts.get(label) ?? 0) >= smallestClass);
  const droppedClasses = labels
    .filter((label) => !classes.includes(label))
    .map((label) => ({ label, count: counts.get(label) ?? 0 }));
  const collect = (part: Part) => collectSplit(voices, results, classes, part);
  const [train, validation, test] = [collect('train'), collect('validation'), collect('test')];
  return {
    classes,
    featureSize,
    voices: voices.map(displayName),
    train,
    validation,
    test,
    droppedClasses,
    leftOutVoices,
    speechSeconds: results.reduce((sum, { seconds }) => sum + seconds, 0),
  };
}

/** Number of training segments of each phoneme; 0 for phonemes that only held-out speakers say. */
function countTrainingLabels(voices: Voice[], results: SpeakerResult[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const [index, { labels }] of results.entries()) {
    const weight = voices[index].part === 'train' ? 1 : 0;
    for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + weight);
  }
  return counts;
}

function collectSplit(voices: Voice[], results: SpeakerResult[], classes: string[], part: Part): Split {
  const classIndex = new Map(classes.map((label, index) => [label, index]));
  const frames: Float32Array[] = [];
  const lengths: number[] = [];
  const labels: number[] = [];
  const speakers: number[] = [];
  for (const [speaker, result] of results.entries()) {
    if (voices[speaker].part !== part) continue;
    let offset = 0;
    for (const [segment, label] of result.labels.entries()) {
      const start = offset;
      offset += result.lengths[segment] * featureSize;
      const index = classIndex.get(label);
      if (index === undefined) continue;
      frames.push(result.frames.subarray(start, offset));
      lengths.push(result.lengths[segment]);
      labels.push(index);
      speakers.push(speaker);
    }
  }
  return {
    frames: concatenate(frames, Float32Array),
    lengths: Int32Array.from(lengths),
    labels: Int32Array.from(labels),
    speakers: Int32Array.from(speakers),
  };
}
