/**
 * What may come between two steps of training, on the calling thread, where mutants are seen too: a prediction, an
 * abort, a step whose numbers are not finite.
 */
import { describe, expect, it } from 'vitest';
import type { Problem } from './arbitraries.ts';
import { problemFor } from './arbitraries.ts';
import type { TensorLike } from './compare.ts';
import { expectSameBits } from './compare.ts';
import type { Model } from './engine-model.ts';
import {
  dataOf,
  expectAllSameBits,
  inputOf,
  parametersOf,
  problemRows,
  weightGradients,
  withModel,
} from './engine-model.ts';

const shape = { inputSize: 3, hiddenSize: 33, outputSize: 3, numLayers: 2 };

/** A problem whose sequences differ in length and start from zeros. */
function trainable(batch: number, time: number, form: Problem['form'] = 'padded'): Problem {
  return problemFor(
    shape,
    { batch, time, lengths: 'varied', form, givesH0: false, seed: 11 },
    form === 'shared' ? 'float32' : 'float64',
  );
}

function expectNoGradients(model: Model): void {
  for (const [name, values] of weightGradients(model)) {
    const tensor = values as TensorLike;
    expectSameBits(name, tensor, { ...tensor, data: Array.from(tensor.data, () => 0) });
  }
}

describe('between two steps on the calling thread', () => {
  it.each(['list', 'padded', 'shared'] as const)(
    'a prediction asked for meanwhile, of sequences given as %s, has the numbers of any other, and changes nothing',
    async (form) => {
      const p = trainable(512, 19, form);
      const asked = [1, 7, 33].map((rows) =>
        problemRows(
          p,
          p.x.map((_, b) => b).filter((b) => b < rows),
        ),
      );
      // A rate at which no parameter changes: the parameters of the moment are those of before.
      const optimizer = { type: 'sgd', learningRate: 1e-40 } as const;
      const options = { epochs: 1, batchSize: 1, shuffle: false, optimizer };
      await withModel(p, async (model) => {
        // Leaves something behind in the memory that the predictions will use.
        await model.forward(
          inputOf(p),
          p.point.h0.map((layer) => layer.map((row) => row.map(() => 0.5))),
        );
        const expected = [];
        for (const part of asked) expected.push(await model.predict(inputOf(part)));
        const [quiet] = await model.fit(dataOf(p), options);
        let epochsEnded = 0;
        const onEpochEnd = () => {
          epochsEnded++;
        };
        const running = model.fit(dataOf(p), { ...options, epochs: 2, callbacks: { onEpochEnd } });
        const during: number[] = [];
        for (const [k, part] of asked.entries()) {
          expectSameBits(`probabilities of part ${k}`, await model.predict(inputOf(part)), expected[k]);
          during.push(epochsEnded);
        }
        // The first came before its epoch had ended, not between two.
        expect(during[0]).toBe(0);
        for (const { loss, accuracy } of await running) {
          expect([loss, accuracy]).toEqual([quiet.loss, quiet.accuracy]);
        }
      });
    },
  );

  it('an abort ends training in the middle of an epoch, with the gradients at zero', async () => {
    const p = trainable(1_000, 33);
    const reason = new Error('enough');
    const options = {
      batchSize: 1,
      shuffle: false,
      optimizer: { type: 'sgd', learningRate: 0.125 },
    } as const;
    await withModel(p, async (model) => {
      const start = model.stateDict();
      await model.fit(dataOf(p), options);
      const [first, whole] = [parametersOf(model), model.stateDict()];
      model.loadStateDict(start);
      const signal = new AbortController();
      // The event loop has its turn only between two lanes: this comes within the epoch.
      setImmediate(() => signal.abort(reason));
      await expect(model.fit(dataOf(p), { ...options, signal: signal.signal })).rejects.toBe(reason);
      expect(() => expectAllSameBits(parametersOf(model), first)).toThrow();
      expectNoGradients(model);
      model.loadStateDict(whole);
      expectAllSameBits(parametersOf(model), first);
    });
  });

  it('a loss that is not a number ends training with the parameters of the step before', async () => {
    const p = trainable(9, 5, 'list');
    const optimizer = { type: 'adam', learningRate: 0.125 } as const;
    await withModel(p, async (model) => {
      const start = model.stateDict();
      const four = problemRows(p, [0, 1, 2, 3]);
      await model.fit(dataOf(four), { batchSize: 4, shuffle: false, optimizer });
      const after = parametersOf(model);
      model.loadStateDict(start);
      p.x[5][0][1] = Number.NaN;
      const training = model.fit(dataOf(p), { batchSize: 4, shuffle: false, optimizer });
      await expect(training).rejects.toMatchObject({
        code: 'NOT_FINITE',
        message: expect.stringMatching(
          /^fit: loss NaN and gradient norm NaN in epoch 0, step 1 \(the largest norm in this epoch so far: [0-9.]+\);/,
        ),
      });
      expectAllSameBits(parametersOf(model), after);
      expectNoGradients(model);
    });
  });

  it('a gradient that overflows ends training, though the loss is finite', async () => {
    const point = { inputSize: 1, hiddenSize: 1, outputSize: 2, numLayers: 1 };
    const recipe = { batch: 1, time: 1, lengths: 'equal', form: 'list', givesH0: false, seed: 1 } as const;
    const p = problemFor(point, recipe, 'float32');
    const one = { W_ih: [[1]], W_hh: [[0]], b_ih: [0], b_hh: [0] };
    // The gradient of h is the difference of two weights, and no float32 holds it.
    const network = { ...p.network, rnn: [one], output: { W: [[3e38], [-3e38]], b: [0, 0] } };
    await withModel({ ...p, network }, async (model) => {
      const before = parametersOf(model);
      await expect(model.fit({ x: [[[0.5]]], labels: [1] })).rejects.toMatchObject({
        code: 'NOT_FINITE',
        message: expect.stringMatching(/^fit: loss [0-9.]+e\+38 and gradient norm (Infinity|NaN) /),
      });
      expectAllSameBits(parametersOf(model), before);
    });
  });
});

describe('before any forward', () => {
  it('there are no states and nothing to go back through', async () => {
    await withModel(trainable(1, 1), async (model) => {
      expect(() => model.hiddens).toThrow('hiddens: there has been no forward before it');
      await expect(model.backward([[1, 1, 1]])).rejects.toThrow(
        'backward: there has been no forward before it',
      );
    });
  });
});
