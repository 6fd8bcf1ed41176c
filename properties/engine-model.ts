/** The engine's classifier as the laws use it: made for a problem, closed whatever happens, read by name. */
import type { LossOptions, RNNPhonemeClassifier as Model } from '../engine/index.ts';
import { RNNCell, RNNPhonemeClassifier } from '../engine/index.ts';
import type { KernelMaker } from '../engine/kernels/makers.ts';
import { networkOf } from '../engine/network/registry.ts';
import type { Batch, NetworkShape, Problem } from './arbitraries.ts';
import { fixedDeltaBounds, gradientBounds } from './bounds.ts';
import type { Dtype, TensorLike, Values } from './compare.ts';
import { expectClose, expectSameBits, unitRoundoff } from './compare.ts';
import { kernelsOfRun } from './kernels-of-run.ts';
import type { Gradients, Network } from './reference.ts';
import { backward, forward, gradientsOf, namedGradients } from './reference.ts';

export type { Model };

export type Named = Array<[name: string, values: Values]>;

const hasBias = ({ rnn }: Network) => rnn[0].b_ih.length > 0;

export function setWeights(model: Model, network: Network): void {
  const cells = network.rnn.map(({ W_ih, W_hh, b_ih, b_hh }) =>
    hasBias(network) ? ([W_ih, W_hh, b_ih, b_hh] as const) : ([W_ih, W_hh] as const),
  );
  model.initWeights(cells, [network.output.W, network.output.b]);
}

/** A cell of its own with the weights of a network's. */
export function cellOf({ shape, network, dtype }: ModelSettings, c: number): RNNCell {
  const { W_ih, W_hh, b_ih, b_hh } = network.rnn[c];
  const options = { dtype, nonlinearity: network.nonlinearity, bias: hasBias(network), seed: 1 };
  const cell = new RNNCell(W_ih[0].length, shape.hiddenSize, options);
  if (hasBias(network)) cell.initWeights(W_ih, W_hh, b_ih, b_hh);
  else cell.initWeights(W_ih, W_hh);
  return cell;
}

export interface ModelSettings {
  shape: NetworkShape;
  dtype: Dtype;
  network: Network;
  /** Only where a law is about one maker; otherwise the run's. */
  kernels?: KernelMaker;
}

/** The engine's options of a network; its seed is what dropout's masks are made from. */
function optionsOf(network: Network) {
  const { nonlinearity, isBidirectional, features, dropout, normalization } = network;
  const options = {
    nonlinearity,
    bidirectional: isBidirectional,
    bias: hasBias(network),
    output: features,
    dropout: dropout.p,
    seed: dropout.seed,
  };
  return normalization === undefined ? options : { ...options, normalization };
}

