import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { ClassifierOptions } from './classifier-options.ts';
import { measureNormalization } from './data/normalization.ts';
import { decodeSafetensors, encodeSafetensors } from './io/safetensors.ts';
import { Network } from './network/network.ts';
import type { OptimizerOptions } from './optimization/optimizers.ts';
import { RNNPhonemeClassifier } from './rnn-classifier.ts';
import { bitsOf, labelled, small, withModel } from './test-models.ts';

const normalization = { mean: [1, 2, 3, 4, 5], std: [1, 2, 1, 0.5, 3] };
const everything = {
  ...({ nonlinearity: 'relu', bidirectional: true, bias: false, dropout: 0.25, output: 'steps' } as const),
  ...{ normalization, classes: ['a', 'b', 'c', 'd'], threads: 0 },
};

describe('options of a classifier', () => {
  const bad: [string, object, string][] = [
    [
      'an unknown nonlinearity',
      { nonlinearity: 'gelu' },
      `nonlinearity: expected 'tanh' or 'relu', got "gelu"`,
    ],
    ['a direction that is no flag', { bidirectional: 1 }, 'bidirectional: expected true or false, got 1'],
    ['biases that are no flag', { bias: 'no' }, 'bias: expected true or false, got "no"'],
    ['dropout of everything', { dropout: 1 }, 'dropout: expected a number from 0 to below 1, got 1'],
    [
      'dropout that is no number',
      { dropout: '0.5' },
      'dropout: expected a number from 0 to below 1, got "0.5"',
    ],
    ['dropout below 0', { dropout: -0.1 }, 'dropout: expected a number from 0 to below 1, got -0.1'],
    [
      'dropout without a layer to drop from',
      { dropout: 0.5, numLayers: 1 },
      'dropout: expected 0 where numLayers is 1, since it lies between layers, got 0.5',
    ],
    ['an unknown output', { output: 'first' }, `output: expected 'last', 'mean' or 'steps', got "first"`],
    ['too few classes', { classes: ['a'] }, 'classes: expected 4 names, got an array of 1'],
    ['classes that are no list', { classes: 'abcd' }, 'classes: expected 4 names, got "abcd"'],
    ['a class that is no string', { classes: ['a', 'b', 3, 'd'] }, 'classes[2]: expected a string, got 3'],
    [
      'half a normalization',
      { normalization: { mean: [1, 2, 3, 4, 5] } },
      'normalization.std: expected 5 numbers',
    ],
    [
      'a mean that is not finite',
      { normalization: { ...normalization, mean: [1, 2, Number.NaN, 4, 5] } },
      'normalization.mean[2]: expected a finite number, got NaN',
    ],
    [
      'a deviation of 0',
      { normalization: { ...normalization, std: [1, 2, 3, 0, 5] } },
      'normalization.std[3]: expected a number above 0, got 0',
    ],
    [
      'a normalization of another size',
      { normalization: { mean: [0], std: [1] } },
      'normalization.mean: expected 5 numbers, got an array of 1',
    ],
    [
      'a misspelt normalization',
      { normalization: { average: [] } },
      'normalization.average: expected one of',
    ],
  ];
  it.each(bad)('refuse %s', async (_what, options, message) => {
    const given = { ...small, threads: 0, ...options } as unknown as ClassifierOptions;
    await expect(RNNPhonemeClassifier.create(given)).rejects.toThrow(message);
  });

  it('can be read from the model', async () => {
    await withModel(everything, async (model) => {
      const { threads, ...rest } = everything;
      expect(model).toMatchObject(rest);
      expect(model.rnn.map((cell) => [cell.inputSize, cell.bias, cell.nonlinearity])).toEqual([
        [5, false, 'relu'],
        [5, false, 'relu'],
        [22, false, 'relu'],
        [22, false, 'relu'],
      ]);
      expect(model.outputLayer.inFeatures).toBe(22);
      expect(Object.keys(model.stateDict())).toEqual([
        ...['rnn.weight_ih_l0', 'rnn.weight_hh_l0', 'rnn.weight_ih_l0_reverse', 'rnn.weight_hh_l0_reverse'],
        ...['rnn.weight_ih_l1', 'rnn.weight_hh_l1', 'rnn.weight_ih_l1_reverse', 'rnn.weight_hh_l1_reverse'],
        ...['output.weight', 'output.bias'],
      ]);
    });
  });

  it('have their say in the weights that initWeights takes', async () => {
    await withModel({ threads: 0, bias: false }, async (model) => {
      const [first, second] = model.rnn.map(({ W_ih, W_hh }) => [W_ih, W_hh] as const);
      const output = [model.outputLayer.W, model.outputLayer.b] as const;
      model.initWeights([first, second], output);
      const bias = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
      expect(() => model.initWeights([[...first, bias, bias], second], output)).toThrow(
        'cells[0].b_ih: expected nothing, the cells have no biases, got [0, 0',
      );
      for (const [wrong, got] of [
        [[first], 'an array of 1'],
        [5, '5'],
        [undefined, 'undefined'],
      ] as const)
        expect(() => model.initWeights(wrong as never, output)).toThrow(
          `cells: expected the weights of 2 cells, got ${got}`,
        );
      expect(() => model.initWeights([first, undefined as never], output)).toThrow(
        'cells[1].W_ih: expected [11, 11], got nothing',
      );
      expect(() => model.initWeights([[first[0], first[0]], second], output)).toThrow(
        'cells[0].W_hh: expected [11, 11], got [11, 5]',
      );
      expect(() => model.initWeights([first, second], undefined as never)).toThrow(
        'output.W: expected [4, 11]',
      );
      expect(() => model.initWeights([first, second], [output[0]] as never)).toThrow(
        'output.b: expected [4]',
      );
      expect(() => model.initWeights([first, second], [output[0], null] as never)).toThrow(
        'output.b: expected [4]',
      );
      const notFinite = { data: Float32Array.of(Number.NaN, 0, 0, 0), shape: [4, 1] };
      expect(() => model.initWeights([first, second], [output[0], notFinite])).toThrow(
        'output.b: expected finite numbers, got NaN at 0',
      );
      model.initWeights([first, second], [output[0], [[1], [2], [3], [4]]]);
      expect([...model.outputLayer.b.data]).toEqual([1, 2, 3, 4]);
    });
  });

  it('of a bidirectional model refuse a stream, which would not know the end', async () => {
    await withModel({ threads: 0, bidirectional: true }, async (model) => {
      expect(() => model.stream()).toThrow('stream: expected a model that reads forward only');
    });
  });
});

