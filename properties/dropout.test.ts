/**
 * Dropout. That the engine's masks are those of the documented hash is shown by `gradients`, `pytorch` and
 * `pytorch-live`; here is what makes them masks, and where they must not appear.
 */
import { fc } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import type { Problem } from './arbitraries.ts';
import { batchRecipe, networkShape, plain, problem, problemFor, seed } from './arbitraries.ts';
import { forwardBounds } from './bounds.ts';
import { expectClose, expectSameBits, gamma, unitRoundoff } from './compare.ts';
import type { Model } from './engine-model.ts';
import {
  copyOf,
  dataOf,
  expectSameResults,
  expectSameRows,
  ignoring,
  inputOf,
  labelsOf,
  lossOptions,
  problemRows,
  readingsOf,
  runDelta,
  runLoss,
  withModel,
} from './engine-model.ts';
import { law } from './profile.ts';
import { forward, nest } from './reference.ts';
import type { Dropout, Place } from './reference-dropout.ts';
import { keptUnits } from './reference-dropout.ts';

const small = { width: 9, time: 5, batch: 17 };

/** Networks of several layers, half of whose units are dropped between them. */
function dropping(): fc.Arbitrary<Problem> {
  return problem({ ...small, leastLayers: 2, fixed: { dropout: 0.5 } });
}

function undropped(p: Problem): Problem {
  const network = { ...p.network, dropout: { ...p.network.dropout, p: 0 } };
  return { ...p, network, step: undefined, point: { ...p.point, network } };
}

/** Units of many places: all rows, layers, times up to `side`. */
function maskOf(dropout: Dropout, step: number, side: number): boolean[] {
  const places = Array.from({ length: side ** 3 }, (_, k): Place => {
    const [row, rest] = [k % side, Math.floor(k / side)];
    return { step, row, layer: rest % side, time: Math.floor(rest / side) };
  });
  return places.flatMap((place) => keptUnits(dropout, place, side));
}

/** Six standard deviations of the share of successes in n trials: passed by chance once in 5·10⁸ times. */
function spreadOf(share: number, n: number): number {
  return 6 * Math.sqrt((share * (1 - share)) / n);
}

describe('the mask', () => {
  law(
    'keeps a share of 1 − p, whatever the seed and the step',
    {
      seedValue: seed(),
      high: fc.nat({ max: 2 ** 21 - 1 }),
      step: fc.nat(),
      p: fc.constantFrom(0.1, 0.3, 0.5, 0.9),
    },
    { cases: 40 },
    ({ seedValue, high, step, p }) => {
      const mask = maskOf({ p, seed: high * 2 ** 32 + seedValue }, step, 10);
      const share = mask.filter((isKept) => isKept).length / mask.length;
      expectClose('share kept', share, 1 - p, { atol: spreadOf(p, mask.length) });
    },
  );

  law(
    'of another seed, high word of the seed, step, row, layer, time or unit has nothing to do with it',
    {
      seedValue: seed(),
      step: fc.nat({ max: 2 ** 20 }),
      place: fc.record({ row: fc.nat(99), layer: fc.nat(9), time: fc.integer({ min: 1, max: 99 }) }),
    },
    { cases: 30 },
    ({ seedValue, step, place }) => {
      const units = 4096;
      const maskAt = (at: Partial<Place>, of = seedValue) =>
        keptUnits({ p: 0.5, seed: of }, { step, ...place, ...at }, units);
      const here = maskAt({});
      const others = {
        seed: maskAt({}, seedValue + 1),
        'high word': maskAt({}, seedValue + 2 ** 32),
        step: maskAt({ step: step + 1 }),
        row: maskAt({ row: place.row + 1 }),
        layer: maskAt({ layer: place.layer + 1 }),
        time: maskAt({ time: place.time + 1 }),
        'row, a frame earlier': maskAt({ row: place.row + 1, time: place.time - 1 }),
        unit: [...here.slice(1), here[0]],
      };
      for (const [name, other] of Object.entries(others)) {
        const agreeing = here.filter((isKept, unit) => isKept === other[unit]).length / units;
        expectClose(`share that agrees with another ${name}`, agreeing, 0.5, { atol: spreadOf(0.5, units) });
      }
    },
  );
});

