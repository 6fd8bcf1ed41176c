import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { decodeSafetensors, encodeSafetensors } from '../io/safetensors.ts';
import { Network } from '../network/network.ts';
import { RNNPhonemeClassifier } from '../rnn-classifier.ts';
import { bitsOf, everything, labelled, small, withModel } from '../testing/models.ts';
import type { ClassifierOptions } from './classifier-options.ts';

describe('a saved model', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'elman-model-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('comes back with its options, normalization, class names and metadata, and predicts the same bits', async () => {
    const { x } = labelled(9, 6);
    const path = join(folder, 'everything.safetensors');
    const { bits, expected } = await withModel(everything, async (model) => {
      await model.save(path, { metadata: { source: 'here' } });
      return { bits: bitsOf(model), expected: await model.predict(x) };
    });
    const loaded = await RNNPhonemeClassifier.load(path, { threads: 2 });
    const { threads, ...rest } = everything;
    expect(loaded).toMatchObject({ ...rest, metadata: { source: 'here' }, dtype: 'float32', threads: 2 });
    expect(bitsOf(loaded)).toBe(bits);
    expect(await loaded.predict(x)).toEqual(expected);
    await loaded.close();
  });

  it('comes back from bytes: those of its file, at any place in a buffer, shared or not', async () => {
    const path = join(folder, 'bytes.safetensors');
    const { bits, bytes } = await withModel(everything, async (model) => {
      await model.save(path, { metadata: { source: 'here' } });
      return { bits: bitsOf(model), bytes: await model.toSafetensors() };
    });
    expect(Buffer.compare(bytes, await readFile(path))).toBe(0);
    const shared = new Uint8Array(new SharedArrayBuffer(bytes.length + 3), 3);
    shared.set(bytes);
    for (const source of [bytes, shared]) {
      const loaded = await RNNPhonemeClassifier.load(source, { threads: 0 });
      expect(bitsOf(loaded)).toBe(bits);
      expect(loaded.metadata).toEqual({ source: 'here' });
      await loaded.close();
    }
    const detached = bytes.slice();
    structuredClone(detached.buffer, { transfer: [detached.buffer] });
    const nothing = RNNPhonemeClassifier.load(detached);
    await expect(nothing).rejects.toThrow('0 bytes cannot be read as the file of a model: safetensors: ');
    const cut = RNNPhonemeClassifier.load(bytes.subarray(0, 99));
    await expect(cut).rejects.toThrow('99 bytes cannot be read as the file of a model: safetensors: ');
  });

  it('has the metadata of both saves where two are under way', async () => {
    await withModel({ threads: 0 }, async (model) => {
      await Promise.all([
        model.save(join(folder, 'a'), { metadata: { a: '1' } }),
        model.save(join(folder, 'b'), { metadata: { b: '2' } }),
      ]);
      expect(model.metadata).toEqual({ a: '1', b: '2' });
    });
  });

  it('in bytes has the metadata it is given', async () => {
    await withModel({ threads: 0 }, async (model) => {
      const loaded = await RNNPhonemeClassifier.load(await model.toSafetensors({ metadata: { step: '3' } }), {
        threads: 0,
      });
      expect([model.metadata, loaded.metadata]).toEqual([{}, { step: '3' }]);
      await loaded.close();
    });
  });

  it('of an earlier version, without options in its file, is a plain one', async () => {
    const path = join(folder, 'plain.safetensors');
    await withModel({ threads: 0, dtype: 'float64' }, (model) => model.save(path));
    const { tensors, metadata } = decodeSafetensors(await readFile(path));
    const shape = JSON.stringify({ inputSize: 5, hiddenSize: 11, outputSize: 4, numLayers: 2 });
    await writeFile(
      path,
      encodeSafetensors(Object.fromEntries(tensors), { ...metadata, 'elman.shape': shape }),
    );
    const loaded = await RNNPhonemeClassifier.load(path, { threads: 0 });
    expect(loaded).toMatchObject({
      nonlinearity: 'tanh',
      bidirectional: false,
      bias: true,
      dropout: 0,
      output: 'last',
      normalization: null,
      classes: null,
      dtype: 'float64',
      metadata: {},
    });
    await loaded.close();
  });

  const damage: [string, Record<string, string>, string][] = [
    ['a format of the future', { 'elman.format': 'elman 9' }, 'its format is "elman 9", expected "elman 1"'],
    ['a shape that is no JSON', { 'elman.shape': '{' }, 'elman.shape in its metadata cannot be read'],
    [
      'a size of 0',
      { 'elman.shape': '{"inputSize":0,"hiddenSize":11,"outputSize":4,"numLayers":2}' },
      'in its metadata, inputSize: expected an integer, 1 or more, got 0',
    ],
    [
      'a million layers',
      { 'elman.shape': '{"inputSize":5,"hiddenSize":11,"outputSize":4,"numLayers":1000000}' },
      'in its metadata, numLayers: expected at most 10000, got 1000000',
    ],
    [
      'classes that are no names',
      { 'elman.classes': '[1,2,3,4]' },
      'in its metadata, classes[0]: expected a string',
    ],
    [
      'another number of layers than it has',
      { 'elman.shape': '{"inputSize":5,"hiddenSize":11,"outputSize":4,"numLayers":3}' },
      'arrays.rnn.weight_ih_l2: expected [11, 11], got nothing',
    ],
  ];
  it.each(damage)('with %s in its file is refused, and named', async (_what, change, message) => {
    const path = join(folder, 'damaged.safetensors');
    await withModel({ threads: 0 }, (model) => model.save(path));
    const { tensors, metadata } = decodeSafetensors(await readFile(path));
    await writeFile(path, encodeSafetensors(Object.fromEntries(tensors), { ...metadata, ...change }));
    const refusal = expect.objectContaining({
      code: 'BAD_MODEL_FILE',
      message: expect.stringContaining(`${path}: ${message}`),
    });
    await expect(RNNPhonemeClassifier.load(path, { threads: 0 })).rejects.toEqual(refusal);
  });

  it('drops units as the seed says that it is loaded with', async () => {
    const { x, labels } = labelled(8, 5);
    const path = join(folder, 'dropout.safetensors');
    await withModel({ threads: 0, dropout: 0.5, seed: 3 }, async (model) => {
      const { loss } = await model.gradients(x, labels);
      await model.save(path);
      for (const seed of [3, 4]) {
        await using loaded = await RNNPhonemeClassifier.load(path, { threads: 0, seed });
        expect((await loaded.gradients(x, labels)).loss === loss).toBe(seed === 3);
      }
    });
  });

  describe('as another program writes it, without metadata of ours,', () => {
    const path = join(tmpdir(), `elman-${process.pid}-foreign.safetensors`);
    const { threads, normalization: scale, classes, nonlinearity, output, dropout } = everything;
    const unsaid = { normalization: scale, classes, nonlinearity, output, dropout };

    /** Saves a model as PyTorch would; `change` may change the file's arrays. */
    async function savedPlain(options: Partial<ClassifierOptions>, change = (_: Map<string, object>) => {}) {
      await withModel({ threads, ...options }, (model) => model.save(path));
      const { tensors } = decodeSafetensors(await readFile(path));
      change(tensors);
      await writeFile(path, encodeSafetensors(tensors, { format: 'pt' }));
    }

    afterAll(() => rm(path));

    it.each([
      ['a plain model', {}, {}],
      ['one with all options', everything, unsaid],
      ['one of five layers in float64', { numLayers: 5, bias: true, dtype: 'float64' } as const, {}],
    ])('gives %s back', async (_what, options, said) => {
      await savedPlain(options);
      await using loaded = await RNNPhonemeClassifier.load(path, { threads, ...said });
      expect(loaded).toMatchObject({ ...small, ...options, metadata: { format: 'pt' } });
      await withModel(options, async (model) => {
        const { x } = labelled(9, 6);
        expect(await loaded.predict(x)).toEqual(await model.predict(x));
      });
    });

    const wrong: [string, (tensors: Map<string, object>) => void, string][] = [
      [
        'arrays of other names',
        (tensors) => {
          tensors.set('fc.weight', tensors.get('output.weight') ?? {});
          tensors.delete('output.weight');
        },
        'it has no output.weight but "fc.weight", "output.bias", "rnn.bias_hh_l0", "rnn.bias_hh_l1", expected those of',
      ],
      [
        'an array too many',
        (tensors) => tensors.set('fc.weight', tensors.get('output.weight') ?? {}),
        'arrays.fc.weight: expected one of the names rnn.weight_ih_l0',
      ],
      [
        'a layer of another width',
        (tensors) => tensors.set('rnn.weight_hh_l1', tensors.get('rnn.weight_ih_l0') ?? {}),
        'arrays.rnn.weight_hh_l1: expected [11, 11], got [11, 5]',
      ],
      [
        'gates',
        (tensors) =>
          tensors.set('rnn.weight_ih_l0', { dtype: 'float32', shape: [44, 5], data: new Float32Array(220) }),
        'its rnn.weight_ih_l0 has 44 rows for 11 units, expected as many: an nn.RNN, not an LSTM or a GRU',
      ],
      [
        'a matrix that is none',
        (tensors) =>
          tensors.set('output.weight', { dtype: 'float32', shape: [44], data: new Float32Array(44) }),
        'output.weight has the shape [44], expected a matrix',
      ],
      [
        'nothing in it',
        (tensors) => tensors.clear(),
        'it has no rnn.weight_ih_l0 but no arrays, expected those of',
      ],
      [
        'two data types',
        (tensors) =>
          tensors.set('rnn.bias_hh_l1', { dtype: 'float64', shape: [11], data: new Float64Array(11) }),
        '"rnn.bias_hh_l1" is float64, output.weight float32: expected one data type',
      ],
      [
        'the names of an optimizer’s arrays',
        (tensors) => tensors.set('optimizer.first.fc', tensors.get('output.weight') ?? {}),
        'arrays.optimizer.first.fc: expected one of the names',
      ],
      [
        'no numbers',
        (tensors) =>
          tensors.set('rnn.weight_ih_l0', { dtype: 'float32', shape: [11, 0], data: new Float32Array() }),
        'inputSize: expected an integer, 1 or more, got 0',
      ],
    ];
    it.each(wrong)('is refused with %s', async (_what, change, message) => {
      await savedPlain({}, change);
      const refusal = expect.objectContaining({
        code: 'BAD_MODEL_FILE',
        message: expect.stringContaining(`${path}: ${message}`),
      });
      await expect(RNNPhonemeClassifier.load(path, { threads })).rejects.toEqual(refusal);
    });

    it('may be anything: a checkpoint, or what torch.save wrote', async () => {
      await writeFile(path, encodeSafetensors({}, { 'elman.training': '{}' }));
      await expect(RNNPhonemeClassifier.load(path)).rejects.toThrow('it is a checkpoint of fit');
      for (const start of [
        [0x50, 0x4b, 3, 4],
        [0x80, 2, 0x8a, 0x0a],
      ]) {
        await writeFile(path, Uint8Array.from([...start, ...new Uint8Array(90).fill(7)]));
        await expect(RNNPhonemeClassifier.load(path)).rejects.toThrow('; it looks like torch.save: write it');
      }
    });

    it('may be told what it does not say, correctly; a file of ours is told nothing', async () => {
      await savedPlain({});
      const bad = RNNPhonemeClassifier.load(path, { threads, classes: ['a'] });
      await expect(bad).rejects.toThrow('classes: expected 4 names, got an array of 1');
      await withModel({ threads }, (model) => model.save(path));
      const told = RNNPhonemeClassifier.load(path, { threads, output: 'mean' });
      await expect(told).rejects.toThrow('output: expected nothing, since the file says it, got "mean"');
      await (await RNNPhonemeClassifier.load(path, { threads, output: undefined })).close();
    });
  });

  /** The path of a model's file that lacks a tensor. */
  async function savedWithout(name: string): Promise<string> {
    const path = join(folder, `without-${name}.safetensors`);
    await withModel({ threads: 0 }, (model) => model.save(path));
    const { tensors, metadata } = decodeSafetensors(await readFile(path));
    tensors.delete(name);
    await writeFile(path, encodeSafetensors(Object.fromEntries(tensors), metadata));
    return path;
  }

  it('that is refused has started no threads', async () => {
    const path = await savedWithout('rnn.bias_hh_l1');
    const start = vi.spyOn(Network.prototype, 'ready');
    await expect(RNNPhonemeClassifier.load(path, { threads: 1 })).rejects.toThrow('rnn.bias_hh_l1');
    expect(start).not.toHaveBeenCalled();
    start.mockRestore();
  });

  it('without an output layer in its file is refused; so are options that load does not know', async () => {
    const path = await savedWithout('output.weight');
    await expect(RNNPhonemeClassifier.load(path)).rejects.toThrow('it has no output.weight but "');
    await expect(RNNPhonemeClassifier.load(path, { dtype: 'float64' } as never)).rejects.toThrow(
      /options.dtype: expected one of the options threads, kernels, seed, nonlinearity.*, got "dtype"/,
    );
  });
});

