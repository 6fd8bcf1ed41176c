import { fc } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { Linear, RNNCell } from '../engine/index.ts';
import type { Problem } from './arbitraries.ts';
import {
  batchRecipe,
  cellsOnly,
  gridMatrix,
  permutation,
  problem,
  problemFor,
  seed,
  size,
  withoutH0,
} from './arbitraries.ts';
import { forwardBounds } from './bounds.ts';
import type { TensorLike, Values } from './compare.ts';
import { expectClose, expectSameBits, gamma, unitRoundoff } from './compare.ts';
import type { Model, Named, Results } from './engine-model.ts';
import {
  cellOf,
  copyOf,
  dataOf,
  deltaOf,
  expectAllClose,
  expectAllSameBits,
  expectedDelta,
  expectedLoss,
  expectSameResults,
  ignoring,
  inputOf,
  labelsOf,
  lossOptions,
  problemRows,
  readingsOf,
  runDelta,
  runLoss,
  setWeights,
  times,
  weightGradients,
  withModel,
} from './engine-model.ts';
import { law } from './profile.ts';
import type { Network } from './reference.ts';
import { countOf, forward } from './reference.ts';

const midSize = { time: 7, batch: 33 };

/** Dropout's mask depends on the row's number in its batch. */
const undropped = { fixed: { dropout: 0 } };

function nested(values: Values): TensorLike {
  if (typeof values === 'object' && 'data' in values) return values;
  throw new Error('expected a tensor');
}

/** Row r of the result is row rows[r] of the tensor; `axis` is the batch. */
function takeRows(tensor: TensorLike, axis: number, rows: number[]): TensorLike {
  const inner = tensor.shape.slice(axis + 1).reduce((n, extent) => n * extent, 1);
  const outer = tensor.shape.slice(0, axis).reduce((n, extent) => n * extent, 1);
  const data: number[] = [];
  for (let o = 0; o < outer; o++) {
    for (const row of rows) {
      const start = (o * tensor.shape[axis] + row) * inner;
      for (let i = 0; i < inner; i++) data.push(tensor.data[start + i]);
    }
  }
  const shape = tensor.shape.map((extent, k) => (k === axis ? rows.length : extent));
  return { data, shape };
}

const batchAxis: Record<string, number> = { dh0: 1, dx: 0 };

function takeGradientRows(gradients: Named, rows: number[], dh0Scale = 1): Named {
  return gradients.map(([name, values]) => {
    if (!(name in batchAxis)) return [name, values];
    const taken = takeRows(nested(values), batchAxis[name], rows);
    const scale = name === 'dh0' ? dh0Scale : 1;
    return [name, { ...taken, data: Array.from(taken.data, (value) => scale * value) }];
  });
}

describe('a batch', () => {
  law(
    'permuted permutes logits, dh0 and dx, and keeps the weight gradients',
    { p: problem({ ...midSize, ...undropped }), order: seed() },
    { cases: 100 },
    async ({ p, order }) => {
      const rows = permutation(p.x.length, order);
      await withModel(p, async (model) => {
        const before = await runLoss(model, p);
        const after = await runLoss(model, problemRows(p, rows));
        const bounds = expectedLoss(problemRows(p, rows));
        const moved = takeRows(before.logits, 0, rows);
        expectClose('logits', after.logits, moved, { atol: times(bounds.logitBounds, 2) });
        expectAllClose(after.gradients, takeGradientRows(before.gradients, rows), bounds.gradientBounds, 2);
      });
    },
  );

  law(
    'repeated keeps the loss and the averaged gradients',
    { p: problem({ time: 7, batch: 17, ...undropped }), repeats: fc.integer({ min: 2, max: 4 }) },
    { cases: 100 },
    async ({ p, repeats }) => {
      const rows = Array.from({ length: repeats }, () => p.x.map((_, b) => b)).flat();
      await withModel(p, async (model) => {
        const once = await runLoss(model, p);
        const repeated = await runLoss(model, problemRows(p, rows));
        const bounds = expectedLoss(problemRows(p, rows));
        const wider = expectedLoss(p);
        expectClose('loss', repeated.loss ?? Number.NaN, once.loss ?? 0, {
          atol: (bounds.lossBound ?? 0) + (wider.lossBound ?? 0),
        });
        // dh0 carries 1/B, so that a repeated row's share is smaller; the longer sum has the wider bound.
        const expected = takeGradientRows(once.gradients, rows, 1 / repeats);
        expectAllClose(repeated.gradients, expected, bounds.gradientBounds, 2);
      });
    },
  );
});

