import { describe, expect, it, vi } from 'vitest';
import type { ClassifierOptions } from './classifier/classifier-options.ts';
import type { SequencesLike } from './data/read-sequences.ts';
import { networkOf } from './network/registry.ts';
import type { Evaluation } from './network/results.ts';
import { type GradientOptions, RNNPhonemeClassifier } from './rnn-classifier.ts';
import { Tensor } from './tensor.ts';
import { bitsOf, labelled, small, teamOf, withModel, zeros } from './testing/models.ts';

describe('create', () => {
  const bad: [string, Partial<Record<keyof ClassifierOptions | 'layers', unknown>>, string][] = [
    ['a size of 0', { inputSize: 0 }, 'inputSize: expected an integer, 1 or more, got 0'],
    ['a fractional size', { hiddenSize: 2.5 }, 'hiddenSize: expected an integer, 1 or more, got 2.5'],
    [
      'a missing size',
      { outputSize: undefined },
      'outputSize: expected an integer, 1 or more, got undefined',
    ],
    ['negative threads', { threads: -1 }, 'threads: expected an integer, 0 or more, got -1'],
    ['a wrong dtype', { dtype: 'float16' }, `dtype: expected 'float32' or 'float64', got "float16"`],
    ['a misspelt option', { layers: 3 }, 'options.layers: expected one of the options inputSize'],
    [
      'an unknown initialization',
      { recurrentInit: 'zeros' },
      `recurrentInit: expected 'uniform' or 'orthogonal'`,
    ],
  ];
  for (const [what, options, message] of bad) {
    it(`refuses ${what}`, async () => {
      const given = { ...small, ...options } as unknown as ClassifierOptions;
      await expect(RNNPhonemeClassifier.create(given)).rejects.toThrow(message);
    });
  }

  it('refuses a model larger than 4 GiB before it allocates anything, with the sizes', async () => {
    const huge = { inputSize: 10, hiddenSize: 20_000, outputSize: 10, threads: 0 };
    await expect(RNNPhonemeClassifier.create(huge)).rejects.toMatchObject({
      code: 'MEMORY_TOO_LARGE',
      message: expect.stringMatching(/must fit into 4096.0 MiB, this one needs more than .*parameters \d+/),
    });
  });

  it('draws the same weights from the same seed, others from another', async () => {
    const bits = (seed: number) => withModel({ threads: 0, seed }, async (model) => bitsOf(model));
    expect(await bits(3)).toBe(await bits(3));
    expect(await bits(3)).not.toBe(await bits(4));
  });

  it('draws uniformly from ±1/√H, or an orthogonal W_hh', async () => {
    await withModel(
      { threads: 0, hiddenSize: 64, recurrentInit: 'orthogonal', dtype: 'float64' },
      async (model) => {
        const W_ih = model.rnn[0].W_ih.data;
        expect(Math.max(...W_ih.map(Math.abs))).toBeLessThanOrEqual(1 / 8);
        expect(Array.from(W_ih).reduce((a, b) => a + b ** 2, 0) / W_ih.length).toBeCloseTo(1 / 64 / 3, 3);
        const W_hh = model.rnn[1].W_hh.data;
        const dot = (i: number, j: number) =>
          Array.from({ length: 64 }, (_, k) => W_hh[i * 64 + k] * W_hh[j * 64 + k]).reduce((a, b) => a + b);
        expect(dot(3, 3)).toBeCloseTo(1, 12);
        expect(dot(3, 9)).toBeCloseTo(0, 12);
      },
    );
  });
});

describe('the output layer', () => {
  it('of a bidirectional model begins within ±1/√(2H), since it reads 2H values', async () => {
    await withModel({ threads: 0, hiddenSize: 64, bidirectional: true }, async ({ outputLayer }) => {
      const largest = Math.max(...outputLayer.W.data.map(Math.abs));
      expect(largest).toBeLessThanOrEqual(Math.fround(1 / Math.sqrt(128)));
      expect(largest).toBeGreaterThan(0.95 / Math.sqrt(128));
    });
  });
});