describe('a model that is not whole', () => {
  it('is not written to a file that could not be read again', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'elman-whole-'));
    try {
      await withModel({ threads: 0 }, async (model) => {
        model.outputLayer.b.data[2] = Number.NaN;
        const path = join(folder, 'a');
        for (const write of [model.save(path), model.exportOnnx(path), model.toSafetensors()]) {
          await expect(write).rejects.toMatchObject({
            code: 'NOT_FINITE',
            message: expect.stringContaining('output.bias is NaN at 2; nothing is saved'),
          });
        }
        expect(await readdir(folder)).toEqual([]);
        model.outputLayer.b.data[2] = 0;
        const reserved = model.save(join(folder, 'a'), { metadata: { 'elman.note': '' } });
        await expect(reserved).rejects.toThrow('metadata: expected names not of this library (elman.…)');
        for (const path of [undefined, '', 7] as unknown as string[]) {
          await expect(model.save(path)).rejects.toThrow('path: expected the path of a file');
          await expect(RNNPhonemeClassifier.load(path)).rejects.toThrow(
            'source: expected the path of a file, or its bytes in a Uint8Array',
          );
        }
      });
      await writeFile(join(folder, 'b'), 'no model at all');
      await expect(RNNPhonemeClassifier.load(join(folder, 'b'))).rejects.toThrow(
        `${join(folder, 'b')} cannot be read as the file of a model: safetensors: the header claims`,
      );
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
