import { fc } from '@fast-check/vitest';
import { describe } from 'vitest';
import { Linear } from '../engine/index.ts';
import type { Problem } from './arbitraries.ts';
import {
  batchRecipe,
  cellsOnly,
  dtype,
  hash,
  largeBatches,
  plain,
  problem,
  problemFor,
  seed,
  seededNetwork,
  seededVector,
} from './arbitraries.ts';
import { backwardBounds, fixedDeltaBounds, forwardBounds, gradientBounds } from './bounds.ts';
import type { TensorLike } from './compare.ts';
import { expectClose, gamma, largestMagnitude, unitRoundoff } from './compare.ts';
import { differenceRounding, isOneBranch, richardson, truncation } from './differences.ts';
import type { Model, Named } from './engine-model.ts';
import {
  cellOf,
  deltaOf,
  expectAllClose,
  expectAllSameBits,
  expectedDelta,
  expectedLoss,
  expectResults,
  inputOf,
  labelsOf,
  lossOptions,
  named,
  readingsOf,
  runDelta,
  runLoss,
  setWeights,
  weightGradients,
  withModel,
} from './engine-model.ts';
import { law } from './profile.ts';
import type { Nested } from './reference.ts';
import { backward, clonePoint, countOf, forward, gradientsOf, namedVariables, rowsOf } from './reference.ts';

const float64 = fc.constant('float64' as const);
const float64Roundoff = unitRoundoff('float64');

/** What the errors of the logits may add up to in (1/B) Σ delta · logits. */
function functionalError(p: Problem): number {
  const bounds = fixedDeltaBounds(p.point, forward(p.point), p.delta, float64Roundoff);
  const errors = bounds.logits.flat(2);
  const terms = p.delta.flat(2).map((d, k) => Math.abs(d) * errors[k]);
  const values = forward(p.point).logits.flat(2);
  const size = p.delta.flat(2).reduce((sum, d, k) => sum + Math.abs(d * values[k]), 0);
  return (
    (terms.reduce((sum, t) => sum + t, 0) + gamma(terms.length + 2, float64Roundoff) * size) / p.x.length
  );
}

/** (1/B) Σ delta · logits, the function that `backward(delta)` differentiates, as the engine computes it. */
async function functional(model: Model, p: Problem): Promise<number> {
  setWeights(model, p.point.network);
  const logits = readingsOf(await model.forward(inputOf(p), p.h0), p).flat(2);
  let sum = 0;
  p.delta.flat(2).forEach((d, k) => {
    sum += d * logits[k];
  });
  return sum / p.x.length;
}

async function loss(model: Model, p: Problem): Promise<number> {
  setWeights(model, p.point.network);
  return (await model.gradients(inputOf(p), labelsOf(p), lossOptions(p))).loss;
}

/** A problem whose arrays may be written into without harm to the original; h0 is always given. */
function writable(p: Problem): Problem {
  const point = clonePoint(p.point);
  // Shared memory holds float32, which is too coarse for small steps.
  const form = p.form === 'shared' ? 'padded' : p.form;
  return { ...p, point, x: point.x, h0: point.h0, network: point.network, form };
}

interface Variable {
  name: string;
  row: number[];
  index: number;
  /** The engine's derivative by it, of the mean: the engine's own dx is not divided. */
  derivative: number;
}

/**
 * Every scalar that the loss depends on. gradients: tensors in the order of `namedVariables`, dx unpadded.
 * count: what the others are divided by
 */
function variablesOf(p: Problem, gradients: Array<[string, number[]]>, count: number): Variable[] {
  return namedVariables(p.point).flatMap(([name, values], k) => {
    let offset = 0;
    const scale = name === 'dx' ? 1 / count : 1;
    return rowsOf(values).flatMap((row) =>
      row.map((_, index) => ({ name, row, index, derivative: scale * gradients[k][1][offset++] })),
    );
  });
}

/** The engine's gradients as flat lists, without what lies behind the end of a sample in dx. */
async function engineGradients(model: Model, p: Problem, run: typeof runDelta) {
  const { gradients } = await run(model, p);
  return gradients.map(([name, values]): [string, number[]] => {
    const list = 'data' in (values as object) ? Array.from((values as { data: ArrayLike<number> }).data) : [];
    return [name, name === 'dx' ? trimmed(list, p) : list];
  });
}

