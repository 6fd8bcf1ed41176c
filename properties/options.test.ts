/** What holds between networks that differ in one option. That each by itself is right is the business of `gradients`. */
import { fc } from '@fast-check/vitest';
import { describe } from 'vitest';
import type { BatchRecipe, Limits, NetworkOptions, NetworkShape, Problem } from './arbitraries.ts';
import {
  batchRecipe,
  dtype,
  hash,
  networkOptions,
  networkShape,
  problem,
  problemFor,
} from './arbitraries.ts';
import { forwardBounds, gradientBounds } from './bounds.ts';
import type { Dtype, TensorLike, Values } from './compare.ts';
import { expectClose, expectSameBits, gamma, largestMagnitude, unitRoundoff } from './compare.ts';
import type { Model, Named } from './engine-model.ts';
import {
  expectAllClose,
  expectAllSameBits,
  expectedDelta,
  expectedLoss,
  expectSameRows,
  inputOf,
  inShapeOfLogits,
  labelsOf,
  lossOptions,
  named,
  problemRows,
  readingsOf,
  runDelta,
  runLoss,
  times,
  weightGradients,
  withModel,
} from './engine-model.ts';
import { law } from './profile.ts';
import type { Labels, Nested, Network } from './reference.ts';
import { finalStates, forward, gradientsOf, hiddenOf, nest } from './reference.ts';

const small: Limits = { width: 9, layers: 3, time: 7, batch: 17 };

/** What problems that differ in an option only are made from: the same weights, frames and initial states. */
interface Family {
  shape: NetworkShape;
  recipe: BatchRecipe;
  dtypeOf: Dtype;
  options: NetworkOptions;
}

function family(fixed: Partial<NetworkOptions> = {}, limits = small): fc.Arbitrary<Family> {
  return fc.record({
    shape: networkShape(limits),
    recipe: batchRecipe(limits),
    dtypeOf: dtype(),
    options: networkOptions({ dropout: 0, ...fixed }),
  });
}

function member({ shape, recipe, dtypeOf, options }: Family, others: Partial<NetworkOptions> = {}): Problem {
  return problemFor(shape, recipe, dtypeOf, { ...options, ...others });
}

function nested(values: Values): Nested {
  const { data, shape } = values as TensorLike;
  return nest(Array.from(data), shape);
}

function withNetwork(p: Problem, network: Network, others: Partial<Problem> = {}): Problem {
  const changed = { ...p, ...others, network };
  const h0 = changed.h0 ?? network.rnn.map(() => p.x.map(() => new Array(hiddenOf(network)).fill(0)));
  return { ...changed, point: { network, x: changed.x, h0 } };
}

const reversed = <T>(list: T[]): T[] => [...list].reverse();
const swapHalves = (row: number[]) => [...row.slice(row.length / 2), ...row.slice(0, row.length / 2)];
/** The other direction of the same layer. */
const twin = (c: number) => (c % 2 === 0 ? c + 1 : c - 1);

/** The same network with its directions exchanged, on the frames in the opposite order. */
function mirrored(p: Problem): Problem {
  const { rnn, output } = p.network;
  const cells = rnn.map((_, c) => {
    const cell = rnn[twin(c)];
    return c < 2 ? cell : { ...cell, W_ih: cell.W_ih.map(swapHalves) };
  });
  return withNetwork(
    p,
    { ...p.network, rnn: cells, output: { ...output, W: output.W.map(swapHalves) } },
    { x: p.x.map(reversed), delta: p.delta.map(reversed), h0: p.h0?.map((_, c, h0) => h0[twin(c)]) },
  );
}

/** A network's gradients as those of the mirrored one. */
function mirroredGradients(gradients: Named, p: Problem): Named {
  const all = new Map(gradients.map(([name, values]) => [name, nested(values)]));
  return gradients.map(([name]): Named[number] => {
    if (name === 'dh0') return [name, p.network.rnn.map((_, c) => all.get(name)?.[twin(c)] ?? [])];
    if (name === 'dx') return [name, reversedFrames(all.get(name) as number[][][], p)];
    const values = all.get(name.replace(/\d+/, (c) => String(twin(Number(c))))) as number[][];
    const readsBoth = name === 'output.dW' || (name.endsWith('dW_ih') && !/^rnn\[[01]\]/.test(name));
    return [name, readsBoth ? values.map(swapHalves) : values];
  });
}

/** dx: [B, T, I], what is past a row's end staying there. */
function reversedFrames(dx: number[][][], { x }: Problem): number[][][] {
  return dx.map((rows, b) => [...reversed(rows.slice(0, x[b].length)), ...rows.slice(x[b].length)]);
}

