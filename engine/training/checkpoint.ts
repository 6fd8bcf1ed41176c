import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { plain } from '../describe.ts';
import { badArgument, ElmanError } from '../errors.ts';
import { makeFolder, writeFileAtomically } from '../io/atomic-file.ts';
import { checksum } from '../io/checksum.ts';
import { parseJson } from '../io/json.ts';
import { decodeSafetensors, encodeSafetensors, type StoredTensor } from '../io/safetensors.ts';
import { dtypeOfArray, type RealArray } from '../numeric/reals.ts';
import { isCounts } from '../optimization/optimizers.ts';
import type { CheckpointSpec } from './checkpoint-options.ts';
import { historyArray, readHistory } from './history-array.ts';
import type { OptimizerState } from './optimizer-slot.ts';
import type { TrainingState } from './training-state.ts';

/**
 * A checkpoint. Its file is in the safetensors format: the block of parameters, the optimizer's two blocks of
 * moments, if there is one the block of the best parameters so far, the history, and in the metadata what is not an
 * array and a checksum of everything. It is written atomically: a crash at any byte leaves the file before it whole.
 */
export interface Checkpoint {
  readonly parameters: RealArray;
  /** The best epoch's parameters, for early stopping. */
  readonly best: RealArray | null;
  readonly optimizer: OptimizerState;
  readonly state: TrainingState;
  readonly settings: TrainingSettings;
}

/** The entry of a checkpoint's metadata, before it is checked. */
interface Written extends Partial<Pick<Checkpoint, 'settings'>> {
  readonly state?: Omit<TrainingState, 'history'>;
  readonly counts?: unknown;
}

/** What must be the same for training to resume as if it had not been interrupted. */
export type TrainingSettings = Readonly<Record<string, unknown>>;

const NAME = /^checkpoint-(\d{9,})\.safetensors$/;
/** What a process leaves behind if it dies while it writes a checkpoint (see io/atomic-file.ts). */
const UNFINISHED = /^checkpoint-\d{9,}\.safetensors\.[0-9a-f-]{36}\.tmp$/;
/** The entry of the metadata that distinguishes a checkpoint from other files. */
export const CHECKPOINT_KEY = 'elman.training';
const CHECKSUM = 'elman.sha256';

const fileName = (steps: number): string => `checkpoint-${String(steps).padStart(9, '0')}.safetensors`;

/** Saves a checkpoint under the number of steps done, and removes all but the newest `keep`. */
export async function saveCheckpoint(
  spec: CheckpointSpec,
  steps: number,
  checkpoint: Checkpoint,
): Promise<void> {
  const { parameters, best, optimizer, settings } = checkpoint;
  const { first, second, counts } = optimizer;
  const { history, ...state } = checkpoint.state;
  const tensors: Record<string, StoredTensor> = {
    parameters: stored(parameters),
    first: stored(first),
    second: stored(second),
    history: historyArray(history),
  };
  if (best) tensors.best = stored(best);
  // The directory may have been removed meanwhile.
  await mkdir(spec.dir, { recursive: true });
  const text = JSON.stringify({ state, counts, settings }, keepNumber);
  const metadata = { [CHECKPOINT_KEY]: text, [CHECKSUM]: checksum(text, tensors) };
  await writeFileAtomically(join(spec.dir, fileName(steps)), encodeSafetensors(tensors, metadata));
  for (const old of (await checkpointFiles(spec.dir)).slice(spec.keep))
    await rm(join(spec.dir, old), { force: true });
}

const stored = (data: RealArray): StoredTensor => ({
  dtype: dtypeOfArray(data),
  shape: [data.length],
  data,
});

/** The checkpoints of a directory, the newest first. */
async function checkpointFiles(dir: string): Promise<string[]> {
  const stepsOf = (name: string): number => Number(NAME.exec(name)?.[1]);
  const names = await filesOf(dir);
  return names.filter((name) => NAME.test(name)).sort((a, b) => stepsOf(b) - stepsOf(a));
}

const filesOf = (dir: string): Promise<string[]> =>
  readdir(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });

async function removeUnfinished(dir: string): Promise<void> {
  for (const name of await filesOf(dir))
    if (UNFINISHED.test(name)) await rm(join(dir, name), { force: true });
}

/**
 * Opens the directory of a training. With `resume` returns its newest intact checkpoint, or null if
 * there is none. Damaged ones are named in a warning, skipped and renamed, since they would pass for
 * newer than those to come; what a process has left unfinished is removed.
 * @throws BAD_ARGUMENT where the checkpoints are of a training with other settings, or there are any without `resume`
 */
