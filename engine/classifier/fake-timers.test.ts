import { afterEach, expect, it, vi } from 'vitest';
import { RNNPhonemeClassifier } from '../index.ts';
import { labelled } from '../testing/models.ts';

afterEach(() => {
  vi.useRealTimers();
});

it.each([0, 2])(
  'whoever fakes timers in a test of their own still gets answers, with %i threads',
  async (threads) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'setInterval', 'setImmediate', 'Date', 'performance'] });
    const model = await RNNPhonemeClassifier.create({ inputSize: 5, hiddenSize: 16, outputSize: 4, threads });
    const data = labelled(64, 40);
    let steps = 0;
    const fitting = model.fit(data, {
      epochs: 3,
      batchSize: 16,
      validation: data,
      everySteps: 1,
      callbacks: { onSteps: () => steps++ },
    });
    expect((await model.predict(data.x)).shape).toEqual([64, 4]);
    expect(await fitting).toHaveLength(3);
    expect(steps).toBe(12);
    await model.gradients(data.x, data.labels);
    await model.close();
  },
);
