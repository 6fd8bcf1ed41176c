import { describe, expect, it } from 'vitest';
import { labelled, withModel } from '../../testing/models.ts';

const data = labelled(21, 7);
const weights = [1, 0.25, 3, 0];
const options = { classWeights: weights, labelSmoothing: 0.1 };

/** w_label (−Σ_j target_j log softmax(z)_j), target = 0.9 onehot + 0.1 / 4, mean over the rows. */
function expectedLoss(logits: ArrayLike<number>): number {
  let sum = 0;
  data.labels.forEach((label, row) => {
    const z = Array.from({ length: 4 }, (_, j) => logits[row * 4 + j]);
    const total = Math.log(z.reduce((a, b) => a + Math.exp(b), 0));
    z.forEach((value, j) => {
      sum -= weights[label] * ((j === label ? 0.9 : 0) + 0.1 / 4) * (value - total);
    });
  });
  return sum / 21;
}

describe('class weights and label smoothing', () => {
  it.each([0, 2])('give the loss they stand for, and its gradient, on %i threads', async (threads) => {
    await withModel({ threads, dtype: 'float64' }, async (model) => {
      const { loss, logits } = await model.gradients(data.x, data.labels, options);
      expect(loss).toBeCloseTo(expectedLoss(logits.data), 13);
      // Central differences on some parameters of the first cell and of the output layer.
      for (const [values, gradient] of [
        [model.rnn[0].W_hh.data, model.rnn[0].dW_hh.data],
        [model.outputLayer.W.data, model.outputLayer.dW.data],
      ]) {
        for (const i of [0, 7, 30]) {
          const at = async (value: number) => {
            const before = values[i];
            values[i] = value;
            const { data: z } = await model.forward(data.x);
            values[i] = before;
            return expectedLoss(z);
          };
          const h = 1e-5;
          const difference = ((await at(values[i] + h)) - (await at(values[i] - h))) / (2 * h);
          expect(gradient[i]).toBeCloseTo(difference, 9);
        }
      }
    });
  });

  it('hold for every label that counts where there is one a step', async () => {
    await withModel({ threads: 0, dtype: 'float64', output: 'steps' }, async (model) => {
      // Every row's class at its last step, ignored labels at the others.
      const last = Array.from(data.labels, (label) => [-100, -100, -100, -100, -100, -100, label]);
      const { loss, logits } = await model.gradients(data.x, last, options);
      const ends = Array.from({ length: 21 }, (_, row) => [
        ...logits.data.slice(row * 28 + 24, row * 28 + 28),
      ]);
      expect(loss).toBeCloseTo(expectedLoss(ends.flat()), 13);
    });
  });

  it('train the same in fit as step by step', async () => {
    await withModel({ threads: 0, dtype: 'float64' }, async (byHand) => {
      const optimizer = byHand.optimizer({ type: 'sgd', learningRate: 0.1 });
      await byHand.gradients(data.x, data.labels, options);
      await optimizer.step();
      await withModel({ threads: 3, dtype: 'float64' }, async (model) => {
        const sgd = { type: 'sgd', learningRate: 0.1 } as const;
        await model.fit(data, { batchSize: 21, shuffle: false, optimizer: sgd, ...options });
        expect(model.rnn[1].W_ih.data).toEqual(byHand.rnn[1].W_ih.data);
      });
    });
  });

  it('refuse what cannot be', async () => {
    await withModel({ threads: 0 }, async (model) => {
      const call = (bad: object) => model.gradients(data.x, data.labels, bad);
      await expect(call({ classWeights: [1, 2] })).rejects.toThrow(
        'classWeights: expected 4 numbers, one a class, got an array of 2',
      );
      await expect(call({ classWeights: { 0: 1, 1: 2 } })).rejects.toThrow(/one a class, got (?!0)/);
      await expect(call({ classWeights: [1, 2, -1, 0] })).rejects.toThrow(
        'classWeights[2]: expected a finite number, 0 or more',
      );
      await expect(call({ labelSmoothing: 1 })).rejects.toThrow(
        'labelSmoothing: expected a number from 0 to below 1',
      );
    });
  });
});
