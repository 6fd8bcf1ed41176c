import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';
import { assembleCorpus } from './assemble-corpus.ts';
import type { Corpus } from './corpus.ts';
import { hashCorpus, readCachedCorpus, writeCachedCorpus } from './corpus-cache.ts';
import { featureSettings } from './features.ts';
import { contextMs, longestMs, shortestMs } from './segments.ts';
import type { SpeakerResult, SpeakerTask } from './speaker.ts';
import { speechSettings } from './speech-settings.ts';
import { bundledVariants, sampleRate } from './synthesizer.ts';
import { chooseVoices, displayName, type Part, type Voice, voiceRule } from './voices.ts';

export interface CorpusOptions {
  /** Threads that speak at the same time. The corpus does not depend on it. */
  threads: number;
  cacheDir: string;
  /** How many speakers, for a smaller corpus; all by default. At least one of each split is kept. */
  speakers?: number;
  /** Training segments before rare classes are left out. */
  trainSegments?: number;
  /** Called after each speaker. Not called if the corpus comes from the cache. */
  onProgress?: (done: number, total: number) => void;
}

const defaultTrainSegments = 31_000;

/** A class needs 120 of the 31 000 training segments, and the same share of a shorter corpus. */
const smallestClassShare = 120 / defaultTrainSegments;

const seed = 'elman speech 1';

/** To be incremented with every change to the code that changes the corpus but no setting below. */
const recipeVersion = 2;

/**
 * Speaks the phoneme corpus with eSpeak NG, or reads it from the cache. For given settings and package
 * versions it is the same to the bit, whatever the number of threads.
 *
 * @throws RangeError if an option is out of range; Error if the synthesizer misbehaves or the cache directory
 *   cannot be written
 */
export async function loadCorpus(options: CorpusOptions): Promise<Corpus> {
  const { threads, cacheDir, speakers, trainSegments = defaultTrainSegments, onProgress } = options;
  requireInteger('threads', threads, 1);
  requireInteger('trainSegments', trainSegments, 1);
  if (speakers !== undefined) requireInteger('speakers', speakers, 3);
  const key = cacheKey(speakers, trainSegments);
  const cached = await readCachedCorpus(cacheDir, key);
  if (cached !== undefined) return { ...cached.corpus, hash: cached.hash, fromCache: true };

  const choice = chooseVoices(await bundledVariants());
  const voices = speakers === undefined ? choice.voices : shortForm(choice.voices, speakers);
  const trainVoices = voices.filter(({ part }) => part === 'train').length;
  const tasks = voices.map(({ variant }) => ({
    variant,
    seed,
    segments: Math.ceil(trainSegments / trainVoices),
  }));
  const results = await recordSpeakers(tasks, threads, onProgress);
  requireDistinctVoices(voices, results);
  const smallestClass = Math.round(trainSegments * smallestClassShare);
  const corpus = assembleCorpus(voices, results, choice.leftOut, smallestClass);
  await writeCachedCorpus(cacheDir, key, corpus);
  return { ...corpus, hash: hashCorpus(corpus), fromCache: false };
}

function requireInteger(name: string, value: number, smallest: number): void {
  if (!Number.isSafeInteger(value) || value < smallest) {
    throw new RangeError(`${name} must be an integer of at least ${smallest}, not ${value}.`);
  }
}

/** Everything that decides what is in the corpus, hashed. */
function cacheKey(speakers: number | undefined, trainSegments: number): string {
  const packages = ['@echogarden/espeak-ng-emscripten', 'cmu-pronouncing-dictionary', 'fft.js'];
  const settings = {
    recipeVersion,
    seed,
    speakers: speakers ?? 'all',
    trainSegments,
    smallestClassShare,
    cutting: { contextMs, shortestMs, longestMs },
    sampleRate,
    speechSettings,
    voiceRule,
    featureSettings,
    packages: packages.map((name) => [name, packageVersion(name)]),
  };
  return createHash('sha256').update(JSON.stringify(settings)).digest('hex').slice(0, 16);
}

/** Not by `import`: a package need not export its package.json. */
function packageVersion(name: string): string {
  const searched = createRequire(import.meta.url).resolve.paths(name) ?? [];
  for (const directory of searched) {
    try {
      return JSON.parse(readFileSync(join(directory, name, 'package.json'), 'utf8')).version;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    }
  }
  throw new Error(`The package ${name} is not installed; run npm ci.`);
}

/** The first voices of each part, the parts in proportion. */
function shortForm(voices: Voice[], speakers: number): Voice[] {
  if (speakers > voices.length) {
    throw new RangeError(`speakers must be at most ${voices.length}, not ${speakers}.`);
  }
  const share = (fraction: number) => Math.max(1, Math.round(speakers * fraction));
  const test = share(voiceRule.testShare);
  const validation = share(voiceRule.validationShare);
  const room: Record<Part, number> = { test, validation, train: speakers - test - validation };
  return voices.filter(({ part }) => room[part]-- > 0);
}

async function recordSpeakers(
  tasks: SpeakerTask[],
  threads: number,
  onProgress: CorpusOptions['onProgress'],
): Promise<SpeakerResult[]> {
  const pool = new Piscina<SpeakerTask, SpeakerResult>({
    filename: workerPath(),
    minThreads: Math.min(threads, tasks.length),
    maxThreads: threads,
    maxQueue: tasks.length,
    execArgv: [],
  });
  let done = 0;
  try {
    return await Promise.all(
      tasks.map(async (task) => {
        const result = await pool.run(task);
        done++;
        onProgress?.(done, tasks.length);
        return result;
      }),
    );
  } finally {
    await pool.destroy();
  }
}

/** Threads run compiled code, even where this file is run from its TypeScript source. */
function workerPath(): string {
  const here = fileURLToPath(import.meta.url);
  const compiled = here.endsWith('.ts') ? join(here, '../../../dist/cli/speech') : dirname(here);
  return join(compiled, 'speaker-worker.js');
}

/** The synthesizer keeps its old voice if a new one does not work, so two voices that sound alike are an error. */
function requireDistinctVoices(voices: Voice[], results: SpeakerResult[]): void {
  const heard = new Map<string, string>();
  for (const [index, { voiceprint }] of results.entries()) {
    const name = displayName(voices[index]);
    const twin = heard.get(voiceprint);
    if (twin !== undefined) throw new Error(`The voices "${twin}" and "${name}" sound exactly alike.`);
    heard.set(voiceprint, name);
  }
}
