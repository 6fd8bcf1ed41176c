/** The engine's classifier as the laws use it: made for a problem, closed whatever happens, read by name. */
import type { RNNPhonemeClassifier as Model } from '../engine/index.ts';
import { RNNPhonemeClassifier } from '../engine/index.ts';
import type { KernelMaker } from '../engine/kernels/kernels.ts';
import { networkOf } from '../engine/network/registry.ts';
import type { Batch, NetworkShape, Problem } from './arbitraries.ts';
import { fixedDeltaBounds, gradientBounds } from './bounds.ts';
import type { Dtype, TensorLike, Values } from './compare.ts';
import { expectClose, expectSameBits, unitRoundoff } from './compare.ts';
import type { Gradients, Network } from './reference.ts';
import { backward, forward, gradientsOf, namedGradients } from './reference.ts';

export type { Model };

export type Named = Array<[name: string, values: Values]>;

export function setWeights(model: Model, network: Network): void {
  const cells = network.rnn.map(({ W_ih, W_hh, b_ih, b_hh }) => [W_ih, W_hh, b_ih, b_hh] as const);
  model.initWeights(cells, [network.output.W, network.output.b]);
}

export interface ModelSettings {
  shape: NetworkShape;
  dtype: Dtype;
  network: Network;
}

/** The kernels this run is about: ELMAN_KERNELS=blas runs every law over the system's BLAS. */
const kernels: KernelMaker = process.env.ELMAN_KERNELS === 'blas' ? 'blas' : 'wasm';

export async function createModel(settings: ModelSettings, threads = 0): Promise<Model> {
  const { shape, dtype, network } = settings;
  const model = await RNNPhonemeClassifier.create({ ...shape, dtype, threads, seed: 1, kernels });
  setWeights(model, network);
  // Every lane may go to another thread, however small the case: that is what these laws are about.
  const behind = networkOf(model);
  if (behind) behind.flopsPerThread = 1;
  return model;
}

/** A model with the problem's weights, closed at the end even where `use` throws. */
export async function withModel<R>(
  settings: ModelSettings,
  use: (model: Model) => Promise<R>,
  threads = 0,
): Promise<R> {
  const model = await createModel(settings, threads);
  try {
    return await use(model);
  } finally {
    await model.close();
  }
}

/** Steps behind the longest sample in the padded forms: their content must never be read. */
const extraSteps = 2;

/** The steps that the model is told of: the longest sample, and more in the padded forms. */
export function stepsGiven({ x, form }: Batch): number {
  const longest = Math.max(...x.map((sample) => sample.length));
  return form === 'padded' || form === 'shared' ? longest + extraSteps : longest;
}

/** x in the form of the batch; padding is NaN, which spreads wherever it is read. */
export function inputOf(batch: Batch) {
  const { x, form } = batch;
  if (form === 'list') return x;
  const steps = stepsGiven(batch);
  const inputSize = x[0][0].length;
  const size = x.length * steps * inputSize;
  // The values are exact in float32; a float32 model takes such an array in shared memory as it is.
  const data = form === 'shared' ? new Float32Array(new SharedArrayBuffer(4 * size)) : new Float64Array(size);
  data.fill(Number.NaN);
  x.forEach((sample, b) => {
    data.set(sample.flat(), b * steps * inputSize);
  });
  const shape = [x.length, steps, inputSize];
  return form === 'dense' ? { data, shape } : { data, shape, lengths: x.map((sample) => sample.length) };
}

/** dx as the model returns it: [B, T, I], zero behind the end of a sample. */
function padded(dx: number[][][], steps: number): number[][][] {
  return dx.map((sample) => {
    const nothing = sample[0].map(() => 0);
    return Array.from({ length: steps }, (_, t) => sample[t] ?? nothing);
  });
}

/** Named as the model's results are. */
export function named(gradients: Gradients, batch: Batch): Named {
  return namedGradients({ ...gradients, dx: padded(gradients.dx, stepsGiven(batch)) });
}

function copy({ data, shape }: TensorLike): TensorLike {
  return { data: Float64Array.from(data), shape: [...shape] };
}

/** The weight gradients that the model holds now, copied. */
export function weightGradients(model: Model): Named {
  const cells = model.rnn.flatMap(
    (cell, l): Named => [
      [`rnn[${l}].dW_ih`, copy(cell.dW_ih)],
      [`rnn[${l}].dW_hh`, copy(cell.dW_hh)],
      [`rnn[${l}].db_ih`, copy(cell.db_ih)],
      [`rnn[${l}].db_hh`, copy(cell.db_hh)],
    ],
  );
  return [...cells, ['output.dW', copy(model.outputLayer.dW)], ['output.db', copy(model.outputLayer.db)]];
}

