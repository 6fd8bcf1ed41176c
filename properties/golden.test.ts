import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { bitsOf, labelled, withModel } from '../engine/testing/models.ts';

/**
 * Weights trained from a seed, by their hash: the same on every machine and every version of Node.js. A change here is
 * a change of everybody's results, and belongs into the changelog.
 */
const golden = {
  float32: '631509b9ec878ce84a8acb7df7e41a406244e32e62dcb17b655a59076ec20f27',
  float64: 'c968726f73bde347b68dec4e9d0d1019d8bb0d3e29c67e2ca8a574848913cdb8',
};

describe('the weights trained from a seed', () => {
  for (const dtype of ['float32', 'float64'] as const) {
    it(`are these, bit for bit, in ${dtype}`, async () => {
      const { x, labels } = labelled(90, 17);
      const lengths = labels.map((label, i) => 1 + ((label * 5 + i) % 17));
      const options = {
        dtype,
        threads: 2,
        hiddenSize: 29,
        numLayers: 3,
        recurrentInit: 'orthogonal',
      } as const;
      const bits = await withModel(options, async (model) => {
        const data = { x: { ...x, lengths }, labels };
        await model.fit(data, { epochs: 3, batchSize: 20, seed: 4, clipNorm: 1, schedule: 'cosine' });
        await model.fit(data, { optimizer: { type: 'sgd', momentum: 0.9, nesterov: true }, batchSize: 33 });
        return bitsOf(model);
      });
      expect(createHash('sha256').update(bits).digest('hex')).toBe(golden[dtype]);
    });
  }
});