describe('backward', () => {
  law(
    'twice without zeroGrad doubles the weight gradients, and gives the same dh0 and dx',
    { p: problem(midSize) },
    { cases: 80 },
    async ({ p }) => {
      await withModel(p, async (model) => {
        const once = await runDelta(model, p);
        const again = await model.backward(deltaOf(p), { inputGradient: true });
        const twice: Named = [...weightGradients(model), ['dh0', again.dh0], ['dx', again.dx]];
        twice.forEach(([name, values], k) => {
          const factor = name in batchAxis ? 1 : 2;
          const data = Array.from(nested(once.gradients[k][1]).data, (value) => factor * value);
          expectClose(name, values, { ...nested(once.gradients[k][1]), data }, { atol: 0 });
        });
      });
    },
  );

  law(
    'after zeroGrad does not depend on what came before',
    { p: problem(midSize), batch: batchRecipe(midSize) },
    { cases: 80 },
    async ({ p, batch }) => {
      const fresh = await withModel(p, (model) => runDelta(model, p));
      await withModel(p, async (model) => {
        await runLoss(model, problemFor(p.shape, batch, p.dtype, p.options));
        expectSameResults(await runDelta(model, p), fresh);
      });
    },
  );

  law(
    'is not disturbed by gradients, predict and evaluate in between',
    { p: problem(midSize) },
    { cases: 50 },
    async ({ p }) => {
      await withModel(p, async (model) => {
        const plain = await runDelta(model, p);
        await model.forward(inputOf(p), p.h0);
        const part = problemRows(p, [0]);
        await model.gradients(inputOf(part), labelsOf(part), lossOptions(part));
        await model.predict(inputOf(part));
        await model.evaluate(dataOf(part), ignoring(part));
        model.zeroGrad();
        const { dh0, dx } = await model.backward(deltaOf(p), { inputGradient: true });
        expectAllSameBits([...weightGradients(model), ['dh0', dh0], ['dx', dx]], plain.gradients);
      });
    },
  );
});

describe('forward', () => {
  law('does not change what it is given', { p: problem(midSize) }, { cases: 50 }, async ({ p }) => {
    const input = inputOf(p);
    // A clone of shared memory would be the same memory.
    const snapshot = () => [Array.isArray(input) ? input.flat(2) : Array.from(input.data), p];
    const before = JSON.stringify(snapshot());
    await withModel(p, async (model) => {
      await model.forward(input, p.h0);
      await model.backward(deltaOf(p));
      await model.gradients(input, labelsOf(p), lossOptions(p));
    });
    expect(JSON.stringify(snapshot())).toBe(before);
  });

  law('called again gives the same bits', { p: problem(midSize) }, { cases: 50 }, async ({ p }) => {
    await withModel(p, async (model) => {
      const first: Results = await runLoss(model, p);
      expectSameResults(await runLoss(model, p), first);
    });
  });

  law(
    'keeps every state of tanh within [−1, 1], however large the inputs and the weights',
    {
      p: problem({ ...midSize, fixed: { nonlinearity: 'tanh' } }),
      scale: fc.constantFrom(1, 30, 1e3, 1e6),
    },
    { cases: 80 },
    async ({ p, scale }) => {
      const x = p.x.map((sample) => sample.map((row) => row.map((value) => value * scale)));
      await withModel({ ...p, network: scaled(p.network, scale) }, async (model) => {
        await model.forward(inputOf({ ...p, x }));
        for (const value of model.hiddens.flatMap((state) => Array.from(state.data))) {
          if (!(Math.abs(value) <= 1)) throw new Error(`a state of ${value}`);
        }
      });
    },
  );

  law(
    'keeps the states of every step, layer and direction',
    { p: problem({ time: 7, batch: 17 }) },
    { cases: 80 },
    async ({ p }) => {
      const run = forward(p.point);
      const bounds = forwardBounds(p.point, run, unitRoundoff(p.dtype));
      await withModel(p, async (model) => {
        await model.forward(inputOf(p), p.h0);
        p.x.forEach((sample, b) => {
          for (let t = 0; t <= sample.length; t++)
            expectStates(model, p, run.states[b], bounds.states[b], b, t);
        });
      });
    },
  );
});

