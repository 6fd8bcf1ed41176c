import { createHash } from 'node:crypto';
import { join } from 'node:path';
import {
  type EpochLog,
  measureNormalization,
  type Progress,
  RNNPhonemeClassifier,
  type TensorLike,
} from '../engine/index.ts';
import { linearBaseline } from './baseline.ts';
import { percent } from './common/format.ts';
import type { ProgressLine } from './progress-line.ts';
import { writeReport } from './report.ts';
import { accuracy, majorityAccuracy, type Score, score } from './score.ts';
import type { Corpus, Split } from './speech/corpus.ts';

/** How the main job trains: chosen on the validation voices. */
export interface TrainingOptions {
  /** All cores by default. */
  readonly threads: number | undefined;
  readonly epochs: number;
  readonly seed: number;
  /** The folder that model and report go to. */
  readonly outDir: string;
}

/** The model of the main job. */
const network = { hiddenSize: 128, numLayers: 2, recurrentInit: 'orthogonal' } as const;
const training = {
  batchSize: 32,
  optimizer: { type: 'adam', learningRate: 1e-3 },
  schedule: 'cosine',
  clipNorm: 5,
} as const;

export interface Outcome {
  readonly test: Score;
  readonly majority: number;
  readonly linearMean: number;
  readonly linearThirds: number;
  readonly history: EpochLog[];
  /** SHA-256 of the trained parameters: the same for the same seed, whatever the number of threads. */
  readonly weightsHash: string;
  readonly modelPath: string;
  readonly reportPath: string;
}

/** Trains the classifier on a corpus, compares it with linear ones, writes model and report. */
export async function trainSpeech(
  corpus: Corpus,
  options: TrainingOptions,
  line: ProgressLine,
): Promise<Outcome> {
  const { threads, epochs, seed, outDir } = options;
  const classes = corpus.classes.length;
  const data = labelled(corpus.train, corpus.featureSize);
  const model = await RNNPhonemeClassifier.create({
    inputSize: corpus.featureSize,
    outputSize: classes,
    ...network,
    threads,
    seed,
    classes: corpus.classes,
    normalization: measureNormalization(data.x, corpus.featureSize),
  });
  try {
    const history = await model.fit(data, {
      ...training,
      epochs,
      seed,
      validation: labelled(corpus.validation, corpus.featureSize),
      callbacks: {
        onProgress: (progress) => line.show(progressText(progress)),
        onEpochEnd: (_, log) => line.keep(epochText(log, epochs)),
      },
    });
    line.show('testing on voices never heard …');
    const probabilities = await model.predict(sequences(corpus.test, corpus.featureSize));
    const test = score(probabilities.argmax(), corpus.test, corpus.classes, corpus.voices);
    line.show('training linear classifiers on the same segments …');
    const linear = async (parts: number): Promise<number> => {
      const labels = await linearBaseline(corpus.train, corpus.test, corpus.featureSize, classes, parts);
      return accuracy(labels, corpus.test.labels);
    };
    const outcome = {
      test,
      history,
      majority: majorityAccuracy(corpus.train, corpus.test, classes),
      linearMean: await linear(1),
      linearThirds: await linear(3),
      weightsHash: hashWeights(model),
      modelPath: join(outDir, 'model.safetensors'),
      reportPath: join(outDir, 'report.html'),
    };
    await model.save(outcome.modelPath, { metadata: { corpus: corpus.hash } });
    await writeOutcome(corpus, outcome);
    return outcome;
  } finally {
    await model.close();
  }
}

/** A split's segments as the model takes them: one view for each segment. */
function sequences(split: Split, featureSize: number): TensorLike[] {
  let first = 0;
  return Array.from(split.lengths, (length) => {
    const data = split.frames.subarray(first * featureSize, (first + length) * featureSize);
    first += length;
    return { data, shape: [length, featureSize] };
  });
}

const labelled = (split: Split, featureSize: number) => ({
  x: sequences(split, featureSize),
  labels: split.labels,
});

function hashWeights(model: RNNPhonemeClassifier): string {
  const hash = createHash('sha256');
  for (const { data } of Object.values(model.stateDict())) {
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest('hex');
}

/** Before an epoch's first step its loss is not finite, nor is the time left before the very first. */
const known = (value: number, text: (value: number) => string): string =>
  Number.isFinite(value) ? text(value) : '…';

function progressText(p: Progress): string {
  return (
    `epoch ${p.epoch + 1}/${p.epochs}  step ${p.step}/${p.steps}  loss ${known(p.loss, (loss) => loss.toFixed(3))}  ` +
    `accuracy ${known(p.accuracy, percent)}  ${Math.round(p.sequencesPerSecond)} sequences/s  ${known(p.secondsLeft, (left) => `${Math.ceil(left)} s left`)}`
  );
}

function epochText(log: EpochLog, epochs: number): string {
  return (
    `epoch ${log.epoch + 1}/${epochs}  loss ${log.loss.toFixed(3)}  accuracy ${percent(log.accuracy)}  ` +
    `validation ${percent(log.validationAccuracy ?? Number.NaN)}  ${Math.round(log.sequencesPerSecond)} sequences/s`
  );
}

/** Label and value of every figure, the most important first. */
export function summaryOf(corpus: Corpus, outcome: Omit<Outcome, 'reportPath'>): [string, string][] {
  const { test } = outcome;
  const dropped = corpus.droppedClasses.map(({ label, count }) => `${label} (${count})`).join(', ');
  return [
    ['Test accuracy, voices never heard', percent(test.accuracy)],
    ['Mean over test voices', percent(test.voiceMean)],
    ['Median over test voices', percent(test.voiceMedian)],
    ['Worst test voice', `${percent(test.worstVoice.accuracy)} (${test.worstVoice.name})`],
    ['Linear classifier on means of thirds', percent(outcome.linearThirds)],
    ['Linear classifier on the mean frame', percent(outcome.linearMean)],
    ['Majority class', percent(outcome.majority)],
    ['Segments: training, validation, test', splitSizes(corpus)],
    ['Voices: training, validation, test', voiceCounts(corpus)],
    ['Classes', `${corpus.classes.length}${dropped ? `; left out, too rare: ${dropped}` : ''}`],
    ['Corpus', corpus.hash.slice(0, 16)],
    ['Weights', outcome.weightsHash.slice(0, 16)],
  ];
}

const splits = (corpus: Corpus): Split[] => [corpus.train, corpus.validation, corpus.test];
const splitSizes = (corpus: Corpus): string =>
  splits(corpus)
    .map(({ labels }) => labels.length)
    .join(', ');
const voiceCounts = (corpus: Corpus): string =>
  splits(corpus)
    .map(({ speakers }) => new Set(speakers).size)
    .join(', ');

function writeOutcome(corpus: Corpus, outcome: Outcome): Promise<void> {
  return writeReport(outcome.reportPath, {
    title: 'Phonemes of synthetic speech',
    summary: summaryOf(corpus, outcome),
    history: outcome.history.map(({ epoch, loss, accuracy, validationAccuracy = Number.NaN }) => ({
      epoch: epoch + 1,
      loss,
      accuracy,
      validationAccuracy,
    })),
    classes: corpus.classes,
    confusion: outcome.test.confusion,
    perClass: outcome.test.perClass,
    perVoice: outcome.test.perVoice,
  });
}
