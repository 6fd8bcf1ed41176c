import { getEventListeners } from 'node:events';
import { describe, expect, it, vi } from 'vitest';
import { freshPlateau, nextPlateau, scheduleSpec } from '../optimization/schedules.ts';
import { bitsOf, labelled, withModel } from '../testing/models.ts';
import type { Progress, StepsLog } from './fit-options.ts';

const data = labelled(50, 6);
const validation = labelled(20, 6, 5, 4, 9);

describe('early stopping', () => {
  it('ends when the figure has not got better, and brings the best parameters back', async () => {
    await withModel({ threads: 2, hiddenSize: 24 }, async (model) => {
      const after: string[] = [];
      const history = await model.fit(data, {
        epochs: 200,
        batchSize: 10,
        validation,
        optimizer: { type: 'adam', learningRate: 0.02 },
        earlyStopping: { patience: 3 },
        callbacks: {
          // With random labels, the validation loss soon gets worse. Every epoch's parameters are recorded here.
          onEpochEnd: () => {
            after.push(networkBits(model));
          },
        },
      });
      expect(history.length).toBeLessThan(200);
      const losses = history.map(({ validationLoss }) => validationLoss ?? Number.NaN);
      const best = losses.indexOf(Math.min(...losses));
      expect(history.length - 1 - best).toBe(4);
      expect(networkBits(model)).toBe(after[best]);
    });
  });

  it('is refused where there is nothing to monitor', async () => {
    await withModel({ threads: 0 }, async (model) => {
      await expect(model.fit(data, { earlyStopping: {} })).rejects.toThrow(
        'earlyStopping.monitor: expected loss or accuracy where there is no validation, got "validationLoss"',
      );
    });
  });
});

/** The parameters as the views show them: a callback runs while the call is still in flight. */
const networkBits = (model: { rnn: readonly { W_ih: { data: ArrayLike<number> } }[] }): string =>
  model.rnn.map((cell) => Array.from(cell.W_ih.data).join()).join(';');

describe('a step that is not finite', () => {
  it('is left out on request, and counted', async () => {
    const x = { ...data.x, data: data.x.data.slice() };
    x.data[20 * 30] = Number.NaN;
    const options = { batchSize: 10, shuffle: false, optimizer: 'sgd' } as const;
    const without = [0, 1, 3, 4].map((batch) => ({
      x: { data: data.x.data.subarray(batch * 300, (batch + 1) * 300), shape: [10, 6, 5] },
      labels: data.labels.subarray(batch * 10, (batch + 1) * 10),
    }));
    const expected = await withModel({ threads: 0 }, async (model) => {
      for (const part of without) await model.fit(part, options);
      return bitsOf(model);
    });
    for (const threads of [0, 2])
      await withModel({ threads }, async (model) => {
        const [log] = await model.fit({ x, labels: data.labels }, { ...options, onNonFinite: 'skip' });
        expect(log.skippedSteps).toBe(1);
        expect(Number.isFinite(log.loss)).toBe(true);
        expect(bitsOf(model)).toBe(expected);
      });
  });
});

describe('a step that is left out', () => {
  it('leaves moments and counts of the optimizer as if it had never been', async () => {
    const rest = {
      x: { data: data.x.data.subarray(300), shape: [40, 6, 5] },
      labels: data.labels.subarray(10),
    };
    const x = { ...data.x, data: data.x.data.slice().fill(Number.NaN, 0, 300) };
    const options = { batchSize: 10, shuffle: false, optimizer: 'adam', onNonFinite: 'skip' } as const;
    const bits = (given: typeof rest) =>
      withModel({ threads: 0 }, async (model) => {
        await model.fit(given, options);
        return bitsOf(model);
      });
    expect(await bits({ x, labels: data.labels })).toBe(await bits(rest));
  });
});

describe('a schedule in steps', () => {
  it('lowers the rate after so many epochs', async () => {
    await withModel({ threads: 0 }, async (model) => {
      const history = await model.fit(data, {
        epochs: 5,
        batchSize: 20,
        schedule: { type: 'step', epochs: 2, factor: 0.5 },
        optimizer: { type: 'sgd', learningRate: 0.4 },
      });
      expect(history.map(({ learningRate }) => learningRate)).toEqual([0.4, 0.4, 0.2, 0.2, 0.1]);
    });
  });
});