describe('options that are undefined', () => {
  const undefinedOf = (names: readonly string[]) =>
    Object.fromEntries(names.map((name) => [name, undefined]));

  it('are as if they were not given; so are normalization and classes that are null', async () => {
    const names = [
      'numLayers',
      'nonlinearity',
      'bidirectional',
      'bias',
      'dropout',
      'output',
      'dtype',
      'recurrentInit',
    ];
    const none = { ...undefinedOf([...names, 'kernels']), normalization: null, classes: null };
    const data = labelled(20, 4);
    const trained = (options: object, fit: object, step: object) =>
      withModel({ threads: 0, ...options }, async (model) => {
        await model.fit(data, { optimizer: { type: 'adam', ...undefinedOf(Object.keys(step)) }, ...fit });
        const optimizer = model.optimizer({ type: 'sgd', ...undefinedOf(Object.keys(step)) });
        await model.gradients(
          data.x,
          data.labels,
          undefinedOf(['h0', 'classWeights', 'dropoutStep', 'finalStates']),
        );
        await optimizer.step(step);
        await model.evaluate(data, undefinedOf(['signal', 'ignoreIndex']));
        return bitsOf(model);
      });
    const steps = [
      'epochs',
      'batchSize',
      'schedule',
      'clipNorm',
      'shuffle',
      'seed',
      'validation',
      'earlyStopping',
    ];
    const rest = [
      'classWeights',
      'labelSmoothing',
      'ignoreIndex',
      'bucketByLength',
      'onNonFinite',
      'checkpoint',
    ];
    const fit = undefinedOf([...steps, ...rest, 'callbacks', 'everySteps', 'signal']);
    expect(await trained(none, fit, { learningRate: undefined })).toBe(await trained({}, {}, {}));
  });
});

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
      ...{ nonlinearity: 'tanh', bidirectional: false, bias: true, dropout: 0, output: 'last' },
      ...{ normalization: null, classes: null, dtype: 'float64', metadata: {} },
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

    /** Saves a model; `change` makes of its arrays what the file is to hold. */
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

