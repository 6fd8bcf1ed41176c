import { fc } from '@fast-check/vitest';
import { describe, it } from 'vitest';
import type { Problem } from './arbitraries.ts';
import { problem, problemFor, seededNetwork, withoutH0 } from './arbitraries.ts';
import type { TensorLike } from './compare.ts';
import { expectClose, expectSameBits, gamma, unitRoundoff } from './compare.ts';
import type { Model, Named } from './engine-model.ts';
import {
  dataOf,
  expectAllClose,
  expectAllSameBits,
  expectedLoss,
  ignoring,
  inputOf,
  labelsOf,
  lossOptions,
  parametersOf,
  problemRows,
  readingsOf,
  runLoss,
  setWeights,
  weightGradients,
  withModel,
} from './engine-model.ts';
import { law } from './profile.ts';
import { countOf } from './reference.ts';

const small = { width: 9, layers: 3, time: 5, batch: 33 };
const learningRate = 0.125;

/** An epoch's rows 0 … B − 1 in batches of `size`, the last one as large as is left, each with the number of its step. */
function stepsOf(p: Problem, size: number, epoch = 0): Problem[] {
  const starts = Array.from({ length: Math.ceil(p.x.length / size) }, (_, k) => k * size);
  return starts.map((start, k) => {
    const step = epoch * starts.length + k;
    const rows = p.x.map((_, b) => b).slice(start, start + size);
    return { ...problemRows(p, rows), ...(p.step !== undefined && { step }) };
  });
}

/** The class of each reading, [B][K]: the largest logit, the first of equals. */
function classesOf(logits: TensorLike, p: Problem): number[][] {
  return readingsOf(logits, p).map((sample) => sample.map((row) => row.indexOf(Math.max(...row))));
}

/** The readings that count, as pairs of label and class given. */
function countedPairs({ labels }: Problem, given: number[][]): Array<[label: number, given: number]> {
  return labels.classes.flatMap((row, b) =>
    row.flatMap(
      (label, k): Array<[number, number]> => (label === labels.ignored ? [] : [[label, given[b][k]]]),
    ),
  );
}

function shareCorrect(pairs: Array<[label: number, given: number]>): number {
  return pairs.filter(([label, given]) => label === given).length / pairs.length;
}

/** What the last epoch came to. */
interface ByHand {
  /** Means over all that counts, each loss and class taken before its step. */
  loss: number;
  accuracy: number;
  largestNorm: number;
}

interface Training {
  readonly size: number;
  readonly epochs: number;
  readonly type: 'sgd' | 'adam';
  readonly clipNorm?: number | undefined;
}

async function trainByHand(model: Model, p: Problem, training: Training): Promise<ByHand> {
  const optimizer = model.optimizer({ type: training.type, learningRate });
  let result: ByHand = { loss: 0, accuracy: 0, largestNorm: 0 };
  for (let epoch = 0; epoch < training.epochs; epoch++) {
    result = await epochByHand(model, p, training, optimizer, epoch);
  }
  return result;
}

async function epochByHand(
  model: Model,
  p: Problem,
  { size, clipNorm }: Training,
  optimizer: ReturnType<Model['optimizer']>,
  epoch: number,
): Promise<ByHand> {
  const result: ByHand = { loss: 0, accuracy: 0, largestNorm: 0 };
  const pairs: Array<[label: number, given: number]> = [];
  for (const part of stepsOf(p, size, epoch)) {
    model.zeroGrad();
    const { loss, logits } = await model.gradients(inputOf(part), labelsOf(part), lossOptions(part));
    pairs.push(...countedPairs(part, classesOf(logits, part)));
    result.loss += (loss * countOf(part.labels)) / countOf(p.labels);
    const values = weightGradients(model).flatMap(([, tensor]) => Array.from((tensor as TensorLike).data));
    result.largestNorm = Math.max(result.largestNorm, Math.hypot(...values));
    await optimizer.step(clipNorm === undefined ? {} : { clipNorm });
  }
  model.zeroGrad();
  return { ...result, accuracy: shareCorrect(pairs) };
}