function expectStates(
  model: Model,
  { network }: Problem,
  states: number[][][],
  bounds: number[][][],
  b: number,
  t: number,
): void {
  const { data, shape: extents } = model.hiddens[t];
  const [, B, H] = extents;
  for (let c = 0; c < network.rnn.length; c++) {
    const start = (c * B + b) * H;
    const actual = Array.from({ length: H }, (_, j) => data[start + j]);
    expectClose(`hiddens[${t}][${c}][${b}]`, actual, states[c][t], { atol: bounds[c][t] });
  }
}

function scaled(network: Network, factor: number): Network {
  const all = (rows: number[][]) => rows.map((row) => row.map((value) => value * factor));
  const rnn = network.rnn.map((cell) => ({ ...cell, W_ih: all(cell.W_ih), W_hh: all(cell.W_hh) }));
  return { ...network, rnn };
}

describe('a batch of NaN', () => {
  law(
    'leaves no trace in the next one',
    { p: problem(midSize), batch: batchRecipe({ time: 13, batch: 33 }) },
    { cases: 60 },
    async ({ p, batch }) => {
      const before = problemFor(p.shape, { ...batch, form: 'list' }, p.dtype, p.options);
      const x = before.x.map((sample) => sample.map((frame) => frame.map(() => Number.NaN)));
      const [fromDelta, fromLoss] = await withModel(p, async (model) => [
        await runDelta(model, p),
        await runLoss(model, p),
      ]);
      await withModel(p, async (model) => {
        await runLoss(model, { ...before, x });
        await runDelta(model, { ...before, x });
        // NaN gradients must be set to zero, not multiplied by it.
        expectSameResults(await runLoss(model, p), fromLoss);
        await runDelta(model, { ...before, x });
        expectSameResults(await runDelta(model, p), fromDelta);
      });
    },
  );
});

describe('a sample', () => {
  law(
    'that is not finite has logits of NaN, and leaves those of the others alone',
    {
      p: problem(midSize),
      row: fc.nat({ max: 1000 }),
      value: fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 3e38),
    },
    { cases: 80 },
    async ({ p, row, value }) => {
      const poisoned = row % p.x.length;
      const others = p.x.map((_, b) => b).filter((b) => b !== poisoned);
      const x = p.x.map((sample, b) =>
        b === poisoned ? sample.map((frame) => frame.map(() => value)) : sample,
      );
      await withModel(p, async (model) => {
        const clean = await model.forward(inputOf(p), p.h0);
        const before = takeRows({ data: Float64Array.from(clean.data), shape: clean.shape }, 0, others);
        const after = takeRows(await model.forward(inputOf({ ...p, x }), p.h0), 0, others);
        if (others.length > 0) expectSameBits('logits', after, before);
        if (Number.isFinite(value)) return;
        const { data } = await model.forward(inputOf({ ...p, x }), p.h0);
        const first = poisoned * (data.length / p.x.length);
        expect([...data.subarray(first, first + p.shape.outputSize)]).toEqual(
          Array(p.shape.outputSize).fill(Number.NaN),
        );
      });
    },
  );

  law(
    'with a label that is none of the classes is refused by name, and changes nothing',
    {
      p: problem({ ...midSize, fixed: { features: 'last' } }),
      label: fc.double(),
      row: fc.nat({ max: 1000 }),
    },
    { cases: 120 },
    async ({ p, label, row }) => {
      const wrong = row % p.x.length;
      const labels = p.labels.classes.map(([right], b) => (b === wrong ? label : right));
      const isClass = Number.isInteger(label) && label >= 0 && label < p.shape.outputSize;
      await withModel(p, async (model) => {
        const before = await runLoss(model, p);
        const call = model.gradients(inputOf(p), labels, lossOptions(p));
        if (isClass) await call;
        else await expect(call).rejects.toThrow(`labels[${wrong}]: expected`);
        model.zeroGrad();
        expectSameResults(await runLoss(model, p), before);
      });
    },
  );
});

