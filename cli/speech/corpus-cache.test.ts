import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Split, StoredCorpus } from './corpus.ts';
import { hashCorpus, readCachedCorpus, writeCachedCorpus } from './corpus-cache.ts';

/** A split of segments with 2 and 1 frames of two features. */
const split = (value: number): Split => ({
  frames: Float32Array.from([value, 2, 3, 4, 5, 6]),
  lengths: Int32Array.of(2, 1),
  labels: Int32Array.of(0, 1),
  speakers: Int32Array.of(0, 0),
});

const corpus: StoredCorpus = {
  classes: ['ɑː', 'ʒ'],
  featureSize: 2,
  voices: ['en-us', 'Mr serious', 'f1'],
  train: split(0.1),
  validation: split(0.2),
  test: split(0.3),
  droppedClasses: [{ label: 'x', count: 1 }],
  leftOutVoices: [{ name: 'whisper', reason: 'whispers' }],
  speechSeconds: 1.5,
};

let directory: string;
let path: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'elman-cache-'));
  path = join(directory, 'speech-key.bin');
});

afterEach(() => rm(directory, { recursive: true }));

describe('the cache of corpora', () => {
  it('gives back what was written, with its hash, and leaves nothing beside it', async () => {
    await writeCachedCorpus(directory, 'key', corpus);
    expect(await readCachedCorpus(directory, 'key')).toEqual({ corpus, hash: hashCorpus(corpus) });
    expect(await readdir(directory)).toEqual(['speech-key.bin']);
  });

  it('is empty for another key', async () => {
    await writeCachedCorpus(directory, 'key', corpus);
    expect(await readCachedCorpus(directory, 'other')).toBeUndefined();
  });

  it('sees a flipped bit in any byte', async () => {
    await writeCachedCorpus(directory, 'key', corpus);
    const intact = await readFile(path);
    for (let at = 0; at < intact.length; at++) {
      const damaged = Uint8Array.from(intact);
      damaged[at] ^= 1;
      await writeFile(path, damaged);
      expect(await readCachedCorpus(directory, 'key'), `byte ${at}`).toBeUndefined();
    }
  });

  it.each([0, 10, 50, 200])('sees a file cut to %i bytes', async (bytes) => {
    await writeCachedCorpus(directory, 'key', corpus);
    await writeFile(path, (await readFile(path)).subarray(0, bytes));
    expect(await readCachedCorpus(directory, 'key')).toBeUndefined();
  });

  it('says so when the file cannot be read', async () => {
    await expect(readCachedCorpus('/dev/null', 'key')).rejects.toThrow('cannot be read');
  });

  it('has a hash that depends on every value', () => {
    const other = { ...corpus, test: split(0.4) };
    expect(hashCorpus(other)).not.toBe(hashCorpus(corpus));
  });
});