describe('labels', () => {
  const { x } = labelled(3, 4);
  const lengths = [4, 2, 3];
  const padded = { ...x, lengths };

  it('of a model with logits at every step are one a step, as lists or padded', async () => {
    await withModel({ threads: 0, output: 'steps', dtype: 'float64' }, async (model) => {
      const own = [[0, 1, 2, 3], [1, -100], Int32Array.of(2, 3, 0)];
      const data = [0, 1, 2, 3, 1, -100, 77, 77, 2, 3, 0, 77];
      const { loss } = await model.gradients(padded, own);
      for (const labels of [
        [
          [0, 1, 2, 3],
          [1, -100, 9, 9],
          [2, 3, 0, 9],
        ],
        { data, shape: [3, 4] },
      ])
        expect((await model.gradients(padded, labels)).loss).toBe(loss);
      const renamed = own.map((row) => Array.from(row, (label) => (label === -100 ? 9 : label)));
      expect((await model.gradients(padded, renamed, { ignoreIndex: 9 })).loss).toBe(loss);
      const { accuracy, confusion } = await model.evaluate({ x: padded, labels: own });
      expect(confusion.flat().reduce((a, b) => a + b)).toBe(8);
      expect(accuracy * 8).toBeCloseTo(
        confusion.reduce((sum, row, i) => sum + row[i], 0),
        12,
      );
      expect((await model.evaluate({ x: padded, labels: renamed }, { ignoreIndex: 9 })).confusion).toEqual(
        confusion,
      );
    });
  });

  const refused: [string, unknown, string][] = [
    ['too few rows', [[0, 1, 2, 3]], 'labels: expected 3 rows of labels, one a step, got an array of 1'],
    [
      'a row that is too short',
      [[0, 1, 2, 3], [1], [0, 0, 0]],
      'labels[1]: expected 2 labels, one a step, got an array of 1',
    ],
    ['one label a row', [0, 1, 2], 'labels[0]: expected 4 labels, one a step, got 0'],
    [
      'another shape',
      { data: new Int32Array(6), shape: [3, 2] },
      'labels: expected [3, 4], a label a step, got [3, 2]',
    ],
    [
      'a class too many',
      [
        [0, 1, 2, 4],
        [1, 1],
        [0, 0, 0],
      ],
      'labels[0][3]: expected an integer from 0 to 3 or -100, got 4',
    ],
    [
      'nothing to learn',
      [
        [-100, -100, -100, -100],
        [-100, -100],
        [-100, -100, -100],
      ],
      'labels: expected at least one label other than -100, got none',
    ],
    ['no labels', undefined, 'labels: expected 3 rows of labels, one a step, got undefined'],
  ];
  it.each(refused)(
    'of a model with logits at every step are refused with %s',
    async (_what, labels, message) => {
      await withModel({ threads: 0, output: 'steps' }, async (model) => {
        await expect(model.gradients(padded, labels as never)).rejects.toThrow(message);
      });
    },
  );

  it('take ignoreIndex only where they are one a step', async () => {
    await withModel({ threads: 0 }, async (model) => {
      await expect(model.gradients(x, [0, 1, 2], { ignoreIndex: 2 })).rejects.toThrow(
        "ignoreIndex: expected an integer, where output is 'steps', got 2",
      );
      await expect(model.gradients(x, [0, 1, -100])).rejects.toThrow(
        'labels[2]: expected an integer from 0 to 3, got -100',
      );
      await expect(model.gradients(x, [0, 1])).rejects.toThrow(
        'labels: expected 3 labels, one a row, got an array of 2',
      );
      await expect(model.gradients(x, null as never)).rejects.toThrow(
        'labels: expected 3 labels, one a row, got null',
      );
      const tensor = { data: Int32Array.of(0, 1, 2), shape: [3] };
      expect((await model.gradients(x, tensor)).loss).toBe((await model.gradients(x, [0, 1, 2])).loss);
    });
  });
});

