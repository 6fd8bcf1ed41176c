import { describe, expect, it } from 'vitest';
import { networkOf } from './network/registry.ts';
import { StreamWeights } from './network/stream-weights.ts';
import type { RealArray } from './numeric/reals.ts';
import type { ClassifierStream } from './stream.ts';
import { collectUntil, labelled, withModel, zeros } from './testing/models.ts';

describe('a stream', () => {
  for (const dtype of ['float32', 'float64'] as const) {
    it(`gives the logits of forward on the frames so far, bit for bit, in ${dtype}`, async () => {
      // Sizes with groups of four panels, panels beyond such groups, and a part of a panel.
      for (const [hiddenSize, outputSize, inputSize] of [
        [77, 4, 5],
        [1, 3, 1],
        [64, 45, 39],
      ]) {
        await withModel(
          { threads: 1, dtype, hiddenSize, outputSize, inputSize, numLayers: 3 },
          async (model) => {
            const { x } = labelled(1, 9, inputSize);
            const stream = model.stream();
            for (let pass = 0; pass < 2; pass++) {
              for (let t = 1; t <= 9; t++) {
                const logits = stream.step(x.data.subarray((t - 1) * inputSize, t * inputSize));
                const whole = await model.forward({
                  data: x.data.subarray(0, t * inputSize),
                  shape: [1, t, inputSize],
                });
                expect([...logits]).toEqual([...whole.data]);
              }
              stream.reset();
            }
          },
        );
      }
    });
  }

  it.each([
    { nonlinearity: 'tanh', output: 'last', hiddenSize: 11 },
    // Without padding in its panels, which would make NaN of an infinity.
    { nonlinearity: 'tanh', output: 'last', hiddenSize: 16 },
    { nonlinearity: 'relu', output: 'mean', hiddenSize: 11 },
  ] as const)('is as good as new when it is reset after frames that are not finite: %o', async (options) => {
    for (const dtype of ['float32', 'float64'] as const) {
      await withModel({ threads: 0, dtype, ...options }, async (model) => {
        const frames = [0, 1, 2].map((t) => labelled(1, 3).x.data.subarray(5 * t, 5 * t + 5));
        const logitsOf = (stream: ClassifierStream) => frames.map((frame) => [...stream.step(frame)]);
        const expected = logitsOf(model.stream());
        // The last one is Infinity in float32 only.
        for (const value of [Number.NaN, Number.NEGATIVE_INFINITY, dtype === 'float32' ? 1e39 : Infinity]) {
          const stream = model.stream();
          stream.step([0, 0, value, 0, 0]);
          expect([...stream.step(frames[0])].every(Number.isNaN)).toBe(true);
          stream.reset();
          expect(logitsOf(stream)).toEqual(expected);
          stream.step([0, 0, value, 0, 0]);
          stream.reset(zeros(2, options.hiddenSize));
          expect(logitsOf(stream)).toEqual(expected);
        }
      });
    }
  });

  it('begins with the states it is given, and keeps the parameters it was made with', async () => {
    await withModel({ threads: 0, dtype: 'float64' }, async (model) => {
      const { x } = labelled(1, 1);
      const h0 = Array.from({ length: 2 }, (_, l) => Array.from({ length: 11 }, (_, j) => (j - 5 + l) / 10));
      const expected = await model.forward(
        x,
        h0.map((state) => [state]),
      );
      const stream = model.stream();
      stream.reset(h0);
      model.outputLayer.W.data.fill(0);
      expect([...stream.step(x.data)]).toEqual([...expected.data]);
    });
  });

  it('is not disturbed by others, whether they share its parameters or not', async () => {
    await withModel({ threads: 0, output: 'mean' }, async (model) => {
      const { x } = labelled(4, 6);
      const before = [model.stream(), model.stream()];
      const expected = await model.forward(x);
      // As anybody may, without a call that the model would notice.
      model.outputLayer.W.data[3] += 1;
      const after = [model.stream(), model.stream()];
      const changed = await model.forward(x);
      let logits: number[][] = [];
      for (let t = 0; t < 6; t++) {
        logits = [...before, ...after].map((stream, row) => [
          ...stream.step(x.data.subarray((row * 6 + t) * 5, (row * 6 + t + 1) * 5)),
        ]);
      }
      const [old, young] = [expected, changed].map((tensor) => tensor.toArray() as number[][]);
      expect(logits).toEqual([...old.slice(0, 2), ...young.slice(2)]);
      expect(young.slice(0, 2)).not.toEqual(logits.slice(0, 2));
    });
  });

  it('keeps its place for as long as somebody holds what it has returned', async () => {
    await withModel({ threads: 0 }, async (model) => {
      const others = [model.stream()];
      const x = labelled(1, 1).x.data;
      const abandoned = (): RealArray[] => {
        const stream = model.stream();
        return [stream.step(x), stream.probabilities()];
      };
      const held = abandoned();
      const kept = held.map((array) => [...array]);
      await collectUntil(() => false, 5);
      others.push(model.stream());
      for (const stream of others) stream.step(x.map((value) => value + 1));
      expect(held.map((array) => [...array])).toEqual(kept);
    });
  });

  it('that is garbage leaves its place to another, as new', async () => {
    await withModel({ threads: 0 }, async (model) => {
      const { g, model: memory } = networkOf(model);
      const parameters = networkOf(model).parameterArray(memory.parameters[0]);
      const weights = new StreamWeights(g, parameters, null);
      const [first, second] = [weights.take(128), weights.take(128)];
      expect(second).toBeGreaterThanOrEqual(first + 128);
      weights.reals.fill(7, first / 4, first / 4 + 32);
      weights.giveBack(first);
      expect(weights.take(128)).toBe(first);
      expect([...weights.reals.subarray(first / 4, first / 4 + 32)]).toEqual(Array(32).fill(0));
      expect(weights.areOf(parameters)).toBe(true);
      parameters[5] = -parameters[5];
      expect(weights.areOf(parameters)).toBe(false);
    });
  });

  it('gives the probabilities of predict, bit for bit, and none before a frame', async () => {
    for (const dtype of ['float32', 'float64'] as const) {
      await withModel({ threads: 0, dtype, outputSize: 11 }, async (model) => {
        const { x } = labelled(1, 4);
        const stream = model.stream();
        expect(() => stream.probabilities()).toThrow('probabilities: there has been no step before it');
        for (let t = 0; t < 4; t++) stream.step(x.data.subarray(5 * t, 5 * t + 5));
        const logits = [...stream.step(x.data.subarray(0, 5))];
        const five = { data: [...x.data, ...x.data.subarray(0, 5)], shape: [1, 5, 5] };
        expect([...stream.probabilities()]).toEqual([...(await model.predict(five)).data]);
        expect([...(await model.forward(five)).data]).toEqual(logits);
        stream.reset();
        expect(() => stream.probabilities()).toThrow('no step');
      });
    }
  });

  it('refuses a frame of another size', async () => {
    await withModel({ threads: 0 }, async (model) => {
      const stream = model.stream();
      expect(() => stream.step([1, 2])).toThrow('frame: expected 5 numbers, got an array of 2');
      expect(() => stream.reset([[0]])).toThrow('h0: expected [2, 11], got [1, 1]');
    });
  });
});
