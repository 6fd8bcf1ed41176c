import { fc } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import type { Problem } from './arbitraries.ts';
import { problem, seed, seededVector } from './arbitraries.ts';
import { fixedDeltaBounds, gradientBounds } from './bounds.ts';
import { expectClose, gamma, largestMagnitude, unitRoundoff } from './compare.ts';
import { complexStep } from './complex-step.ts';
import { differenceRounding, isOneBranch, richardson, truncation } from './differences.ts';
import { classifierFixtures } from './fixtures.ts';
import { law } from './profile.ts';
import type { Labels, Nested, Point } from './reference.ts';
import {
  backward,
  clonePoint,
  countOf,
  crossEntropy,
  flatten,
  forward,
  gradientsOf,
  lossOf,
  namedGradients,
  namedVariables,
  rowsOf,
} from './reference.ts';

const u = unitRoundoff('float64');
const small = { width: 5, layers: 3, time: 5, batch: 5 };

/** A random direction of length 1 over all variables of a point, in the shape of the point. */
function unitDirection(point: Point, seedValue: number): Point {
  const direction = clonePoint(point);
  const rows = namedVariables(direction).flatMap(([, values]) => rowsOf(values));
  rows.forEach((row, r) => {
    row.splice(0, row.length, ...seededVector(row.length, 1, seedValue, 'direction', r));
  });
  const norm = Math.hypot(...rows.flat());
  for (const row of rows) for (let k = 0; k < row.length; k++) row[k] /= norm;
  return direction;
}

function moved(point: Point, direction: Point, distance: number): Point {
  const result = clonePoint(point);
  const steps = namedVariables(direction).flatMap(([, values]) => rowsOf(values));
  namedVariables(result)
    .flatMap(([, values]) => rowsOf(values))
    .forEach((row, r) => {
      for (let k = 0; k < row.length; k++) row[k] += distance * steps[r][k];
    });
  return result;
}

/**
 * The units, cell and number, that may be on or off at some reading [B][C][T_b][H]. Where the layer below is dead and a
 * unit's biases cancel, it is at the kink in all of its readings.
 */
function undecidedUnits(slopes: number[][][][]): Set<string> {
  const found = new Set<string>();
  for (const cells of slopes) {
    for (const [c, steps] of cells.entries()) {
      for (const units of steps) {
        for (const [j, error] of units.entries()) if (error === 1) found.add(`${c} ${j}`);
      }
    }
  }
  return found;
}

/**
 * The gradient of the mean loss by every variable, h0 included. The contract's dx is not divided by the
 * number of losses, so it is here.
 */
function lossGradient(labels: Labels, gradients: ReturnType<typeof gradientsOf>): Array<[string, Nested]> {
  const count = countOf(labels);
  const dx = gradients.dx.map((sample) => sample.map((row) => row.map((value) => value / count)));
  return namedGradients({ ...gradients, dx });
}

function dot(a: number[], b: number[]): number {
  return a.reduce((sum, value, k) => sum + value * b[k], 0);
}

/** What rounding may do to the loss and to any one gradient: the largest bound of all. */
function errorBounds({ point, labels, step }: Problem) {
  const run = gradientsOf(point, labels, step);
  const bounds = gradientBounds(point, run, labels, u);
  const largest = Math.max(...namedGradients(bounds).map(([, values]) => largestMagnitude(values)));
  const count = namedVariables(point).reduce((sum, [, values]) => sum + flatten(values).length, 0);
  // Along a unit vector the errors of n elements add up to at most √n of them.
  return { loss: bounds.loss, gradient: largest * Math.sqrt(count) + gamma(count, u) };
}