describe('the loss', () => {
  law('is ln O at zero logits', { p: problem(midSize) }, { cases: 60 }, async ({ p }) => {
    const zeroed = {
      W: p.network.output.W.map((row) => row.map(() => 0)),
      b: p.network.output.b.map(() => 0),
    };
    await withModel({ ...p, network: { ...p.network, output: zeroed } }, async (model) => {
      const { loss } = await model.gradients(inputOf(p), labelsOf(p), lossOptions(p));
      const O = p.shape.outputSize;
      // Exact exponentials of 0, a sum of O ones, a logarithm, and the mean of so many equal numbers.
      const atol = gamma(countOf(p.labels) + 10, unitRoundoff(p.dtype)) * Math.log(O);
      expectClose('loss', loss, Math.log(O), { atol });
    });
  });

  law(
    'and the gradients do not see a shift of all logits by the same amount',
    { p: problem(midSize), shift: fc.integer({ min: -64, max: 64 }) },
    { cases: 80 },
    async ({ p, shift }) => {
      const output = { W: p.network.output.W, b: p.network.output.b.map((value) => value + shift) };
      const network = { ...p.network, output };
      const shifted = { ...p, network, point: { ...p.point, network } };
      await withModel(p, async (model) => {
        const before = await runLoss(model, p);
        setWeights(model, network);
        const after = await runLoss(model, shifted);
        const [a, b] = [expectedLoss(p), expectedLoss(shifted)];
        expectClose('loss', after.loss ?? Number.NaN, before.loss ?? 0, {
          atol: (a.lossBound ?? 0) + (b.lossBound ?? 0),
        });
        // The larger logits round more coarsely, hence the second bound is the wider one.
        expectAllClose(after.gradients, before.gradients, b.gradientBounds, 2);
      });
    },
  );

  law(
    'without dropout is the one that evaluate reports',
    { p: problem(midSize) },
    { cases: 50 },
    async ({ p }) => {
      const started = { ...withoutH0(p), step: undefined };
      await withModel(p, async (model) => {
        const { loss } = await model.evaluate(dataOf(p), ignoring(p));
        const expected = expectedLoss(started);
        expectClose('loss', loss, expected.loss ?? 0, { atol: expected.lossBound ?? 0 });
      });
    },
  );
});

describe('predict', () => {
  law(
    'gives rows of probabilities that sum to one',
    { p: problem(midSize), scale: fc.constantFrom(1, 100, 1e4) },
    { cases: 80 },
    async ({ p, scale }) => {
      const W = p.network.output.W.map((row) => row.map((value) => value * scale));
      await withModel(
        { ...p, network: { ...p.network, output: { ...p.network.output, W } } },
        async (model) => {
          const rows = readingsOf(await model.predict(inputOf(p)), p).flat();
          const atol = gamma(2 * p.shape.outputSize + 2, unitRoundoff(p.dtype));
          rows.forEach((row, k) => {
            expect(row.every((value) => value >= 0 && value <= 1)).toBe(true);
            const total = row.reduce((sum, value) => sum + value, 0);
            expectClose(`Σ probabilities[${k}]`, total, 1, { atol });
          });
        },
      );
    },
  );
});

describe('the classifier', () => {
  law(
    'of L layers equals L cells stepped by hand, forward and backward',
    { p: problem({ layers: 4, time: 6, batch: 17, fixed: cellsOnly }).map(equalLengths) },
    { cases: 80 },
    async ({ p }) => {
      const byHand = stepByHand(p);
      const bounds = expectedDelta(p);
      await withModel(p, async (model) => {
        const whole = await runDelta(model, p);
        expectClose('logits', whole.logits, byHand.logits, { atol: times(bounds.logitBounds, 2) });
        expectAllClose(whole.gradients, byHand.gradients, bounds.gradientBounds, 2);
      });
    },
  );

  law(
    'reads weights written into its views between calls',
    { p: problem(midSize) },
    { cases: 30 },
    async ({ p }) => {
      const expected = await withModel(p, (model) => runDelta(model, p));
      await withModel({ ...p, network: scaled(p.network, 0.5) }, async (model) => {
        model.rnn.forEach((cell, l) => {
          writeInto(cell.W_ih, p.network.rnn[l].W_ih);
          writeInto(cell.W_hh, p.network.rnn[l].W_hh);
        });
        expectSameResults(await runDelta(model, p), expected);
      });
    },
  );
});

