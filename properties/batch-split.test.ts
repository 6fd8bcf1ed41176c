import { fc } from '@fast-check/vitest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NetworkOptions, NetworkShape, Problem } from './arbitraries.ts';
import {
  batchRecipe,
  largeBatches,
  plain,
  problem,
  problemFor,
  seededNetwork,
  splitOf,
  splitRecipe,
} from './arbitraries.ts';
import type { TensorLike } from './compare.ts';
import { expectClose, expectSameBits } from './compare.ts';
import type { Model, Named, Results } from './engine-model.ts';
import {
  createModel,
  dataOf,
  expectAllClose,
  expectedLoss,
  expectSameResults,
  ignoring,
  parametersOf,
  problemRows,
  runDelta,
  runLoss,
  setWeights,
  times,
  withModel,
} from './engine-model.ts';
import { law } from './profile.ts';
import { countOf } from './reference.ts';

/** Row `from` of part, a tensor whose axis `axis` is the batch, added into row `to` of whole, times weight. */
function addRow(
  whole: Tensor,
  part: TensorLike,
  axis: number,
  to: number,
  from: number,
  weight: number,
): void {
  const inner = product(whole.shape.slice(axis + 1));
  const outer = product(whole.shape.slice(0, axis));
  const partInner = product(part.shape.slice(axis + 1));
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < Math.min(inner, partInner); i++) {
      const source = part.data[(o * part.shape[axis] + from) * partInner + i];
      whole.data[(o * whole.shape[axis] + to) * inner + i] += weight * source;
    }
  }
}

interface Tensor {
  data: Float64Array;
  shape: readonly number[];
}

function product(extents: readonly number[]): number {
  return extents.reduce((total, extent) => total * extent, 1);
}

function emptyLike(results: Results): { loss: number; logits: Tensor; gradients: Array<[string, Tensor]> } {
  const empty = ({ data, shape }: TensorLike): Tensor => ({ data: new Float64Array(data.length), shape });
  const gradients = results.gradients.map(([name, v]): [string, Tensor] => [name, empty(v as TensorLike)]);
  return { loss: 0, logits: empty(results.logits), gradients };
}

/**
 * What the whole batch should give: weights are means, dh0 is divided like them, dx and logits are a row's own.
 * share: of the part in all that counts
 */
function addPart(total: ReturnType<typeof emptyLike>, part: Results, rows: number[], share: number): void {
  total.loss += share * (part.loss ?? 0);
  rows.forEach((row, k) => {
    addRow(total.logits, part.logits, 0, row, k, 1);
  });
  total.gradients.forEach(([name, sum], k) => {
    const values = part.gradients[k][1] as TensorLike;
    if (name === 'dh0') for (const [r, row] of rows.entries()) addRow(sum, values, 1, row, r, share);
    else if (name === 'dx') for (const [r, row] of rows.entries()) addRow(sum, values, 0, row, r, 1);
    else for (let i = 0; i < sum.data.length; i++) sum.data[i] += share * values.data[i];
  });
}

async function checkSplit(model: Model, p: Problem, parts: number[][], run: typeof runLoss): Promise<void> {
  const whole = await run(model, p);
  const total = emptyLike(whole);
  for (const rows of parts) {
    const part = problemRows(p, rows);
    addPart(total, await run(model, part), rows, countOf(part.labels) / countOf(p.labels));
  }
  const bounds = expectedLoss(p);
  // Both sides may be wrong by the bound: the parts' bounds add up to no more than that of the whole.
  expectClose('logits', total.logits, whole.logits, { atol: times(bounds.logitBounds, 2) });
  expectClose('loss', total.loss, whole.loss ?? 0, { atol: 2 * (bounds.lossBound ?? 0) });
  expectAllClose(total.gradients, whole.gradients, bounds.gradientBounds, 2);
}

/** Dropout's mask depends on the row's number in its batch: dropout.test.ts */
const fixed = { dropout: 0 };

describe('a batch', () => {
  law(
    'has the gradient of its parts, each weighted by its rows, however it is split',
    { p: problem({ fixed }), split: splitRecipe() },
    { cases: 80 },
    async ({ p, split }) => {
      const parts = splitOf(p.x.length, split);
      await withModel(p, (model) => checkSplit(model, p, parts, runLoss));
    },
  );

  law(
    'has the gradient of its samples, run one by one',
    { p: problem({ batch: 17, fixed }) },
    { cases: 30 },
    async ({ p }) => {
      const parts = p.x.map((_, b) => [b]);
      await withModel(p, (model) => checkSplit(model, p, parts, runLoss));
    },
  );

  law(
    'has the gradient of its parts where lanes have many blocks',
    { p: problem({ ...largeBatches, fixed }), split: splitRecipe() },
    { cases: 12 },
    async ({ p, split }) => {
      const parts = splitOf(p.x.length, split);
      await withModel(p, (model) => checkSplit(model, p, parts, runLoss));
    },
  );

  law(
    'has the gradient of its parts on a model with threads',
    { p: problem({ width: 33, fixed }), split: splitRecipe(), threads: fc.integer({ min: 1, max: 4 }) },
    { cases: 8 },
    async ({ p, split, threads }) => {
      const parts = splitOf(p.x.length, split);
      await withModel(p, (model) => checkSplit(model, p, parts, runLoss), threads);
    },
  );
});