function trimmed(dx: number[], p: Problem): number[] {
  const perSample = dx.length / p.x.length;
  return p.x.flatMap((sample, b) =>
    dx.slice(b * perSample, b * perSample + sample.length * sample[0].length),
  );
}

/** Directions that move one tensor alone, of length 1; then one that moves all. */
function directions(variables: Variable[], seedValue: number): Array<{ name: string; steps: number[] }> {
  const names = [...new Set(variables.map(({ name }) => name))];
  return [...names, 'all'].map((name) => {
    const raw = variables.map((variable, k) =>
      name === 'all' || variable.name === name ? seededVector(1, 1, seedValue, name, k)[0] : 0,
    );
    const norm = Math.hypot(...raw) || 1;
    return { name, steps: raw.map((value) => value / norm) };
  });
}

/** Moves variables along a direction, to signed distances from where they were. */
function mover(variables: Variable[], steps: number[]): (distance: number) => void {
  const start = variables.map(({ row, index }) => row[index]);
  return (distance) => {
    variables.forEach(({ row, index }, k) => {
      row[index] = start[k] + distance * steps[k];
    });
  };
}

/** A function of a problem, as the engine computes it, and the step whose units it drops, if it drops any. */
interface Value {
  of: () => Promise<number>;
  step?: number;
}

/** The derivative by differences, or undefined where a kink of relu lies in the way. */
async function derivativeAlong(
  p: Problem,
  variables: Variable[],
  steps: number[],
  { of, step }: Value,
): Promise<number | undefined> {
  const moveTo = mover(variables, steps);
  const isSmooth = isOneBranch(p.network, (distance) => {
    moveTo(distance);
    return forward(p.point, step);
  });
  if (!isSmooth) {
    moveTo(0);
    return undefined;
  }
  const numeric = await richardson((distance) => {
    moveTo(distance);
    return of();
  });
  moveTo(0);
  return numeric;
}

function gradientNorm(variables: Variable[]): number {
  return Math.hypot(...variables.map(({ derivative }) => derivative));
}

async function checkDirections(
  model: Model,
  p: Problem,
  run: typeof runDelta,
  value: Value,
  { error, count }: { error: number; count: number },
  seedValue: number,
): Promise<void> {
  setWeights(model, p.point.network);
  const variables = variablesOf(p, await engineGradients(model, p, run), count);
  const norm = gradientNorm(variables);
  for (const { name, steps } of directions(variables, seedValue)) {
    const analytic = variables.reduce((sum, { derivative }, k) => sum + derivative * steps[k], 0);
    const numeric = await derivativeAlong(p, variables, steps, value);
    if (numeric === undefined) continue;
    expectClose(`${name} · direction`, analytic, numeric, {
      atol: truncation * norm + differenceRounding(error),
    });
  }
}