function writeInto(tensor: { data: Float32Array | Float64Array }, rows: number[][]): void {
  tensor.data.set(rows.flat());
}

/** The same problem with every sample as long as the longest: what cells by themselves can step through. */
function equalLengths(p: Problem): Problem {
  const T = Math.max(...p.x.map((sample) => sample.length));
  const x = p.x.map((sample) => Array.from({ length: T }, (_, t) => sample[t % sample.length]));
  return { ...p, x, point: { ...p.point, x }, form: 'list' };
}

/** Cells and a linear layer of their own, stepped through time and layers, then back. */
function stepByHand(p: Problem): Results {
  const { shape, dtype, network, point } = p;
  const T = p.x[0].length;
  const B = p.x.length;
  const cells = network.rnn.map((_, l) => cellOf(p, l));
  const layer = new Linear(shape.hiddenSize, shape.outputSize, { dtype, seed: 1 });
  layer.initWeights(network.output.W, network.output.b);
  const inputs = Array.from({ length: T }, (_, t) => matrixOf(p.x.map((sample) => sample[t])));
  const states = point.h0.map((layerStates) => [matrixOf(layerStates)]);
  for (let t = 0; t < T; t++) {
    cells.forEach((cell, l) => {
      const below = l === 0 ? inputs[t] : states[l - 1][t + 1];
      states[l].push(copyOf(cell.forward(below, states[l][t])));
    });
  }
  const top = cells.length - 1;
  const logits = copyOf(layer.forward(states[top][T]));
  const dh = states.map(() => zeroTensor(B, shape.hiddenSize));
  dh[top] = copyOf(layer.backward(p.delta.map(([row]) => row)));
  const dx = { data: new Float64Array(B * T * shape.inputSize), shape: [B, T, shape.inputSize] };
  for (let t = T - 1; t >= 0; t--) {
    let above = zeroTensor(B, shape.hiddenSize);
    for (let l = top; l >= 0; l--) {
      const below = l === 0 ? inputs[t] : states[l - 1][t + 1];
      const [dInput, dPrev] = cells[l].backward(sumOf(dh[l], above), states[l][t + 1], below, states[l][t]);
      dh[l] = copyOf(dPrev);
      above = copyOf(dInput);
    }
    for (let b = 0; b < B; b++) {
      const row = Array.from(above.data).slice(b * shape.inputSize, (b + 1) * shape.inputSize);
      dx.data.set(row, (b * T + t) * shape.inputSize);
    }
  }
  const gradients = cells.flatMap(({ dW_ih, dW_hh, db_ih, db_hh }, l): Named => {
    const biases: Named = [
      [`rnn[${l}].db_ih`, db_ih],
      [`rnn[${l}].db_hh`, db_hh],
    ];
    return [[`rnn[${l}].dW_ih`, dW_ih], [`rnn[${l}].dW_hh`, dW_hh], ...(p.options.hasBias ? biases : [])];
  });
  const dh0 = {
    data: dh.flatMap(({ data }) => Array.from(data, (v) => v / B)),
    shape: [cells.length, B, shape.hiddenSize],
  };
  gradients.push(['output.dW', layer.dW], ['output.db', layer.db], ['dh0', dh0], ['dx', dx]);
  return { logits, gradients };
}

interface Matrix {
  data: Float64Array;
  shape: number[];
}

function matrixOf(rows: number[][]): Matrix {
  return { data: Float64Array.from(rows.flat()), shape: [rows.length, rows[0].length] };
}

function zeroTensor(rows: number, columns: number): Matrix {
  return { data: new Float64Array(rows * columns), shape: [rows, columns] };
}

function sumOf(a: Matrix, b: Matrix): Matrix {
  return { data: a.data.map((value, k) => value + b.data[k]), shape: a.shape };
}