/** A few networks with models for each number of threads, made once: making one takes 50 to 100 ms. */
const sharedNetworks: Array<{ shape: NetworkShape; options: NetworkOptions }> = [
  { shape: { inputSize: 5, hiddenSize: 17, outputSize: 4, numLayers: 2 }, options: plain },
  { shape: { inputSize: 13, hiddenSize: 64, outputSize: 7, numLayers: 3 }, options: plain },
  {
    shape: { inputSize: 5, hiddenSize: 19, outputSize: 4, numLayers: 3 },
    options: {
      nonlinearity: 'relu',
      isBidirectional: true,
      hasBias: false,
      features: 'steps',
      dropout: 0.3,
      isNormalized: true,
    },
  },
];
const threadCounts = [0, 1, 2, 3, 8];

async function parametersAfterTraining(model: Model, p: Problem): Promise<Named> {
  setWeights(model, p.network);
  await model.fit(dataOf(p), {
    ...ignoring(p),
    epochs: 2,
    batchSize: Math.max(1, Math.ceil(p.x.length / 3)),
    seed: p.seed,
    optimizer: 'adam',
    clipNorm: 1,
  });
  return parametersOf(model);
}

async function everything(model: Model, p: Problem) {
  setWeights(model, p.network);
  const fromDelta = await runDelta(model, p);
  const fromLoss = await runLoss(model, p);
  return { fromDelta, fromLoss, trained: await parametersAfterTraining(model, p) };
}

async function expectSameOnAll(models: Model[], p: Problem): Promise<void> {
  const expected = await everything(models[0], p);
  for (const model of models.slice(1)) {
    const actual = await everything(model, p);
    expectSameResults(actual.fromDelta, expected.fromDelta);
    expectSameResults(actual.fromLoss, expected.fromLoss);
    actual.trained.forEach(([name, values], k) => {
      expectSameBits(`${name} after training`, values, expected.trained[k][1]);
    });
  }
}

const sharedModels = sharedNetworks.flatMap(({ shape, options }) =>
  (['float32', 'float64'] as const).map((dtype) => ({
    shape,
    options,
    dtype,
    network: seededNetwork(shape, 1, options),
  })),
);

describe.each(sharedModels)(
  'any number of threads, $shape, $options.nonlinearity, in $dtype,',
  (settings) => {
    let models: Model[] = [];
    beforeAll(async () => {
      models = await Promise.all(threadCounts.map((threads) => createModel(settings, threads)));
    });
    afterAll(async () => {
      await Promise.all(models.map((model) => model.close()));
    });

    law(
      'gives the same bits: logits, gradients, and parameters after training',
      { recipe: batchRecipe({ time: 17, batch: 130 }) },
      { cases: 10 },
      async ({ recipe }) => {
        const { shape, dtype, options, network } = settings;
        const p = problemFor(shape, recipe, dtype, options);
        // The models' own mean, std and seed stay.
        const { rnn, output } = p.network;
        await expectSameOnAll(models, { ...p, network: { ...network, rnn, output } });
      },
    );
  },
);

describe('any number of threads', () => {
  law(
    'gives the same bits for a network of any shape, with more threads than rows as well',
    { p: problem({ width: 33, batch: 130 }), threads: fc.integer({ min: 1, max: 8 }) },
    { cases: 10 },
    async ({ p, threads }) => {
      await withModel(p, (alone) => withModel(p, (many) => expectSameOnAll([alone, many], p), threads));
    },
  );

  law(
    'gives the same bits where lanes have many blocks',
    { p: problem(largeBatches), threads: fc.integer({ min: 1, max: 4 }) },
    { cases: 6 },
    async ({ p, threads }) => {
      await withModel(p, (alone) => withModel(p, (many) => expectSameOnAll([alone, many], p), threads));
    },
  );

  it('is really there: a model says how many it has', async () => {
    const { shape } = sharedNetworks[0];
    const settings = { shape, dtype: 'float32' as const, network: seededNetwork(shape, 1) };
    await withModel(settings, async (model) => expect(model.threads).toBe(2), 2);
    await withModel(settings, async (model) => expect(model.threads).toBe(0), 0);
  });
});
