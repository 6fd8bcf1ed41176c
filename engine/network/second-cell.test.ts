import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  type CellBlock,
  type CellKind,
  type CellRun,
  fromRow,
  rowsAt,
  statesAfter,
  statesBefore,
} from '../cells/cell.ts';
import { type CellName, cellKinds } from '../cells/cell-kinds.ts';
import { readStateDict, setParameters, stateDictOf } from '../classifier/model-parameters.ts';
import { readLabels } from '../data/read-labels.ts';
import { readSequences, shareSequences } from '../data/read-sequences.ts';
import { type Panels, panelColumns } from '../kernels/layout.ts';
import type { KernelMaker } from '../kernels/makers.ts';
import { Random } from '../numeric/random.ts';
import { realBytes } from '../numeric/reals.ts';
import { optimizerSpec } from '../optimization/optimizers.ts';
import type { Program } from '../parallel/program.ts';
import { Tensor } from '../tensor.ts';
import { hasBlas } from '../testing/models.ts';
import { shapeOf } from '../testing/shapes.ts';
import { train } from '../training/fit.ts';
import { fitSpec } from '../training/fit-options.ts';
import { OptimizerSlot } from '../training/optimizer-slot.ts';
import { Calls } from './calls.ts';
import { initializeNetwork } from './initialize.ts';
import { lossSpec } from './lanes/loss.ts';
import { Word } from './memory/control.ts';
import type { NetworkShape } from './memory/geometry.ts';
import { Network } from './network.ts';
import { PredictionServer } from './prediction-server.ts';
import type { Job } from './programs/jobs.ts';
import { programOf } from './programs/program-of.ts';

/**
 * A second kind of cell, which needs what a GRU and an LSTM need and the Elman cell does not: two
 * gates, two states, biases that must not be summed beforehand, a dz that differs for W_ih and W_hh,
 * and values kept for the backward pass.
 *
 *     f = σ(W_if x + b_if + W_hf h + b_hf)        p = W_hu h + b_hu        u = tanh(W_iu x + b_iu + f ∘ p)
 *     c_t = f ∘ c_{t−1} + (1 − f) ∘ u             h_t = tanh(c_t)
 *
 * It exists only here, to show that the rest of the engine takes it without changes.
 */

/** A model's memory as numbers; a cell of the library would use kernels instead. */
let numbers: () => Float64Array = () => new Float64Array();

const DTYPE = 'float64';
const REAL_BYTES = realBytes(DTYPE);
const COLUMNS = panelColumns(DTYPE);

/** Index of unit j in row `row`. */
const unitAt = ({ at, stride, pitch }: Panels, row: number, j: number): number =>
  (at + Math.floor(j / COLUMNS) * stride + row * pitch) / REAL_BYTES + (j % COLUMNS);

/** What the cell keeps of each step: f, u, p (in the backward pass replaced by dp), and dc for the step before. */
const kept = ({ saved: [f, u, p, dc] }: CellBlock) => ({ f, u, p, dc });

/** The steps in the order of the forward pass, or of the backward pass. */
function stepsOf({ steps, reverse }: CellBlock, back = false): number[] {
  const order = Array.from({ length: steps }, (_, t) => t);
  return reverse === back ? order : order.reverse();
}

/**
 * Calls `visit` with every row of step t and every column, those past H as well; `hasFrame` is false
 * for these, and in rows without a frame.
 */
function everyUnit(
  { sizes: { hiddenSize, hiddenPanels }, block: { rows }, lengths }: CellRun,
  t: number,
  visit: (row: number, j: number, hasFrame: boolean) => void,
): void {
  const active = rowsAt(lengths, t);
  for (let row = 0; row < rows; row++) {
    for (let j = 0; j < hiddenPanels * COLUMNS; j++) visit(t * rows + row, j, row < active && j < hiddenSize);
  }
}

