import { describe, expect, it } from 'vitest';
import { labelled, withModel } from '../testing/models.ts';
import type { EpochLog, FitOptions } from './fit-options.ts';
import { type TrainingEvent, trainingEvents } from './training-events.ts';

const data = labelled(50, 6);

describe('training as a loop', () => {
  it('gives every epoch, and returns the history', async () => {
    await withModel({ threads: 2 }, async (model) => {
      const events: TrainingEvent[] = [];
      const training = model.training(data, { epochs: 3, batchSize: 10 });
      let next = await training.next();
      for (; !next.done; next = await training.next()) events.push(next.value);
      expect(events.filter(({ type }) => type === 'epoch').map(({ epoch }) => epoch)).toEqual([0, 1, 2]);
      expect(next.value.map(({ epoch }) => epoch)).toEqual([0, 1, 2]);
    });
  });

  it('gives every epoch however late it is listened to, and of progress the newest', async () => {
    const log = { epoch: 0, loss: 1, accuracy: 0, learningRate: 1, gradientNorm: 1, skippedSteps: 0 };
    const progress = { ...log, epochs: 2, steps: 9, sequencesPerSecond: 1, secondsLeft: 1 };
    const run = async ({ callbacks = {} }: FitOptions): Promise<EpochLog[]> => {
      const history = [0, 1].map((epoch) => ({ ...log, epoch, sequencesPerSecond: 1 }));
      for (const epoch of history) {
        for (const step of [3, 5, 8]) callbacks.onProgress?.({ ...progress, epoch: epoch.epoch, step });
        await callbacks.onEpochEnd?.(epoch.epoch, epoch);
      }
      return history;
    };
    const events: TrainingEvent[] = [];
    for await (const event of trainingEvents(run, {}, 2)) events.push(event);
    const told = events.map((event) => [event.type, event.epoch, 'step' in event ? event.step : null]);
    expect(told).toEqual([
      ['progress', 0, 8],
      ['epoch', 0, null],
      ['progress', 1, 8],
      ['epoch', 1, null],
    ]);
  });

  it('ends training when it is left, and throws what fit rejects with', async () => {
    await withModel({ threads: 2 }, async (model) => {
      for await (const event of model.training(data, { epochs: 1_000_000 }))
        if (event.type === 'epoch') break;
      expect((await model.forward(data.x)).shape).toEqual([50, 4]);
      await expect(model.training(data, { epochs: 0 }).next()).rejects.toThrow('epochs: expected an integer');
    });
  });
});
