import { describe, expect, it, vi } from 'vitest';
import type { LabelledSequences } from '../data/labelled-sequences.ts';
import type { RNNPhonemeClassifier } from '../rnn-classifier.ts';
import type { Tensor } from '../tensor.ts';
import { labelled, withModel } from '../testing/models.ts';
import type { FitOptions } from '../training/fit-options.ts';
import { networkOf } from './registry.ts';

const data = labelled(50, 6);
/** Too small a rate to change a float32: every prediction is that of the untrained model. */
const standstill = { type: 'sgd', learningRate: 1e-40 } as const;

/** At one row per step, an epoch that lasts for thousands of predictions: even a busy machine makes a few in it. */
const long = labelled(100_000, 6);

/** Runs `body` in the middle of an epoch, then ends training. Rejects if the epoch ended first. */
async function whileTraining(
  model: RNNPhonemeClassifier,
  options: Pick<FitOptions, 'optimizer'>,
  body: () => Promise<void>,
  data: LabelledSequences = long,
): Promise<void> {
  const controller = new AbortController();
  const { signal } = controller;
  const fit = model.fit(data, { ...options, epochs: 1, batchSize: 1, signal });
  const aborted = expect(fit).rejects.toThrow('seen enough');
  try {
    await Promise.race([body(), fit]);
  } finally {
    controller.abort(new Error('seen enough'));
  }
  await aborted;
}