const secondCell: CellKind = {
  gates: 2,
  states: 2,
  saved: 4,
  biasRows: 3,
  takesRows: false,

  /** b_if + b_hf, b_iu, b_hu. */
  packBiases(k, { hiddenSize }, { biases: [forget, input, recurrent] }, { b_ih, b_hh }) {
    const gate = hiddenSize * REAL_BYTES;
    k.packBias(forget, b_ih, b_hh, hiddenSize);
    k.packBias(input, b_ih + gate, 0, hiddenSize);
    k.packBias(recurrent, b_hh + gate, 0, hiddenSize);
  },

  forward(run) {
    const { kernels: k, sizes, packed, block } = run;
    const { hiddenPanels, partPanels } = sizes;
    const { rows, steps, x } = block;
    const { f, u, p } = kept(block);
    const [forget, update] = packed.gates;
    [f, u].forEach((z, gate) => {
      x.forEach((part, i) => {
        const W = packed.gates[gate].W_ihT[i];
        const sizesOf = [
          z.at,
          z.stride,
          rows * steps,
          hiddenPanels,
          part.at,
          part.stride,
          partPanels,
        ] as const;
        if (i === 0) k.project(...sizesOf, W, packed.biases[gate]);
        else k.accumulate(...sizesOf, W);
      });
    });
    const [hFound, hMade] = [statesBefore(block), statesAfter(block)];
    const [cFound, cMade] = [statesBefore(block, 1), statesAfter(block, 1)];
    for (const t of stepsOf(block)) {
      const h = fromRow(hFound, t * rows);
      const [f_t, p_t] = [fromRow(f, t * rows), fromRow(p, t * rows)];
      const from = [h.at, h.stride, hiddenPanels] as const;
      k.accumulate(f_t.at, f_t.stride, rows, hiddenPanels, ...from, forget.W_hhT);
      k.project(p_t.at, p_t.stride, rows, hiddenPanels, ...from, update.W_hhT, packed.biases[2]);
      const n = numbers();
      everyUnit(run, t, (i, j, hasFrame) => {
        const [F, U] = [unitAt(f, i, j), unitAt(u, i, j)];
        n[F] = 1 / (1 + Math.exp(-n[F]));
        n[U] = Math.tanh(n[U] + n[F] * n[unitAt(p, i, j)]);
        const before = n[unitAt(cFound, i, j)];
        const c = hasFrame ? n[F] * before + (1 - n[F]) * n[U] : before;
        n[unitAt(cMade, i, j)] = c;
        n[unitAt(hMade, i, j)] = hasFrame ? Math.tanh(c) : n[unitAt(hFound, i, j)];
      });
    }
  },

  backward(run, d, [dzf, dzu]) {
    const { kernels: k, sizes, packed, block } = run;
    const { hiddenPanels } = sizes;
    const { rows } = block;
    const { f, u, p, dc } = kept(block);
    const [h, cFound] = [statesAfter(block), statesBefore(block, 1)];
    let after: number | null = null;
    for (const t of stepsOf(block, true)) {
      const next = after;
      if (next !== null) {
        const to = fromRow(d, t * rows);
        [dzf, p].forEach((dz, gate) => {
          const { at, stride } = fromRow(dz, next * rows);
          const { W_hh } = packed.gates[gate];
          k.accumulate(to.at, to.stride, rows, hiddenPanels, at, stride, hiddenPanels, W_hh);
        });
      }
      const n = numbers();
      everyUnit(run, t, (i, j, hasFrame) => {
        const [F, U, P] = [n[unitAt(f, i, j)], n[unitAt(u, i, j)], n[unitAt(p, i, j)]];
        const H = n[unitAt(h, i, j)];
        // The gradient past a row's last frame is that of its initial state and belongs to no step.
        const fromNext = next === null ? 0 : n[unitAt(dc, i + (next - t) * rows, j)];
        const dC = hasFrame ? fromNext + n[unitAt(d, i, j)] * (1 - H * H) : 0;
        const dv = dC * (1 - F) * (1 - U * U);
        const dF = dC * (n[unitAt(cFound, i, j)] - U) + dv * P;
        n[unitAt(dzf, i, j)] = dF * F * (1 - F);
        n[unitAt(dzu, i, j)] = dv;
        n[unitAt(p, i, j)] = dv * F;
        n[unitAt(dc, i, j)] = dC * F;
      });
      after = t;
    }
  },

  weightGradients({ kernels: k, sizes, block, scratch }, dz, gradients, { add }) {
    const { parts, partSize, hiddenSize } = sizes;
    const depth = block.rows * block.steps;
    const onto = add ? 1 : 0;
    const width = parts * partSize;
    const found = statesBefore(block);
    const dzOfState = [dz[0], kept(block).p];
    const product = (to: number, rowSize: number, columns: number, left: Panels, right: Panels) => {
      const operands = [left.at, left.stride, right.at, right.stride] as const;
      k.outerProduct(to, rowSize * REAL_BYTES, hiddenSize, columns, ...operands, depth, scratch.edge, onto);
    };
    const sum = (to: number, { at, stride, pitch }: Panels) =>
      k.sumRows(to, to, hiddenSize, at, stride, pitch, depth, scratch.edge, onto);
    [0, 1].forEach((gate) => {
      const first = gate * hiddenSize * REAL_BYTES;
      block.x.forEach((x, part) => {
        product(gradients.W_ih + first * width + part * partSize * REAL_BYTES, width, partSize, dz[gate], x);
      });
      product(gradients.W_hh + first * hiddenSize, hiddenSize, hiddenSize, dzOfState[gate], found);
      sum(gradients.b_ih + first, dz[gate]);
      sum(gradients.b_hh + first, dzOfState[gate]);
    });
  },

  inputGradient({ kernels: k, sizes, packed, block, scratch }, dz, part, dx, add) {
    const { partPanels, hiddenPanels } = sizes;
    dz.forEach(({ at, stride }, gate) => {
      const W = packed.gates[gate].W_ih[part];
      const rows = block.rows * block.steps;
      if (gate > 0 || add) k.accumulate(dx.at, dx.stride, rows, partPanels, at, stride, hiddenPanels, W);
      else k.multiply(dx.at, dx.stride, rows, partPanels, at, stride, hiddenPanels, W, scratch.zeros);
    });
  },

  initialGradients({ kernels: k, sizes, packed, block, lengths, scratch }, _d, dz, dzFirst, [dh, dc0]) {
    const { hiddenPanels } = sizes;
    const { rows, reverse } = block;
    const { p, dc } = kept(block);
    const firstRows = (from: Panels, to: Panels): Panels => {
      for (let row = 0; row < rows; row++) {
        const step = reverse && row < lengths.length ? lengths[row] - 1 : 0;
        const { at } = fromRow(from, step * rows + row);
        k.copyRow(to.at + row * to.pitch, to.stride, at, from.stride, hiddenPanels);
      }
      return to;
    };
    const [f, u] = [firstRows(dz[0], dzFirst[0]), firstRows(p, dzFirst[1])];
    const [forget, update] = packed.gates;
    const to = [dh.at, dh.stride, rows, hiddenPanels] as const;
    k.multiply(...to, f.at, f.stride, hiddenPanels, forget.W_hh, scratch.zeros);
    k.accumulate(...to, u.at, u.stride, hiddenPanels, update.W_hh);
    firstRows(dc, dc0);
  },
};

