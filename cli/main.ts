import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { MAX_THREADS } from '../engine/classifier-options.ts';
import { makeFolder } from '../engine/io/atomic-file.ts';
import { exportCorpus } from './export-corpus.ts';
import { ProgressLine } from './progress-line.ts';
import { loadCorpus } from './speech/corpus.ts';
import { summaryOf, trainSpeech } from './train-speech.ts';

const USAGE = `Trains a phoneme classifier on synthetic speech and reports how well it does on voices it never heard.

  npm start -- [options]

  --threads N    worker threads (default: all cores; 0 computes on the main thread); changes the speed only
  --seed N       of the weights and the shuffling (default 1)
  --epochs N     default 8
  --speakers N   fewer voices, of which each says more
  --segments N   training segments (default: the whole corpus)
  --out DIR      where the model and the report go (default runs/speech)
  --export FILE  also write the corpus as safetensors, to train on it elsewhere
`;

function readArguments() {
  const { values } = parseArgs({
    options: {
      threads: { type: 'string' },
      seed: { type: 'string', default: '1' },
      epochs: { type: 'string', default: '8' },
      speakers: { type: 'string' },
      segments: { type: 'string' },
      out: { type: 'string', default: 'runs/speech' },
      export: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const whole = (
    name: string,
    text: string | undefined,
    least: number,
    most = Number.MAX_SAFE_INTEGER,
  ): number | undefined => {
    if (text === undefined) return undefined;
    const value = text.trim() === '' ? Number.NaN : Number(text);
    if (!Number.isSafeInteger(value) || value < least) {
      throw new Error(`--${name}: expected an integer, ${least} or more, got ${text || 'nothing'}`);
    }
    if (value > most) throw new Error(`--${name}: expected at most ${most}, got ${value}`);
    return value;
  };
  return {
    ...values,
    threads: whole('threads', values.threads, 0, MAX_THREADS),
    seed: whole('seed', values.seed, 0) ?? 0,
    epochs: whole('epochs', values.epochs, 1) ?? 1,
    speakers: whole('speakers', values.speakers, 3),
    segments: whole('segments', values.segments, 1),
  };
}

async function main(): Promise<void> {
  const options = readArguments();
  if (options.help) {
    process.stdout.write(USAGE);
    return;
  }
  // Checked before minutes of work that would have nowhere to go.
  await makeFolderOf('out', options.out);
  if (options.export !== undefined) await makeFolderOf('export', options.export && dirname(options.export));
  const started = performance.now();
  const line = new ProgressLine();
  const corpus = await loadCorpus({
    threads: Math.max(1, options.threads ?? availableParallelism()),
    cacheDir: '.cache',
    speakers: options.speakers,
    trainSegments: options.segments,
    onProgress: (done, total) => line.show(`speaking: voice ${done} of ${total}`),
  });
  const source = corpus.fromCache ? 'read from the cache' : 'spoken';
  const minutes = Math.round(corpus.speechSeconds / 60);
  line.keep(`${minutes} minutes of speech ${source} in ${secondsSince(started)} s`);
  if (options.export !== undefined) await exportCorpus(options.export, corpus);
  const outcome = await trainSpeech(corpus, { ...options, outDir: options.out }, line);
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