describe('a prediction while training runs', () => {
  it('comes before training ends, and is that of the model', async () => {
    for (const threads of [0, 2]) {
      await withModel({ threads, hiddenSize: 96 }, async (model) => {
        const expected = await model.predict(data.x);
        await whileTraining(model, { optimizer: standstill }, async () => {
          for (let i = 0; i < 8; i++) expect(await model.predict(data.x)).toEqual(expected);
        });
        expect(await model.predict(data.x)).toEqual(expected);
      });
    }
  });

  it('is refused where there is no memory for it, and the next one is not', async () => {
    await withModel({ threads: 0 }, async (model) => {
      await whileTraining(model, { optimizer: standstill }, async () => {
        await model.predict(data.x);
        vi.spyOn(networkOf(model), 'reserve').mockImplementationOnce(() => {
          throw new Error('no memory');
        });
        await expect(model.predict(data.x)).rejects.toThrow('no memory');
        expect((await model.predict(data.x)).shape).toEqual([50, 4]);
      });
    });
  });

  it('sees the steps that have been done', async () => {
    for (const threads of [0, 2]) {
      await withModel({ threads, hiddenSize: 96 }, async (model) => {
        const { data: before } = await model.predict(data.x);
        await whileTraining(model, {}, async () => {
          // Two in a row may well be answered between the same two steps.
          const seen = new Set([String(before)]);
          while (seen.size < 4) {
            const { data: probabilities } = await model.predict(data.x);
            seen.add(String(probabilities));
            for (let row = 0; row < 50; row++) {
              const sum = Array.from(probabilities.subarray(row * 4, row * 4 + 4)).reduce((a, b) => a + b);
              expect(Math.abs(sum - 1)).toBeLessThan(1e-5);
            }
          }
        });
      });
    }
  });

  it.each(['last', 'steps'] as const)(
    'shares a turn with all that wait, with %s as output',
    async (output) => {
      const { x } = long;
      const labels = Array.from({ length: x.shape[0] }, () => [0, 1, 2, 3, 0, 1]);
      const training = output === 'steps' ? { x, labels } : long;
      // Of one to three rows and two to eight steps.
      const asked = Array.from({ length: 40 }, (_, i) => labelled(1 + (i % 3), 2 + (i % 7), 5, 4, i).x);
      for (const threads of [0, 2]) {
        await withModel({ threads, output, hiddenSize: 96 }, async (model) => {
          const expected: Tensor[] = [];
          for (const each of asked) expected.push(await model.predict(each));
          const body = async () => {
            await model.predict(asked[0]);
            const turns = vi.spyOn(networkOf(model), 'reserve');
            expect(await Promise.all(asked.map((each) => model.predict(each)))).toEqual(expected);
            // The first one may have had a turn before the others came.
            expect(turns.mock.calls.length).toBeLessThanOrEqual(2);
          };
          await whileTraining(model, { optimizer: standstill }, body, training);
        });
      }
    },
  );

  it('of more rows than go together has turns between those of others', async () => {
    const { x } = labelled(3_000, 6);
    await withModel({ threads: 2 }, async (model) => {
      const expected = await model.predict(x);
      await whileTraining(model, { optimizer: standstill }, async () => {
        const ended: string[] = [];
        const large = model.predict(x).finally(() => ended.push('large'));
        const small = model.predict(data.x).finally(() => ended.push('small'));
        expect(await large).toEqual(expected);
        await small;
        expect(ended).toEqual(['small', 'large']);
      });
    });
  });

  it('is not overwritten by the evaluation at the epoch’s end', async () => {
    for (const threads of [0, 2]) {
      await withModel({ threads, output: 'steps' }, async (model) => {
        const steps = (rows: number) => {
          const { x } = labelled(rows, 6);
          return { x, labels: Array.from({ length: rows }, () => [0, 1, 2, 3, 0, 1]) };
        };
        const [training, validation, { x }] = [steps(50), steps(300), steps(200)];
        const expected = await model.predict(x);
        let ended = false;
        const options = { epochs: 60, batchSize: 4, optimizer: standstill, validation };
        const fit = model.fit(training, options).then(() => {
          ended = true;
        });
        while (!ended) expect(await model.predict(x)).toEqual(expected);
        await fit;
      });
    }
  });

  it('is let in between two parts of a long validation', async () => {
    await withModel({ threads: 0 }, async (model) => {
      const network = networkOf(model);
      const { run } = network;
      const events: string[] = [];
      network.run = async (job, ...rest) => {
        await run.call(network, job, ...rest);
        if (job.kind !== 'forward' || job.result !== 'logits and loss') return;
        events.push('part');
        if (events.length === 1) void model.predict(data.x).then(() => events.push('prediction'));
      };
      await model.fit(data, { epochs: 1, validation: labelled(4_000, 6) });
      expect(events).toEqual(['part', 'prediction', 'part', 'part', 'part']);
    });
  });

  it('of many rows comes in parts: its frames are never all in the model’s memory', async () => {
    const { x } = labelled(5_000, 6);
    await withModel({ threads: 2 }, async (model) => {
      const expected = await model.predict(x);
      const bytes = () => networkOf(model).thread.buffer.byteLength ?? 0;
      const before = bytes();
      const fit = model.fit(data, { epochs: 300, batchSize: 4, optimizer: standstill });
      const [large, small] = await Promise.all([model.predict(x), model.predict(data.x)]);
      expect(large).toEqual(expected);
      expect(small.shape).toEqual([50, 4]);
      await fit;
      expect(bytes() - before).toBeLessThan((x.data.length * 4) / 2);
    });
  });

  it('and the next and the next, from several sides at once, does not keep training from its end', async () => {
    await withModel({ threads: 2 }, async (model) => {
      let ended = false;
      const client = async (): Promise<void> => {
        while (!ended) await model.predict(data.x);
      };
      const clients = [client(), client(), client()];
      const two = [0, 1].map(() => model.fit(data, { epochs: 5, batchSize: 4 }));
      clients.push(client(), client());
      await Promise.all(two);
      ended = true;
      await Promise.all(clients);
    });
  });

  it('ends with its signal’s reason', async () => {
    await withModel({ threads: 2 }, async (model) => {
      const fit = model.fit(data, { epochs: 100, batchSize: 4 });
      const controller = new AbortController();
      const prediction = model.predict(data.x, { signal: controller.signal });
      controller.abort(new Error('not needed'));
      await expect(prediction).rejects.toThrow('not needed');
      await fit;
    });
  });
});