const SECOND = 'second' as CellName;

/**
 * The same network, row by row in plain numbers, from the parameters in the order of their block: the
 * mean loss, and the last states.
 */
function inPlainNumbers(
  { inputSize, hiddenSize: H, outputSize, numLayers, bidirectional }: NetworkShape,
  parameters: Float64Array,
  rows: readonly number[][][],
  labels: readonly number[],
  h0: Float64Array,
): { loss: number; hT: Float64Array } {
  const hT = new Float64Array(h0.length);
  let at = 0;
  const take = (height: number, width: number): number[][] =>
    Array.from({ length: height }, () => Array.from({ length: width }, () => parameters[at++]));
  const directions = bidirectional ? 2 : 1;
  const cells = Array.from({ length: numLayers * directions }, (_, c) => {
    const width = c < directions ? inputSize : directions * H;
    return {
      W_ih: take(2 * H, width),
      W_hh: take(2 * H, H),
      b_ih: take(2 * H, 1).flat(),
      b_hh: take(2 * H, 1).flat(),
    };
  });
  const [W, b] = [take(outputSize, directions * H), take(outputSize, 1).flat()];
  const dot = (u: readonly number[], v: readonly number[]) =>
    u.reduce((sum, value, i) => sum + value * v[i], 0);
  const losses = rows.map((frames, row) => {
    const initial = (number: number) =>
      Array.from({ length: H }, (_, j) => h0[(number * rows.length + row) * H + j]);
    let x: readonly number[][] = frames;
    let last: number[] = [];
    for (let layer = 0; layer < numLayers; layer++) {
      const outputs: number[][] = frames.map(() => []);
      last = [];
      for (let direction = 0; direction < directions; direction++) {
        const c = layer * directions + direction;
        const { W_ih, W_hh, b_ih, b_hh } = cells[c];
        let h = initial(2 * c);
        let state = initial(2 * c + 1);
        const order = frames.map((_, t) => (direction === 0 ? t : frames.length - 1 - t));
        const made: number[][] = [];
        for (const t of order) {
          const inputs = W_ih.map((weights, i) => dot(weights, x[t]) + b_ih[i]);
          const recurrent = W_hh.map((weights, i) => dot(weights, h) + b_hh[i]);
          const f = state.map((_, j) => 1 / (1 + Math.exp(-(inputs[j] + recurrent[j]))));
          const u = state.map((_, j) => Math.tanh(inputs[H + j] + f[j] * recurrent[H + j]));
          state = state.map((value, j) => f[j] * value + (1 - f[j]) * u[j]);
          h = state.map(Math.tanh);
          made[t] = h;
        }
        made.forEach((value, t) => {
          outputs[t].push(...value);
        });
        hT.set(h, (2 * c * rows.length + row) * H);
        hT.set(state, ((2 * c + 1) * rows.length + row) * H);
        last.push(...h);
      }
      x = outputs;
    }
    const logits = W.map((weights, o) => dot(weights, last) + b[o]);
    return Math.log(logits.reduce((sum, z) => sum + Math.exp(z), 0)) - logits[labels[row]];
  });
  return { loss: losses.reduce((a, c) => a + c, 0) / rows.length, hT };
}

