import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RNNPhonemeClassifier } from '../engine/index.ts';

const run = promisify(execFile);
const main = join(import.meta.dirname, '../dist/cli/main.js');

/** The main job in short: a few voices, few segments, one epoch. */
describe('the main job', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'elman-job-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  const job = async (...extra: string[]): Promise<string> => {
    const short = ['--speakers', '6', '--segments', '800', '--epochs', '1', ...extra];
    const { stdout, stderr } = await run(process.execPath, [main, ...short], { cwd: folder });
    return stderr + stdout;
  };

  it('speaks, trains, reports, and leaves a model and a picture', async () => {
    const output = await job('--threads', '2');
    expect(output).toMatch(/epoch 1\/1 {2}loss \d\.\d{3} {2}accuracy [\d.]+ % {2}validation [\d.]+ %/);
    for (const figure of ['Worst test voice', 'means of thirds', 'mean frame', 'Majority class']) {
      expect(output).toMatch(new RegExp(`${figure} +[\\d.]+ %`));
    }
    const report = await readFile(join(folder, 'runs/speech/report.html'), 'utf8');
    expect(report.match(/<svg/g)?.length).toBeGreaterThanOrEqual(2);
    const model = await RNNPhonemeClassifier.load(join(folder, 'runs/speech/model.safetensors'), {
      threads: 0,
    });
    const { classes, normalization } = model;
    if (!classes || !normalization) throw new Error('the file does not say what its frames and classes are');
    expect(classes).toHaveLength(model.outputSize);
    expect(normalization.std.some((value) => value !== 1)).toBe(true);
    expect((await model.predict([[new Array(model.inputSize).fill(0)]])).shape).toEqual([1, classes.length]);
    await model.close();
  });

  it('trains the same weights whatever --threads says', async () => {
    const weights = async (threads: string) => (await job('--threads', threads)).match(/Weights +(\w+)/)?.[1];
    const expected = await weights('0');
    expect(expected).toMatch(/^[0-9a-f]{16}$/);
    expect(await weights('3')).toBe(expected);
  });

  it('says what is wrong with an option, and ends with an error', async () => {
    const faults = [
      ['--threads', 'many', '--threads: expected an integer, 0 or more, got many'],
      ['--threads', '300', '--threads: expected at most 256, got 300'],
      ['--seed', '', '--seed: expected an integer, 0 or more, got nothing'],
      ['--out', main, '--out: expected a folder that can be written to: EEXIST'],
    ];
    for (const [option, value, fault] of faults) {
      await expect(job(option, value)).rejects.toMatchObject({
        code: 1,
        stderr: expect.stringContaining(fault),
      });
    }
  });
});