export async function createModel(settings: ModelSettings, threads = 0): Promise<Model> {
  const { shape, dtype, network, kernels = kernelsOfRun } = settings;
  const model = await RNNPhonemeClassifier.create({
    ...shape,
    ...optionsOf(network),
    dtype,
    threads,
    kernels,
  });
  setWeights(model, network);
  const { engagement } = networkOf(model);
  // Every lane may go to another thread, however small the case: that is what these laws are about.
  engagement.flopsPerThread = 1;
  // Three threads, or five, take the calling one in; an even number leaves it out.
  engagement.flopsHere = threads % 2 === 1 ? Number.POSITIVE_INFINITY : 0;
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
function stepsGiven({ x, form }: Batch): number {
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

/** What a step has that lies past a row's end. It is NaN, which must not be read, where the model is given it. */
function padded(rows: number[][][], steps: number, filler: number): number[][][] {
  const nothing = rows[0][0].map(() => filler);
  return rows.map((row) => Array.from({ length: steps }, (_, t) => row[t] ?? nothing));
}

/** Logits, or what is shaped like them, as the model returns them: [B, O], or [B, T, O] with zeros past an end. */
export function inShapeOfLogits(readings: number[][][], batch: Batch): Values {
  if (batch.features !== 'steps') return readings.map(([reading]) => reading);
  return padded(readings, stepsGiven(batch), 0);
}

/** The readings of logits that the model returned: [B][K][O] */
export function readingsOf({ data, shape }: TensorLike, batch: Batch): number[][][] {
  const O = shape[shape.length - 1];
  const steps = batch.features === 'steps' ? shape[1] : 1;
  return batch.labels.classes.map((row, b) =>
    row.map((_, k) => Array.from({ length: O }, (_, o) => data[(b * steps + k) * O + o])),
  );
}

/**
 * Of rows computed in two batches: with WebAssembly the same bits. A BLAS may add up the products of a row in another order
 * where its matrix has other rows beside it (OpenBLAS's kernels for Haswell and Zen do): there both are within their bounds
 * of the truth.
 */
export function expectSameRows(name: string, actual: Values, expected: Values, bounds: NestedBounds): void {
  if (kernelsOfRun === 'wasm') expectSameBits(name, actual, expected);
  else expectClose(name, actual, expected, { atol: twice(bounds) });
}

type NestedBounds = Array<number | NestedBounds>;

const twice = (bounds: NestedBounds): Values =>
  bounds.map((bound) => (typeof bound === 'number' ? 2 * bound : twice(bound))) as Values;

/** delta as the model takes it. */
export function deltaOf(batch: Batch): TensorLike | number[][] {
  if (batch.features !== 'steps') return batch.delta.map(([reading]) => reading);
  const rows = padded(batch.delta, stepsGiven(batch), Number.NaN);
  return { data: rows.flat(2), shape: [rows.length, rows[0].length, rows[0][0].length] };
}

/** Labels as the model takes them: [B]; where every step has one a list of [T_b], or [B, T] padded with NaN. */
export function labelsOf(batch: Batch) {
  const { classes } = batch.labels;
  if (batch.features !== 'steps') return classes.map(([label]) => label);
  if (batch.form === 'list') return classes;
  const steps = stepsGiven(batch);
  const data = classes.flatMap((row) => Array.from({ length: steps }, (_, t) => row[t] ?? Number.NaN));
  return { data, shape: [classes.length, steps] };
}

/** Which label is not counted, where it is not the usual one. */
export function ignoring({ labels: { ignored } }: Batch) {
  return ignored === -100 ? {} : { ignoreIndex: ignored };
}

/** The options of `gradients` that belong to a batch. */
export function lossOptions(batch: Batch) {
  const { h0, step } = batch;
  return { ...(h0 && { h0 }), ...(step !== undefined && { dropoutStep: step }), ...ignoring(batch) };
}

/** A data set for `fit` and `evaluate`. */
export function dataOf(batch: Batch) {
  return { x: inputOf(batch), labels: labelsOf(batch) };
}

/** Named as the model's results are; dx is [B, T, I], zero past an end. */
export function named(gradients: Gradients, batch: Batch): Named {
  return namedGradients({ ...gradients, dx: padded(gradients.dx, stepsGiven(batch), 0) });
}

/** A copy of a tensor that nobody else writes to, in float64. */
export function copyOf({ data, shape }: TensorLike) {
  return { data: Float64Array.from(data), shape: [...shape] };
}

/** The parameters that the model holds now, copied. */
export function parametersOf(model: Model): Named {
  return Object.entries(model.stateDict()).map(([name, tensor]) => [name, copyOf(tensor)]);
}

/** The weight gradients that the model holds now, copied. */
export function weightGradients(model: Model): Named {
  const cells = model.rnn.flatMap(({ dW_ih, dW_hh, db_ih, db_hh }, c): Named => {
    const weights: Named = [
      [`rnn[${c}].dW_ih`, copyOf(dW_ih)],
      [`rnn[${c}].dW_hh`, copyOf(dW_hh)],
    ];
    if (db_ih.data.length === 0) return weights;
    return [...weights, [`rnn[${c}].db_ih`, copyOf(db_ih)], [`rnn[${c}].db_hh`, copyOf(db_hh)]];
  });
  return [...cells, ['output.dW', copyOf(model.outputLayer.dW)], ['output.db', copyOf(model.outputLayer.db)]];
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
  const logits = copyOf(await model.forward(inputOf(batch), batch.h0));
  const { dh0, dx } = await model.backward(deltaOf(batch), { inputGradient: true });
  return { logits, gradients: [...weightGradients(model), ['dh0', copyOf(dh0)], ['dx', copyOf(dx)]] };
}

/** The gradients of the cross-entropy loss, onto gradients set to zero. */
export async function runLoss(model: Model, batch: Batch, loss?: LossOptions): Promise<Results> {
  model.zeroGrad();
  const options = { ...lossOptions(batch), ...loss, inputGradient: true } as const;
  const result = await model.gradients(inputOf(batch), labelsOf(batch), options);
  const { logits, dh0, dx } = result;
  if (dx === undefined) throw new Error('gradients: no dx, although it was asked for');
  const gradients: Named = [...weightGradients(model), ['dh0', copyOf(dh0)], ['dx', copyOf(dx)]];
  return { loss: result.loss, logits: copyOf(logits), gradients };
}

export interface Expected {
  loss?: number;
  lossBound?: number;
  logits: Values;
  logitBounds: Values;
  gradients: Named;
  gradientBounds: Named;
}

export function expectedDelta(p: Problem): Expected {
  const run = forward(p.point);
  const bounds = fixedDeltaBounds(p.point, run, p.delta, unitRoundoff(p.dtype));
  return {
    logits: inShapeOfLogits(run.logits, p),
    logitBounds: inShapeOfLogits(bounds.logits, p),
    gradients: named(backward(p.point, run, p.delta), p),
    gradientBounds: named(bounds, p),
  };
}

export function expectedLoss(p: Problem): Expected {
  const run = gradientsOf(p.point, p.labels, p.step);
  const bounds = gradientBounds(p.point, run, p.labels, unitRoundoff(p.dtype));
  return {
    loss: run.loss,
    lossBound: bounds.loss,
    logits: inShapeOfLogits(run.logits, p),
    logitBounds: inShapeOfLogits(bounds.logits, p),
    gradients: named(run, p),
    gradientBounds: named(bounds, p),
  };
}

/** Bounds, each so many times as wide. */
export function times(bounds: Values, factor: number): Values {
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

/** The rows of a batch, in a given order, repetitions allowed. A row that moves gets another mask of dropout. */
function rowsOfBatch<B extends Batch>(batch: B, rows: number[]): B {
  return {
    ...batch,
    x: rows.map((row) => batch.x[row]),
    labels: { ...batch.labels, classes: rows.map((row) => batch.labels.classes[row]) },
    h0: batch.h0?.map((layer) => rows.map((row) => layer[row])),
    delta: rows.map((row) => batch.delta[row]),
  };
}

export function problemRows(p: Problem, rows: number[]): Problem {
  const picked = rowsOfBatch(p, rows);
  const h0 = p.point.h0.map((layer) => rows.map((row) => layer[row]));
  return { ...picked, point: { ...p.point, x: picked.x, h0 } };
}
