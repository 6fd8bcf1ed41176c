/**
 * Class weights and label smoothing against the reference, which knows neither. Cross-entropy is linear in the target: the
 * loss of a row with label k, weight w_k and smoothing ε is w_k ((1 − ε) CE(k) + ε / O Σ_c CE(c)). So loss and gradients
 * are a sum of plain ones, over the rows of label k alone (the others not counted), each relabelled as c.
 */
import { fc } from '@fast-check/vitest';
import { describe, expect } from 'vitest';
import type { Problem } from './arbitraries.ts';
import { hash, problem, seed } from './arbitraries.ts';
import { expectClose, type TensorLike } from './compare.ts';
import type { Expected, Named } from './engine-model.ts';
import { expectAllClose, expectedLoss, runLoss, withModel } from './engine-model.ts';
import { law } from './profile.ts';
import { flatten, type Nested } from './reference.ts';

/** Multiples of 1/4 from 0 to 3. */
const weightsOf = (classes: number, seedValue: number): number[] => {
  const weights = Array.from({ length: classes }, (_, c) => (hash(seedValue, 'class weight', c) % 13) / 4);
  // All zeros are refused.
  weights[classes - 1] += 1 / 4;
  return weights;
};

/** The problem in which only the labels `k` count, as labels `c`. */
function relabelled(p: Problem, k: number, c: number): Problem {
  const { classes, ignored } = p.labels;
  return {
    ...p,
    labels: { ignored, classes: classes.map((row) => row.map((l) => (l === k ? c : ignored))) },
  };
}

/** Σ factor · (value and bound) over plain problems: loss, gradients. */
class Total {
  loss = 0;
  lossBound = 0;
  #gradients = new Map<string, number[]>();
  #bounds = new Map<string, number[]>();

  /** `share` of the labels that count are the problem's: all are averages over them but dx, which is none. */
  add(expected: Expected, weight: number, share: number): void {
    const factor = weight * share;
    this.loss += factor * (expected.loss ?? 0);
    this.lossBound += factor * (expected.lossBound ?? 0);
    const factorOf = (name: string) => (name === 'dx' ? weight : factor);
    addTo(this.#gradients, expected.gradients, factorOf);
    addTo(this.#bounds, expected.gradientBounds, factorOf);
  }

  /** Shaped as the model's results are. */
  named(results: Named): { gradients: Named; bounds: Named } {
    const shaped = (sums: ReadonlyMap<string, number[]>): Named =>
      results.map(([name, values]) => {
        const { data, shape } = values as TensorLike;
        // Where all weights are 0 there is nothing to add.
        return [name, { data: sums.get(name) ?? new Array<number>(data.length).fill(0), shape }];
      });
    return { gradients: shaped(this.#gradients), bounds: shaped(this.#bounds) };
  }
}

function addTo(sums: Map<string, number[]>, named: Named, factorOf: (name: string) => number): void {
  for (const [name, values] of named) {
    const flat = flatten(values as Nested);
    const sum = sums.get(name) ?? new Array<number>(flat.length).fill(0);
    sums.set(
      name,
      sum.map((value, i) => value + factorOf(name) * flat[i]),
    );
  }
}

function expectedOf(p: Problem, weights: number[], smoothing: number): Total {
  const total = new Total();
  const labels = p.labels.classes.flat().filter((label) => label !== p.labels.ignored);
  const classes = weights.length;
  for (const k of new Set(labels)) {
    const share = labels.filter((label) => label === k).length / labels.length;
    for (let c = 0; c < classes; c++) {
      const weight = weights[k] * ((c === k ? 1 - smoothing : 0) + smoothing / classes);
      if (weight > 0) total.add(expectedLoss(relabelled(p, k, c)), weight, share);
    }
  }
  return total;
}

describe('class weights and label smoothing', () => {
  law(
    'give the sum of plain losses and gradients that they stand for',
    {
      p: problem({ width: 4, layers: 2, time: 5, batch: 9 }),
      weightSeed: seed(),
      labelSmoothing: fc.constantFrom(0, 0.125, 0.5),
    },
    { cases: 60 },
    async ({ p, weightSeed, labelSmoothing }) => {
      const classWeights = weightsOf(p.shape.outputSize, weightSeed);
      const total = expectedOf(p, classWeights, labelSmoothing);
      await withModel(p, async (model) => {
        const result = await runLoss(model, p, { classWeights, labelSmoothing });
        const { gradients, bounds } = total.named(result.gradients);
        // A bound holds one rounding of each delta; smoothing and weight add two more of the same magnitude.
        expectClose('loss', result.loss ?? Number.NaN, total.loss, { atol: 3 * total.lossBound });
        expectAllClose(result.gradients, gradients, bounds, 3);
      });
    },
  );

  law('of 1 and 0 change no bit', { p: problem({ width: 9, batch: 17 }) }, { cases: 20 }, async ({ p }) => {
    await withModel(p, async (model) => {
      const classWeights = new Array<number>(p.shape.outputSize).fill(1);
      const plain = await runLoss(model, p);
      expect(await runLoss(model, p, { classWeights, labelSmoothing: 0 })).toEqual(plain);
    });
  });
});
