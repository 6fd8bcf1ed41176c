import { describe, expect, it } from 'vitest';
import { measureNormalization } from '../data/normalization.ts';
import type { OptimizerOptions } from '../optimization/optimizers.ts';
import { RNNPhonemeClassifier } from '../rnn-classifier.ts';
import { bitsOf, everything, labelled, small, withModel } from '../testing/models.ts';
import type { ClassifierOptions } from './classifier-options.ts';

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
      { normalization: { ...everything.normalization, mean: [1, 2, Number.NaN, 4, 5] } },
      'normalization.mean[2]: expected a finite number in float32, got NaN',
    ],
    [
      'a deviation of 0',
      { normalization: { ...everything.normalization, std: [1, 2, 3, 0, 5] } },
      'normalization.std[3]: expected a finite number above 0 in float32, got 0',
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
        'rnn.weight_ih_l0',
        'rnn.weight_hh_l0',
        'rnn.weight_ih_l0_reverse',
        'rnn.weight_hh_l0_reverse',
        'rnn.weight_ih_l1',
        'rnn.weight_hh_l1',
        'rnn.weight_ih_l1_reverse',
        'rnn.weight_hh_l1_reverse',
        'output.weight',
        'output.bias',
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

describe('names of classes', () => {
  it('are each its own', async () => {
    const twice = withModel({ threads: 0, classes: ['a', 'b', 'a', 'c'] }, async () => {});
    await expect(twice).rejects.toThrow('classes[2]: expected a name of its own, got "a"');
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
      const queued = await Promise.all([loss(), loss()]);
      expect(queued).toEqual([await loss(3), await loss(4)]);
      expect(await model.forward(x)).toEqual(await model.forward(x));
      await expect(loss(-1)).rejects.toThrow('dropoutStep: expected an integer, 0 or more, got -1');
    });
  });
});
