import { beforeAll, describe, expect, it } from 'vitest';
import type { RNNPhonemeClassifier } from '../rnn-classifier.ts';
import { bitsOf, labelled, withModel } from '../test-models.ts';

/** Steps of so little work that most of them end while somebody copies the parameters. */
const hasty = { hiddenSize: 64, numLayers: 1, seed: 5 };
const data = labelled(32, 1);
const plan = { batchSize: 4, shuffle: false, optimizer: { type: 'sgd', learningRate: 0.05 } } as const;
const EPOCHS = 400;

/** What shows the parameters: all of them, and what a stream makes of a frame with them. */
const snapshots = [bitsOf, (model: RNNPhonemeClassifier) => model.stream().step([1, 2, 3, 4, 5]).join()];

/** What either shows before the first step of the training, and after each. */
const statesOf = (): Promise<string[][]> =>
  withModel({ ...hasty, threads: 0 }, async (model) => {
    const optimizer = model.optimizer(plan.optimizer);
    const states = snapshots.map((snapshot) => [snapshot(model)]);
    for (let step = 0; step < 8 * EPOCHS; step++) {
      const first = 4 * (step % 8);
      const x = { data: data.x.data.slice(5 * first, 5 * (first + 4)), shape: [4, 1, 5] };
      await model.gradients(x, data.labels.subarray(first, first + 4));
      await optimizer.step();
      model.zeroGrad();
      snapshots.forEach((snapshot, i) => {
        states[i].push(snapshot(model));
      });
    }
    return states;
  });

describe('stateDict and stream of a model while it is trained', () => {
  let states: string[][] = [];
  beforeAll(async () => {
    states = await statesOf();
  });

  it.each([0, 1, 2])('have the parameters of the last whole step (threads: %i)', async (threads) => {
    await withModel({ ...hasty, threads }, async (model) => {
      let isTraining = true;
      const training = model.fit(data, { ...plan, epochs: EPOCHS }).finally(() => {
        isTraining = false;
      });
      /** The steps they are of, one after the other. */
      const seen: number[] = [];
      while (isTraining) {
        // Most often what is read fastest: it is to be torn, if it can be.
        for (const i of [0, 0, 0, 0, 1]) seen.push(states[i].indexOf(snapshots[i](model)));
        await new Promise(setImmediate);
      }
      await training;
      expect(seen).not.toContain(-1);
      expect(seen).toEqual(seen.toSorted((a, b) => a - b));
      expect(new Set(seen).size).toBeGreaterThan(2);
      expect(bitsOf(model)).toBe(states[0].at(-1));
    });
  });
});
