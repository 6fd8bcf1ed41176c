import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { RNNPhonemeClassifier } from '../rnn-classifier.ts';
import { labelled, small, withModel } from '../testing/models.ts';

/** Every error of a method names the method. */

const data = labelled(4, 3);
const delta = { data: new Float32Array(16), shape: [4, 4] };
type Methods = Record<string, (model: RNNPhonemeClassifier) => unknown>;

/** Methods that must not overlap with any call. */
const alone: Methods = {
  initWeights: (model) => model.initWeights([], [[], []]),
  hiddens: (model) => model.hiddens,
  zeroGrad: (model) => model.zeroGrad(),
  loadStateDict: (model) => model.loadStateDict({}),
};

/** Methods that read the parameters at once. */
const readers: Methods = {
  stateDict: (model) => model.stateDict(),
  stream: (model) => model.stream(),
};

/** Methods that are queued. */
const queued: Methods = {
  forward: (model) => model.forward(data.x),
  backward: (model) => model.backward(delta),
  gradients: (model) => model.gradients(data.x, data.labels),
  fit: (model) => model.fit(data),
  evaluate: (model) => model.evaluate(data),
  predict: (model) => model.predict(data.x),
};

/** Methods that write a file, or give its bytes. */
const files: Methods = {
  toSafetensors: (model) => model.toSafetensors(),
  save: (model) => model.save('/tmp/elman-never/a'),
  exportOnnx: (model) => model.exportOnnx('/tmp/elman-never/a'),
};

const rest: Methods = {
  threads: (model) => model.threads,
  rnn: (model) => model.rnn,
  outputLayer: (model) => model.outputLayer,
  optimizer: (model) => model.optimizer('sgd'),
};

const attempt = async (call: (model: RNNPhonemeClassifier) => unknown, model: RNNPhonemeClassifier) =>
  call(model);

describe('a closed model', () => {
  it.each(Object.entries({ ...alone, ...readers, ...files, ...queued, ...rest }))(
    'says so: %s',
    async (name, call) => {
      const model = await RNNPhonemeClassifier.create({ ...small, threads: 0 });
      await model.close();
      const refusal = { code: 'CLOSED', message: `${name}: the model is closed` };
      await expect(attempt(call, model)).rejects.toMatchObject(refusal);
    },
  );

  it('says so: a step of an optimizer it has made', async () => {
    const model = await RNNPhonemeClassifier.create({ ...small, threads: 0 });
    const optimizer = model.optimizer('sgd');
    await model.close();
    await expect(optimizer.step()).rejects.toMatchObject({ message: 'step: the model is closed' });
  });

  it('may be closed again, and by `await using`', async () => {
    const model = await RNNPhonemeClassifier.create({ ...small, threads: 0 });
    await model[Symbol.asyncDispose]();
    await model.close();
    expect(() => model.rnn).toThrow('rnn: the model is closed');
  });
});

describe('a model at work', () => {
  const saysBusy = async (name: string, model: RNNPhonemeClassifier, call: (m: typeof model) => unknown) =>
    expect(attempt(call, model)).rejects.toMatchObject({
      code: 'BUSY',
      message: expect.stringMatching(new RegExp(`^${name}: busy`)),
    });

  it.each(Object.entries(alone))('says so: %s', async (name, call) => {
    await withModel({ threads: 0 }, async (model) => {
      const work = model.gradients(data.x, data.labels);
      await saysBusy(name, model, call);
      await work;
    });
  });

  it.each(Object.entries(readers))(
    'says so while an optimizer writes to its parameters, or is about to: %s',
    async (name, call) => {
      await withModel({ threads: 2 }, async (model) => {
        const optimizer = model.optimizer('sgd');
        for (const before of [[], [model.fit(data)]]) {
          const writing = [...before, optimizer.step()];
          await saysBusy(name, model, call);
          await Promise.all(writing);
        }
        for (const work of Object.values(queued)) {
          await model.forward(data.x);
          const reading = attempt(work, model);
          await attempt(call, model);
          await reading;
        }
      });
    },
  );

  it('writes files of whole steps only: while it trains, they wait', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'elman-files-'));
    try {
      await withModel({ threads: 2 }, async (model) => {
        const path = pathToFileURL(join(folder, 'model.safetensors'));
        const trained = model.fit(data, { epochs: 3 }).then(() => model.stateDict());
        const predicted = model.predict(data.x);
        await Promise.all([model.save(path), model.exportOnnx(join(folder, 'model.onnx'))]);
        await using loaded = await RNNPhonemeClassifier.load(path, { threads: 0 });
        expect(loaded.stateDict()).toEqual(await trained);
        await predicted;
      });
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  const inCallback = { ...queued, close: (model: RNNPhonemeClassifier) => model.close() } as Methods;
  delete inCallback.predict;
  it.each(Object.entries(inCallback))('says so to its callback: %s', async (name, call) => {
    await withModel({ threads: 0 }, async (model) => {
      await model.forward(data.x);
      let refusal: unknown;
      const onEpochEnd = async () => {
        refusal = await attempt(call, model).catch((error) => error);
      };
      await model.fit(data, { callbacks: { onEpochEnd } });
      expect(refusal).toMatchObject({
        code: 'BUSY',
        message: expect.stringMatching(new RegExp(`^${name}: busy`)),
      });
    });
  });

  it('says so to its callback: a step of an optimizer', async () => {
    await withModel({ threads: 0 }, async (model) => {
      const optimizer = model.optimizer('sgd');
      let refusal: unknown;
      const onEpochEnd = async () => {
        refusal = await optimizer.step().catch((error) => error);
      };
      await model.fit(data, { callbacks: { onEpochEnd } });
      expect(refusal).toMatchObject({ message: expect.stringMatching(/^step: busy/) });
    });
  });
});

