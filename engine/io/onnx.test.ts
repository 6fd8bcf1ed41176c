import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as ort from 'onnxruntime-web';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectClose, gamma, unitRoundoff } from '../../properties/compare.ts';
import { Random } from '../numeric/random.ts';
import type { RNNPhonemeClassifier } from '../rnn-classifier.ts';
import { Tensor } from '../tensor.ts';
import { withModel } from '../testing/models.ts';
import { encodeOnnx, type OnnxSource } from './onnx.ts';

// The models are tiny.
ort.env.wasm.numThreads = 1;

const u = unitRoundoff('float32');

// ---- The same computation in float64, by plain loops, with a bound on the error of float32 --------------------------

type OnnxOptions = Pick<
  OnnxSource,
  'nonlinearity' | 'bidirectional' | 'bias' | 'output' | 'normalization' | 'classes'
>;

/** A number, and how far a computation in float32 may be from it. */
interface Bounded {
  readonly value: number;
  readonly error: number;
}

const exact = (value: number): Bounded => ({ value, error: 0 });

/** Σ wᵢ xᵢ + Σ b, added in any order. */
function affine(w: readonly number[], x: readonly Bounded[], biases: readonly number[]): Bounded {
  let [value, carried, magnitude] = [0, 0, 0];
  for (const b of biases) {
    value += b;
    magnitude += Math.abs(b);
  }
  w.forEach((weight, i) => {
    value += weight * x[i].value;
    carried += Math.abs(weight) * x[i].error;
    magnitude += Math.abs(weight) * (Math.abs(x[i].value) + x[i].error);
  });
  return { value, error: carried + gamma(w.length + biases.length, u) * magnitude };
}

/** Neither function magnifies an error. Relu is exact, a tanh may be off by 4 units in the last place. */
function activate({ value, error }: Bounded, nonlinearity: OnnxOptions['nonlinearity']): Bounded {
  if (nonlinearity === 'relu') return { value: Math.max(0, value), error };
  return { value: Math.tanh(value), error: error + 8 * u };
}

function normalize(frame: readonly number[], { normalization }: OnnxSource): Bounded[] {
  if (normalization === null) return frame.map(exact);
  return frame.map((x, i) => {
    const value = (x - normalization.mean[i]) / normalization.std[i];
    return { value, error: gamma(2, u) * Math.abs(value) };
  });
}

function rowsOf({ data, shape }: Tensor): number[][] {
  const width = shape[1];
  return Array.from({ length: shape[0] }, (_, row) => [...data.slice(row * width, (row + 1) * width)]);
}

/** One direction of one layer over one row. frames: [T][I or D·H] → [T][H] */
function runCell(source: OnnxSource, suffix: string, frames: readonly Bounded[][]): Bounded[][] {
  const { [`rnn.weight_ih_${suffix}`]: ih, [`rnn.weight_hh_${suffix}`]: hh } = source.parameters;
  const { [`rnn.bias_ih_${suffix}`]: b_ih, [`rnn.bias_hh_${suffix}`]: b_hh } = source.parameters;
  const [W_ih, W_hh] = [rowsOf(ih), rowsOf(hh)];
  const steps = [...frames.keys()];
  if (suffix.endsWith('_reverse')) steps.reverse();
  const states: Bounded[][] = [];
  let h = W_hh.map(() => exact(0));
  for (const t of steps) {
    h = W_hh.map((_, j) => {
      const biases = source.bias ? [b_ih.data[j], b_hh.data[j]] : [];
      return activate(affine([...W_ih[j], ...W_hh[j]], [...frames[t], ...h], biases), source.nonlinearity);
    });
    states[t] = h;
  }
  return states;
}