describe('calls', () => {
  const data = labelled(40, 12);

  it('queue up in the order they were made', async () => {
    await withModel({ threads: 2 }, async (model) => {
      const ended: string[] = [];
      const note = (name: string) => () => ended.push(name);
      const forward = model.forward(data.x).then(note('forward'));
      const backward = model.backward(zeros(40, 4)).then(note('backward'));
      const gradients = model.gradients(data.x, data.labels).then(note('gradients'));
      await Promise.all([gradients, backward, forward]);
      expect(ended).toEqual(['forward', 'backward', 'gradients']);
    });
  });

  it('make synchronous writers throw BUSY while they are in flight, and not after', async () => {
    await withModel({ threads: 1, hiddenSize: 64 }, async (model) => {
      const call = model.gradients(data.x, data.labels);
      for (const write of [() => model.zeroGrad(), () => model.loadStateDict({})]) {
        expect(write).toThrow(expect.objectContaining({ code: 'BUSY' }));
      }
      await call;
      model.zeroGrad();
      expect(model.rnn[0].dW_ih.data.every((value) => value === 0)).toBe(true);
    });
  });

  it('make the writers of cells and output layer throw BUSY as well, and CLOSED once the model is closed', async () => {
    const model = await RNNPhonemeClassifier.create({ ...small, threads: 0 });
    const { rnn, outputLayer } = model;
    const [, cell] = rnn;
    const h = cell.forward(zeros(2, 11), zeros(2, 11));
    outputLayer.forward(h);
    const writers: [string, () => unknown][] = [
      ['rnn[1].zeroGrad', () => cell.zeroGrad()],
      ['rnn[1].initWeights', () => cell.initWeights(cell.W_ih, cell.W_hh, cell.b_ih, cell.b_hh)],
      ['rnn[1].backward', () => cell.backward(h, h, zeros(2, 11), zeros(2, 11))],
      ['outputLayer.zeroGrad', () => outputLayer.zeroGrad()],
      ['outputLayer.initWeights', () => outputLayer.initWeights(outputLayer.W, outputLayer.b)],
      ['outputLayer.backward', () => outputLayer.backward(zeros(2, 4))],
    ];
    const call = model.gradients(data.x, data.labels);
    for (const [name, write] of writers) expect(write).toThrow(`${name}: busy`);
    await call;
    for (const [, write] of writers) write();
    await model.close();
    for (const [name, write] of writers) expect(write).toThrow(`${name}: the model is closed`);
  });

  it('other than forward leave alone what backward needs', async () => {
    await withModel({ threads: 2, dtype: 'float64' }, async (model) => {
      const delta = await model.forward(data.x);
      await model.backward(delta);
      const expected = model.rnn[1].dW_hh.data.slice();
      const hiddens = model.hiddens[12].data.slice();
      model.zeroGrad();
      const other = labelled(77, 5);
      await model.gradients(other.x, other.labels);
      await model.predict(other.x);
      await model.evaluate(other);
      model.zeroGrad();
      await model.backward(delta);
      expect(model.rnn[1].dW_hh.data).toEqual(expected);
      expect(model.hiddens[12].data).toEqual(hiddens);
    });
  });

  it('that queue up behind forward leave alone what backward will need', async () => {
    const data = labelled(50, 6);
    await withModel({ threads: 0, dtype: 'float64' }, async (model) => {
      const delta = await model.forward(data.x);
      await model.backward(delta);
      const expected = model.rnn[1].dW_hh.data.slice();
      await withModel({ threads: 0, dtype: 'float64' }, async (other) => {
        await Promise.all([other.forward(data.x), other.predict(labelled(77, 5).x)]);
        await other.backward(delta);
        expect(other.rnn[1].dW_hh.data).toEqual(expected);
      });
    });
  });

  it('of forward that there is no memory for leave the one before', async () => {
    const { x } = labelled(9, 4);
    await withModel({ threads: 0 }, async (model) => {
      const logits = await model.forward(x);
      vi.spyOn(networkOf(model), 'reserve').mockImplementationOnce(() => {
        throw new Error('no memory');
      });
      await expect(model.forward(x)).rejects.toThrow('no memory');
      expect((await model.backward(logits)).shape).toEqual([2, 9, 11]);
    });
  });

  it('return what they were asked for and no more', async () => {
    await withModel({ threads: 0 }, async (model) => {
      const keys = async (options: GradientOptions) =>
        Object.keys(await model.gradients(data.x, data.labels, options)).sort();
      expect(await keys({})).toEqual(['dh0', 'logits', 'loss']);
      expect(await keys({ finalStates: true })).toEqual(['dh0', 'hT', 'logits', 'loss']);
      expect(await keys({ inputGradient: true })).toEqual(['dh0', 'dx', 'logits', 'loss']);
      const logits = await model.forward(data.x);
      const { logits: same, hT } = await model.forward(data.x, undefined, { finalStates: true });
      expect(same).toEqual(logits);
      expect(hT).toEqual(model.hiddens[12]);
      expect((await model.backward(logits, {})) as object).toBeInstanceOf(Tensor);
    });
  });

  it('leave nothing of longer sequences behind them: past a row’s end there are zeros', async () => {
    await withModel({ threads: 0, output: 'steps' }, async (model) => {
      await model.predict(data.x);
      await model.gradients(
        data.x,
        Array.from({ length: 40 }, () => new Int32Array(12)),
        { inputGradient: true },
      );
      const short = { ...data.x, lengths: new Int32Array(40).fill(3) };
      const labels = Array.from({ length: 40 }, () => [0, 1, 2]);
      const { logits, dx } = await model.gradients(short, labels, { inputGradient: true });
      for (const tensor of [logits, await model.forward(short), await model.predict(short), dx]) {
        const [, time, width] = tensor.shape;
        expect(time).toBe(12);
        tensor.data.forEach((value, i) => {
          if (Math.floor(i / width) % time >= 3) expect(value).toBe(0);
        });
      }
      expect(model.hiddens[4].data.every((value) => value === 0)).toBe(true);
    });
  });

  it('that go over many rows end when their signal is aborted, and the model goes on', async () => {
    await withModel({ threads: 2 }, async (model) => {
      const rows = 20_000;
      const many = { data: new Float32Array(rows * 12 * 5), shape: [rows, 12, 5] };
      const labels = new Int32Array(rows);
      const reason = new Error('enough');
      const calls = [
        (signal: AbortSignal) => model.predict(many, { signal }),
        (signal: AbortSignal) => model.evaluate({ x: many, labels }, { signal }),
      ];
      for (const call of calls) {
        const controller = new AbortController();
        const ended = expect(call(controller.signal)).rejects.toBe(reason);
        setImmediate(() => controller.abort(reason));
        await ended;
        await expect(call(AbortSignal.abort(reason))).rejects.toBe(reason);
        await expect(call('now' as never)).rejects.toThrow('signal: expected an AbortSignal, got "now"');
      }
      expect((await model.predict(data.x)).shape).toEqual([40, 4]);
    });
  });

  it('that go over many rows let small predictions in, but not past a call that writes', async () => {
    for (const threads of [0, 2]) {
      await withModel({ threads }, async (model) => {
        const many = labelled(8_000, 12);
        const [expected, before] = [await model.predict(many.x), await model.predict(data.x)];
        for (const long of [() => model.predict(many.x), () => model.evaluate(many)]) {
          const run = vi.spyOn(networkOf(model), 'run');
          const large = long();
          expect(await Promise.all([model.predict(data.x), model.predict(data.x)])).toEqual([before, before]);
          const result = await large;
          if ('shape' in result) expect(result).toEqual(expected);
          const rows = run.mock.calls.map(([job]) => ('spec' in job ? job.spec.rows : 0));
          run.mockRestore();
          // Seven parts of 1,024 rows and one of 832.
          expect(rows).toHaveLength(10);
          expect(rows.lastIndexOf(40)).toBeLessThan(3);
        }
        await model.gradients(data.x, data.labels);
        const optimizer = model.optimizer({ type: 'sgd', learningRate: 1 });
        const [large, step, small] = [model.predict(many.x), optimizer.step(), model.predict(data.x)];
        expect(await large).toEqual(expected);
        await step;
        const after = await model.predict(data.x);
        expect(after).not.toEqual(before);
        expect(await small).toEqual(after);
      });
    }
  });

  it('whose last part is computed, or that fail, leave no prediction waiting', async () => {
    await withModel({ threads: 2 }, async (model) => {
      const many = labelled(3_000, 12);
      const controller = new AbortController();
      const large = expect(model.predict(many.x, { signal: controller.signal })).rejects.toThrow('enough');
      const small = model.predict(data.x);
      controller.abort(new Error('enough'));
      await large;
      expect((await small).shape).toEqual([40, 4]);
      // Small predictions at any moment of a large one's course.
      let ended = false;
      const other = model.predict(many.x).finally(() => {
        ended = true;
      });
      while (!ended) expect(await model.predict(data.x)).toEqual(await small);
      await other;
    });
  });

  it('made before close end well, those made after are refused', async () => {
    const model = await RNNPhonemeClassifier.create({ ...small, threads: 2 });
    const call = model.forward(data.x);
    const closing = model.close();
    await expect(model.predict(data.x)).rejects.toMatchObject({ code: 'CLOSED' });
    expect((await call).shape).toEqual([40, 4]);
    await closing;
    expect(() => model.rnn).toThrow('rnn: the model is closed');
  });

  it('of many rows are one call: others do not come in between', async () => {
    await withModel({ threads: 2, dtype: 'float64' }, async (model) => {
      const row = data.x.data.subarray(0, 60);
      const same = {
        data: Float64Array.from({ length: 2_500 * 60 }, (_, i) => row[i % 60]),
        shape: [2_500, 12, 5],
      };
      await model.gradients(data.x, data.labels);
      const prediction = model.predict(same);
      await model.optimizer({ type: 'sgd', learningRate: 1 }).step();
      const { data: p } = await prediction;
      expect([...p.subarray(p.length - 4)]).toEqual([...p.subarray(0, 4)]);
    });
  });

  it('may be many that wait for one signal', async () => {
    const warnings: unknown[] = [];
    const note = (warning: unknown) => void warnings.push(warning);
    process.on('warning', note);
    try {
      await withModel({ threads: 0 }, async (model) => {
        const { signal } = new AbortController();
        await Promise.all(Array.from({ length: 30 }, () => model.predict(data.x, { signal })));
        await new Promise(setImmediate);
      });
    } finally {
      process.off('warning', note);
    }
    expect(warnings).toEqual([]);
  });

  it('of initWeights sets everything or nothing, and says which array is wrong', async () => {
    await withModel({ threads: 0 }, async (model) => {
      const bits = bitsOf(model);
      const [first, second] = model.rnn.map(
        ({ W_ih, W_hh, b_ih, b_hh }) => [W_ih, W_hh, b_ih, b_hh] as const,
      );
      const { W, b } = model.outputLayer;
      const doubled = { data: first[0].data.map((value) => 2 * value), shape: first[0].shape };
      const cells = [
        [doubled, ...first.slice(1)],
        [...second.slice(0, 3), zeros(3)],
      ] as never;
      expect(() => model.initWeights(cells, [W, b])).toThrow('cells[1].b_hh: expected [11], got [3]');
      expect(bitsOf(model)).toBe(bits);
    });
  });

  it('of initWeights and loadStateDict may be views of the model’s own parameters', async () => {
    await withModel({ threads: 0, numLayers: 1, bidirectional: true }, async (model) => {
      const stored = model.stateDict();
      const [forward, reverse] = model.rnn.map(
        ({ W_ih, W_hh, b_ih, b_hh }) => [W_ih, W_hh, b_ih, b_hh] as const,
      );
      const { W, b } = model.outputLayer;
      const expectExchanged = () => {
        for (const [name, { data }] of Object.entries(model.stateDict())) {
          const other = name.includes('reverse') ? name.replace('_reverse', '') : `${name}_reverse`;
          expect(data).toEqual((stored[other] ?? stored[name]).data);
        }
      };
      model.initWeights([reverse, forward], [W, b]);
      expectExchanged();
      model.loadStateDict(stored);
      const names = ['weight_ih_l0', 'weight_hh_l0', 'bias_ih_l0', 'bias_hh_l0'];
      model.loadStateDict({
        ...Object.fromEntries(names.map((name, i) => [`rnn.${name}`, reverse[i]])),
        ...Object.fromEntries(names.map((name, i) => [`rnn.${name}_reverse`, forward[i]])),
        'output.weight': W,
        'output.bias': b,
      });
      expectExchanged();
    });
  });

  it('show what the model is, and let nobody change it', async () => {
    const normalization = { mean: [1, 2, 3, 4, 5], std: [1, 2, 3, 4, 5] };
    await withModel({ threads: 0, normalization, classes: ['a', 'b', 'c', 'd'] }, async (model) => {
      await model.forward(labelled(2, 3).x);
      const { normalization: shown, classes, metadata, rnn, hiddens } = model;
      for (const part of [shown, shown?.mean, shown?.std, classes, metadata, rnn, hiddens])
        expect(Object.isFrozen(part)).toBe(true);
      const metadata2 = { a: 'b' };
      const saving = model.toSafetensors({ metadata: metadata2 });
      metadata2.a = 5 as never;
      const copy = await RNNPhonemeClassifier.load(await saving, { threads: 0 });
      expect(copy.metadata).toEqual({ a: 'b' });
      await copy.close();
    });
  });

  it('whose arguments close the model end with CLOSED, and no thread is left', async () => {
    const model = await RNNPhonemeClassifier.create({ ...small, threads: 2 });
    const team = teamOf(model);
    let closing: Promise<void> | undefined;
    const options = {
      get finalStates() {
        closing ??= model.close();
        return false;
      },
    };
    await expect(model.gradients(data.x, data.labels, options)).rejects.toMatchObject({ code: 'CLOSED' });
    await closing;
    expect(team.pool).toBeNull();
  });

  it('of save leave the metadata as they were when something is wrong with them', async () => {
    await withModel({ threads: 0 }, async (model) => {
      await expect(model.save('/tmp/never', { metadata: { a: 5 as never } })).rejects.toThrow(
        'metadata.a: expected a string, got 5',
      );
      await expect(model.save('/tmp/never', { metadata: 'abc' as never })).rejects.toThrow(
        'metadata: expected an object of strings, got "abc"',
      );
      expect(model.metadata).toEqual({});
    });
  });

  it('may be given an initial state, which they do not write into', async () => {
    await withModel({ threads: 0, dtype: 'float64' }, async (model) => {
      const h0 = { data: new Float64Array(2 * 40 * 11).fill(0.5), shape: [2, 40, 11] };
      await model.forward(data.x, h0);
      expect(model.hiddens[0].data).toEqual(h0.data);
      expect(h0.data.every((value) => value === 0.5)).toBe(true);
      expect(model.hiddens).toHaveLength(13);
      expect(model.hiddens[12].data).not.toEqual(model.hiddens[11].data);
    });
  });
});

