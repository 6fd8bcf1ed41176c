import { describe, expect, it } from 'vitest';
import type { OptimizerOptions } from '../engine/optimization/optimizers.ts';
import { scheduleFactor, scheduleSpec } from '../engine/optimization/schedules.ts';
import { seededNetwork } from './arbitraries.ts';
import type { Dtype } from './compare.ts';
import { expectClose, gamma, largestMagnitude, unitRoundoff } from './compare.ts';
import type { Model } from './engine-model.ts';
import { withModel } from './engine-model.ts';
import { clippingFixtures, cosineFixtures, optimizerFixtures } from './fixtures.ts';

/** The smallest network that has as many parameters as the fixtures: 18. */
const shape = { inputSize: 2, hiddenSize: 2, outputSize: 2, numLayers: 1 };

interface Writable {
  readonly data: Float32Array | Float64Array;
}

function parametersOf({ rnn: [cell], outputLayer }: Model): Writable[] {
  return [cell.W_ih, cell.W_hh, cell.b_ih, cell.b_hh, outputLayer.W, outputLayer.b];
}

function gradientsOf({ rnn: [cell], outputLayer }: Model): Writable[] {
  return [cell.dW_ih, cell.dW_hh, cell.db_ih, cell.db_hh, outputLayer.dW, outputLayer.db];
}

function write(tensors: Writable[], values: number[]): void {
  let offset = 0;
  for (const { data } of tensors) {
    data.set(values.slice(offset, offset + data.length));
    offset += data.length;
  }
}

function read(tensors: Writable[]): number[] {
  return tensors.flatMap(({ data }) => Array.from(data));
}

type Settings = Record<string, number | boolean | number[]>;

/** PyTorch's option names to the library's. */
function optionsOf(kind: string, { lr, betas, eps, weight_decay, ...same }: Settings): OptimizerOptions {
  const [beta1, beta2] = (betas as number[] | undefined) ?? [];
  const renamed = { learningRate: lr, beta1, beta2, epsilon: eps, weightDecay: weight_decay };
  const given = Object.entries(renamed).filter(([, value]) => value !== undefined);
  return { type: kind, ...same, ...Object.fromEntries(given) } as OptimizerOptions;
}

const fixtures = optimizerFixtures();

describe.each<[Dtype, number]>([
  ['float64', 0],
  ['float32', 0],
  ['float64', 2],
])('an optimizer in %s on %d threads', (dtype, threads) => {
  const settings = { shape, dtype, network: seededNetwork(shape, 1) };

  it.each(fixtures.cases)('takes the same twenty steps as PyTorch: $kind $options', async (fixture) => {
    await withModel(
      settings,
      async (model) => {
        const optimizer = model.optimizer(optionsOf(fixture.kind, fixture.options));
        write(parametersOf(model), fixtures.start);
        for (const [step, gradient] of fixtures.gradients.entries()) {
          write(gradientsOf(model), gradient);
          await optimizer.step();
          // A step is at most 25 roundings from the state before it, and all steps so far add up.
          const magnitude = largestMagnitude(fixture.parameters.slice(0, step + 1)) + 1;
          const atol = gamma(25 * (step + 1), unitRoundoff(dtype) + 2 ** -53) * magnitude;
          expectClose(
            `parameters after step ${step + 1}`,
            read(parametersOf(model)),
            fixture.parameters[step],
            {
              atol,
            },
          );
        }
      },
      threads,
    );
  });

  it.each(clippingFixtures())('clips a norm of $norm to $limit as PyTorch does', async (fixture) => {
    await withModel(
      settings,
      async (model) => {
        const optimizer = model.optimizer({ type: 'sgd', learningRate: 1 });
        const zeros = fixture.gradient.map(() => 0);
        write(parametersOf(model), zeros);
        write(gradientsOf(model), fixture.gradient);
        await optimizer.step({ clipNorm: fixture.limit });
        const taken = read(parametersOf(model)).map((value) => -value);
        // The norm is a sum of 18 squares and a root; the scale and its product come after.
        const rtol = gamma(18 + 6, unitRoundoff(dtype) + 2 ** -53);
        expectClose('clipped gradient', taken, fixture.clipped, { atol: 0, rtol });
      },
      threads,
    );
  });
});

describe('clipping', () => {
  /** Two steps with clipped gradients, and two with the same gradients scaled down by hand. */
  it.each<OptimizerOptions>([
    { type: 'sgd', learningRate: 0.1, momentum: 0.5, weightDecay: 0.5 },
    { type: 'rmsprop', learningRate: 0.1, weightDecay: 0.5 },
    // A large ε: without it Adam takes the same step from a gradient of any length.
    { type: 'adam', learningRate: 0.1, epsilon: 0.1, weightDecay: 0.5 },
    { type: 'adamw', learningRate: 0.1, epsilon: 0.1, weightDecay: 0.5 },
  ])('scales the gradient alone, before anything is added to it: $type', async (options) => {
    const gradient = Array.from({ length: 18 }, (_, i) => Math.sin(i + 1));
    const norm = Math.sqrt(gradient.reduce((sum, g) => sum + g * g, 0));
    const clipNorm = 0.5;
    const steps = (clipped: boolean) =>
      withModel({ shape, dtype: 'float64', network: seededNetwork(shape, 1) }, async (model) => {
        const optimizer = model.optimizer(options);
        const scale = clipped ? 1 : clipNorm / (norm + 1e-6);
        write(
          gradientsOf(model),
          gradient.map((g) => g * scale),
        );
        for (let i = 0; i < 2; i++) await optimizer.step(clipped ? { clipNorm } : {});
        return read(parametersOf(model));
      });
    expectClose('parameters', await steps(true), await steps(false), { atol: 1e-13 });
  });

  it('leaves a rate that is given for one step to that step', async () => {
    const steps = (rates: readonly (number | undefined)[], learningRate: number) =>
      withModel({ shape, dtype: 'float64', network: seededNetwork(shape, 1) }, async (model) => {
        const optimizer = model.optimizer({ type: 'sgd', learningRate });
        write(
          gradientsOf(model),
          Array.from({ length: 18 }, (_, i) => Math.cos(i)),
        );
        for (const rate of rates) await optimizer.step(rate === undefined ? {} : { learningRate: rate });
        return read(parametersOf(model));
      });
    expect(await steps([0.25, 0.25], 0.5)).toEqual(await steps([undefined, undefined], 0.25));
    expect(await steps([0.25, undefined], 0.5)).toEqual(await steps([undefined, 0.5], 0.25));
    // A schedule of the caller's own may begin or end at 0.
    expect(await steps([0, 0.25], 0.5)).toEqual(await steps([0.25], 0.5));
    await expect(steps([-1], 0.5)).rejects.toThrow(
      'learningRate: expected a finite number, 0 or more, got -1',
    );
  });
});

describe('the cosine schedule', () => {
  it.each(cosineFixtures().filter(({ smallest }) => smallest === 0))(
    'gives the rates of PyTorch over $steps steps',
    ({ rate, steps, rates }) => {
      const actual = rates.map(
        (_, step) => rate * scheduleFactor(scheduleSpec('cosine'), { step, perEpoch: 1, inAll: steps }),
      );
      // PyTorch goes from one rate to the next by a quotient: its roundings add up over the steps.
      expectClose('rates', actual, rates, { atol: gamma(10 * steps, unitRoundoff('float64')) * rate });
      expect(actual[0]).toBe(rate);
    },
  );
});
