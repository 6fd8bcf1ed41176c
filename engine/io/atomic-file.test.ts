import { mkdtemp, open, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { writeFileAtomically } from './atomic-file.ts';

describe('a file written atomically', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'elman-atomic-'));
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    await rm(dir, { recursive: true });
  });

  /** Every file's `sync` fails with this code. */
  async function failingSync(code: string): Promise<void> {
    const handle = await open(dir);
    const prototype = Object.getPrototypeOf(handle);
    await handle.close();
    vi.spyOn(prototype, 'sync').mockRejectedValue(Object.assign(new Error(code), { code }));
  }

  const write = (text: string) => writeFileAtomically(join(dir, 'file'), Buffer.from(text));

  it('takes the place of the one before', async () => {
    await write('old');
    await write('new');
    expect([await readdir(dir), await readFile(join(dir, 'file'), 'utf8')]).toEqual([['file'], 'new']);
  });

  it('is written where Node.js permits no flushing', async () => {
    await failingSync('ERR_ACCESS_DENIED');
    await write('new');
    expect(await readFile(join(dir, 'file'), 'utf8')).toBe('new');
  });

  it('leaves the one before, and nothing else, where the disk fails', async () => {
    await write('old');
    await failingSync('EIO');
    await expect(write('new')).rejects.toThrow('EIO');
    expect([await readdir(dir), await readFile(join(dir, 'file'), 'utf8')]).toEqual([['file'], 'old']);
  });
});