describe('fit', () => {
  const data = labelled(50, 8);

  it('leaves the gradients at zero, and the same bits for any number of threads', async () => {
    const options = { epochs: 3, batchSize: 8, seed: 5, clipNorm: 1, schedule: 'cosine' } as const;
    const trained = (threads: number) =>
      withModel({ threads, hiddenSize: 40 }, async (model) => {
        await model.fit(data, options);
        expect(model.rnn[0].dW_ih.data.every((value) => value === 0)).toBe(true);
        return bitsOf(model);
      });
    const expected = await trained(0);
    for (const threads of [1, 2, 5]) expect(await trained(threads)).toBe(expected);
  });

  it('ends after the current step when its signal is aborted, with the signal’s reason', async () => {
    for (const threads of [0, 2]) {
      await withModel({ threads }, async (model) => {
        const before = bitsOf(model);
        const controller = new AbortController();
        const onSteps = () => controller.abort(new Error('enough'));
        const rest = { everySteps: 1, callbacks: { onSteps }, signal: controller.signal };
        const fit = model.fit(data, { epochs: 100_000, ...rest });
        await expect(fit).rejects.toThrow('enough');
        expect(bitsOf(model)).not.toBe(before);
        expect((await model.forward(data.x)).data.every(Number.isFinite)).toBe(true);
      });
    }
  });

  it('stops before the step whose loss is not finite, and says where', async () => {
    await withModel({ threads: 2 }, async (model) => {
      const x = { ...data.x, data: data.x.data.slice() };
      x.data[20 * 40] = Number.NaN;
      const options = { batchSize: 10, shuffle: false, optimizer: 'sgd' } as const;
      const expected = await withModel({ threads: 0 }, async (other) => {
        const rows = { data: data.x.data.subarray(0, 20 * 40), shape: [20, 8, 5] };
        await other.fit({ x: rows, labels: data.labels.subarray(0, 20) }, options);
        return bitsOf(other);
      });
      const fit = model.fit({ x, labels: data.labels }, options);
      await expect(fit).rejects.toMatchObject({
        code: 'NOT_FINITE',
        message: expect.stringMatching(
          /epoch 0, step 2 \(the largest norm in this epoch so far: \d+\.\d+\).*\(data\.x: the value 0 of frame 0 of sequence 20 is NaN\)/,
        ),
      });
      expect(bitsOf(model)).toBe(expected);
    });
  });

  it('leaves the accumulated gradients alone where its signal is aborted before it begins', async () => {
    for (const threads of [0, 2]) {
      await withModel({ threads, hiddenSize: 64 }, async (model) => {
        await model.gradients(data.x, data.labels);
        const once = model.rnn[0].dW_hh.data.slice();
        const second = model.gradients(data.x, data.labels);
        const controller = new AbortController();
        const fit = model.fit(data, { signal: controller.signal });
        controller.abort(new Error('not needed'));
        await expect(fit).rejects.toThrow('not needed');
        await second;
        expect((await model.predict(data.x)).shape).toEqual([50, 4]);
        expect(model.rnn[0].dW_hh.data).toEqual(once.map((value) => 2 * value));
      });
    }
  });

  it('is not waited for by calls whose signal is aborted', async () => {
    for (const threads of [0, 2]) {
      await withModel({ threads }, async (model) => {
        const enough = new AbortController();
        const long = model.fit(data, { epochs: 1_000_000, batchSize: 4, signal: enough.signal });
        const controller = new AbortController();
        const { signal } = controller;
        const calls = [model.fit(data, { signal }), model.evaluate(data, { signal })];
        controller.abort(new Error('not needed'));
        calls.push(model.evaluate(data, { signal }));
        for (const call of calls) await expect(call).rejects.toThrow('not needed');
        enough.abort(new Error('seen enough'));
        await expect(long).rejects.toThrow('seen enough');
        expect((await model.forward(data.x)).shape).toEqual([50, 4]);
      });
    }
  });

  it('reports every epoch, with its validation', async () => {
    await withModel({ threads: 2, hiddenSize: 64 }, async (model) => {
      const many = labelled(2_000, 20);
      const epochs: number[] = [];
      const history = await model.fit(many, {
        epochs: 4,
        batchSize: 50,
        validation: labelled(30, 20),
        callbacks: {
          onEpochEnd: (epoch) => {
            epochs.push(epoch);
          },
        },
      });
      expect(epochs).toEqual([0, 1, 2, 3]);
      expect(history[3].loss).toBeLessThan(history[0].loss);
      expect(history[3].validationAccuracy).toBeGreaterThanOrEqual(0);
    });
  });

  it('goes on with an optimizer made before, as one long run', async () => {
    const options = { batchSize: 10, shuffle: false } as const;
    const run = (epochs: number[]) =>
      withModel({ threads: 0 }, async (model) => {
        const optimizer = model.optimizer({ type: 'adam', learningRate: 0.01 });
        for (const n of epochs) {
          await model.fit(data, { ...options, epochs: n, optimizer });
          // In between, another optimizer takes the place in memory.
          await model.optimizer('sgd').step();
        }
        return bitsOf(model);
      });
    expect(await run([1, 2])).toBe(await run([3]));
  });
});

