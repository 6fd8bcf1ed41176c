import { createHash } from 'node:crypto';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { Word } from '../network/memory/control.ts';
import { networkOf } from '../network/registry.ts';
import { newReals } from '../numeric/reals.ts';
import type { RNNPhonemeClassifier } from '../rnn-classifier.ts';
import { bitsOf, labelled, withModel } from '../testing/models.ts';

/** Steps of so little work that most of them end while the parameters are being copied. */
const hasty = { hiddenSize: 64, numLayers: 1, seed: 5 };
const STEPS = 1_600;
const EPOCHS = 2;
const data = labelled(4 * STEPS, 1);
const optimizer = { type: 'sgd', learningRate: 0.05 } as const;
const plan = { batchSize: 4, shuffle: false, optimizer, epochs: EPOCHS };

/** Two ways to see the parameters: all of them, and what a stream computes from a frame with them. */
const snapshots = [
  (model: RNNPhonemeClassifier) => createHash('sha256').update(bitsOf(model)).digest('base64'),
  (model: RNNPhonemeClassifier) => model.stream().step([1, 2, 3, 4, 5]).join(),
];

/** What each of them shows before the first step of training, and after every step. */
const statesOf = (): Promise<string[][]> =>
  withModel({ ...hasty, threads: 0 }, async (model) => {
    const its = model.optimizer(optimizer);
    const states = snapshots.map((snapshot) => [snapshot(model)]);
    for (let step = 0; step < STEPS * EPOCHS; step++) {
      const first = 4 * (step % STEPS);
      const x = { data: data.x.data.slice(5 * first, 5 * (first + 4)), shape: [4, 1, 5] };
      await model.gradients(x, data.labels.subarray(first, first + 4));
      await its.step();
      model.zeroGrad();
      snapshots.forEach((snapshot, i) => {
        states[i].push(snapshot(model));
      });
    }
    return states;
  });

describe('stateDict and stream of a model while it is trained', () => {
  it('copy again what a step has ended in', async () => {
    await withModel({ threads: 0 }, async (model) => {
      const network = networkOf(model);
      const { words } = network.control;
      const [first, second] = network.model.parameters;
      network.parameterArray(second).fill(2);
      const read = vi.spyOn(network, 'parameterArray').mockImplementationOnce(() => {
        Atomics.store(words, Word.parity, 1);
        Atomics.add(words, Word.step, 1);
        return newReals('float32', network.g.paddedCount);
      });
      expect(network.parametersNow()).toEqual(newReals('float32', network.g.paddedCount).fill(2));
      expect(read.mock.calls).toEqual([[first], [second]]);
      Atomics.store(words, Word.parity, 0);
    });
  });

  it('are never refused, not even when it has just ended', async () => {
    await withModel({ threads: 2 }, async (model) => {
      const { x, labels } = labelled(64, 5);
      for (let i = 0; i < 10; i++) {
        let isTraining = true;
        const training = model.fit({ x, labels }, { epochs: 3 }).finally(() => {
          isTraining = false;
        });
        while (isTraining) {
          await model.predict(x);
          snapshots.map((snapshot) => snapshot(model));
        }
        await training;
      }
    });
  });

  let states: string[][] = [];
  beforeAll(async () => {
    states = await statesOf();
  });

  it.each([0, 1, 2])('have the parameters of the last whole step (threads: %i)', async (threads) => {
    await withModel({ ...hasty, threads }, async (model) => {
      let isTraining = true;
      const training = model.fit(data, plan).finally(() => {
        isTraining = false;
      });
      /** The steps that the snapshots are of, in the order in which they were taken. */
      const seen: number[] = [];
      while (isTraining) {
        // Mostly the one that is read fastest, to give it every chance to be torn.
        for (const i of [0, 0, 0, 0, 1]) seen.push(states[i].indexOf(snapshots[i](model)));
        await new Promise(setImmediate);
      }
      await training;
      expect(seen).not.toContain(-1);
      expect(seen).toEqual(seen.toSorted((a, b) => a - b));
      expect(new Set(seen).size).toBeGreaterThan(2);
      expect(snapshots[0](model)).toBe(states[0].at(-1));
    });
  });
});