/** What the output layer reads: one vector, or one for each step. */
function featuresOf(source: OnnxSource, row: readonly number[][]): Bounded[][] {
  const { numLayers, bidirectional, hiddenSize, output } = source;
  let frames = row.map((frame) => normalize(frame, source));
  for (let layer = 0; layer < numLayers; layer++) {
    const forward = runCell(source, `l${layer}`, frames);
    const reverse = bidirectional ? runCell(source, `l${layer}_reverse`, frames) : row.map(() => []);
    frames = forward.map((h, t) => [...h, ...reverse[t]]);
  }
  if (output === 'steps') return frames;
  const last = frames.length - 1;
  if (output === 'last') return [[...frames[last].slice(0, hiddenSize), ...frames[0].slice(hiddenSize)]];
  // The sum, 1/T, and their product: two roundings beside those of the sum.
  const ones = frames.map(() => 1 / frames.length);
  const mean = frames[0].map((_, j) => {
    const sum = affine(
      ones,
      frames.map((h) => h[j]),
      [],
    );
    return { value: sum.value, error: sum.error + gamma(2, u) * (Math.abs(sum.value) + sum.error) };
  });
  return [mean];
}

/**
 * e^(zᵢ − max z) / Σ: an error of z becomes a relative error, twice; the others are those of exp, the
 * sum and the division.
 */
function softmax(z: readonly Bounded[]): Bounded[] {
  const top = Math.max(...z.map(({ value }) => value));
  const range = top - Math.min(...z.map(({ value }) => value));
  const e = z.map(({ value }) => Math.exp(value - top));
  const total = e.reduce((a, b) => a + b, 0);
  const off = Math.max(...z.map(({ error }) => error)) + u * range;
  const relative = Math.expm1(2 * off) + gamma(z.length + 8, u);
  return e.map((value) => ({ value: value / total, error: relative * (value / total) }));
}

interface Expected {
  readonly logits: readonly Bounded[];
  readonly probabilities: readonly Bounded[];
}

/** Logits and probabilities of all rows, one after the other: [B, O], or [B, T, O] with zeros past a row's end. */
function expectedOf(source: OnnxSource, rows: readonly number[][][]): Expected {
  const W = rowsOf(source.parameters['output.weight']);
  const b = source.parameters['output.bias'].data;
  const none = W.map(() => exact(0));
  const longest = Math.max(...rows.map((row) => row.length));
  const places = rows.flatMap((row) => {
    const logits = featuresOf(source, row).map((h) => W.map((w, o) => affine(w, h, [b[o]])));
    const past = source.output === 'steps' ? longest - row.length : 0;
    return [...logits.map((z) => ({ z, p: softmax(z) })), ...Array(past).fill({ z: none, p: none })];
  });
  return { logits: places.flatMap(({ z }) => z), probabilities: places.flatMap(({ p }) => p) };
}

// ---- Models and batches ---------------------------------------------------------------------------------------------

const SIZES = { inputSize: 3, hiddenSize: 5, outputSize: 4 };
const LENGTHS = [6, 1, 4, 6, 3];

function randomSource(options: OnnxOptions, numLayers: number, seed: number, sizes = SIZES): OnnxSource {
  const { inputSize, hiddenSize, outputSize } = sizes;
  const random = new Random(seed);
  const directions = options.bidirectional ? 2 : 1;
  const parameters: Record<string, Tensor> = {};
  const draw = (name: string, ...shape: number[]) => {
    const size = shape.reduce((a, b) => a * b, 1);
    // The weights of a unit's inputs sum to at most 1 in magnitude: relu cannot explode, and errors
    // fade from step to step.
    const scale = 1 / (shape[1] ?? 1);
    const data = Float32Array.from({ length: size }, () => scale * (2 * random.uniform() - 1));
    parameters[name] = new Tensor(data, shape);
  };
  for (let layer = 0; layer < numLayers; layer++) {
    for (const suffix of [`l${layer}`, `l${layer}_reverse`].slice(0, directions)) {
      draw(`rnn.weight_ih_${suffix}`, hiddenSize, layer === 0 ? inputSize : directions * hiddenSize);
      draw(`rnn.weight_hh_${suffix}`, hiddenSize, hiddenSize);
      if (!options.bias) continue;
      draw(`rnn.bias_ih_${suffix}`, hiddenSize);
      draw(`rnn.bias_hh_${suffix}`, hiddenSize);
    }
  }
  draw('output.weight', outputSize, directions * hiddenSize);
  draw('output.bias', outputSize);
  return { ...sizes, ...options, numLayers, dtype: 'float32', parameters, metadata: {} };
}