/** The forward half of a bidirectional network in which nothing reads the reverse half, and that network. */
function withoutReverse(p: Problem): { whole: Problem; half: Problem } {
  const H = hiddenOf(p.network);
  const { rnn, output } = p.network;
  const zeroed = (row: number[]) => row.map((value, j) => (j < H ? value : 0));
  const isUpper = (c: number) => c >= 2;
  const cells = rnn.map((cell, c) =>
    isUpper(c) && c % 2 === 0 ? { ...cell, W_ih: cell.W_ih.map(zeroed) } : cell,
  );
  const isForward = (_: unknown, c: number) => c % 2 === 0;
  const halves = rnn
    .map((cell, c) => (isUpper(c) ? { ...cell, W_ih: cell.W_ih.map((row) => row.slice(0, H)) } : cell))
    .filter(isForward);
  const W = output.W.map((row) => row.slice(0, H));
  const alone = { ...p.network, rnn: halves, output: { ...output, W }, isBidirectional: false };
  return {
    whole: withNetwork(p, { ...p.network, rnn: cells, output: { ...output, W: output.W.map(zeroed) } }),
    half: withNetwork(p, alone, { h0: p.h0?.filter(isForward) }),
  };
}

describe('a bidirectional network', () => {
  law(
    'is the network with its directions exchanged, on the sequences turned round',
    { f: family({ isBidirectional: true }) },
    { cases: 40 },
    async ({ f }) => {
      const p = member(f);
      const q = mirrored(p);
      const straight = await withModel(p, (model) => runDelta(model, p));
      const turned = await withModel(q, (model) => runDelta(model, q));
      const bounds = expectedDelta(q);
      const logits = inShapeOfLogits(readingsOf(straight.logits, p).map(reversed), q);
      expectClose('logits', turned.logits, logits, { atol: times(bounds.logitBounds, 2) });
      expectAllClose(turned.gradients, mirroredGradients(straight.gradients, p), bounds.gradientBounds, 2);
    },
  );

  law(
    'whose reverse half nobody reads is the forward network',
    { f: family({ isBidirectional: true }) },
    { cases: 30 },
    async ({ f }) => {
      const { whole, half } = withoutReverse(member(f));
      const both = await withModel(whole, (model) => runDelta(model, whole));
      const alone = await withModel(half, (model) => runDelta(model, half));
      const bounds = expectedDelta(whole);
      expectClose('logits', both.logits, alone.logits, { atol: times(bounds.logitBounds, 2) });
      const dx = ({ gradients }: { gradients: Named }) => gradients.filter(([name]) => name === 'dx');
      expectAllClose(dx(both), dx(alone), dx({ gradients: bounds.gradientBounds }), 2);
    },
  );
});

async function logitsOf(p: Problem): Promise<number[][][]> {
  return withModel(p, async (model) => readingsOf(await model.forward(inputOf(p), p.h0), p));
}

/** [B][K][O] → [B][O]: of every sample the mean of its readings. */
function means(readings: number[][][]): number[][] {
  return readings.map((rows) => rows[0].map((_, o) => rows.reduce((sum, y) => sum + y[o], 0) / rows.length));
}

describe('the logits', () => {
  law(
    'of the mean are the mean of those of the steps, since the output layer is linear',
    { f: family() },
    { cases: 40 },
    async ({ f }) => {
      const [mean, steps] = [member(f, { features: 'mean' }), member(f, { features: 'steps' })];
      const [ofMean, ofSteps] = [await logitsOf(mean), await logitsOf(steps)];
      const boundsOf = (p: Problem) =>
        forwardBounds(p.point, forward(p.point), unitRoundoff(f.dtypeOf)).logits;
      const ofMeans = boundsOf(mean).map(([row]) => row);
      // The means are taken here, in float64.
      const rounding = gamma(f.recipe.time + 2, unitRoundoff('float64')) * largestMagnitude(ofSteps);
      const atol = means(boundsOf(steps)).map((row, b) => row.map((e, o) => e + ofMeans[b][o] + rounding));
      expectClose(
        'logits',
        means(ofSteps),
        ofMean.map(([row]) => row),
        { atol },
      );
    },
  );

  law(
    'of the last step are those of a network that has only them, bit for bit',
    { f: family({ isBidirectional: false }) },
    { cases: 30 },
    async ({ f }) => {
      const ofSteps = await logitsOf(member(f, { features: 'steps' }));
      const last = member(f, { features: 'last' });
      const ofLast = await logitsOf(last);
      const bounds = forwardBounds(last.point, forward(last.point), unitRoundoff(f.dtypeOf)).logits;
      expectSameRows(
        'logits',
        ofSteps.map((rows) => rows[rows.length - 1]),
        ofLast.map(([row]) => row),
        bounds.map(([row]) => row),
      );
    },
  );

  law(
    'of a stream are those of forward on the frames so far, bit for bit',
    { p: problem({ ...small, batch: 3, fixed: { isBidirectional: false } }) },
    { cases: 40 },
    async ({ p }) => {
      // Streams compute with WebAssembly whatever the model does, and promise its bits to such models only.
      await withModel({ ...p, kernels: 'wasm' }, async (model) => {
        const stream = model.stream();
        for (const [b, frames] of p.x.entries()) {
          stream.reset(p.h0?.map((cell) => cell[b]));
          for (const [t, frame] of frames.entries()) {
            const logits = Array.from(stream.step(frame));
            const h0 = p.h0?.map((cell) => [cell[b]]);
            const [rows] = nested(await model.forward([frames.slice(0, t + 1)], h0)) as Nested[];
            expectSameBits(
              `row ${b}, frame ${t}`,
              logits,
              p.features === 'steps' ? (rows as Nested[])[t] : rows,
            );
          }
        }
      });
    },
  );
});

