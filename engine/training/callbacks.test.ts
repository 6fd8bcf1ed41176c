import { describe, expect, it, vi } from 'vitest';
import { labelled, withModel } from '../test-models.ts';

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

  it('is not waited for by predictions from elsewhere', async () => {
    await withModel({ threads: 2 }, async (model) => {
      let predicted = (): void => {};
      const prediction = new Promise<void>((resolve) => {
        predicted = resolve;
      });
      const fit = model.fit(data, { callbacks: { onEpochEnd: () => prediction } });
      setTimeout(() => void model.predict(data.x).then(predicted), 50);
      expect(await fit).toHaveLength(1);
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
        const timer = setInterval(() => ticks++, 5);
        const callbacks = { onProgress: () => void progress++ };
        await model.fit(labelled(8, 4), { epochs: 3_000, callbacks });
        clearInterval(timer);
        expect(progress).toBeGreaterThan(0);
        expect(ticks).toBeGreaterThan(2);
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

  it('that takes its time is waited for before training has ended, and not before the next epoch', async () => {
    await withModel({ threads: 2 }, async (model) => {
      let epochs = 0;
      let seen = 0;
      const callbacks = {
        onEpochEnd: () => void epochs++,
        onSteps: async () => {
          await vi.waitUntil(() => epochs === 2, { interval: 1, timeout: 30_000 });
          seen++;
        },
      };
      await model.fit(data, { epochs: 2, everySteps: 5, batchSize: 10, callbacks });
      expect(seen).toBe(2);
    });
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
        // The refused one has left nothing behind for which predictions would wait.
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
      const onEpochEnd = (epoch: number): void => {
        if (epoch > 0) return;
        const timer = setInterval(trial, 1);
        later = new Promise((resolve, reject) => {
          setTimeout(() => {
            clearInterval(timer);
            model.forward(data.x).then(resolve, reject);
          }, 30);
        });
      };
      await model.fit(labelled(500, 20), { epochs: 20, batchSize: 10, callbacks: { onEpochEnd } });
      expect(refused).toBeGreaterThan(0);
      expect(await later).toMatchObject({ shape: [50, 4] });
    });
  });
});