/** Six lanes of rows of different lengths, the last of them one row. */
const LENGTHS = Array.from({ length: 21 }, (_, row) => 1 + ((5 * row) % 7));
const SHAPE = shapeOf({ inputSize: 3, hiddenSize: 5, outputSize: 4, numLayers: 2 });

function example(shape: NetworkShape, maker: KernelMaker = 'wasm', threads = 0) {
  const network = new Network({ shape, dtype: DTYPE, threads, kernels: { maker }, cell: SECOND }, null);
  numbers = () => new Float64Array(network.thread.buffer);
  // Nothing may be read before it is written: a call's memory holds whatever earlier calls have left.
  const { reserve } = network;
  network.reserve = (spec) => {
    const plan = reserve.call(network, spec);
    numbers().fill(Number.NaN, network.model.end / REAL_BYTES);
    return plan;
  };
  const random = new Random(11);
  initializeNetwork(network, 'uniform', random);
  const draw = () => 2 * random.uniform() - 1;
  const rows = LENGTHS.map((length) =>
    Array.from({ length }, () => Array.from({ length: shape.inputSize }, draw)),
  );
  const labels = LENGTHS.map((_, i) => i % shape.outputSize);
  const { g } = network;
  const size = g.stateCount * LENGTHS.length * g.hiddenSize;
  const states = new Tensor(Float64Array.from({ length: size }, draw), [
    g.stateCount,
    LENGTHS.length,
    g.hiddenSize,
  ]);
  const input = readSequences('x', rows, shape.inputSize, DTYPE);
  const rule = { classes: shape.outputSize, perStep: false, ignored: null };
  return { network, rows, labels, states, input, read: readLabels('labels', labels, input, rule) };
}

const request = ({ input, states, read }: ReturnType<typeof example>) => ({
  input,
  states,
  labels: read,
  loss: lossSpec({}, SHAPE.outputSize),
  inputGradient: true,
  finalStates: true,
});

beforeAll(() => {
  Object.assign(cellKinds, { [SECOND]: secondCell });
  return () => {
    delete (cellKinds as Partial<Record<CellName, CellKind>>)[SECOND];
  };
});