describe('a model that is not whole', () => {
  it('is not written to a file that could not be read again', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'elman-whole-'));
    try {
      await withModel({ threads: 0 }, async (model) => {
        model.outputLayer.b.data[2] = Number.NaN;
        for (const write of [model.save(join(folder, 'a')), model.exportOnnx(join(folder, 'a'))]) {
          await expect(write).rejects.toMatchObject({
            code: 'NOT_FINITE',
            message: expect.stringContaining('output.bias is NaN at 2; no file is written'),
          });
        }
        expect(await readdir(folder)).toEqual([]);
        model.outputLayer.b.data[2] = 0;
        const reserved = model.save(join(folder, 'a'), { metadata: { 'elman.note': '' } });
        await expect(reserved).rejects.toThrow('metadata: expected names not of this library (elman.…)');
        for (const path of [undefined, '', 7] as unknown as string[]) {
          await expect(model.save(path)).rejects.toThrow('path: expected the path of a file');
          await expect(RNNPhonemeClassifier.load(path)).rejects.toThrow('path: expected the path of a file');
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

describe('what would pass unseen', () => {
  it('is refused: misspelt lengths, too many threads, no number in a frame, new instead of create', async () => {
    const misspelt = { data: new Float32Array(10), shape: [1, 2, 5], length: [1] };
    await withModel({ threads: 0 }, async (model) => {
      await expect(model.predict(misspelt)).rejects.toThrow('x.length: expected one of');
      const frame = [1, 2, null, 4, 5] as unknown as number[];
      expect(() => model.stream().step(frame)).toThrow('frame[2]: expected a number, got null');
    });
    await expect(RNNPhonemeClassifier.create({ ...small, threads: 10_000 })).rejects.toThrow(
      'threads: expected at most 256, got 10000',
    );
    const Model = RNNPhonemeClassifier as unknown as new (options: object) => unknown;
    expect(() => new Model(small)).toThrow('new: expected a call of create or load, got new');
    expect(() => measureNormalization([[[1]]], undefined as unknown as number)).toThrow(
      'inputSize: expected',
    );
    const inherited = { type: 'sgd', toString: 1 } as unknown as OptimizerOptions;
    await withModel({ threads: 0 }, async (model) => {
      expect(() => model.optimizer(inherited)).toThrow(
        'optimizer.toString: expected one of the options learningRate, momentum, nesterov, weightDecay',
      );
    });
  });
});

describe('measureNormalization', () => {
  it('gives what never changes the deviation 1, though its mean is rounded', () => {
    for (const [value, frames] of [
      [0.1, 3],
      [0.3, 1000],
      [-7, 5],
    ]) {
      const x = [Array.from({ length: frames }, (_, t) => [value, t])];
      const { mean, std } = measureNormalization(x, 2);
      expect(std[0]).toBe(1);
      expect(Math.abs(mean[0] - value)).toBeLessThan(1e-12);
      expect(std[1]).toBeCloseTo(Math.sqrt((frames ** 2 - 1) / 12), 9);
    }
  });

  it('gives mean and deviation over all frames, padding left out, and 1 where nothing varies', () => {
    const data = [1, 5, 3, 5, Number.NaN, Number.NaN, 5, 5, 7, 5, 9, 5];
    const { mean, std } = measureNormalization({ data, shape: [2, 3, 2], lengths: [2, 3] }, 2);
    expect(mean).toEqual([5, 5]);
    expect(std).toEqual([Math.sqrt((16 + 4 + 0 + 4 + 16) / 5), 1]);
  });
});

describe('names of classes', () => {
  it('are each its own', async () => {
    const twice = withModel({ threads: 0, classes: ['a', 'b', 'a', 'c'] }, async () => {});
    await expect(twice).rejects.toThrow('classes[2]: expected a name of its own, got "a"');
  });
});

describe('frames to be measured', () => {
  it('are refused where one is not finite, and named', () => {
    const x = [
      [[1, 2]],
      [
        [3, 4],
        [5, Number.NaN],
      ],
    ];
    expect(() => measureNormalization(x, 2)).toThrow(
      'x: value 1 of frame 1 of sequence 1: expected a finite number, got NaN',
    );
  });
});

describe('dropout', () => {
  it('takes new masks with each call of gradients, the same with the same dropoutStep, none in forward', async () => {
    await withModel({ threads: 0, dropout: 0.5 }, async (model) => {
      const { x, labels } = labelled(8, 5);
      const loss = async (dropoutStep?: number) => (await model.gradients(x, labels, { dropoutStep })).loss;
      const [first, second] = [await loss(), await loss()];
      expect(first).not.toBe(second);
      expect([await loss(0), await loss(1), await loss(2)]).toEqual([first, second, await loss()]);
      expect(await model.forward(x)).toEqual(await model.forward(x));
      await expect(loss(-1)).rejects.toThrow('dropoutStep: expected an integer, 0 or more, got -1');
    });
  });
});
