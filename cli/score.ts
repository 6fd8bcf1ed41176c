import { median } from './common/quantile.ts';
import type { Split } from './speech/corpus.ts';

/** How often the members of a group were recognized. */
export interface GroupResult {
  name: string;
  /** Fraction of `count`. */
  accuracy: number;
  count: number;
}

/** How predictions on a split came out. Accuracies are fractions. */
export interface Score {
  readonly accuracy: number;
  /** Counts [true class, predicted class]. */
  readonly confusion: number[][];
  readonly perClass: GroupResult[];
  readonly perVoice: GroupResult[];
  /** Mean over voices, each counting the same. */
  readonly voiceMean: number;
  readonly voiceMedian: number;
  readonly worstVoice: GroupResult;
}

export function score(predicted: Int32Array, split: Split, classes: string[], voices: string[]): Score {
  const confusion = classes.map(() => classes.map(() => 0));
  predicted.forEach((given, row) => {
    confusion[split.labels[row]][given]++;
  });
  const perClass = groups(predicted, split, split.labels, classes);
  const perVoice = groups(predicted, split, split.speakers, voices);
  const sorted = perVoice.toSorted((a, b) => a.accuracy - b.accuracy);
  return {
    accuracy: accuracy(predicted, split.labels),
    confusion,
    perClass,
    perVoice,
    voiceMean: sorted.reduce((sum, voice) => sum + voice.accuracy, 0) / sorted.length,
    voiceMedian: median(sorted.map((voice) => voice.accuracy)),
    worstVoice: sorted[0],
  };
}

export function accuracy(predicted: Int32Array, labels: Int32Array): number {
  return predicted.reduce((hits, given, row) => hits + (given === labels[row] ? 1 : 0), 0) / labels.length;
}

/** Accuracy within each group of rows, groups without rows left out. */
function groups(predicted: Int32Array, split: Split, group: Int32Array, names: string[]): GroupResult[] {
  const count = names.map(() => 0);
  const hits = names.map(() => 0);
  group.forEach((g, row) => {
    count[g]++;
    if (predicted[row] === split.labels[row]) hits[g]++;
  });
  return names
    .map((name, g) => ({ name, count: count[g], accuracy: hits[g] / count[g] }))
    .filter((result) => result.count > 0);
}

/** Share of the test rows that are of the class most frequent in training. */
export function majorityAccuracy(train: Split, test: Split, classes: number): number {
  const counts = new Int32Array(classes);
  for (const label of train.labels) counts[label]++;
  const most = counts.indexOf(counts.reduce((a, b) => Math.max(a, b)));
  return accuracy(new Int32Array(test.labels.length).fill(most), test.labels);
}