describe('labels of every frame', () => {
  const frames = labelled(20, 6).x;
  const steps = (ignored: number) =>
    Array.from({ length: 20 }, (_, i) =>
      Array.from({ length: 6 }, (_, t) => ((i + t) % 3 === 0 ? ignored : t % 4)),
    );

  it('are left out of the validation where fit is told which', async () => {
    await withModel({ threads: 0, output: 'steps' }, async (model) => {
      const given = { x: frames, labels: steps(-7) };
      const [log] = await model.fit(given, { validation: given, ignoreIndex: -7 });
      const { loss, accuracy } = await model.evaluate(given, { ignoreIndex: -7 });
      expect([log.validationLoss, log.validationAccuracy]).toEqual([loss, accuracy]);
    });
  });

  it('that all count for nothing in a batch make a step of no gradient, not one that is not finite', async () => {
    await withModel({ threads: 0, output: 'steps' }, async (model) => {
      const labels = steps(-100).map((row, i) => (i < 10 ? row.map(() => -100) : row));
      const [log] = await model.fit({ x: frames, labels }, { batchSize: 10, shuffle: false });
      expect(log.skippedSteps).toBe(0);
      expect(Number.isFinite(log.loss)).toBe(true);
    });
  });
});

describe('progress', () => {
  it('says how long the steps that are left will take at the rate so far', async () => {
    await withModel({ threads: 2 }, async (model) => {
      // Independent of the machine's speed: training goes on until it has reported three times.
      const running: Progress[] = [];
      const enough = new AbortController();
      const onProgress = (progress: Progress) => {
        if (progress.step > 0 && running.push(progress) === 3) enough.abort(new Error('seen enough'));
      };
      const options = { epochs: 10_000, batchSize: 4, callbacks: { onProgress }, signal: enough.signal };
      await expect(model.fit(labelled(2_000, 20), options)).rejects.toThrow('seen enough');
      for (const { epoch, step, steps, secondsLeft, sequencesPerSecond } of running)
        expect((secondsLeft * sequencesPerSecond) / 4).toBeCloseTo(steps * (10_000 - epoch) - step, 4);
    });
  });

  it('knows the rate at an epoch’s start from the one before', async () => {
    await withModel({ threads: 0 }, async (model) => {
      // One step an epoch, and longer than the time between two reports: most are made before it is done.
      const reports: Progress[] = [];
      const enough = new AbortController();
      const onProgress = (progress: Progress) => {
        if (progress.epoch > 0 && progress.step === 0 && reports.push(progress) === 2)
          enough.abort(new Error('seen enough'));
      };
      const options = { epochs: 10_000, batchSize: 20_000, callbacks: { onProgress }, signal: enough.signal };
      await expect(model.fit(labelled(20_000, 20), options)).rejects.toThrow('seen enough');
      for (const { epoch, secondsLeft, sequencesPerSecond } of reports)
        expect((secondsLeft * sequencesPerSecond) / 20_000).toBeCloseTo(10_000 - epoch, 4);
    });
  });

  it('is of rows a second, in a log as well', async () => {
    await withModel({ threads: 0 }, async (model) => {
      let now = 1_000;
      const clock = vi.spyOn(performance, 'now').mockImplementation(() => now);
      const onSteps = () => {
        now = 3_000;
      };
      const [log] = await model.fit(labelled(500, 20), {
        batchSize: 4,
        everySteps: 125,
        callbacks: { onSteps },
      });
      clock.mockRestore();
      expect(log.sequencesPerSecond).toBe(500 / 2);
    });
  });
});

describe('a signal', () => {
  it('has no listener left once fit has ended', async () => {
    await withModel({ threads: 0 }, async (model) => {
      const { signal } = new AbortController();
      await model.fit(labelled(20, 4), { signal });
      expect(getEventListeners(signal, 'abort')).toEqual([]);
    });
  });
});

describe('a plateau schedule', () => {
  it('lowers the rate by the validation loss, or by the training loss where there is none', async () => {
    const schedule = { type: 'plateau', patience: 0, factor: 0.5 } as const;
    for (const given of [{ validation }, {}]) {
      await withModel({ threads: 0, hiddenSize: 24 }, async (model) => {
        // A rate so high that both losses rise now and then.
        const optimizer = { type: 'sgd', learningRate: 4 } as const;
        const history = await model.fit(data, { ...given, epochs: 40, batchSize: 10, optimizer, schedule });
        let state = freshPlateau;
        for (const log of history) {
          expect(log.learningRate).toBe(4 * state.factor);
          const loss = 'validation' in given ? (log.validationLoss as number) : log.loss;
          state = nextPlateau(scheduleSpec(schedule), state, loss);
        }
        expect(state.factor).toBeLessThan(1);
      });
    }
  });
});