export interface Results {
  loss?: number;
  logits: TensorLike;
  /** In the order of `namedGradients`: weights, then dh0 and dx. */
  gradients: Named;
}

/** forward, then backward from the batch's own delta, onto gradients set to zero. */
export async function runDelta(model: Model, batch: Batch): Promise<Results> {
  model.zeroGrad();
  const logits = copy(await model.forward(inputOf(batch), batch.h0));
  const { dh0, dx } = await model.backward(batch.delta, { inputGradient: true });
  return { logits, gradients: [...weightGradients(model), ['dh0', copy(dh0)], ['dx', copy(dx)]] };
}

/** The gradients of the cross-entropy loss, onto gradients set to zero. */
export async function runLoss(model: Model, batch: Batch): Promise<Results> {
  model.zeroGrad();
  const options = { h0: batch.h0, inputGradient: true } as const;
  const { loss, logits, dh0, dx } = await model.gradients(inputOf(batch), batch.labels, options);
  if (dx === undefined) throw new Error('gradients: no dx, although it was asked for');
  const gradients: Named = [...weightGradients(model), ['dh0', copy(dh0)], ['dx', copy(dx)]];
  return { loss, logits: copy(logits), gradients };
}

export interface Expected {
  loss?: number;
  lossBound?: number;
  logits: number[][];
  logitBounds: number[][];
  gradients: Named;
  gradientBounds: Named;
}

export function expectedDelta(p: Problem): Expected {
  const run = forward(p.point);
  const bounds = fixedDeltaBounds(p.point, run, p.delta, unitRoundoff(p.dtype));
  return {
    logits: run.logits,
    logitBounds: bounds.logits,
    gradients: named(backward(p.point, run, p.delta), p),
    gradientBounds: named(bounds, p),
  };
}

export function expectedLoss(p: Problem): Expected {
  const run = gradientsOf(p.point, p.labels);
  const bounds = gradientBounds(p.point, run, p.labels, unitRoundoff(p.dtype));
  return {
    loss: run.loss,
    lossBound: bounds.loss,
    logits: run.logits,
    logitBounds: bounds.logits,
    gradients: named(run, p),
    gradientBounds: named(bounds, p),
  };
}

function times(bounds: Values, factor: number): Values {
  if (typeof bounds === 'number') return bounds * factor;
  if ('data' in bounds) return { data: Array.from(bounds.data, (e) => e * factor), shape: bounds.shape };
  return bounds.map((inner) => times(inner, factor));
}

/** Each tensor within `factor` times its bound: one for one rounded computation against the exact one. */
export function expectAllClose(actual: Named, expected: Named, bounds: Named, factor = 1): void {
  const names = (list: Named) => list.map(([name]) => name).join();
  if (names(actual) !== names(expected)) throw new Error(`${names(actual)}: expected ${names(expected)}`);
  actual.forEach(([name, values], k) => {
    expectClose(name, values, expected[k][1], { atol: times(bounds[k][1], factor) });
  });
}

export function expectAllSameBits(actual: Named, expected: Named): void {
  actual.forEach(([name, values], k) => {
    expectSameBits(name, values, expected[k][1]);
  });
}

export function expectResults(actual: Results, expected: Expected): void {
  expectClose('logits', actual.logits, expected.logits, { atol: expected.logitBounds });
  if (actual.loss !== undefined && expected.loss !== undefined) {
    expectClose('loss', actual.loss, expected.loss, { atol: expected.lossBound ?? 0 });
  }
  expectAllClose(actual.gradients, expected.gradients, expected.gradientBounds);
}

export function expectSameResults(actual: Results, expected: Results): void {
  expectSameBits('logits', actual.logits, expected.logits);
  if (expected.loss !== undefined) expectSameBits('loss', actual.loss ?? Number.NaN, expected.loss);
  expectAllSameBits(actual.gradients, expected.gradients);
}

/** The rows of a batch, in a given order, repetitions allowed. */
export function rowsOfBatch<B extends Batch>(batch: B, rows: number[]): B {
  return {
    ...batch,
    x: rows.map((row) => batch.x[row]),
    labels: rows.map((row) => batch.labels[row]),
    h0: batch.h0?.map((layer) => rows.map((row) => layer[row])),
    delta: rows.map((row) => batch.delta[row]),
  };
}

export function problemRows(p: Problem, rows: number[]): Problem {
  const picked = rowsOfBatch(p, rows);
  const h0 = p.point.h0.map((layer) => rows.map((row) => layer[row]));
  return { ...picked, point: { ...p.point, x: picked.x, h0 } };
}