describe('fit', () => {
  law(
    'without shuffling takes the very steps that one takes by hand, the last and smaller batch included',
    {
      p: problem(small).map(withoutH0),
      size: fc.constantFrom(1, 2, 3, 5, 8, 16, 40),
      epochs: fc.integer({ min: 1, max: 3 }),
      type: fc.constantFrom('sgd' as const, 'adam' as const),
      clipNorm: fc.constantFrom(undefined, 0.5, 1e6),
    },
    { cases: 40 },
    async ({ p, ...training }) => {
      await withModel(p, async (model) => {
        const { size, epochs, type, clipNorm } = training;
        const byHand = await trainByHand(model, p, training);
        const expected = parametersOf(model);
        setWeights(model, p.network);
        // Dropout's masks come from fit's seed; by hand, from the model's.
        const { seed } = p.network.dropout;
        const optimizer = { type, learningRate };
        const options = { batchSize: size, epochs, shuffle: false, optimizer, seed, ...ignoring(p) };
        const logs = await model.fit(dataOf(p), clipNorm === undefined ? options : { ...options, clipNorm });
        const log = logs[epochs - 1];
        expectAllSameBits(parametersOf(model), expected);
        expectClose('accuracy', log.accuracy, byHand.accuracy, { atol: 0 });
        // Each step's loss is the same; the means are added up in another order.
        const atol = gamma(2 * countOf(p.labels) + 4, unitRoundoff(p.dtype)) * (byHand.loss + 1);
        expectClose('loss of the epoch', log.loss, byHand.loss, { atol });
        const count = expected.reduce((sum, [, values]) => sum + (values as TensorLike).data.length, 0);
        expectClose('gradient norm', log.gradientNorm, byHand.largestNorm, {
          // Each square loses at most half of the smallest denormal, and √(s + e) − √s ≤ √e.
          atol: Math.sqrt(count * Number.MIN_VALUE),
          rtol: gamma(count + 4, unitRoundoff('float64')) + 2 * unitRoundoff(p.dtype),
        });
      });
    },
  );

  it('clips by the norm of all parameters, where they are more than one thread takes at once', async () => {
    const shape = { inputSize: 7, hiddenSize: 65, outputSize: 3, numLayers: 1 };
    const recipe = { batch: 9, time: 3, lengths: 'varied', form: 'list', givesH0: false, seed: 5 } as const;
    const p = problemFor(shape, recipe, 'float64');
    await withModel(p, async (model) => {
      await trainByHand(model, p, { size: 9, epochs: 1, type: 'sgd', clipNorm: 2 ** -6 });
      const expected = parametersOf(model);
      setWeights(model, p.network);
      const optimizer = { type: 'sgd', learningRate } as const;
      await model.fit(dataOf(p), { batchSize: 9, shuffle: false, optimizer, clipNorm: 2 ** -6 });
      expectAllSameBits(parametersOf(model), expected);
    });
  });

  law(
    'on the whole batch takes the same step in whatever order the rows are shuffled',
    { p: problem({ ...small, fixed: { dropout: 0 } }).map(withoutH0), seed: fc.nat({ max: 1000 }) },
    { cases: 30 },
    async ({ p, seed }) => {
      const data = dataOf(p);
      const optimizer = { type: 'sgd', learningRate } as const;
      const options = { batchSize: p.x.length, optimizer, ...ignoring(p) };
      await withModel(p, async (model) => {
        await model.fit(data, { ...options, shuffle: false });
        const expected = parametersOf(model);
        setWeights(model, p.network);
        await model.fit(data, { ...options, seed });
        const { gradientBounds } = expectedLoss(p);
        const u = unitRoundoff(p.dtype);
        // Two rounded gradients, times the rate, and the rounding of the product and of the difference.
        const bounds = expected.map(([name, values], k): Named[number] => {
          const gradient = (gradientBounds[k][1] as number[] | number[][]).flat();
          const { data: numbers, shape } = values as TensorLike;
          const allowed = gradient.map((e, i) => 2 * learningRate * e + 4 * u * (Math.abs(numbers[i]) + 1));
          return [name, { data: allowed, shape }];
        });
        expectAllClose(parametersOf(model), expected, bounds);
      });
    },
  );

  law(
    'leaves the gradients at zero, and starts with fresh moments',
    { p: problem(small).map(withoutH0), size: fc.constantFrom(2, 5, 16) },
    { cases: 25 },
    async ({ p, size }) => {
      const data = dataOf(p);
      const options = { epochs: 2, batchSize: size, optimizer: 'adam', seed: 5, ...ignoring(p) } as const;
      await withModel(p, async (model) => {
        await runLoss(model, p);
        await model.fit(data, options);
        for (const [name, values] of weightGradients(model)) {
          const zeros = Array.from((values as TensorLike).data, () => 0);
          expectClose(name, values, { ...(values as TensorLike), data: zeros }, { atol: 0 });
        }
        const expected = parametersOf(model);
        setWeights(model, p.network);
        await model.fit(data, options);
        expectAllSameBits(parametersOf(model), expected);
      });
    },
  );

  it('learns to tell rising from falling sequences', async () => {
    const rows = Array.from({ length: 64 }, (_, b) => ({
      slope: b % 2 === 0 ? 0.125 : -0.125,
      start: b / 64,
    }));
    const x = rows.map(({ slope, start }) => Array.from({ length: 8 }, (_, t) => [start + slope * t - 0.5]));
    const labels = rows.map(({ slope }) => (slope > 0 ? 1 : 0));
    const shape = { inputSize: 1, hiddenSize: 8, outputSize: 2, numLayers: 1 };
    const settings = { shape, dtype: 'float32' as const, network: seededNetwork(shape, 1) };
    await withModel(settings, async (model) => {
      await model.fit(
        { x, labels },
        { epochs: 60, batchSize: 16, optimizer: { type: 'adam', learningRate: 0.02 } },
      );
      const { loss } = await model.evaluate({ x, labels });
      if (!(loss < 0.1)) throw new Error(`a loss of ${loss} after training; ln 2 is guessing`);
    });
  });
});