describe('the gradients', () => {
  law('equal the reference from a given delta', { p: problem() }, { cases: 160 }, async ({ p }) => {
    await withModel(p, async (model) => expectResults(await runDelta(model, p), expectedDelta(p)));
  });

  law('equal the reference from the loss', { p: problem() }, { cases: 160 }, async ({ p }) => {
    await withModel(p, async (model) => expectResults(await runLoss(model, p), expectedLoss(p)));
  });

  law(
    'equal the reference on networks wider than every tile',
    { p: problem({ width: 33, layers: 2, time: 5, batch: 33 }) },
    { cases: 30 },
    async ({ p }) => {
      await withModel(p, async (model) => expectResults(await runLoss(model, p), expectedLoss(p)));
    },
  );

  law(
    'equal the reference on batches of many blocks a lane, from a given delta and from the loss',
    { p: problem(largeBatches) },
    { cases: 20 },
    async ({ p }) => {
      await withModel(p, async (model) => {
        expectResults(await runDelta(model, p), expectedDelta(p));
        expectResults(await runLoss(model, p), expectedLoss(p));
      });
    },
  );

  law(
    'are taken with the weights as they are at backward, through the states that forward left',
    { p: problem({ time: 5, batch: 17 }), other: seed() },
    { cases: 40 },
    async ({ p, other }) => {
      const { rnn, output } = seededNetwork(p.shape, other, p.options);
      const network = { ...p.network, rnn, output };
      const later = { ...p.point, network };
      const run = forward(p.point);
      const u = unitRoundoff(p.dtype);
      const exact = p.delta.map((sample) => sample.map((row) => row.map(() => 0)));
      const bounds = backwardBounds(later, run, forwardBounds(p.point, run, u), p.delta, exact, u);
      await withModel(p, async (model) => {
        await model.forward(inputOf(p), p.h0);
        setWeights(model, network);
        const { dh0, dx } = await model.backward(deltaOf(p), { inputGradient: true });
        const actual: Named = [...weightGradients(model), ['dh0', dh0], ['dx', dx]];
        expectAllClose(actual, named(backward(later, run, p.delta), p), named(bounds, p));
      });
    },
  );

  law(
    'equal the reference where every lane has several blocks',
    { p: problem({ ...largeBatches, leastBatch: 1025 }) },
    { cases: 10 },
    async ({ p }) => {
      await withModel(p, async (model) => {
        expectResults(await runDelta(model, p), expectedDelta(p));
        expectResults(await runLoss(model, p), expectedLoss(p));
      });
    },
  );

  law(
    'equal the reference where the parameters are reduced in several runs, and twice them when they accumulate',
    {
      p: fc
        .tuple(batchRecipe({ time: 5, batch: 17 }), dtype())
        .map(([recipe, type]) =>
          problemFor({ inputSize: 33, hiddenSize: 65, outputSize: 5, numLayers: 1 }, recipe, type),
        ),
    },
    { cases: 10 },
    async ({ p }) => {
      await withModel(p, async (model) => {
        expectResults(await runLoss(model, p), expectedLoss(p));
        const once = weightGradients(model).map(([name, values]): Named[number] => {
          const { data, shape } = values as TensorLike;
          return [name, { data: Array.from(data, (value) => 2 * value), shape }];
        });
        await model.gradients(inputOf(p), labelsOf(p), lossOptions(p));
        expectAllSameBits(weightGradients(model), once);
      });
    },
  );

  law(
    'equal the reference on long sequences',
    { p: problem({ width: 5, layers: 3, time: 33, batch: 7 }) },
    { cases: 50 },
    async ({ p }) => {
      await withModel(p, async (model) => expectResults(await runLoss(model, p), expectedLoss(p)));
    },
  );

  law(
    'equal extrapolated central differences in every parameter, input and initial state',
    { p: problem({ width: 4, layers: 3, time: 4, batch: 4 }, float64) },
    { cases: 40 },
    async ({ p: original }) => {
      const p = writable(original);
      await withModel(p, async (model) => {
        const variables = variablesOf(p, await engineGradients(model, p, runDelta), p.x.length);
        const norm = gradientNorm(variables);
        const rounding = differenceRounding(functionalError(p));
        const value = { of: () => functional(model, p) };
        // All of them up to 500, then 500 spread evenly.
        const stride = Math.ceil(variables.length / 500);
        for (let k = hash(p.seed, 'first') % stride; k < variables.length; k += stride) {
          const numeric = await derivativeAlong(p, [variables[k]], [1], value);
          if (numeric === undefined) continue;
          const { name, index, derivative } = variables[k];
          expectClose(`${name}, variable ${k}, column ${index}`, derivative, numeric, {
            atol: truncation * norm + rounding,
          });
        }
      });
    },
  );

  law(
    'equal extrapolated central differences along random directions, tensor by tensor',
    { p: problem({}, float64), direction: seed() },
    { cases: 40 },
    async ({ p: original, direction }) => {
      const p = writable(original);
      await withModel(p, (model) =>
        checkDirections(
          model,
          p,
          runDelta,
          { of: () => functional(model, p) },
          { error: functionalError(p), count: p.x.length },
          direction,
        ),
      );
    },
  );

  law(
    'equal extrapolated central differences of the loss',
    { p: problem({ width: 9, layers: 3, time: 7, batch: 17 }, float64), direction: seed() },
    { cases: 40 },
    async ({ p: original, direction }) => {
      const p = writable(original);
      const bounds = gradientBounds(
        p.point,
        gradientsOf(p.point, p.labels, p.step),
        p.labels,
        float64Roundoff,
      );
      const about = { error: bounds.loss, count: countOf(p.labels) };
      await withModel(p, (model) =>
        checkDirections(model, p, runLoss, { of: () => loss(model, p), step: p.step }, about, direction),
      );
    },
  );

  law(
    'of a cell by itself equal the reference',
    { p: problem({ layers: 1, time: 1, fixed: cellsOnly }), other: seed() },
    { cases: 120 },
    ({ p, other }) => {
      const { hiddenSize } = p.shape;
      // The reference's gradient of a state needs an output layer that hands delta through.
      const identity = Array.from({ length: hiddenSize }, (_, i) =>
        Array.from({ length: hiddenSize }, (_, j) => (i === j ? 1 : 0)),
      );
      const network = { ...p.network, output: { W: identity, b: identity[0].map(() => 0) } };
      const point = { ...p.point, network };
      const delta = p.x.map((_, b) => seededVector(hiddenSize, 1, other, 'delta', b));
      const readings = delta.map((row) => [row]);
      const run = forward(point);
      const bounds = fixedDeltaBounds(point, run, readings, unitRoundoff(p.dtype));
      const cell = cellOf(p, 0);
      const x = p.x.map((sample) => sample[0]);
      const h = cell.forward(x, point.h0[0]);
      expectClose(
        'h',
        h,
        run.states.map((s) => s[0][1]),
        { atol: bounds.states.map((s) => s[0][1]) },
      );
      const [dx, dhPrevT] = cell.backward(delta, h, x, point.h0[0]);
      const expected = backward(point, run, readings);
      const namesOf = (g: ReturnType<typeof backward>) => named({ ...g }, { ...p, form: 'list' });
      const [wanted, allowed] = [namesOf(expected), namesOf(bounds)];
      const actual = [cell.dW_ih, cell.dW_hh, ...(p.options.hasBias ? [cell.db_ih, cell.db_hh] : [])];
      expectAllClose(
        actual.map((tensor, k) => [wanted[k][0], tensor]),
        wanted.slice(0, actual.length),
        allowed.slice(0, actual.length),
      );
      const first = (samples: number[][][]) => samples.map((sample) => sample[0]);
      expectClose('dx', dx, first(expected.dx), { atol: first(bounds.dx) });
      // The reference divides dh0 by B, the cell does not.
      const B = p.x.length;
      const timesB = (rows: number[][]) => rows.map((row) => row.map((value) => value * B));
      const rounding = gamma(2, float64Roundoff) * largestMagnitude(expected.dh0 as Nested) * B;
      const atol = timesB(bounds.dh0[0]).map((row) => row.map((e) => e + rounding));
      expectClose('dhPrevT', dhPrevT, timesB(expected.dh0[0]), { atol });
    },
  );

  law(
    'of a linear layer by itself equal the sums that define them',
    { p: problem({ layers: 1, time: 1, fixed: plain }) },
    { cases: 120 },
    ({ p }) => {
      const { hiddenSize, outputSize } = p.shape;
      const { W, b } = p.network.output;
      const B = p.x.length;
      const h = p.point.h0[0];
      const delta = p.delta.map(([row]) => row);
      const layer = new Linear(hiddenSize, outputSize, { dtype: p.dtype, seed: 1 });
      layer.initWeights(W, b);
      const sum = (n: number, term: (k: number) => number) =>
        Array.from({ length: n }, (_, k) => term(k)).reduce((total, value) => total + value, 0);
      const roundoff = unitRoundoff(p.dtype);
      const y = h.map((row) => W.map((w, o) => b[o] + sum(hiddenSize, (j) => row[j] * w[j])));
      const magnitude = Math.max(largestMagnitude(W), largestMagnitude(b), 1);
      expectClose('y', layer.forward(h), y, {
        atol: 2 * gamma(hiddenSize + 2, roundoff) * (hiddenSize + 1) * magnitude,
      });
      const dh = layer.backward(delta);
      const dW = W.map((row, o) => row.map((_, j) => sum(B, (s) => delta[s][o] * h[s][j]) / B));
      const db = b.map((_, o) => sum(B, (s) => delta[s][o]) / B);
      const expectedDh = delta.map((d) => h[0].map((_, j) => sum(outputSize, (o) => d[o] * W[o][j])));
      // |delta| and |h| are at most 1, so that each mean has terms of at most 1.
      expectClose('dW', layer.dW, dW, { atol: 2 * gamma(B + 3, roundoff) });
      expectClose('db', layer.db, db, { atol: 2 * gamma(B + 3, roundoff) });
      expectClose('dh', dh, expectedDh, {
        atol: 2 * gamma(outputSize + 1, roundoff) * outputSize * magnitude,
      });
    },
  );
});
