import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { readLabels } from '../data/read-labels.ts';
import { readSequences, shareSequences } from '../data/read-sequences.ts';
import { networkOf } from '../network/registry.ts';
import { optimizerSpec } from '../optimization/optimizers.ts';
import { labelled, withModel } from '../testing/models.ts';
import { checkpointSpec } from './checkpoint-options.ts';
import { fitSpec } from './fit-options.ts';
import { OptimizerSlot } from './optimizer-slot.ts';
import { RunCheckpoints } from './run-checkpoints.ts';
import { freshState } from './training-state.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'elman-run-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

it('what could not be saved is saved by the next attempt, what was is not saved again', async () => {
  await withModel({ threads: 0 }, async (model) => {
    const network = networkOf(model);
    const { inputSize, outputSize, dtype } = network.g;
    const { x, labels } = labelled(6, 3);
    const input = readSequences('x', x, inputSize, dtype);
    const rule = { classes: outputSize, perStep: false, ignored: null };
    const training = shareSequences(input, readLabels('labels', labels, input, rule), inputSize, dtype);
    const path = join(dir, 'run');
    const run = new RunCheckpoints({
      spec: checkpointSpec({ dir: path }),
      network,
      slot: new OptimizerSlot(optimizerSpec('sgd')),
      plan: fitSpec({}, outputSize),
      data: { training, validation: null },
      steps: 3,
    });
    expect(await run.open()).toBe(null);
    const state = { ...freshState([1, 2, 3, 4]), step: 2 };
    await rm(path, { recursive: true });
    await writeFile(path, 'in the way');
    await expect(run.save(state, null)).rejects.toThrow(path);
    await rm(path);
    await mkdir(path);
    await run.saveRest(state, null);
    expect(await readdir(path)).toEqual(['checkpoint-000000002.safetensors']);
    await rm(path, { recursive: true });
    await mkdir(path);
    await run.saveRest(state, null);
    expect(await readdir(path)).toEqual([]);
  });
});