describe('predict', () => {
  const variants: Partial<ClassifierOptions>[] = [
    {},
    { nonlinearity: 'relu', bias: false } as const,
    { output: 'mean' } as const,
    { output: 'steps', hiddenSize: 40 } as const,
    { bidirectional: true },
    { bidirectional: true, output: 'steps' } as const,
    { bidirectional: true, output: 'mean' } as const,
    { dtype: 'float64', normalization: { mean: [1, 2, 3, 4, 5], std: [1, 2, 1, 0.5, 3] } },
  ];
  it.each(variants)('gives a row by itself the bits that it has among others: %o', async (options) => {
    const { x } = labelled(6, 9);
    const given = { ...x, lengths: [9, 4, 7, 1, 9, 8] };
    await withModel({ threads: 0, ...options }, async (model) => {
      const together = await model.predict(given);
      const size = together.data.length / 6;
      for (let row = 0; row < 6; row++) {
        const data = x.data.slice(row * 45, (row + 1) * 45);
        const alone = await model.predict({ data, shape: [1, 9, 5], lengths: [given.lengths[row]] });
        expect([...alone.data]).toEqual([...together.data.slice(row * size, (row + 1) * size)]);
      }
    });
  });

  const forms: [string, (data: Float32Array) => SequencesLike][] = [
    ['a typed array', (data) => ({ data, shape: [3, 9, 5] })],
    ['a padded one', (data) => ({ data, shape: [3, 9, 5], lengths: [9, 2, 5] })],
    [
      'a list of them',
      (data) => [0, 1, 2].map((i) => ({ data: data.subarray(i * 45, i * 45 + 45), shape: [9, 5] })),
    ],
    ['a subarray', (data) => ({ data: data.subarray(45), shape: [2, 9, 5] })],
  ];
  it.each(forms)('takes %s as it is at the call, at once or in its turn', async (_what, form) => {
    await withModel({ threads: 0 }, async (model) => {
      const data = Float32Array.from(labelled(3, 9).x.data);
      const expected = await model.predict(form(data));
      const atWork = [
        async () => {},
        () => model.gradients([[[1, 2, 3, 4, 5]]], [0]),
        () =>
          model.fit(
            { x: [[[1, 2, 3, 4, 5]]], labels: [0] },
            { optimizer: { type: 'sgd', learningRate: 1e-40 } },
          ),
      ];
      for (const work of atWork) {
        const before = work();
        const ring = data.slice();
        const predicted = model.predict(form(ring));
        ring.fill(9);
        expect(await predicted).toEqual(expected);
        await before;
      }
    });
  });

  it('is as evaluate and fit: what they are given may change afterwards', async () => {
    const { x, labels } = labelled(12, 9);
    const run = (change: boolean) =>
      withModel({ threads: 0 }, async (model) => {
        const [data, given] = [Float32Array.from(x.data), labels.slice()];
        const set = { x: { data, shape: x.shape }, labels: given };
        const calls = [model.evaluate(set), model.fit(set, { epochs: 2, batchSize: 5, validation: set })];
        if (change) {
          data.fill(9);
          given.fill(0);
        }
        await Promise.all(calls);
        return [((await calls[0]) as Evaluation).loss, bitsOf(model)];
      });
    expect(await run(true)).toEqual(await run(false));
  });

  it('scores a row by itself as it does among others', async () => {
    const { x, labels } = labelled(4, 9);
    await withModel({ threads: 0, dtype: 'float64' }, async (model) => {
      let sum = 0;
      for (let row = 0; row < 4; row++) {
        const one = { data: x.data.slice(row * 45, (row + 1) * 45), shape: [1, 9, 5] };
        sum += (await model.evaluate({ x: one, labels: labels.slice(row, row + 1) })).loss;
      }
      expect(sum / 4).toBeCloseTo((await model.evaluate({ x, labels })).loss, 14);
    });
  });

  it('agrees with the logits, row by row, over more rows than fit into one call', async () => {
    const [rows, steps] = [2_500, 3];
    const given = labelled(rows, steps).x;
    const shared = new Float32Array(new SharedArrayBuffer(4 * given.data.length));
    shared.set(given.data);
    const lengths = Int32Array.from({ length: rows }, (_, i) => 1 + (i % steps));
    await withModel({ threads: 2, dtype: 'float32' }, async (model) => {
      for (const x of [given, { ...given, data: shared }, { ...given, lengths }]) {
        const logits = (await model.forward(x)).toArray() as number[][];
        const probabilities = (await model.predict(x)).toArray() as number[][];
        probabilities.forEach((row, i) => {
          const powers = logits[i].map(Math.exp);
          const sum = powers.reduce((a, b) => a + b);
          row.forEach((probability, j) => {
            expect(Math.abs(probability - powers[j] / sum)).toBeLessThan(1e-6);
          });
        });
      }
    });
  });
});

