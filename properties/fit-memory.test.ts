/** What fit reserves is enough for every batch of an epoch: the predictions that are asked for meanwhile lie behind it. */
import { fc } from '@fast-check/vitest';
import { afterEach, describe, expect, vi } from 'vitest';
import { RNNPhonemeClassifier } from '../engine/index.ts';
import { batchSpec } from '../engine/network/memory/batch-memory.ts';
import { Word } from '../engine/network/memory/control.ts';
import { PredictionServer } from '../engine/network/prediction-server.ts';
import { networkOf } from '../engine/network/registry.ts';
import { PAGE_BYTES } from '../engine/parallel/memory-map.ts';
import { kernelsOfRun } from './kernels-of-run.ts';
import { law } from './profile.ts';

const UNTOUCHED = 0x5a5a5a5a;
/** More than any of these batches needs. */
const MANY_NUMBERS = 1_500_000;

const upTo = (max: number) => fc.integer({ min: 1, max });
const output = fc.constantFrom('last', 'mean', 'steps');

/** Models of few weights as well as of more: their batches are cut into lanes in another way. */
const shape = fc.record({ inputSize: upTo(20), hiddenSize: upTo(20), outputSize: upTo(300), output });

afterEach(() => {
  vi.restoreAllMocks();
});

/** Makes the memory large, and marks what lies behind the training's part once that is reserved. */
function markBehindTraining(model: RNNPhonemeClassifier): () => Int32Array {
  const network = networkOf(model);
  network.engagement.flopsPerThread = 1;
  const inputFrames = Math.ceil(MANY_NUMBERS / model.inputSize);
  network.reserve(batchSpec({ start: 0, rows: 1, steps: 1, time: 1, threads: 1, inputFrames }));
  const bytes = network.control.words[Word.pages] * PAGE_BYTES;
  let behind: Int32Array = new Int32Array();
  vi.spyOn(PredictionServer.prototype, 'attend').mockImplementation((end) => {
    behind = network.integers(end, (bytes - end) / 4).fill(UNTOUCHED);
  });
  return () => behind;
}

describe('the memory of fit', () => {
  law(
    'is all that its batches write to, whatever the size of the last one',
    { shape, batchSize: upTo(40), whole: upTo(2), rest: upTo(40), time: upTo(40), threads: upTo(3) },
    { cases: 40 },
    async ({ shape, batchSize, whole, rest, time, threads }) => {
      const options = { ...shape, kernels: kernelsOfRun, threads: threads - 1 };
      const model = await RNNPhonemeClassifier.create(options);
      try {
        const behind = markBehindTraining(model);
        const rows = whole * batchSize + (rest % batchSize);
        const x = Array.from({ length: rows }, () => ({
          data: new Float32Array(time * shape.inputSize),
          shape: [time, shape.inputSize],
        }));
        const labels = shape.output === 'steps' ? x.map(() => new Int32Array(time)) : new Int32Array(rows);
        await model.fit({ x, labels }, { batchSize, epochs: 1 });
        expect(behind().length).toBeGreaterThan(0);
        expect(behind().findIndex((word) => word !== UNTOUCHED)).toBe(-1);
      } finally {
        await model.close();
      }
    },
  );
});
