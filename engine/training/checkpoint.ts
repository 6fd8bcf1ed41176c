import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { badArgument, badCheckpoint } from '../errors.ts';
import { writeFileAtomically } from '../io/atomic-file.ts';
import { decodeSafetensors, encodeSafetensors, type StoredTensor } from '../io/safetensors.ts';
import type { RealArray } from '../tensor.ts';
import type { CheckpointSpec } from './checkpoint-options.ts';
import type { OptimizerState } from './optimizer-slot.ts';
import type { TrainingState } from './training-state.ts';

/**
 * A checkpoint is a safetensors file: the block of parameters, the optimizer's two blocks of moments, where there is
 * one the block of the best parameters so far, and in the metadata what is not an array. It is written beside,
 * flushed and renamed: a crash at any byte leaves the file before it whole.
 */
export interface Checkpoint {
  readonly parameters: RealArray;
  /** The best epoch's parameters, for early stopping. */
  readonly best: RealArray | null;
  readonly optimizer: OptimizerState;
  readonly state: TrainingState;
  /** What has to be the same for training to go on as if it had not been interrupted. */
  readonly settings: string;
}

const NAME = /^checkpoint-(\d{9})\.safetensors$/;
const KEY = 'elman.training';

const fileName = (steps: number): string => `checkpoint-${String(steps).padStart(9, '0')}.safetensors`;

/** Saves a checkpoint under the number of steps done, and removes all but the newest `keep`. */
export async function saveCheckpoint(
  spec: CheckpointSpec,
  steps: number,
  checkpoint: Checkpoint,
): Promise<void> {
  const { parameters, best, optimizer, state, settings } = checkpoint;
  const { first, second, counts } = optimizer;
  const tensors: Record<string, StoredTensor> = {
    parameters: stored(parameters),
    first: stored(first),
    second: stored(second),
  };
  if (best) tensors.best = stored(best);
  await mkdir(spec.dir, { recursive: true });
  const metadata = { [KEY]: JSON.stringify({ state, counts, settings }) };
  await writeFileAtomically(join(spec.dir, fileName(steps)), encodeSafetensors(tensors, metadata));
  for (const old of (await checkpointFiles(spec.dir)).slice(spec.keep))
    await rm(join(spec.dir, old), { force: true });
}

const stored = (data: RealArray): StoredTensor => ({
  dtype: data instanceof Float32Array ? 'float32' : 'float64',
  shape: [data.length],
  data,
});

/** The checkpoints of a directory, the newest first. */
async function checkpointFiles(dir: string): Promise<string[]> {
  const names = await readdir(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  return names
    .filter((name) => NAME.test(name))
    .sort()
    .reverse();
}

/**
 * The newest checkpoint that is whole; null where there is none. A damaged one is named in a warning and passed over.
 * @throws BAD_ARGUMENT where it is of a training with other settings
 */
export async function newestCheckpoint(
  spec: CheckpointSpec,
  settings: string,
  size: number,
): Promise<Checkpoint | null> {
  for (const name of await checkpointFiles(spec.dir)) {
    const path = join(spec.dir, name);
    const checkpoint = await readCheckpoint(path, size).catch((error: Error) => {
      process.emitWarning(`${path} is damaged and passed over: ${error.message}`);
      return null;
    });
    if (!checkpoint) continue;
    if (checkpoint.settings !== settings) {
      throw badArgument('checkpoint.resume', `a training with the settings ${settings}`, checkpoint.settings);
    }
    return checkpoint;
  }
  return null;
}

async function readCheckpoint(path: string, size: number): Promise<Checkpoint> {
  const { tensors, metadata } = decodeSafetensors(await readFile(path));
  const { state, counts, settings } = JSON.parse(metadata[KEY] ?? 'null') ?? {};
  const block = (name: string): RealArray => {
    const data = tensors.get(name)?.data;
    if (data?.length !== size)
      throw badCheckpoint(path, `${name} has ${data?.length ?? 'no'} numbers, not ${size}`);
    return data;
  };
  if (!state || !counts) throw badCheckpoint(path, 'it says nothing of a training');
  return {
    parameters: block('parameters'),
    best: tensors.has('best') ? block('best') : null,
    optimizer: { first: block('first'), second: block('second'), counts },
    ...{ state, settings },
  };
}