describe('what is not finite', () => {
  const data = labelled(20, 12);
  const x = { ...data.x, data: data.x.data.slice() };
  x.data[7 * 60 + 3 * 5 + 2] = Number.NaN;
  const bad = { x, labels: data.labels };

  it('is no score: evaluate says where it lies, and so does fit of its validation data', async () => {
    await withModel({ threads: 0 }, async (model) => {
      const place = ': their loss is NaN (';
      const inData = `data${place}data.x: the value 2 of frame 3 of sequence 7 is NaN)`;
      await expect(model.evaluate(bad)).rejects.toMatchObject({ code: 'NOT_FINITE', message: inData });
      const fit = model.fit(data, { validation: bad });
      await expect(fit).rejects.toThrow(
        `validation${place}validation.x: the value 2 of frame 3 of sequence 7 is NaN)`,
      );
      model.outputLayer.b.data[0] = Number.NaN;
      await expect(model.evaluate(data)).rejects.toThrow('a parameter of the model or a state is not finite');
    });
  });

  it('in float32 has no probabilities, whatever tanh would make of it', async () => {
    await withModel({ threads: 0, hiddenSize: 16 }, async (model) => {
      const wide = { data: [...data.x.data], shape: data.x.shape };
      wide.data[7 * 60 + 3 * 5 + 2] = 1e39;
      const classes = (await model.predict(wide)).argmax();
      expect([...classes].map((label) => label === -1)).toEqual([...classes].map((_, row) => row === 7));
      await expect(model.evaluate({ x: wide, labels: data.labels })).rejects.toThrow(
        'data: their loss is NaN (data.x: the value 2 of frame 3 of sequence 7 is Infinity in float32)',
      );
    });
  });

  it('is no step: the optimizer leaves the parameters and its moments as they were', async () => {
    for (const threads of [0, 2]) {
      await withModel({ threads, hiddenSize: 512, numLayers: 1 }, async (model) => {
        const optimizer = model.optimizer('adam');
        await model.gradients(bad.x, bad.labels);
        const bits = bitsOf(model);
        await expect(optimizer.step({ clipNorm: 1 })).rejects.toMatchObject({
          code: 'NOT_FINITE',
          message: 'step: the gradient norm is NaN; nothing has changed',
        });
        expect(bitsOf(model)).toBe(bits);
        model.zeroGrad();
        await model.gradients(data.x, data.labels);
        await optimizer.step();
        const fresh = bitsOf(model);
        await withModel({ threads: 0, hiddenSize: 512, numLayers: 1 }, async (other) => {
          await other.gradients(data.x, data.labels);
          await other.optimizer('adam').step();
          expect(fresh).toBe(bitsOf(other));
        });
      });
    }
  });
});