describe('a second kind of cell, of two gates and two states', () => {
  afterEach(() => {
    numbers = () => new Float64Array();
  });

  const makers: KernelMaker[] = hasBlas() ? ['wasm', 'blas'] : ['wasm'];
  const cases = makers.flatMap((maker) =>
    [false, true].map((bidirectional) => [maker, bidirectional] as const),
  );
  it.each(cases)(
    'has the gradients of its equations (%s, bidirectional: %s)',
    async (maker, bidirectional) => {
      const given = example({ ...SHAPE, bidirectional }, maker);
      const { network, rows, labels, states } = given;
      const { g, model } = network;
      const result = await new Calls(network).gradients(request(given), null);
      const parameters = Float64Array.from(network.parameterArray(model.parameters[0]));
      const h0 = states.data as Float64Array;
      const lossWith = (block: Float64Array, initial: Float64Array, x = rows) =>
        inPlainNumbers(g, block, x, labels, initial).loss;
      const expected = inPlainNumbers(g, parameters, rows, labels, h0);
      expect(result.loss).toBeCloseTo(expected.loss, 12);
      expected.hT.forEach((value, i) => {
        expect(result.hT?.data[i]).toBeCloseTo(value, 12);
      });

      /** ∂loss/∂values[i] by central differences: the error is some 1e-10. */
      const slope = (values: Float64Array, i: number, loss: (values: Float64Array) => number): number => {
        const STEP = 1e-5;
        const moved = (by: number) => loss(values.map((value, k) => (k === i ? value + by : value)));
        return (moved(STEP) - moved(-STEP)) / (2 * STEP);
      };
      const gradients = network.parameterArray(model.gradients[0]);
      for (let i = 0; i < g.parameterCount; i++)
        expect(gradients[i]).toBeCloseTo(
          slope(parameters, i, (block) => lossWith(block, h0)),
          8,
        );
      h0.forEach((_, i) => {
        expect(result.dh0.data[i]).toBeCloseTo(
          slope(h0, i, (moved) => lossWith(parameters, moved)),
          8,
        );
      });
      const { dx } = result;
      rows.forEach((frames, row) => {
        frames.forEach((frame, t) => {
          frame.forEach((_, i) => {
            const loss = ([value]: Float64Array) => {
              const moved = structuredClone(rows);
              moved[row][t][i] = value;
              return lossWith(parameters, h0, moved);
            };
            const at = (row * (dx?.shape[1] ?? 0) + t) * SHAPE.inputSize + i;
            // dx is a sample's own, not averaged.
            expect(dx?.data[at]).toBeCloseTo(slope(Float64Array.of(frame[i]), 0, loss) * rows.length, 7);
          });
        });
      });
      await network.close();
    },
  );

  it('has the same gradients to the bit, however many threads take its lanes', async () => {
    const bits: string[] = [];
    for (const parties of [1, 2, 3]) {
      const given = example({ ...SHAPE, bidirectional: true }, 'wasm', parties);
      const { network } = given;
      const calls = new Calls(network);
      network.engagement.ofCall = () => ({ parties, here: false });
      network.run = async (job) => runTogether(network, job, parties);
      const { loss, dh0 } = await calls.gradients(request(given), null);
      bits.push([loss, ...dh0.data, ...network.parameterArray(network.model.gradients[0])].join());
      await network.close();
    }
    expect(bits[1]).toBe(bits[0]);
    expect(bits[2]).toBe(bits[0]);
  });

  it('is trained, clipped, scored and copied like any other', async () => {
    const { network, input, read } = example(SHAPE);
    const calls = new Calls(network);
    const training = shareSequences(input, read, SHAPE.inputSize, DTYPE);
    const plan = fitSpec({ epochs: 150, batchSize: 3, clipNorm: 1, seed: 1 }, SHAPE.outputSize);
    const slot = new OptimizerSlot(optimizerSpec({ type: 'adam', learningRate: 0.02 }));
    const model = { network, calls, server: new PredictionServer(network) };
    const before = await calls.evaluate('data', training, {});
    const history = await train(model, { training, validation: null }, slot, plan);
    const after = await calls.evaluate('data', training, {});
    expect(history).toHaveLength(150);
    expect(after.loss).toBeLessThan(before.loss / 10);
    expect(after.accuracy).toBe(1);

    const copy = example(SHAPE).network;
    setParameters(copy, readStateDict('stateDict', copy.g, stateDictOf(network)));
    const reloaded = await new Calls(copy).evaluate('data', training, {});
    expect(reloaded).toEqual(after);
    for (const each of [network, copy]) await each.close();
  });
});

/**
 * Runs a job on several threads that take turns on this one: each goes on to its next pause, and the
 * last one at a barrier opens it.
 */
function runTogether(network: Network, job: Job, parties: number): void {
  Atomics.store(network.control.words, Word.packed, 0);
  const programs: Program[] = Array.from({ length: parties }, (_, index) =>
    programOf(network.thread, job, { index, parties }),
  );
  const waiting = new Set<Program>();
  let running = programs.length;
  while (running > 0) {
    for (const program of programs) {
      if (waiting.has(program)) continue;
      const { done, value: leader } = program.next();
      if (done) running--;
      if (done || !leader) continue;
      waiting.add(program);
      if (waiting.size < parties) continue;
      leader();
      waiting.clear();
    }
  }
}