describe('a label that is not counted', () => {
  law(
    'leaves, everywhere but at one step, the loss and the gradients of the sequence up to that step',
    {
      f: family({ isBidirectional: false, features: 'steps' }),
      row: fc.nat({ max: 1000 }),
      step: fc.nat({ max: 1000 }),
    },
    { cases: 40 },
    async ({ f, row, step }) => {
      const p = member(f);
      const b = row % p.x.length;
      const k = step % p.x[b].length;
      const { ignored } = p.labels;
      const [label] = p.labels.classes[b].filter((given) => given !== ignored);
      const classes = p.labels.classes.map((list, i) =>
        list.map((_, j) => (i === b && j === k ? label : ignored)),
      );
      const all = { ...p, labels: { ignored, classes } };
      const one = onlyUpTo(member(f, { features: 'last' }), b, k, label);
      const whole = await withModel(all, (model) => runLoss(model, all));
      const part = await withModel(one, (model) => runLoss(model, one));
      const bounds = expectedLoss(one);
      expectClose('loss', whole.loss ?? Number.NaN, part.loss ?? 0, { atol: 2 * (bounds.lossBound ?? 0) });
      const weights = ({ length }: Named) => length - 2;
      const count = weights(part.gradients);
      const first = (list: Named) => list.slice(0, count);
      expectAllClose(first(whole.gradients), first(part.gradients), first(bounds.gradientBounds), 2);
      const dx = nested(whole.gradients[count + 1][1]) as number[][][];
      dx.forEach((rows, i) => {
        const after = i === b ? rows.slice(k + 1) : rows;
        expectClose(
          `dx[${i}]`,
          after,
          after.map((frame) => frame.map(() => 0)),
          { atol: 0 },
        );
      });
    },
  );
});

/** Row b alone, up to frame k. */
function onlyUpTo(p: Problem, b: number, k: number, label: number): Problem {
  const q = problemRows(p, [b]);
  const x = [q.x[0].slice(0, k + 1)];
  return { ...q, x, form: 'list', labels: { ...q.labels, classes: [[label]] }, point: { ...q.point, x } };
}

/** Every sequence cut in two, after a frame of its own; one that is a single frame long is taken twice. */
function inTwo(p: Problem): { whole: Problem; parts: [Problem, Problem] } {
  const x = p.x.map((frames) => (frames.length > 1 ? frames : [...frames, ...frames]));
  const cuts = x.map((frames, b) => 1 + (hash(p.seed, 'cut', b) % (frames.length - 1)));
  const form = p.form === 'dense' ? 'list' : p.form;
  const part = (frames: number[][][]): Problem => {
    const labels = labelsFor(p, frames);
    return { ...p, form, x: frames, labels, point: { ...p.point, x: frames } };
  };
  return {
    whole: part(x),
    parts: [
      part(x.map((frames, b) => frames.slice(0, cuts[b]))),
      part(x.map((frames, b) => frames.slice(cuts[b]))),
    ],
  };
}

function labelsFor({ features, shape, seed }: Problem, x: number[][][]): Labels {
  const readings = (frames: number[][]) => (features === 'steps' ? frames : [frames]);
  const classes = x.map((frames, b) =>
    readings(frames).map((_, t) => hash(seed, 'part', b, t) % shape.outputSize),
  );
  return { ignored: -100, classes };
}

async function forwardWithStates(model: Model, p: Problem, h0: TensorLike | number[][][] | undefined) {
  const { logits, hT } = await model.forward(inputOf(p), h0, { finalStates: true });
  return { readings: readingsOf(logits, p), hT };
}