describe('steps', () => {
  const options = {
    epochs: 2,
    batchSize: 8,
    seed: 5,
    optimizer: { type: 'sgd', learningRate: 0.1 },
  } as const;

  it('are told of, so many at a time, as the epoch’s figures sum them up', async () => {
    for (const threads of [0, 2]) {
      await withModel({ threads, dtype: 'float64' }, async (model) => {
        const logs: StepsLog[] = [];
        const callbacks = { onSteps: (log: StepsLog) => logs.push(log) };
        // 50 rows in batches of 8: six whole ones, and two rows.
        const history = await model.fit(data, { ...options, everySteps: 1, callbacks });
        expect(logs.map(({ epoch, step }) => [epoch, step])).toEqual(
          [0, 1].flatMap((epoch) => [1, 2, 3, 4, 5, 6, 7].map((step) => [epoch, step])),
        );
        const rows = [8, 8, 8, 8, 8, 8, 2];
        history.forEach((log, epoch) => {
          const its = logs.slice(7 * epoch, 7 * epoch + 7);
          expect(its.reduce((sum, { loss }, i) => sum + loss * rows[i], 0) / 50).toBeCloseTo(log.loss, 12);
          expect(Math.max(...its.map(({ gradientNorm }) => gradientNorm))).toBe(log.gradientNorm);
          expect(its[6].learningRate).toBe(log.learningRate);
        });
      });
    }
  });

  it('that do not fill up a sum at an epoch’s end are left out', async () => {
    await withModel({ threads: 0 }, async (model) => {
      const single: StepsLog[] = [];
      const threes: StepsLog[] = [];
      for (const [everySteps, logs] of [
        [1, single],
        [3, threes],
      ] as const) {
        model.loadStateDict(await start);
        await model.fit(data, {
          ...options,
          everySteps,
          callbacks: { onSteps: (log) => void logs.push(log) },
        });
      }
      expect(threes.map(({ epoch, step }) => [epoch, step])).toEqual([
        [0, 3],
        [0, 6],
        [1, 3],
        [1, 6],
      ]);
      const mean = (logs: StepsLog[]) => logs.reduce((sum, { loss }) => sum + loss, 0) / logs.length;
      expect(threes[1].loss).toBeCloseTo(mean(single.slice(3, 6)), 6);
      expect(threes[1].gradientNorm).toBe(Math.max(...single.slice(3, 6).map((log) => log.gradientNorm)));
    });
  });
  const start = withModel({ threads: 0 }, async (model) => model.stateDict());

  it('come as events as well, beside the callback', async () => {
    await withModel({ threads: 2 }, async (model) => {
      const steps: number[] = [];
      const told: number[] = [];
      const callbacks = { onSteps: ({ step }: StepsLog) => told.push(step) };
      for await (const event of model.training(data, { ...options, everySteps: 2, callbacks }))
        if (event.type === 'steps') steps.push(event.step);
      expect(steps).toEqual([2, 4, 6, 2, 4, 6]);
      expect(told).toEqual(steps);
    });
  });

  it('that are left out, since they are not finite, do not count in the loss', async () => {
    await withModel({ threads: 0 }, async (model) => {
      const x = { ...data.x, data: data.x.data.slice().fill(Number.NaN, 0, 30) };
      const logs: StepsLog[] = [];
      const callbacks = { onSteps: (log: StepsLog) => logs.push(log) };
      const skipping = { ...options, epochs: 1, shuffle: false, onNonFinite: 'skip' } as const;
      await model.fit({ x, labels: data.labels }, { ...skipping, everySteps: 3, callbacks });
      expect(logs.map(({ loss }) => Number.isFinite(loss))).toEqual([true, true]);
    });
  });

  it('are told with the norm before it is clipped, as the epoch is', async () => {
    await withModel({ threads: 0 }, async (model) => {
      const norms: number[] = [];
      const callbacks = { onSteps: ({ gradientNorm }: StepsLog) => norms.push(gradientNorm) };
      const clipped = { ...options, epochs: 1, everySteps: 1, clipNorm: 1e-3, callbacks };
      const [log] = await model.fit(data, clipped);
      expect(Math.max(...norms)).toBe(log.gradientNorm);
      expect(Math.min(...norms)).toBeGreaterThan(1e-3);
    });
  });

  it('whose callback fails end training; a callback without everySteps is refused', async () => {
    await withModel({ threads: 0 }, async (model) => {
      const onSteps = () => {
        throw new Error('no more');
      };
      await expect(model.fit(data, { ...options, everySteps: 1, callbacks: { onSteps } })).rejects.toThrow(
        'no more',
      );
      await expect(model.fit(data, { callbacks: { onSteps } })).rejects.toThrow(
        'everySteps: expected a number of steps where there is callbacks.onSteps, got undefined',
      );
    });
  });
});

describe('bucketing by length', () => {
  it('trains on every row, the same for any number of threads, other steps than without', async () => {
    const lengths = Int32Array.from({ length: 50 }, (_, i) => 1 + ((i * 5) % 6));
    const uneven = { x: { ...data.x, lengths }, labels: data.labels };
    const bits = (threads: number, bucketByLength: boolean) =>
      withModel({ threads }, async (model) => {
        await model.fit(uneven, { epochs: 2, batchSize: 8, bucketByLength });
        return bitsOf(model);
      });
    expect(await bits(2, true)).toBe(await bits(0, true));
    expect(await bits(0, true)).not.toBe(await bits(0, false));
  });
});