describe('dropout', () => {
  law(
    'is nowhere in forward, backward, predict, evaluate and stream',
    { p: dropping() },
    { cases: 25 },
    async ({ p }) => {
      const results = async (model: Model) => {
        const { confusion, loss } = await model.evaluate(dataOf(p), ignoring(p));
        const stream = p.options.isBidirectional ? undefined : model.stream();
        const streamed = p.x[0].map((frame) => Array.from(stream?.step(frame) ?? []));
        const probabilities = readingsOf(await model.predict(inputOf(p)), p);
        return { confusion, loss, streamed, probabilities, delta: await runDelta(model, p) };
      };
      const dropped = await withModel(p, results);
      const without = await withModel(undropped(p), results);
      expectSameResults(dropped.delta, without.delta);
      expectSameBits('loss', dropped.loss, without.loss);
      expectSameBits('confusion', dropped.confusion, without.confusion);
      expectSameBits('probabilities', dropped.probabilities, without.probabilities);
      expectSameBits('logits of the stream', dropped.streamed, without.streamed);
    },
  );

  law(
    'of nothing gives the bits of a network that has none, whatever seed and step',
    { p: problem(small), other: seed(), step: fc.nat({ max: 1000 }) },
    { cases: 25 },
    async ({ p, other, step }) => {
      const without = undropped(p);
      const network = { ...without.network, dropout: { p: 0, seed: other } };
      const expected = await withModel(without, (model) => runLoss(model, without));
      const actual = await withModel({ ...without, network }, (model) =>
        runLoss(model, { ...without, step }),
      );
      expectSameResults(actual, expected);
    },
  );

  law(
    'of a row depends on its number in the batch, not on the rows that follow',
    { p: dropping(), rows: fc.nat({ max: 1000 }) },
    { cases: 30 },
    async ({ p, rows }) => {
      const first = p.x.map((_, b) => b).slice(0, 1 + (rows % p.x.length));
      const part = problemRows(p, first);
      await withModel(p, async (model) => {
        const { logits } = await runLoss(model, p);
        const ofPart = await runLoss(model, part);
        const run = forward(part.point, part.step);
        expectSameRows(
          'logits',
          readingsOf(ofPart.logits, part),
          readingsOf(logits, p).slice(0, first.length),
          forwardBounds(part.point, run, unitRoundoff(p.dtype)).logits,
        );
      });
    },
  );

  law(
    'takes the masks of the next step at each call of gradients, unless told which',
    { p: dropping(), calls: fc.integer({ min: 1, max: 4 }) },
    { cases: 15 },
    async ({ p, calls }) => {
      const withStep = (step: number | undefined) => ({ ...lossOptions(p), dropoutStep: step });
      await withModel(p, async (model) => {
        for (let call = 0; call < calls; call++) {
          const { logits, loss } = await model.gradients(
            inputOf(p),
            labelsOf(p),
            lossOptions({ ...p, step: undefined }),
          );
          const told = await model.gradients(inputOf(p), labelsOf(p), withStep(call));
          expectSameBits('logits', copyOf(logits), copyOf(told.logits));
          expectSameBits('loss', loss, told.loss);
        }
      });
    },
  );

  law(
    'leaves the expectation of what the next layer reads as it is',
    {
      shape: networkShape({ width: 9, layers: 2, leastLayers: 2 }),
      recipe: batchRecipe({ time: 1, batch: 3 }),
      share: fc.constantFrom(0.25, 0.5, 0.75),
    },
    { cases: 6 },
    async ({ shape, recipe, share }) => {
      const steps = 400;
      const p = linearAbove(problemFor(shape, recipe, 'float64', { ...plain, dropout: share }));
      await withModel(p, async (model) => {
        const sums = p.x.map(() => new Array(p.shape.outputSize).fill(0));
        for (let step = 0; step < steps; step++) {
          const { logits } = await model.gradients(inputOf(p), labelsOf(p), {
            ...lossOptions(p),
            dropoutStep: step,
          });
          readingsOf(logits, p).forEach(([row], b) => {
            row.forEach((y, o) => {
              sums[b][o] += y / steps;
            });
          });
        }
        const exact = readingsOf(await model.forward(inputOf(p), p.h0), p).map(([row]) => row);
        expectClose('mean logits', sums, exact, { atol: await deviations(model, p, steps) });
      });
    },
  );

  it('refuses a share of all units, and a network of one layer', async () => {
    const shape = { inputSize: 1, hiddenSize: 1, outputSize: 1, numLayers: 2 };
    const recipe = { batch: 1, time: 1, lengths: 'equal', form: 'list', givesH0: false, seed: 1 } as const;
    const refused = async (dropout: number, numLayers: number) => {
      const p = problemFor({ ...shape, numLayers }, recipe, 'float64', { ...plain, dropout });
      await expect(withModel(p, async () => {})).rejects.toMatchObject({ code: 'BAD_ARGUMENT' });
    };
    await refused(1, 2);
    await refused(-0.1, 2);
    await refused(Number.NaN, 2);
    await refused(0.5, 1);
  });
});

/** relu above a bias so large that it is always at work: the logits are then linear in what the second layer reads. */
function linearAbove(p: Problem): Problem {
  const [below, above] = p.network.rnn;
  const rnn = [below, { ...above, b_ih: above.b_ih.map(() => 64) }];
  const network = { ...p.network, rnn, nonlinearity: 'relu' as const };
  return { ...p, network, point: { ...p.point, network } };
}

/**
 * Six standard deviations of the mean over `steps` masks. Unit j reaches logit o with c_j·h_j, c = W W_ih, and is
 * kept with probability 1 − p and weight 1/(1 − p): a variance of (c_j·h_j)² · p/(1 − p), independent of the others.
 */
async function deviations(model: Model, p: Problem, steps: number): Promise<number[][]> {
  const { dropout, output, rnn } = p.network;
  await model.forward(inputOf(p), p.h0);
  const { data, shape } = model.hiddens[1];
  const [states] = nest(Array.from(data), shape) as number[][][];
  const odds = dropout.p / (1 - dropout.p);
  return states.map((h) =>
    output.W.map((w) => {
      const reach = h.map(
        (value, j) => value * w.reduce((sum, weight, i) => sum + weight * rnn[1].W_ih[i][j], 0),
      );
      // Logits of about 64·√H, added up `steps` times.
      const rounding = gamma(2 * steps + 64, unitRoundoff('float64')) * 64 * 2 * w.length;
      return 6 * Math.sqrt((odds * reach.reduce((sum, r) => sum + r * r, 0)) / steps) + rounding;
    }),
  );
}
