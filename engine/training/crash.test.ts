import { spawn } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { bitsOf, labelled, withModel } from '../testing/models.ts';

/** A process is killed in the middle of training, more than once. */

const data = labelled(60, 6);
const options = { epochs: 100, batchSize: 8, seed: 3, optimizer: 'adam' } as const;

/** A process that trains as this test does, with the built package. */
const program = (dir: string) => `
  import { RNNPhonemeClassifier } from ${JSON.stringify(new URL('../../dist/engine/index.js', import.meta.url))};
  const data = ${JSON.stringify({ x: { data: [...data.x.data], shape: data.x.shape }, labels: [...data.labels] })};
  const model = await RNNPhonemeClassifier.create({
    inputSize: 5, hiddenSize: 11, outputSize: 4, numLayers: 2, seed: 7, threads: 2, dtype: 'float64',
  });
  const checkpoint = { dir: ${JSON.stringify(dir)}, everySteps: 1, keep: 3, resume: true };
  await model.fit(data, { ...${JSON.stringify(options)}, checkpoint });
`;

const newest = async (dir: string): Promise<string> =>
  (await readdir(dir))
    .filter((name) => name.endsWith('.safetensors'))
    .sort()
    .at(-1) ?? '';

it('training goes on after its process was killed, to the same bits as without', async () => {
  const expected = await withModel({ threads: 0, dtype: 'float64' }, async (model) => {
    await model.fit(data, options);
    return bitsOf(model);
  });
  const dir = await mkdtemp(join(tmpdir(), 'elman-crash-'));
  try {
    let reached = '';
    for (let kill = 0; kill < 3; kill++) {
      const child = spawn(process.execPath, ['--input-type=module', '-e', program(dir)], { stdio: 'ignore' });
      const ended = new Promise((resolve) => child.once('exit', (_, signal) => resolve(signal)));
      // Killed wherever it is once there is a new checkpoint, quite possibly while it writes the next one.
      while ((await newest(dir)) <= reached && child.exitCode === null)
        await new Promise((resolve) => setTimeout(resolve, 3));
      child.kill('SIGKILL');
      expect(await ended).toBe('SIGKILL');
      reached = await newest(dir);
      expect(reached).toMatch(/^checkpoint-\d+\.safetensors$/);
    }
    const checkpoint = { dir, everySteps: 1, keep: 3, resume: true };
    const bits = await withModel({ threads: 1, dtype: 'float64', seed: 99 }, async (model) => {
      await model.fit(data, { ...options, checkpoint });
      return bitsOf(model);
    });
    expect(bits).toBe(expected);
  } finally {
    await rm(dir, { recursive: true });
  }
});
