import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ClassifierOptions } from '../classifier/classifier-options.ts';
import type { LabelledSequences } from '../data/labelled-sequences.ts';
import { decodeSafetensors } from '../io/safetensors.ts';
import { Calls } from '../network/calls.ts';
import { Word } from '../network/memory/control.ts';
import { networkOf } from '../network/registry.ts';
import { bitsOf, labelled, withModel } from '../testing/models.ts';
import { CHECKPOINT_KEY, saveCheckpoint } from './checkpoint.ts';
import { type CheckpointOptions, checkpointSpec } from './checkpoint-options.ts';
import type { EpochLog, FitOptions, StepsLog } from './fit-options.ts';
import { freshState } from './training-state.ts';

const data = labelled(50, 6);
const validation = labelled(20, 6, 5, 4, 9);

/** A history without what depends on the clock. */
const timeless = (history: readonly EpochLog[]) => history.map(({ sequencesPerSecond: _, ...log }) => log);

describe('checkpoints', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'elman-checkpoint-'));
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));

  const options = {
    epochs: 4,
    batchSize: 8,
    seed: 3,
    clipNorm: 1,
    validation,
    optimizer: { type: 'adamw', learningRate: 0.01 },
    schedule: { type: 'cosine', warmup: 5 },
    earlyStopping: { monitor: 'accuracy', patience: 10 },
  } as const satisfies FitOptions & { validation: typeof validation };

  /** Trains to the end, without an interruption. */
  const whole = () =>
    withModel({ threads: 0 }, async (model) => {
      const history = await model.fit(data, options);
      return { bits: bitsOf(model), history: timeless(history) };
    });

  /** Trains for `epochs` epochs, then is interrupted. */
  async function brokenOff(checkpoint: FitOptions['checkpoint'], epochs: number): Promise<void> {
    await withModel({ threads: 2 }, async (model) => {
      const controller = new AbortController();
      const callbacks = {
        onEpochEnd: (epoch: number) => {
          if (epoch + 1 === epochs) controller.abort(new Error('broken off'));
        },
      };
      const fit = model.fit(data, { ...options, checkpoint, callbacks, signal: controller.signal });
      await expect(fit).rejects.toThrow('broken off');
    });
  }

  const resumed = (checkpoint: NonNullable<FitOptions['checkpoint']>, threads = 1) =>
    withModel({ threads, seed: 99 }, async (model) => {
      const history = await model.fit(data, { ...options, checkpoint: { ...checkpoint, resume: true } });
      return { bits: bitsOf(model), history: timeless(history) };
    });

  it('let training end with the same bits as if it had never been interrupted', async () => {
    const expected = await whole();
    for (const every of [{ everyEpochs: 1 }, { everySteps: 3 }, { everySteps: 1, keep: 5 }]) {
      await brokenOff({ dir, ...every }, 2);
      expect(await resumed({ dir, ...every })).toEqual(expected);
      await rm(dir, { recursive: true });
    }
  });

  const stepsSaved = async () => (await readdir(dir)).map((name) => Number(name.match(/\d+/)?.[0]));

  it('have what was done in an epoch when a signal ended training', async () => {
    const long = labelled(2_000, 20);
    const run = { epochs: 2, batchSize: 4, seed: 3 };
    const trained = (threads: number, checkpoint?: CheckpointOptions) =>
      withModel({ threads }, async (model) => {
        await model.fit(long, { ...run, ...(checkpoint && { checkpoint }) });
        return bitsOf(model);
      });
    await withModel({ threads: 2 }, async (model) => {
      const stop = new AbortController();
      const fit = model.fit(long, { ...run, checkpoint: { dir, everyEpochs: 5 }, signal: stop.signal });
      const ended = expect(fit).rejects.toThrow('aborted');
      const words = networkOf(model).control.words;
      while (Atomics.load(words, Word.step) < 20) await new Promise(setImmediate);
      stop.abort();
      await ended;
    });
    const [steps, ...others] = await stepsSaved();
    expect(steps).toBeGreaterThanOrEqual(20);
    expect(others).toEqual([]);
    expect(await trained(1, { dir, resume: true })).toBe(await trained(0));
  });

  it('have what was done in whole epochs when a signal ended training after one', async () => {
    await brokenOff({ dir, everyEpochs: 3 }, 2);
    expect(await stepsSaved()).toEqual([14]);
    expect(await resumed({ dir })).toEqual(await whole());
  });

  it('have the steps of an epoch when a signal ended training in its validation', async () => {
    const stop = new AbortController();
    const validating = vi.spyOn(Calls.prototype, 'evaluate').mockImplementationOnce(async () => {
      stop.abort(new Error('broken off'));
      throw stop.signal.reason;
    });
    await withModel({ threads: 2 }, async (model) => {
      const checkpoint = { dir, everyEpochs: 3 };
      const fit = model.fit(data, { ...options, checkpoint, signal: stop.signal });
      await expect(fit).rejects.toThrow('broken off');
    });
    // It was given the signal, which ends it.
    expect(validating.mock.calls[0][2].signal).toBe(stop.signal);
    validating.mockRestore();
    expect(await stepsSaved()).toEqual([7]);
    // The process that reports the learning rate of the epoch's last step has not taken that step itself.
    expect(await resumed({ dir })).toEqual(await whole());
  });

  /** A training in which the callback of that name aborts the signal and throws its reason. */
  const endedIn = (callback: 'onEpochEnd' | 'onSteps') =>
    withModel({ threads: 2 }, async (model) => {
      const stop = new AbortController();
      const end = () => {
        stop.abort(new Error('broken off'));
        stop.signal.throwIfAborted();
      };
      const rest = { checkpoint: { dir, everyEpochs: 3 }, callbacks: { [callback]: end }, everySteps: 2 };
      const fit = model.fit(data, { ...options, ...rest, signal: stop.signal });
      await expect(fit).rejects.toThrow('broken off');
    });

  it('have an epoch’s steps when its callback was ended by the signal', async () => {
    await endedIn('onEpochEnd');
    expect(await stepsSaved()).toEqual([7]);
    expect(await resumed({ dir })).toEqual(await whole());
  });

  it('have the steps that were done when a callback of steps was ended by the signal', async () => {
    await endedIn('onSteps');
    const [steps, ...others] = await stepsSaved();
    expect(steps).toBeGreaterThanOrEqual(2);
    expect(others).toEqual([]);
    expect(await resumed({ dir })).toEqual(await whole());
  });

  it('have the steps before one that is not finite, whose loss they do not count, where a signal comes with it', async () => {
    const stop = new AbortController();
    const frames = data.x.data.slice();
    frames[frames.length - 1] = Number.POSITIVE_INFINITY;
    await withModel({ threads: 0 }, async (model) => {
      const fit = model.fit(
        { x: { data: frames, shape: data.x.shape }, labels: data.labels },
        {
          batchSize: 10,
          shuffle: false,
          everySteps: 1,
          checkpoint: { dir },
          signal: stop.signal,
          callbacks: { onSteps: () => stop.abort() },
        },
      );
      await expect(fit).rejects.toMatchObject({ code: 'NOT_FINITE' });
    });
    const [name] = await readdir(dir);
    const { metadata } = decodeSafetensors(await readFile(join(dir, name)));
    const { state } = JSON.parse(metadata[CHECKPOINT_KEY]);
    const steps = data.labels.length / 10 - 1;
    expect(state).toMatchObject({ epoch: 0, step: steps, sums: { seen: 10 * steps } });
    expect(state.sums.lossSum).toBeGreaterThan(0);
  });

  it('go on in an optimizer that has been at work', async () => {
    const { bits } = await whole();
    await brokenOff({ dir, everyEpochs: 1 }, 2);
    await withModel({ threads: 0 }, async (model) => {
      const optimizer = model.optimizer(options.optimizer);
      await model.gradients(data.x, data.labels);
      await optimizer.step();
      await model.fit(data, { ...options, optimizer, checkpoint: { dir, resume: true } });
      expect(bitsOf(model)).toBe(bits);
    });
  });

  it('that could not be written are told of before training begins', async () => {
    const file = join(dir, 'file');
    await writeFile(file, '');
    await withModel({ threads: 0 }, async (model) => {
      const onEpochEnd = vi.fn();
      for (const [where, code] of [
        [join(file, 'in it'), 'ENOTDIR'],
        // It exists, but no file can be created in it: the error's code depends on the user.
        ['/proc', expect.stringMatching(/^E/)],
      ]) {
        const fit = model.fit(data, { checkpoint: { dir: where }, callbacks: { onEpochEnd } });
        await expect(fit).rejects.toMatchObject({ code });
      }
      expect(onEpochEnd).not.toHaveBeenCalled();
    });
  });

  it('are written where the directory has been removed meanwhile', async () => {
    await withModel({ threads: 0 }, async (model) => {
      const onEpochEnd = () => rm(dir, { recursive: true });
      await model.fit(data, { epochs: 1, checkpoint: { dir }, callbacks: { onEpochEnd } });
    });
    expect(await stepsSaved()).toEqual([2]);
  });

  it('know of dropout masks and buckets', async () => {
    const lengths = Int32Array.from({ length: 50 }, (_, i) => 1 + ((i * 5) % 6));
    const uneven = { x: { ...data.x, lengths }, labels: data.labels };
    const model = { threads: 2, dropout: 0.3, bidirectional: true, numLayers: 3 };
    const plan = { ...options, bucketByLength: true };
    const { validation: _, ...unvalidated } = plan;
    const expected = await withModel(model, async (m) => {
      await m.fit(uneven, unvalidated);
      return bitsOf(m);
    });
    await withModel(model, async (m) => {
      const stop = new AbortController();
      const checkpoint = { dir, everySteps: 3 };
      const callbacks = { onSteps: ({ epoch, step }: StepsLog) => epoch === 1 && step === 4 && stop.abort() };
      const run = { ...unvalidated, checkpoint, callbacks, everySteps: 1, signal: stop.signal };
      await expect(m.fit(uneven, run)).rejects.toThrow('aborted');
    });
    await withModel({ ...model, threads: 0, seed: 50 }, async (m) => {
      await m.fit(uneven, { ...unvalidated, checkpoint: { dir, everySteps: 3, resume: true } });
      expect(bitsOf(m)).toBe(expected);
    });
  });

  it('are not missed where there are none yet', async () => {
    const expected = await whole();
    const first = await withModel({ threads: 1 }, async (model) => {
      const history = await model.fit(data, {
        ...options,
        checkpoint: { dir: join(dir, 'new'), resume: true },
      });
      return { bits: bitsOf(model), history: timeless(history) };
    });
    expect(first).toEqual(expected);
    // The checkpoint saved at the end is that of a complete training: nothing is left to do.
    expect(await resumed({ dir: join(dir, 'new') })).toEqual(expected);
  });

  it('keep the newest files only, and go on from the one before a damaged one', async () => {
    const expected = await whole();
    await brokenOff({ dir, everySteps: 2, keep: 3 }, 3);
    const files = (await readdir(dir)).sort();
    expect(files).toHaveLength(3);
    const newest = join(dir, files[2]);
    const unfinished = `${newest}.123e4567-e89b-12d3-a456-426614174000.tmp`;
    await writeFile(unfinished, 'half of');
    await truncate(newest, (await readFile(newest)).length - 7);
    const warning = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    expect(await resumed({ dir, everySteps: 2 })).toEqual(expected);
    expect(warning).toHaveBeenCalledWith(expect.stringContaining(`${newest} is damaged and passed over`));
    expect((await readdir(dir)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    warning.mockRestore();
  });

  it('of which a bit has flipped are damaged, and kept under another name', async () => {
    const expected = await whole();
    for (const share of [0.2, 0.5, 0.999]) {
      const place = join(dir, String(share));
      await brokenOff({ dir: place, everySteps: 2, keep: 3 }, 3);
      const newest = join(place, (await readdir(place)).sort()[2]);
      const bytes = await readFile(newest);
      bytes[Math.floor(share * bytes.length)] ^= 4;
      await writeFile(newest, bytes);
      const warning = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
      expect(await resumed({ dir: place, everySteps: 2 })).toEqual(expected);
      expect(warning).toHaveBeenCalledWith(expect.stringContaining(`${newest} is damaged and passed over`));
      warning.mockRestore();
      expect(await readFile(`${newest}.damaged`)).toEqual(bytes);
    }
  });

  it('of another training are not mixed with those to come', async () => {
    await brokenOff({ dir }, 1);
    await withModel({ threads: 0 }, async (model) => {
      const again = model.fit(data, { ...options, checkpoint: { dir } });
      await expect(again).rejects.toThrow('checkpoint.dir: expected a directory without checkpoints');
    });
  });

  it('of another model are refused, not taken for damaged', async () => {
    await brokenOff({ dir }, 1);
    await withModel({ threads: 0, hiddenSize: 12 }, async (model) => {
      const other = { ...options, checkpoint: { dir, resume: true } };
      await expect(model.fit(data, other)).rejects.toThrow(
        'expected hiddenSize 11, as in the checkpoint, got 12',
      );
    });
  });

  it('bring a history back as it was, not-a-numbers included', async () => {
    const bad = { x: { data: new Float64Array(60).fill(Number.NaN), shape: [2, 6, 5] }, labels: [0, 1] };
    const skipping = { onNonFinite: 'skip', checkpoint: { dir, resume: true } } as const;
    const first = await withModel({ threads: 0 }, (model) => model.fit(bad, skipping));
    const again = await withModel({ threads: 0 }, (model) => model.fit(bad, skipping));
    expect(first[0].loss).toBeNaN();
    expect(timeless(again)).toEqual(timeless(first));
  });

  it('are refused for another training', async () => {
    await brokenOff({ dir }, 1);
    await withModel({ threads: 0 }, async (model) => {
      const other = { ...options, batchSize: 9, checkpoint: { dir, resume: true } };
      await expect(model.fit(data, other)).rejects.toThrow(
        'checkpoint.resume: expected batchSize 8, as in the checkpoint, got 9',
      );
    });
  });

  it('are refused for another optimizer by its type, not by what a type brings along', async () => {
    await brokenOff({ dir }, 1);
    const given = { ...options, checkpoint: { dir, resume: true } };
    await withModel({ threads: 0 }, async (model) => {
      await expect(model.fit(data, { ...given, optimizer: 'sgd' })).rejects.toThrow(
        'checkpoint.resume: expected optimizer.type "adamw", as in the checkpoint, got "sgd"',
      );
    });
  });

  const { earlyStopping, ...withoutStopping } = options;
  const others: Record<string, FitOptions> = {
    optimizer: { ...options, optimizer: { type: 'adamw', learningRate: 0.02 } },
    schedule: { ...options, schedule: 'constant' },
    clipNorm: { ...options, clipNorm: 2 },
    shuffle: { ...options, shuffle: false },
    seed: { ...options, seed: 4 },
    'epochs of a cosine': { ...options, epochs: 5 },
    'the class weights': { ...options, classWeights: [1, 2, 1, 1] },
    'label smoothing': { ...options, labelSmoothing: 0.1 },
    bucketByLength: { ...options, bucketByLength: true },
    onNonFinite: { ...options, onNonFinite: 'skip' },
    'its early stopping': { ...options, earlyStopping: { ...earlyStopping, patience: 9 } },
    'no early stopping': withoutStopping,
  };
  it.each(Object.entries(others))('are refused where it differs: %s', async (_, other) => {
    await brokenOff({ dir }, 1);
    const again = withModel({ threads: 0 }, (model) =>
      model.fit(data, { ...other, checkpoint: { dir, resume: true } }),
    );
    await expect(again).rejects.toThrow(/^checkpoint.resume: expected .* as in the checkpoint, got /);
  });

  it.each<Partial<ClassifierOptions>>([
    { nonlinearity: 'relu' },
    { dtype: 'float64' },
    { normalization: { mean: [0, 0, 0, 0, 0], std: [1, 1, 1, 1, 2] } },
  ])('are refused for a model that differs: %o', async (other) => {
    await brokenOff({ dir }, 1);
    const again = withModel({ threads: 0, ...other }, (model) =>
      model.fit(data, { ...options, checkpoint: { dir, resume: true } }),
    );
    await expect(again).rejects.toThrow(/^checkpoint.resume: expected .* as in the checkpoint, got /);
  });

  const otherFrames = { ...data.x, data: data.x.data.slice() };
  otherFrames.data[1_000] += 1e-6;
  it.each([
    ['frames', { x: otherFrames, labels: data.labels }, validation],
    ['labels', { x: data.x, labels: data.labels.map((label) => (label + 1) % 4) }, validation],
    [
      'lengths',
      { x: { ...data.x, lengths: new Int32Array(50).fill(6).fill(5, 9, 10) }, labels: data.labels },
      validation,
    ],
    ['validation data', data, labelled(20, 6, 5, 4, 10)],
  ])('are refused for other %s', async (_, given, others) => {
    await brokenOff({ dir }, 1);
    const again = withModel({ threads: 0 }, (model) =>
      model.fit(given, { ...options, validation: others, checkpoint: { dir, resume: true } }),
    );
    await expect(again).rejects.toThrow(
      /^checkpoint.resume: expected (data|validation) of the same frames, lengths and labels, .* got others/,
    );
  });

  it('go on with the same data in another form, and for more epochs where no rate depends on their number', async () => {
    const plan = { ...withoutStopping, schedule: 'constant', batchSize: 10 } as const;
    const shared = new Float32Array(new SharedArrayBuffer(4 * data.x.data.length));
    shared.set(data.x.data);
    const bits = (given: typeof data | LabelledSequences, all: FitOptions) =>
      withModel({ threads: 0 }, async (model) => {
        await model.fit(given, { ...plan, ...all });
        return bitsOf(model);
      });
    await bits(data, { epochs: 2, checkpoint: { dir } });
    const more = { epochs: 5, checkpoint: { dir, resume: true } };
    const expected = await bits(data, { epochs: 5 });
    expect(await bits({ x: { data: shared, shape: [50, 6, 5] }, labels: data.labels }, more)).toBe(expected);
    const warning = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    expect(await bits(data, more)).toBe(expected);
    expect(warning).toHaveBeenCalledWith(`the training in ${dir} has ended before: nothing is left to do`);
    warning.mockRestore();
  });

  it('are as many as asked for, after the epochs asked for and the last one', async () => {
    const saved = async (checkpoint: Omit<CheckpointOptions, 'dir'>) => {
      const place = join(dir, JSON.stringify(checkpoint));
      // 50 rows in batches of 10: five steps an epoch.
      const all = { ...withoutStopping, epochs: 7, batchSize: 10, checkpoint: { ...checkpoint, dir: place } };
      await withModel({ threads: 0 }, (model) => model.fit(data, all));
      return (await readdir(place)).sort().map((name) => Number(name.match(/\d+/)?.[0]));
    };
    expect(await saved({ everyEpochs: 3, keep: 9 })).toEqual([15, 30, 35]);
    expect(await saved({})).toEqual([30, 35]);
  });

  it('are in the order of their steps, however many there are, and keep to one directory', async () => {
    const spec = { ...checkpointSpec({ dir: relative('.', dir), keep: 1, resume: true }) };
    expect(spec.dir).toBe(dir);
    const parameters = new Float64Array(4);
    const optimizer = { first: parameters, second: parameters, counts: { adam: 1, sgd: 0 } as never };
    const state = freshState([1]);
    for (const steps of [999_999_998, 999_999_999, 1_000_000_000]) {
      const settings = { steps };
      await saveCheckpoint(spec, steps, { parameters, best: null, optimizer, state, settings });
    }
    expect(await readdir(dir)).toEqual(['checkpoint-1000000000.safetensors']);
  });

  it('are not begun where a validation has no room: it is told before training', async () => {
    await withModel({ threads: 0, inputSize: 1, outputSize: 300, output: 'steps' }, async (model) => {
      const bits = bitsOf(model);
      const sequences = (rows: number, steps: number) => ({
        x: { data: new Float32Array(rows * steps), shape: [rows, steps, 1] },
        labels: { data: new Int32Array(rows * steps), shape: [rows, steps] },
      });
      const fit = model.fit(sequences(4, 3), { validation: sequences(1_024, 4_200) });
      await expect(fit).rejects.toMatchObject({ code: 'MEMORY_TOO_LARGE' });
      expect(bitsOf(model)).toBe(bits);
    });
  });

  it('have onSteps told of no step that an interrupted run has done', async () => {
    // 25 steps.
    const run = { batchSize: 2, epochs: 1 };
    const checkpoint = { dir, everySteps: 3 };
    await withModel({ threads: 0 }, async (model) => {
      const stop = new AbortController();
      const callbacks = { onSteps: ({ step }: StepsLog) => step >= 5 && stop.abort() };
      const fit = model.fit(data, { ...run, checkpoint, everySteps: 1, callbacks, signal: stop.signal });
      await expect(fit).rejects.toThrow('aborted');
    });
    const told = await withModel({ threads: 0 }, async (model) => {
      const steps: number[] = [];
      const callbacks = { onSteps: ({ step }: StepsLog) => steps.push(step) };
      await model.fit(data, {
        ...run,
        checkpoint: { ...checkpoint, resume: true },
        everySteps: 4,
        callbacks,
      });
      return steps;
    });
    expect(told).toEqual([12, 16, 20, 24]);
  });
});
