import { randomUUID } from 'node:crypto';
import { type FileHandle, mkdir, open, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Makes a folder unless it exists, and checks that files can be written into it. */
export async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true });
  const probe = join(path, `${randomUUID()}.tmp`);
  await writeFile(probe, '');
  await rm(probe);
}

/** Flushes a file to the disk, unless Node.js forbids that: newer versions do, with --permission. */
async function flush(file: FileHandle): Promise<void> {
  try {
    await file.sync();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_ACCESS_DENIED') throw error;
  }
}

/**
 * Writes a file atomically: whatever happens, either the old file or the new one is there, whole. It is
 * written beside its place, flushed to the disk, then renamed.
 */
export async function writeFileAtomically(path: string, bytes: Uint8Array): Promise<void> {
  const beside = `${path}.${randomUUID()}.tmp`;
  try {
    const file = await open(beside, 'w');
    try {
      await file.writeFile(bytes);
      await flush(file);
    } finally {
      await file.close();
    }
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
}