export async function openCheckpoints(
  spec: CheckpointSpec,
  settings: TrainingSettings,
  size: number,
): Promise<Checkpoint | null> {
  // Checked now, not after the first epoch: by then hours of training could be lost.
  await makeFolder(spec.dir);
  const names = await checkpointFiles(spec.dir);
  if (!spec.resume && names.length > 0) {
    throw badArgument(
      'checkpoint.dir',
      'a directory without checkpoints, or resume: true',
      `${names[0]} in ${spec.dir}`,
    );
  }
  await removeUnfinished(spec.dir);
  for (const name of names) {
    const path = join(spec.dir, name);
    try {
      return await readCheckpoint(path, settings, size);
    } catch (error) {
      if (!isDamage(error)) throw error;
      process.emitWarning(`${path} is damaged and passed over: ${error.message}`);
      await rename(path, `${path}.damaged`);
    }
  }
  return null;
}

/** Found in a file that can be read: it is not a checkpoint. */
class DamagedCheckpoint extends Error {}

const isDamage = (error: unknown): error is Error =>
  error instanceof DamagedCheckpoint ||
  error instanceof SyntaxError ||
  (error instanceof ElmanError && error.code.startsWith('BAD_FILE_'));

async function readCheckpoint(path: string, settings: TrainingSettings, size: number): Promise<Checkpoint> {
  const { tensors, metadata } = decodeSafetensors(await readFile(path));
  const written = parseJson(metadata[CHECKPOINT_KEY] ?? 'null', reviveNumber) as Written | null;
  const { state, counts, settings: saved } = written ?? {};
  if (!state || !isCounts(counts) || !saved) throw new DamagedCheckpoint('it says nothing of a training');
  if (metadata[CHECKSUM] !== checksum(metadata[CHECKPOINT_KEY], Object.fromEntries(tensors)))
    throw new DamagedCheckpoint('its contents are not those of its checksum');
  const history = readHistory(tensors.get('history'));
  if (history?.length !== state.epoch) throw new DamagedCheckpoint('it has not the history of its epochs');
  requireSameSettings(settings, saved);
  const block = (name: string): RealArray => {
    const data = tensors.get(name)?.data;
    if (data?.length !== size)
      throw new DamagedCheckpoint(`${name} has ${data?.length ?? 'no'} numbers, not ${size}`);
    return data;
  };
  return {
    parameters: block('parameters'),
    best: tensors.has('best') ? block('best') : null,
    optimizer: { first: block('first'), second: block('second'), counts },
    state: { ...state, history },
    settings,
  };
}

/** Settings that are stored as fingerprints only. */
const PRINTS: readonly string[] = ['data', 'validation'];

function requireSameSettings(settings: TrainingSettings, saved: TrainingSettings): void {
  for (const name of Object.keys(settings)) {
    const found = difference(name, settings[name], saved[name]);
    if (!found) continue;
    const { place, ours, theirs } = found;
    if (PRINTS.includes(name) && settings[name] && saved[name]) {
      const expected = `${name} of the same frames, lengths and labels, as in the checkpoint`;
      throw badArgument('checkpoint.resume', expected, plain('others'));
    }
    throw badArgument('checkpoint.resume', `${place} ${theirs}, as in the checkpoint`, plain(`${ours}`));
  }
}

interface Difference {
  readonly place: string;
  readonly ours: string | undefined;
  readonly theirs: string | undefined;
}

/** The first place where two settings differ: `type` comes first, since the rest depends on it. */
function difference(place: string, ours: unknown, theirs: unknown): Difference | null {
  if (!isRecord(ours) || !isRecord(theirs)) {
    const texts = { ours: JSON.stringify(ours), theirs: JSON.stringify(theirs) };
    return texts.ours === texts.theirs ? null : { place, ...texts };
  }
  for (const key of Object.keys({ type: null, ...theirs, ...ours })) {
    const found = difference(`${place}.${key}`, ours[key], theirs[key]);
    if (found) return found;
  }
  return null;
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** JSON has no NaN and no Infinity: they are stored as strings unlike any other here. */
const keepNumber = (_: string, value: unknown): unknown =>
  typeof value === 'number' && !Number.isFinite(value) ? `number ${value}` : value;
const reviveNumber = (_: string, value: unknown): unknown =>
  typeof value === 'string' && value.startsWith('number ') ? Number(value.slice(7)) : value;
