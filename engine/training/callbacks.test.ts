import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { networkOf } from '../network/registry.ts';
import { collectUntil, labelled, withModel } from '../testing/models.ts';
import type { StepsLog } from './fit-options.ts';

const data = labelled(50, 6);

describe('a callback', () => {
  it('at an epoch’s end may predict, read, write and save; what would wait for this training throws BUSY', async () => {
    for (const threads of [0, 2]) {
      await withModel({ threads }, async (model) => {
        const seen: unknown[] = [];
        await model.fit(data, {
          batchSize: 25,
          callbacks: {
            onEpochEnd: async () => {
              seen.push((await model.predict(data.x)).shape, Object.keys(model.stateDict()).length);
              const busy = expect.objectContaining({ code: 'BUSY' });
              await expect(model.evaluate(data)).rejects.toEqual(busy);
              await expect(model.forward(data.x)).rejects.toEqual(busy);
              model.outputLayer.b.data.fill(9);
            },
          },
        });
        expect(seen).toEqual([[50, 4], 10]);
        expect([...model.outputLayer.b.data]).toEqual([9, 9, 9, 9]);
      });
    }
  });

  it('does not tear a prediction when it writes to the parameters', async () => {
    // So much work that the calling thread takes no part in it, for which it would pack the weights itself.
    await withModel({ threads: 2, hiddenSize: 128 }, async (model) => {
      const { x } = labelled(1_000, 6);
      const onEpochEnd = async () => {
        const weights = model.stateDict();
        const network = networkOf(model);
        const { run } = network;
        network.run = (...call) => {
          const end = run.apply(network, call);
          for (const { W_hh } of model.rnn) W_hh.data.fill(9);
          return end;
        };
        const probabilities = await model.predict(x);
        network.run = run;
        model.loadStateDict(weights);
        expect(probabilities).toEqual(await model.predict(x));
      };
      await model.fit(data, { callbacks: { onEpochEnd } });
    });
  });

  it('inside a callback of another model’s training knows both', async () => {
    await withModel({ threads: 0 }, async (one) => {
      await withModel({ threads: 0 }, async (other) => {
        const inner = async () => {
          expect(Object.keys(one.stateDict())).toHaveLength(10);
          await expect(one.evaluate(data)).rejects.toThrow(expect.objectContaining({ code: 'BUSY' }));
        };
        const onEpochEnd = () => other.fit(data, { callbacks: { onEpochEnd: inner } }).then(() => {});
        expect(await one.fit(data, { callbacks: { onEpochEnd } })).toHaveLength(1);
      });
    });
  });

  it('is not waited for by predictions from elsewhere', async () => {
    await withModel({ threads: 2 }, async (model) => {
      let fit: Promise<unknown[]> | undefined;
      let predicted = (): void => {};
      await new Promise<void>((begun) => {
        const onEpochEnd = () => {
          begun();
          return new Promise<void>((resolve) => {
            predicted = resolve;
          });
        };
        fit = model.fit(data, { callbacks: { onEpochEnd } });
      });
      await model.predict(data.x);
      predicted();
      expect(await fit).toHaveLength(1);
    });
  });

  it('of an epoch may change its log, but not the history', async () => {
    await withModel({ threads: 0 }, async (model) => {
      const onEpochEnd = (_: number, log: { loss: number }) => {
        log.loss = -1;
      };
      const [log] = await model.fit(data, { callbacks: { onEpochEnd } });
      expect(log.loss).toBeGreaterThan(0);
    });
  });

  it('of progress that fails ends training, and fit rejects with what it threw', async () => {
    for (const onProgress of [
      () => {
        throw new Error('no more');
      },
      async () => {
        throw new Error('no more');
      },
    ]) {
      await withModel({ threads: 2 }, async (model) => {
        const fit = model.fit(labelled(500, 20), { epochs: 10_000, callbacks: { onProgress } });
        await expect(fit).rejects.toThrow('no more');
      });
    }
  });

  it('of progress is called although epochs are short, and the event loop has its turn without threads', async () => {
    for (const threads of [0, 2]) {
      await withModel({ threads }, async (model) => {
        let progress = 0;
        let ticks = 0;
        const enough = new AbortController();
        const seen = (): void => {
          if (progress > 0 && ticks > 2) enough.abort(new Error('seen enough'));
        };
        const timer = setInterval(() => {
          ticks++;
          seen();
        }, 5);
        const onProgress = () => {
          progress++;
          seen();
        };
        const options = { epochs: 1_000_000, callbacks: { onProgress }, signal: enough.signal };
        await expect(model.fit(labelled(8, 4), options)).rejects.toThrow('seen enough');
        clearInterval(timer);
      });
    }
  });

  it('of steps that fails only after the last one ends training all the same, also in a loop', async () => {
    const options = { everySteps: 5, batchSize: 10 };
    const callbacks = {
      onSteps: async () => {
        throw new Error('no more');
      },
    };
    await withModel({ threads: 2 }, async (model) => {
      await expect(model.fit(data, { ...options, callbacks })).rejects.toThrow('no more');
      const epochs: number[] = [];
      const onEpochEnd = (epoch: number) => void epochs.push(epoch);
      const three = model.fit(data, { ...options, epochs: 3, callbacks: { ...callbacks, onEpochEnd } });
      await expect(three).rejects.toThrow('no more');
      expect(epochs).toEqual([]);
      const loop = async () => {
        for await (const _ of model.training(data, { ...options, callbacks }));
      };
      await expect(loop()).rejects.toThrow('no more');
    });
  });

  it('that takes its time is not waited for, and may use the model', async () => {
    await withModel({ threads: 2 }, async (model) => {
      const answers: Promise<unknown>[] = [];
      const callbacks = {
        onSteps: () => {
          const answer = model.evaluate(data).then(() => model.predict(data.x));
          answers.push(answer);
          return answer;
        },
      };
      await model.fit(data, { epochs: 2, everySteps: 5, batchSize: 10, callbacks });
      expect(await Promise.all(answers)).toHaveLength(2);
    });
  });

  it('that fails when fit has resolved is an unhandled rejection', async () => {
    const script = `
      import { RNNPhonemeClassifier } from ${JSON.stringify(new URL('../../dist/engine/index.js', import.meta.url))};
      const model = await RNNPhonemeClassifier.create({ inputSize: 1, hiddenSize: 2, outputSize: 2, threads: 1 });
      const onSteps = () => new Promise((_, reject) => setTimeout(reject, 200, new Error('too late')));
      const data = { x: [[[1]]], labels: [0] };
      await model.fit(data, { everySteps: 1, callbacks: { onSteps } });
      console.log('resolved');
    `;
    const run = promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]);
    await expect(run).rejects.toMatchObject({
      stdout: 'resolved\n',
      stderr: expect.stringContaining('too late'),
    });
  });

  it('of steps is told of all of them, wherever the checkpoints lie', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'elman-callbacks-'));
    try {
      await withModel({ threads: 2 }, async (model) => {
        const told: number[] = [];
        const callbacks = { onSteps: ({ step }: StepsLog) => told.push(step) };
        const checkpoint = { dir, everySteps: 7 };
        await model.fit(data, { epochs: 2, batchSize: 2, everySteps: 10, callbacks, checkpoint });
        expect(told).toEqual([10, 20, 10, 20]);
      });
    } finally {
      await rm(dir, { recursive: true });
    }
  });

  it('may ask for one prediction after the other, and be refused a training', async () => {
    for (const threads of [0, 2]) {
      await withModel({ threads }, async (model) => {
        let predictions = 0;
        const onEpochEnd = async () => {
          for (let i = 0; i < 5; i++) predictions += (await model.predict(data.x)).shape.length;
          await expect(model.fit(data)).rejects.toThrow(expect.objectContaining({ code: 'BUSY' }));
        };
        await model.fit(data, { epochs: 2, callbacks: { onEpochEnd } });
        expect(predictions).toBe(20);
        // The refused call has left nothing behind that predictions would wait for.
        expect((await model.predict(data.x)).shape).toEqual([50, 4]);
      });
    }
  });

  it('has no rights left once it has ended: what it began is a caller like any other', async () => {
    await withModel({ threads: 2 }, async (model) => {
      let later: Promise<unknown> = Promise.resolve();
      let refused = 0;
      const trial = (): void => {
        try {
          model.zeroGrad();
        } catch (error) {
          refused += Number((error as { code?: string }).code === 'BUSY');
        }
      };
      const enough = new AbortController();
      const onEpochEnd = (epoch: number): void => {
        if (epoch > 0) return;
        later = new Promise((resolve, reject) => {
          const timer = setInterval(() => {
            trial();
            if (refused < 5) return;
            clearInterval(timer);
            model.forward(data.x).then(resolve, reject);
            enough.abort(new Error('seen enough'));
          }, 1);
        });
      };
      const options = { epochs: 100_000, batchSize: 10, callbacks: { onEpochEnd }, signal: enough.signal };
      await expect(model.fit(labelled(500, 20), options)).rejects.toThrow('seen enough');
      expect(await later).toMatchObject({ shape: [50, 4] });
    });
  });
});

it('what a callback has started keeps no model alive once it has ended', async () => {
  let goOn = (): void => {};
  let started: Promise<boolean> | undefined;
  const models: WeakRef<object>[] = [];
  await withModel({ threads: 0 }, async (model) => {
    models.push(new WeakRef(model));
    const waits = async () => {
      await new Promise<void>((resolve) => {
        goOn = resolve;
      });
      return models[0].deref() === undefined;
    };
    const onEpochEnd = () => {
      started = waits();
    };
    await model.fit(data, { callbacks: { onEpochEnd } });
  });
  await collectUntil(() => !models[0].deref());
  goOn();
  expect(await started).toBe(true);
});

it('may be methods of an object, which they are called with', async () => {
  class Watch {
    epochs = 0;
    steps = 0;
    onEpochEnd(): void {
      this.epochs++;
    }
    onSteps(): void {
      this.steps++;
    }
  }
  class Counters extends Watch {}
  await withModel({ threads: 0 }, async (model) => {
    const callbacks = Object.create(new Counters()) as Watch;
    await model.fit(data, { batchSize: 10, everySteps: 1, callbacks });
    expect([callbacks.epochs, callbacks.steps]).toEqual([1, 5]);
  });
});