/** Rows of frames, one for each length. */
function randomRows(lengths: readonly number[], inputSize: number, seed: number): number[][][] {
  const random = new Random(seed);
  const frame = () => Array.from({ length: inputSize }, () => Math.fround(random.normal()));
  return lengths.map((length) => Array.from({ length }, frame));
}

/** One block [B, T, I], with NaN past each row's end, so that whatever reads it shows. */
function padded(rows: readonly number[][][]) {
  const time = Math.max(...rows.map((row) => row.length));
  const inputSize = rows[0][0].length;
  const data = new Float32Array(rows.length * time * inputSize).fill(Number.NaN);
  rows.forEach((row, b) => {
    data.set(row.flat(), b * time * inputSize);
  });
  return { data, shape: [rows.length, time, inputSize], lengths: rows.map((row) => row.length) };
}

/** The outputs that onnxruntime computes from a file. */
async function run(bytes: Uint8Array, { data, shape, lengths }: ReturnType<typeof padded>) {
  const session = await ort.InferenceSession.create(bytes);
  try {
    const { logits, probabilities } = await session.run({
      x: new ort.Tensor('float32', data, shape),
      lengths: new ort.Tensor('int32', Int32Array.from(lengths), [lengths.length]),
    });
    const tensor = ({ data, dims }: ort.Tensor) => new Tensor(data as Float32Array, dims);
    return { logits: tensor(logits), probabilities: tensor(probabilities) };
  } finally {
    await session.release();
  }
}

function expectWithin(name: string, actual: Tensor, expected: readonly Bounded[], shape: readonly number[]) {
  const of = (key: keyof Bounded) => ({ data: expected.map((bounded) => bounded[key]), shape });
  // A bound too large to tell right from wrong would let anything pass.
  expect(Math.max(...expected.map(({ error }) => error))).toBeLessThan(1e-5);
  expectClose(name, actual, of('value'), { atol: of('error') });
}

const PLAIN: OnnxOptions = {
  nonlinearity: 'tanh',
  bidirectional: false,
  bias: true,
  output: 'last',
  normalization: null,
  classes: null,
};

/** Every combination of the options. */
const combinations = (['tanh', 'relu'] as const).flatMap((nonlinearity) =>
  [false, true].flatMap((bidirectional) =>
    [true, false].flatMap((bias) =>
      [null, { mean: [0.5, -0.25, 1], std: [2, 0.5, 1.5] }].map((normalization) => ({
        nonlinearity,
        bidirectional,
        bias,
        normalization,
      })),
    ),
  ),
);

describe.each(['last', 'mean', 'steps'] as const)('onnxruntime on an exported model, output %s', (output) => {
  it.each(combinations)('computes what the equations say: %j', async (options) => {
    for (const numLayers of [1, 2, 3]) {
      const source = randomSource({ ...PLAIN, ...options, output }, numLayers, 10 * numLayers);
      const rows = randomRows(LENGTHS, SIZES.inputSize, numLayers);
      const expected = expectedOf(source, rows);
      const { logits, probabilities } = await run(encodeOnnx(source), padded(rows));
      const shape = output === 'steps' ? [5, 6, 4] : [5, 4];
      expectWithin(`logits of ${numLayers} layers`, logits, expected.logits, shape);
      expectWithin(`probabilities of ${numLayers} layers`, probabilities, expected.probabilities, shape);
    }
  });

  it('takes a batch of any size, in one session or another', async () => {
    const source = randomSource({ ...PLAIN, bidirectional: true, output }, 2, 5);
    for (const lengths of [[1], [9, 9], Array.from({ length: 33 }, (_, i) => 1 + (i % 7))]) {
      const rows = randomRows(lengths, SIZES.inputSize, 6);
      const { logits } = await run(encodeOnnx(source), padded(rows));
      const shape = [lengths.length, ...(output === 'steps' ? [Math.max(...lengths)] : []), 4];
      expectWithin('logits', logits, expectedOf(source, rows).logits, shape);
    }
  });
});

