import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import { MAX_THREADS } from '../engine/classifier/classifier-options.ts';
import { makeFolder } from '../engine/io/atomic-file.ts';
import { readCommandLine, text, whole } from './common/command-line.ts';
import { exportCorpus } from './export-corpus.ts';
import { ProgressLine } from './progress-line.ts';
import { loadCorpus } from './speech/load-corpus.ts';
import { summaryOf, trainSpeech } from './train-speech.ts';

const options = readCommandLine(
  'npm start',
  {
    threads: whole(
      'worker threads (default: all cores; 0 computes on the main thread); changes the speed only',
      0,
      MAX_THREADS,
    ),
    seed: whole('of the weights and the shuffling (default 1)', 0),
    epochs: whole('default 8', 1),
    speakers: whole('fewer voices, of which each says more', 3),
    segments: whole('training segments (default: the whole corpus)', 1),
    out: text('DIR', 'where the model and the report go (default runs/speech)'),
    export: text('FILE', 'also write the corpus as safetensors, to train on it elsewhere'),
  },
  'Trains a phoneme classifier on synthetic speech and reports how well it does on voices it never heard.',
);
const { threads, seed = 1, epochs = 8, out: outDir = 'runs/speech' } = options;

async function main(): Promise<void> {
  // Checked before minutes of work that would have nowhere to go.
  await makeFolderOf('out', outDir);
  if (options.export !== undefined) await makeFolderOf('export', options.export && dirname(options.export));
  const started = performance.now();
  const line = new ProgressLine();
  const corpus = await loadCorpus({
    threads: Math.max(1, threads ?? availableParallelism()),
    cacheDir: '.cache',
    speakers: options.speakers,
    trainSegments: options.segments,
    onProgress: (done, total) => line.show(`speaking: voice ${done} of ${total}`),
  });
  const source = corpus.fromCache ? 'read from the cache' : 'spoken';
  const minutes = Math.round(corpus.speechSeconds / 60);
  line.keep(`${minutes} minutes of speech ${source} in ${secondsSince(started)} s`);
  if (options.export !== undefined) await exportCorpus(options.export, corpus);
  const outcome = await trainSpeech(corpus, { threads, epochs, seed, outDir }, line);
  line.show('');
  const rows = summaryOf(corpus, outcome);
  const width = Math.max(...rows.map(([label]) => label.length));
  for (const [label, value] of rows) console.log(`${label.padEnd(width)}  ${value}`);
  console.log(
    `\nModel   ${outcome.modelPath}\nReport  ${outcome.reportPath}\n${secondsSince(started)} s in all`,
  );
}

async function makeFolderOf(option: string, path: string): Promise<void> {
  try {
    if (path === '') throw new Error('its name is empty');
    await makeFolder(path);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : cause;
    throw new Error(`--${option}: expected a folder that can be written to: ${reason}`, { cause });
  }
}

const secondsSince = (start: number): string => ((performance.now() - start) / 1000).toFixed(1);

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