describe('the final states', () => {
  law(
    'are those of the reference, of forward and of gradients',
    { p: problem(small) },
    { cases: 60 },
    async ({ p }) => {
      await withModel(p, async (model) => {
        const u = unitRoundoff(p.dtype);
        const run = forward(p.point);
        const plain = await model.forward(inputOf(p), p.h0, { finalStates: true });
        expectClose('hT', plain.hT, finalStates(p.network, run), {
          atol: finalStates(p.network, forwardBounds(p.point, run, u)),
        });
        const dropped = forward(p.point, p.step);
        const options = { ...lossOptions(p), finalStates: true } as const;
        const { hT } = await model.gradients(inputOf(p), labelsOf(p), options);
        expectClose('hT of gradients', hT as TensorLike, finalStates(p.network, dropped), {
          atol: finalStates(p.network, forwardBounds(p.point, dropped, u)),
        });
      });
    },
  );

  law(
    'of a first part, as the initial ones of the second, give the bits of the whole',
    { p: problem({ ...small, fixed: { isBidirectional: false, dropout: 0 } }) },
    { cases: 40 },
    async ({ p }) => {
      const { whole, parts } = inTwo(p);
      await withModel(p, async (model) => {
        const all = await forwardWithStates(model, whole, p.h0);
        const first = await forwardWithStates(model, parts[0], p.h0);
        const second = await forwardWithStates(model, parts[1], first.hT);
        const bounds = forwardBounds(whole.point, forward(whole.point), unitRoundoff(p.dtype));
        expectSameRows('hT', second.hT, all.hT, finalStates(p.network, bounds));
        if (p.features === 'last') expectSameRows('logits', second.readings, all.readings, bounds.logits);
        if (p.features !== 'steps') return;
        const joined = first.readings.map((rows, b) => [...rows, ...second.readings[b]]);
        expectSameRows('logits', joined, all.readings, bounds.logits);
      });
    },
  );

  law(
    'of a first part give the second the gradients of truncated back-propagation, the states held fixed',
    { p: problem(small) },
    { cases: 60 },
    async ({ p }) => {
      const [first, second] = inTwo(p).parts;
      const u = unitRoundoff(p.dtype);
      const before = gradientsOf(first.point, first.labels, p.step);
      const carried = finalStates(p.network, before);
      const errors = finalStates(p.network, gradientBounds(first.point, before, first.labels, u));
      const point = { ...second.point, h0: carried };
      const run = gradientsOf(point, second.labels, p.step);
      const bounds = gradientBounds(point, run, second.labels, u, errors);
      await withModel(p, async (model) => {
        const options = { ...lossOptions(first), finalStates: true } as const;
        const { hT } = await model.gradients(inputOf(first), labelsOf(first), options);
        model.zeroGrad();
        const carriedOn = { ...lossOptions(second), h0: hT, inputGradient: true } as const;
        const { loss, dh0, dx } = await model.gradients(inputOf(second), labelsOf(second), carriedOn);
        expectClose('loss', loss, run.loss, { atol: bounds.loss });
        const actual: Named = [...weightGradients(model), ['dh0', dh0], ['dx', dx]];
        expectAllClose(actual, named(run, second), named(bounds, second));
      });
    },
  );
});

describe('normalization', () => {
  law(
    'by the model is that by hand in its data type, bit for bit',
    { f: family({ isNormalized: true }) },
    { cases: 40 },
    async ({ f }) => {
      const p = member(f);
      const { mean, std } = p.network.normalization ?? { mean: [], std: [] };
      const rounded = (value: number) => (f.dtypeOf === 'float32' ? Math.fround(value) : value);
      const scaled = (frame: number[]) => frame.map((value, i) => rounded(rounded(value - mean[i]) / std[i]));
      // Shared memory holds float32, which is too coarse for quotients in float64.
      const form = p.form === 'shared' ? 'padded' : p.form;
      const network = { ...p.network, normalization: undefined };
      const x = p.x.map((frames) => frames.map(scaled));
      const byHand = withNetwork(p, network, { x, form });
      const actual = await withModel(p, (model) => runLoss(model, p));
      const expected = await withModel(byHand, (model) => runLoss(model, byHand));
      expectSameBits('logits', actual.logits, expected.logits);
      expectSameBits('loss', actual.loss ?? Number.NaN, expected.loss ?? 0);
      const last = actual.gradients.length - 1;
      expectAllSameBits(actual.gradients.slice(0, last), expected.gradients.slice(0, last));
      const dx = nested(expected.gradients[last][1]) as number[][][];
      expectClose(
        'dx',
        actual.gradients[last][1],
        dx.map((frames) => frames.map((frame) => frame.map((value, i) => value / std[i]))),
        // A quotient, or a rounded reciprocal and a product; what fades below the smallest normal number is as good as 0.
        { atol: 2 ** -126, rtol: gamma(3, unitRoundoff(f.dtypeOf) + unitRoundoff('float64')) },
      );
    },
  );
});