describe('exportOnnx', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'elman-onnx-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  const sourceOf = (model: RNNPhonemeClassifier, metadata: Record<string, string> = {}): OnnxSource => {
    const { inputSize, hiddenSize, outputSize, numLayers, dtype } = model;
    const { nonlinearity, bidirectional, bias, output, normalization, classes } = model;
    return {
      inputSize,
      hiddenSize,
      outputSize,
      numLayers,
      dtype,
      nonlinearity,
      bidirectional,
      bias,
      output,
      normalization,
      classes,
      metadata,
      parameters: model.stateDict(),
    };
  };

  const ofEachOutput = (['last', 'mean', 'steps'] as const).flatMap((output) => [
    { output },
    { output, nonlinearity: 'relu', bidirectional: true, bias: false, normalization: true } as const,
  ]);
  it.each(ofEachOutput)(
    'writes a model that computes in onnxruntime what it computes here: %j',
    async (given) => {
      const sizes = { ...SIZES, numLayers: 3 };
      const normalization = given.normalization ? { mean: [0.5, -0.25, 1], std: [2, 0.5, 1.5] } : undefined;
      await withModel({ ...given, ...sizes, normalization, dropout: 0.5 }, async (model) => {
        model.loadStateDict(randomSource({ ...PLAIN, ...given, normalization: null }, 3, 7).parameters);
        const path = join(folder, 'model.onnx');
        await model.exportOnnx(path);
        const rows = randomRows([7, 2, 12, 1], SIZES.inputSize, 3);
        const batch = padded(rows);
        const [here, there] = [await model.forward(batch), await run(await readFile(path), batch)];
        const expected = expectedOf(sourceOf(model), rows);
        const shape = given.output === 'steps' ? [4, 12, 4] : [4, 4];
        expectWithin('logits here', here, expected.logits, shape);
        expectWithin('logits there', there.logits, expected.logits, shape);
        expectWithin('probabilities here', await model.predict(batch), expected.probabilities, shape);
        expectWithin('probabilities there', there.probabilities, expected.probabilities, shape);
        expect(await readdir(folder)).toEqual(['model.onnx']);
        await rm(path);
      });
    },
  );

  it('takes the metadata along', async () => {
    await withModel({ threads: 0 }, async (model) => {
      const metadata = { classes: '["a","b","c","d"]' };
      await model.save(join(folder, 'model.safetensors'), { metadata });
      const path = join(folder, 'with-metadata.onnx');
      await model.exportOnnx(path);
      expect(await readFile(path)).toEqual(Buffer.from(encodeOnnx(sourceOf(model, metadata))));
    });
  });

  it('refuses float64, says what to do, and that works', async () => {
    await withModel({ threads: 0, dtype: 'float64' }, async (model) => {
      const path = join(folder, 'wide.onnx');
      await expect(model.exportOnnx(path)).rejects.toMatchObject({
        code: 'NOT_EXPORTABLE',
        message: expect.stringMatching(/^exportOnnx: .*float32.*loadStateDict/),
      });
      expect(await readdir(folder)).not.toContain('wide.onnx');
      await withModel({ threads: 0, seed: 8 }, async (narrow) => {
        narrow.loadStateDict(model.stateDict());
        await narrow.exportOnnx(path);
        expect(await readdir(folder)).toContain('wide.onnx');
      });
    });
  });

  it('rejects with CLOSED after close', async () => {
    await withModel({ threads: 0 }, async (model) => {
      const path = join(folder, 'refused.onnx');
      await model.close();
      await expect(model.exportOnnx(path)).rejects.toMatchObject({ code: 'CLOSED' });
    });
  });
});