/** Small matrices of whole numbers or grid values, whose sums of products are exact in the data type. */
function exactLayer() {
  const sizes = fc.record({
    rows: size(9),
    inputs: size(9),
    outputs: size(9),
    dtype: fc.constantFrom('float32', 'float64'),
  });
  return sizes.chain(({ rows, inputs, outputs, dtype }) => {
    // float32 has 24 bits: whole numbers up to 64 and sums of 17 products; float64 has room for the grid.
    const matrix = (r: number, c: number) =>
      dtype === 'float64'
        ? gridMatrix(r, c)
        : gridMatrix(r, c, 64 / 1024).map((m) => m.map((row) => row.map((v) => v * 1024)));
    return fc.record({
      dtype: fc.constant(dtype as 'float32' | 'float64'),
      h: matrix(rows, inputs),
      k: matrix(rows, inputs),
      W: matrix(outputs, inputs),
      b: matrix(1, outputs),
      delta: matrix(rows, outputs),
    });
  });
}

describe('a linear layer', () => {
  law('is linear, to the bit', { l: exactLayer() }, { cases: 100 }, ({ l }) => {
    const [outputs, inputs] = [l.W.length, l.W[0].length];
    const layer = new Linear(inputs, outputs, { dtype: l.dtype, seed: 1 });
    layer.initWeights(
      l.W,
      l.b[0].map(() => 0),
    );
    const sum = l.h.map((row, r) => row.map((value, i) => value + l.k[r][i]));
    const values = (x: number[][]) => Array.from(layer.forward(x).data);
    const apart = [values(l.h), values(l.k)];
    // −0 + 0 and 0 are the same number here.
    expectClose(
      'y',
      values(sum),
      apart[0].map((value, i) => value + apart[1][i]),
      { atol: 0 },
    );
    layer.initWeights(l.W, l.b[0]);
    const withBias = values(l.h);
    expectClose(
      'y − b',
      withBias.map((value, i) => value - l.b[0][i % outputs]),
      apart[0],
      { atol: 0 },
    );
  });

  law(
    'gives the exact product and the exact transposed product',
    { l: exactLayer() },
    { cases: 100 },
    ({ l }) => {
      const layer = new Linear(l.W[0].length, l.W.length, { dtype: l.dtype, seed: 1 });
      layer.initWeights(l.W, l.b[0]);
      const dot = (a: number[], b: number[]) => a.reduce((total, value, i) => total + value * b[i], 0);
      const y = l.h.map((row) => l.W.map((w, o) => dot(row, w) + l.b[0][o]));
      expectClose('y', layer.forward(l.h), y, { atol: 0 });
      const columns = l.W[0].map((_, i) => l.W.map((row) => row[i]));
      const dh = l.delta.map((row) => columns.map((column) => dot(row, column)));
      expectClose('dh', layer.backward(l.delta), dh, { atol: 0 });
    },
  );
});

describe('a cell', () => {
  // The range where sums of products stay finite in either data type; denormals and zeros of both signs included.
  const anyDouble = fc.double({ min: -1e17, max: 1e17, noNaN: true });
  law(
    'gives states within [−1, 1] and finite gradients for any finite numbers',
    {
      values: fc.array(anyDouble, { minLength: 8, maxLength: 8 }),
      dtype: fc.constantFrom('float32' as const, 'float64' as const),
    },
    { cases: 200 },
    ({ values: [x, h, w, v, b, c, d, e], dtype }) => {
      const cell = new RNNCell(1, 1, { dtype, seed: 1 });
      cell.initWeights([[w]], [[v]], [b], [c]);
      const state = cell.forward([[x], [d]], [[h], [e]]);
      const [dx, dhPrevT] = cell.backward([[d], [1]], state, [[x], [d]], [[h], [e]]);
      for (const value of state.data) expect(Math.abs(value)).toBeLessThanOrEqual(1);
      const gradients = [dx, dhPrevT, cell.dW_ih, cell.dW_hh, cell.db_ih, cell.db_hh];
      for (const { data } of gradients) for (const value of data) expect(Number.isFinite(value)).toBe(true);
    },
  );

  it('is tanh of its biases at zero input and state, and starts with zero gradients', () => {
    const cell = new RNNCell(2, 3, { dtype: 'float64', seed: 1 });
    const h = cell.forward([[0, 0]], [[0, 0, 0]]);
    const bias = Array.from({ length: 3 }, (_, j) => Math.tanh(cell.b_ih.data[j] + cell.b_hh.data[j]));
    expectClose('h', h, [bias], { atol: gamma(12, unitRoundoff('float64')) });
    expectSameBits('dW_ih', Array.from(cell.dW_ih.data), [0, 0, 0, 0, 0, 0]);
  });
});