describe('evaluate', () => {
  it('has no matrix of very many classes in its way', async () => {
    await withModel({ threads: 0, outputSize: 30_000 }, async (model) => {
      const few = labelled(3, 4, 5, 30_000);
      const evaluation = await model.evaluate(few);
      const { accuracy, recall } = evaluation;
      expect(recall).toHaveLength(30_000);
      expect(() => evaluation.confusion).toThrow('confusion: a matrix of 30000 classes is too large');
      const [log] = await model.fit(few, {
        validation: few,
        optimizer: { type: 'sgd', learningRate: 1e-30 },
      });
      expect(log.validationAccuracy).toBe(accuracy);
    });
  });

  it('agrees with the logits, over more rows than fit into one call', async () => {
    await withModel({ threads: 2, hiddenSize: 32, dtype: 'float64' }, async (model) => {
      const data = labelled(2_500, 3);
      const { loss, accuracy, confusion, recall } = await model.evaluate(data);
      const { data: z } = await model.forward(data.x);
      let sum = 0;
      let hits = 0;
      data.labels.forEach((label, row) => {
        const logits = [...z.subarray(row * 4, row * 4 + 4)];
        sum += Math.log(logits.reduce((total, value) => total + Math.exp(value), 0)) - logits[label];
        if (logits.indexOf(Math.max(...logits)) === label) hits++;
      });
      expect(loss).toBeCloseTo(sum / 2_500, 12);
      expect(accuracy).toBe(hits / 2_500);
      expect(confusion.flat().reduce((a, b) => a + b)).toBe(2_500);
      expect(recall[2]).toBe(confusion[2][2] / data.labels.filter((label) => label === 2).length);
    });
  });
});