describe('the reference', () => {
  it.each(classifierFixtures())('equals PyTorch: $name', (fixture) => {
    const { point, labels, step } = fixture;
    const run = gradientsOf(point, labels, step);
    const bounds = gradientBounds(point, run, labels, u);
    expectClose('loss', run.loss, fixture.loss, { atol: bounds.loss });
    expectClose('logits', run.logits, fixture.logits, { atol: bounds.logits });
    const expected = namedGradients(fixture.gradients);
    const allowed = namedGradients(bounds);
    namedGradients(run).forEach(([name, values], k) => {
      expectClose(name, values, expected[k][1], { atol: allowed[k][1] });
      // A bound that has grown past a millionth of the gradient would prove little.
      expect(largestMagnitude(allowed[k][1])).toBeLessThan(1e-6 * largestMagnitude(values) + 1e-12);
    });
  });

  law(
    'gradient equals the complex step in every variable',
    { p: problem({ ...small, width: 3, batch: 3 }, fc.constant('float64')) },
    { cases: 15 },
    ({ p }) => {
      const run = gradientsOf(p.point, p.labels, p.step);
      const { gradient } = errorBounds(p);
      const zero = moved(p.point, p.point, -1);
      const gradients = lossGradient(p.labels, run);
      namedVariables(zero).forEach(([name, values], k) => {
        const derivatives = rowsOf(values).map((row) =>
          row.map((_, i) => {
            row[i] = 1;
            const { loss, derivative } = complexStep(p.point, p.labels, zero, p.step);
            row[i] = 0;
            expectClose('loss', loss, run.loss, { atol: 2 * errorBounds(p).loss });
            return derivative;
          }),
        );
        expectClose(name, flatten(gradients[k][1]), derivatives.flat(), { atol: 2 * gradient });
      });
    },
  );

  law(
    'gradient equals the complex step along random directions',
    { p: problem({}, fc.constant('float64')), direction: seed() },
    { cases: 40 },
    ({ p, direction }) => {
      const run = gradientsOf(p.point, p.labels, p.step);
      const d = unitDirection(p.point, direction);
      const gradient = lossGradient(p.labels, run).flatMap(([, values]) => flatten(values));
      const steps = namedVariables(d).flatMap(([, values]) => flatten(values));
      const { derivative } = complexStep(p.point, p.labels, d, p.step);
      expectClose('∇loss · d', dot(gradient, steps), derivative, { atol: 2 * errorBounds(p).gradient });
    },
  );

  law(
    'gradient equals extrapolated central differences along random directions',
    { p: problem(small, fc.constant('float64')), direction: seed() },
    { cases: 60 },
    async ({ p, direction }) => {
      const run = gradientsOf(p.point, p.labels, p.step);
      const d = unitDirection(p.point, direction);
      const gradient = lossGradient(p.labels, run).flatMap(([, values]) => flatten(values));
      const steps = namedVariables(d).flatMap(([, values]) => flatten(values));
      if (!isOneBranch(p.network, (distance) => forward(moved(p.point, d, distance), p.step))) return;
      const numeric = await richardson((distance) => lossOf(moved(p.point, d, distance), p.labels, p.step));
      const rounding = differenceRounding(errorBounds(p).loss);
      expectClose('∇loss · d', dot(gradient, steps), numeric, {
        atol: truncation * Math.hypot(...gradient) + rounding,
      });
    },
  );

  law(
    'is known to a hundredth of each tensor in float32, so that the bounds hide nothing',
    { p: problem({ layers: 4 }, fc.constant('float32')) },
    { cases: 40 },
    ({ p }) => {
      const run = forward(p.point);
      const bounds = fixedDeltaBounds(p.point, run, p.delta, unitRoundoff('float32'));
      const undecided = undecidedUnits(bounds.slopes);
      const readings = bounds.slopes.flat(3).length;
      // A relu within its error of the kink: then nothing is known of what lies below it, which must be rare.
      if (undecided.size > 2 + readings / 1000)
        throw new Error(`${undecided.size} units are undecided in ${readings} readings`);
      if (undecided.size > 0) return;
      const allowed = namedGradients(bounds);
      // delta is of size one at each of a row's readings.
      const each = Math.max(...p.delta.map((sample) => sample.length));
      namedGradients(backward(p.point, run, p.delta)).forEach(([name, values], k) => {
        const [bound, most] = [largestMagnitude(allowed[k][1]), largestMagnitude(values)];
        if (bound > 1e-2 * most + 1e-4 * each)
          throw new Error(`${name}: bound ${bound}, largest value ${most}`);
      });
    },
  );

  it('has a loss of ln O at equal logits', () => {
    expect(crossEntropy([0, 0, 0, 0], 2)).toBe(Math.log(4));
    expectClose('loss', crossEntropy([7, 7, 7], 0), Math.log(3), { atol: gamma(4, u) * 7 });
  });
});