describe('evaluate', () => {
  law(
    'counts each reading under its label and the class of its largest logit, the first of equals',
    { p: problem({ ...small, batch: 130, fixed: { dropout: 0 } }).map(withoutH0), equal: fc.boolean() },
    { cases: 60 },
    async ({ p, equal }) => {
      await withModel(p, async (model) => {
        // With such weights all classes have the same logit.
        if (equal) model.outputLayer.W.data.fill(0);
        if (equal) model.outputLayer.b.data.fill(0.5);
        const pairs = countedPairs(p, classesOf(await model.forward(inputOf(p)), p));
        const classes = p.shape.outputSize;
        const count = (label: number, o: number) =>
          pairs.filter(([l, given]) => l === label && given === o).length;
        const confusion = Array.from({ length: classes }, (_, label) =>
          Array.from({ length: classes }, (_, o) => count(label, o)),
        );
        // What a call before has left where initial states lie is not taken for any.
        const states = p.point.h0.map((layer) => layer.map((row) => row.map(() => 0.5)));
        await model.gradients(inputOf(p), labelsOf(p), { ...lossOptions(p), h0: states });
        model.zeroGrad();
        const found = await model.evaluate(dataOf(p), ignoring(p));
        expectClose('confusion', found.confusion, confusion, { atol: 0 });
        expectClose('accuracy', found.accuracy, shareCorrect(pairs), { atol: 0 });
        const recall = confusion.map((row, label) => row[label] / row.reduce((sum, n) => sum + n, 0));
        found.recall.forEach((value, label) => {
          expectSameBits(`recall[${label}]`, value, recall[label]);
        });
        const { loss } = await model.gradients(inputOf(p), labelsOf(p), lossOptions(p));
        expectSameBits('loss', found.loss, loss);
      });
    },
  );
});
