import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const run = promisify(execFile);
const root = join(import.meta.dirname, '..');

/** All JavaScript of a document, in order, as one module. */
async function snippetsOf(document: string): Promise<string> {
  const text = await readFile(join(root, document), 'utf8');
  return [...text.matchAll(/^```js\n(.*?)^```/gms)].map(([, code]) => code).join('\n');
}

/** Runs a module as a user's file would run: by Node, importing the built package by its name. */
async function runModule(code: string): Promise<string> {
  // Inside the project, where the package may refer to itself; each run in a folder of its own.
  await mkdir(join(root, '.cache'), { recursive: true });
  const folder = await mkdtemp(join(root, '.cache', 'snippet-'));
  try {
    await writeFile(join(folder, 'example.mjs'), code);
    const { stdout } = await run(process.execPath, ['example.mjs'], { cwd: folder, timeout: 60_000 });
    return stdout;
  } finally {
    await rm(folder, { recursive: true });
  }
}

describe('the documents', () => {
  it('README.md: the ten lines run, learn their task, and end by themselves', async () => {
    const code = await snippetsOf('README.md');
    const lines = code.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('//'));
    expect(lines.length).toBeLessThanOrEqual(10);
    const [, accuracy] = (await runModule(code)).match(/^([\d.]+)/) ?? [];
    expect(Number(accuracy)).toBeGreaterThan(0.95);
  });

  it('docs/guide.md: every snippet runs, one after the other', async () => {
    const output = await runModule(await snippetsOf('docs/guide.md'));
    expect(output).toMatch(/^[abc] the guide$/m);
  });
});
