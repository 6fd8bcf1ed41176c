import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Corpus, Split } from './corpus.ts';
import { loadCorpus } from './load-corpus.ts';

const short = { speakers: 4, trainSegments: 400 };

let cacheDir: string;
let corpus: Corpus;

const parts = (of: Corpus): Split[] => [of.train, of.validation, of.test];

async function cacheFile(): Promise<string> {
  const names = await readdir(cacheDir);
  expect(names).toHaveLength(1);
  return join(cacheDir, names[0]);
}

beforeAll(async () => {
  cacheDir = await mkdtemp(join(tmpdir(), 'elman-speech-'));
  corpus = await loadCorpus({ ...short, threads: 2, cacheDir });
}, 60_000);

afterAll(() => rm(cacheDir, { recursive: true, force: true }));

describe('loadCorpus', () => {
  it('keeps the speakers of the three splits apart', () => {
    const speakers = parts(corpus).map((split) => [...new Set(split.speakers)]);
    expect(speakers.map((list) => list.length)).toEqual([2, 1, 1]);
    expect(new Set(speakers.flat()).size).toBe(corpus.voices.length);
  });

  it('packs as many frames as the lengths say, with labels of the classes', () => {
    for (const { frames, lengths, labels, speakers } of parts(corpus)) {
      const total = lengths.reduce((sum, length) => sum + length, 0);
      expect(frames).toHaveLength(total * corpus.featureSize);
      expect(Math.min(...lengths)).toBeGreaterThanOrEqual(1);
      expect(Math.max(...lengths)).toBeLessThanOrEqual(40);
      expect(labels).toHaveLength(lengths.length);
      expect(speakers).toHaveLength(lengths.length);
      expect(Math.min(...labels)).toBeGreaterThanOrEqual(0);
      expect(Math.max(...labels)).toBeLessThan(corpus.classes.length);
    }
  });

  it('leaves rare classes out, and says so', () => {
    // 120 of 31 000 segments are 1.5 of 400.
    const counts = corpus.classes.map((_, label) => corpus.train.labels.filter((l) => l === label).length);
    expect(Math.min(...counts)).toBeGreaterThanOrEqual(2);
    for (const { count } of corpus.droppedClasses) expect(count).toBeLessThan(2);
    const dropped = corpus.droppedClasses.reduce((sum, { count }) => sum + count, 0);
    expect(corpus.train.labels.length + dropped).toBe(400);
  });

  it('comes from the cache the second time, the same to the bit', async () => {
    const again = await loadCorpus({ ...short, threads: 1, cacheDir });
    expect(again).toEqual({ ...corpus, fromCache: true });
  });

  it('is the same for one thread, and is made anew when the cache is damaged', async () => {
    const path = await cacheFile();
    const intact = await readFile(path);
    const damaged = Uint8Array.from(intact);
    damaged[damaged.length - 1] ^= 1;
    await writeFile(path, damaged);
    const again = await loadCorpus({ ...short, threads: 1, cacheDir });
    expect(again).toEqual(corpus);
    expect(await readFile(path)).toEqual(intact);
  });

  it.each([
    [{ threads: 0 }, 'threads must be an integer of at least 1, not 0.'],
    [{ trainSegments: 1.5 }, 'trainSegments must be an integer of at least 1, not 1.5.'],
    [{ speakers: 2 }, 'speakers must be an integer of at least 3, not 2.'],
    [{ speakers: 1000 }, 'speakers must be at most 58, not 1000.'],
  ])('refuses %j', async (wrong, message) => {
    await expect(loadCorpus({ ...short, threads: 1, cacheDir, ...wrong })).rejects.toThrow(message);
  });
});