describe('a misspelt or misplaced option', () => {
  const calls: [string, (model: RNNPhonemeClassifier) => unknown, string][] = [
    [
      'of forward',
      (m) => m.forward(data.x, undefined, { states: true } as never),
      'options.states: expected one of the options finalStates',
    ],
    [
      'of forward that is no flag',
      (m) => m.forward(data.x, undefined, { finalStates: 1 } as never),
      'finalStates: expected true or false, got 1',
    ],
    [
      'of backward',
      (m) => m.backward(delta, { dx: true } as never),
      'options.dx: expected one of the options inputGradient',
    ],
    [
      'of backward that is no flag',
      (m) => m.backward(delta, { inputGradient: 1 } as never),
      'inputGradient: expected true or false, got 1',
    ],
    [
      'of gradients',
      (m) => m.gradients(data.x, data.labels, { dx: true } as never),
      'options.dx: expected one of the options h0, inputGradient, finalStates, classWeights',
    ],
    [
      'of gradients that is no flag',
      (m) => m.gradients(data.x, data.labels, { inputGradient: 'yes' } as never),
      'inputGradient: expected true or false, got "yes"',
    ],
    [
      'of gradients, the other flag',
      (m) => m.gradients(data.x, data.labels, { finalStates: 0 } as never),
      'finalStates: expected true or false, got 0',
    ],
    [
      'of save',
      (m) => m.save('/tmp/never', { meta: {} } as never),
      'options.meta: expected one of the options metadata',
    ],
    [
      'of evaluate',
      (m) => m.evaluate(data, { batchSize: 3 } as never),
      'options.batchSize: expected one of the options ignoreIndex, signal',
    ],
    [
      'of the data',
      (m) => m.evaluate({ ...data, y: 1 } as never),
      'data.y: expected one of the options x, labels',
    ],
    [
      'of validation data',
      (m) => m.fit(data, { validation: { x: data.x, labels: [9, 0, 0, 0] } }),
      'validation.labels[0]: expected an integer from 0 to 3, got 9',
    ],
  ];
  it.each(calls)('is refused: %s', async (_what, call, message) => {
    await withModel({ threads: 0 }, async (model) => {
      await model.forward(data.x);
      await expect(attempt(call, model)).rejects.toThrow(message);
    });
  });

  it('is refused, and so are frames and labels of a data set, by the name they have in the call', async () => {
    await withModel({ threads: 0 }, async (model) => {
      const frames = { data: new Float32Array(12), shape: [2, 3, 2] };
      await expect(model.predict(frames)).rejects.toThrow('x: expected [batch, time, 5], got [2, 3, 2]');
      await expect(model.evaluate({ x: frames, labels: [0, 0] })).rejects.toThrow(
        'data.x: expected [batch, time, 5]',
      );
      const labels = [0, 9, 0, 0];
      await expect(model.fit({ x: data.x, labels })).rejects.toThrow(
        'data.labels[1]: expected an integer from 0 to 3',
      );
    });
  });

  it('is refused: an optimizer of another model', async () => {
    await withModel({ threads: 0 }, async (one) => {
      await withModel({ threads: 0 }, async (other) => {
        await expect(other.fit(data, { optimizer: one.optimizer('sgd') })).rejects.toThrow(
          'optimizer: expected an optimizer of this model, got one of another model',
        );
      });
    });
  });
});
