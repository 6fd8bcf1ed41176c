import { describe, expect, it } from 'vitest';
import { RNNPhonemeClassifier } from '../rnn-classifier.ts';
import { bitsOf, labelled, small, withModel, zeros } from '../testing/models.ts';

describe('arguments', () => {
  const model = () => RNNPhonemeClassifier.create({ ...small, threads: 0 });
  const x = labelled(3, 6).x;
  const holed = new Array<unknown>(2);
  holed[1] = [[1, 2, 3, 4, 5]];
  const refused: [string, (m: RNNPhonemeClassifier) => Promise<unknown>, string][] = [
    ['x of a wrong width', (m) => m.forward(zeros(2, 3, 4)), 'x: expected [batch, time, 5], got [2, 3, 4]'],
    ['x of a wrong rank', (m) => m.forward(zeros(2, 5)), 'x: expected [batch, time, 5], got [2, 5]'],
    ['x without rows', (m) => m.forward([]), 'x: expected [batch, time, 5], got [0]'],
    ['x with a hole', (m) => m.forward(holed as never), 'x[0]: expected [time, 5], got undefined'],
    ['x that is no tensor', (m) => m.forward('x' as never), 'x: expected [batch, time, 5], got "x"'],
    [
      'ragged frames',
      (m) =>
        m.forward([
          [
            [1, 2, 3, 4, 5],
            [1, 2],
          ],
        ]),
      'x[0][1]: expected 5 entries, as the others have, got 2',
    ],
    [
      'a first frame that is wrong, which is not for the others to answer for',
      (m) => m.forward([[[1, 2]], [[1, 2, 3, 4, 5]]]),
      'x: expected [batch, time, 5], got [2, 1, 2]',
    ],
    [
      'a sequence without its shape',
      (m) => m.predict([new Float32Array(10)] as never),
      'x[0]: expected [time, 5], a flat array in { data, shape }, got Float32Array',
    ],
    [
      'lengths on a row, where its padding would be read',
      (m) => m.predict([{ data: x.data, shape: [18, 5], lengths: [3] }] as never),
      'x[0].lengths: expected one of the options data, shape, dtype, got "lengths"',
    ],
    ['an empty sequence', (m) => m.forward([[[1, 2, 3, 4, 5]], []]), 'x[1]: expected [time, 5], got [0]'],
    ['too little data', (m) => m.forward({ data: [1, 2], shape: [1, 1, 5] }), 'x.data: expected 5 numbers'],
    [
      'a length beyond the padding',
      (m) => m.forward({ ...x, lengths: [6, 7, 1] }),
      'x.lengths[1]: expected at most 6',
    ],
    [
      'a length of 0',
      (m) => m.forward({ ...x, lengths: [6, 0, 1] }),
      'x.lengths[1]: expected an integer, 1 or more',
    ],
    [
      'too few lengths',
      (m) => m.forward({ ...x, lengths: [6] }),
      'x.lengths: expected 3 lengths, one a row, got an array of 1',
    ],
    ['h0 of a wrong shape', (m) => m.forward(x, zeros(1, 3, 11)), 'h0: expected [2, 3, 11], got [1, 3, 11]'],
    [
      'a label out of range',
      (m) => m.gradients(x, [0, 4, 1]),
      'labels[1]: expected an integer from 0 to 3, got 4',
    ],
    [
      'a fractional label',
      (m) => m.gradients(x, [0, 1.5, 1]),
      'labels[1]: expected an integer from 0 to 3, got 1.5',
    ],
    [
      'labels in another shape',
      (m) => m.gradients(x, { data: [0, 1, 2], shape: [1, 3] }),
      'labels: expected [3], a label a row, got [1, 3]',
    ],
    [
      'labels that do not fill their shape',
      (m) => m.gradients(x, { data: [0, 1], shape: [3] }),
      'labels.data: expected 3 labels, got an array of 2',
    ],
    ['too few labels', (m) => m.gradients(x, [0]), 'labels: expected 3 labels, one a row, got an array of 1'],
    [
      'an unknown option',
      (m) => m.fit({ x, labels: [0, 1, 2] }, { epoch: 3 } as never),
      'options.epoch: expected one of',
    ],
    [
      'an optimizer by an inherited name',
      (m) => m.fit({ x, labels: [0, 1, 2] }, { optimizer: 'constructor' as never }),
      'optimizer: expected one of sgd',
    ],
    [
      'x and labels as two arguments',
      (m) => m.fit([[[1, 2, 3, 4, 5]]] as never, [0] as never),
      'data: expected an object with x, labels, got Array',
    ],
    [
      'callbacks that are none',
      (m) => m.fit({ x, labels: [0, 1, 2] }, { callbacks: null as never }),
      'callbacks: expected an object with onProgress, onSteps, onEpochEnd, got null',
    ],
    [
      'an object of a class without a name',
      (m) => m.forward(new (class {})() as never),
      'x: expected [batch, time, 5], got an object',
    ],
    [
      'a callback that is none',
      (m) => m.fit({ x, labels: [0, 1, 2] }, { callbacks: { onEpochEnd: 5 as never } }),
      'callbacks.onEpochEnd: expected a function',
    ],
    [
      'a shape that is none',
      (m) => m.forward({ data: [1], shape: [1, 1.5, 5] }),
      'x.shape: expected integers from 0',
    ],
    ['data without a shape', (m) => m.forward({ data: [1] } as never), 'x.shape: expected integers from 0'],
    [
      'data that are none',
      (m) => m.forward({ data: 'abc' as never, shape: [1, 1, 5] }),
      'x.data: expected an array of numbers, got "abc"',
    ],
    [
      'lengths that are text',
      (m) => m.forward({ ...x, lengths: '123' as never }),
      'x.lengths: expected 3 lengths, one a row, got "123"',
    ],
    [
      'an optimizer without a type',
      (m) => m.fit({ x, labels: [0, 1, 2] }, { optimizer: { learningRate: 1 } as never }),
      'optimizer.type: expected one of sgd, adam, adamw, rmsprop, got undefined',
    ],
    [
      'a misspelt option of an optimizer',
      (m) => m.fit({ x, labels: [0, 1, 2] }, { optimizer: { type: 'adam', lr: 1 } as never }),
      'optimizer.lr: expected one of the options learningRate, beta1, beta2, epsilon, weightDecay, got "lr"',
    ],
    ...(['beta1', 'beta2'] as const).map(
      (name): [string, (m: RNNPhonemeClassifier) => Promise<unknown>, string] => [
        `a ${name} of 1`,
        async (m) => m.optimizer({ type: 'adam', [name]: 1 }),
        `optimizer.${name}: expected a number from 0 to below 1, got 1`,
      ],
    ),
    [
      'an alpha of 1',
      async (m) => m.optimizer({ type: 'rmsprop', alpha: 1 }),
      'optimizer.alpha: expected a number from 0 to below 1, got 1',
    ],
    [
      'Nesterov’s momentum without one',
      async (m) => m.optimizer({ type: 'sgd', nesterov: true }),
      'optimizer.nesterov: expected a momentum above 0 beside it, got 0',
    ],
    [
      'class weights of zeros',
      (m) => m.gradients(x, [0, 1, 2], { classWeights: [0, 0, 0, 0] }),
      'classWeights: expected at least one above 0, got zeros',
    ],
    [
      'class weights of a length that nobody has',
      (m) => m.gradients(x, [0, 1, 2], { classWeights: { length: 1e9 } as never }),
      'classWeights: expected 4 numbers, one a class, got Object',
    ],
    [
      'class weights that count otherwise than they say',
      (m) =>
        m.gradients(x, [0, 1, 2], {
          classWeights: Object.assign([1, 1, 1, -1], { *[Symbol.iterator]() {} }),
        }),
      'classWeights[3]: expected a finite number, 0 or more, got -1',
    ],
    [
      'typed numbers for an object',
      (m) => m.evaluate(new Float32Array(1e7) as never),
      'data: expected an object with x, labels, got Float32Array',
    ],
    [
      'nesting that shares its arrays, 2³² numbers of 64',
      (m) => m.predict(Array.from({ length: 32 }).reduce<unknown>((inner) => [inner, inner], 1) as never),
      'x: expected numbers nested at most 16 deep',
    ],
    [
      'millions of numbers for an object, of which it shows some',
      (m) => m.evaluate(new Array(1e6).fill(1) as never),
      'data: expected',
    ],
    [
      'a checkpoint directory that no path can be',
      (m) => m.fit({ x, labels: [0, 1, 2] }, { checkpoint: { dir: 'a\0' } }),
      'checkpoint.dir: expected a path',
    ],
    [
      'a shuffle that is no flag',
      (m) => m.fit({ x, labels: [0, 1, 2] }, { shuffle: 'no' as never }),
      'shuffle: expected true or false, got "no"',
    ],
    [
      'an unknown optimizer',
      (m) => m.fit({ x, labels: [0, 1, 2] }, { optimizer: 'lion' as never }),
      'optimizer: expected one of sgd',
    ],
    [
      'a clip norm of 0',
      (m) => m.fit({ x, labels: [0, 1, 2] }, { clipNorm: 0 }),
      'clipNorm: expected a finite number above 0, got 0',
    ],
    ['delta before forward', (m) => m.backward(zeros(3, 4)), 'backward: there has been no forward before it'],
  ];
  for (const [what, call, message] of refused) {
    it(`refuses ${what}`, async () => {
      const m = await model();
      await expect(call(m)).rejects.toThrow(message);
      await m.close();
    });
  }

  it('refuses a delta that does not fit the last forward', async () => {
    await withModel({ threads: 0 }, async (m) => {
      await m.forward(x);
      await expect(m.backward(zeros(2, 4))).rejects.toThrow('delta: expected [3, 4], got [2, 4]');
    });
  });

  it('refuses a state dict with a missing, unknown, misshapen or non-finite entry, and loads nothing of it', async () => {
    await withModel({ threads: 0 }, async (m) => {
      const bits = bitsOf(m);
      const good = m.stateDict();
      const { 'rnn.bias_hh_l1': _, ...missing } = good;
      expect(() => m.loadStateDict(missing)).toThrow('stateDict.rnn.bias_hh_l1: expected [11], got nothing');
      expect(() => m.loadStateDict({ ...good, extra: zeros(1) })).toThrow('stateDict.extra: expected one of');
      expect(() => m.loadStateDict({ ...good, 'output.bias': zeros(5) })).toThrow(
        'stateDict.output.bias: expected [4], got [5]',
      );
      const bad = { data: [0, 0, Number.NaN, 0], shape: [4] };
      expect(() => m.loadStateDict({ ...good, 'output.bias': bad })).toThrow(
        'expected finite numbers, got NaN at 2',
      );
      expect(bitsOf(m)).toBe(bits);
    });
  });

  it('are the same in all three forms of x, whatever stands in the padding', async () => {
    await withModel({ threads: 2, dtype: 'float64' }, async (m) => {
      const lengths = [6, 2, 4];
      const rows = lengths.map((length, i) => ({
        data: x.data.slice(i * 30, i * 30 + length * 5),
        shape: [length, 5],
      }));
      const nested = rows.map(({ data, shape: [length] }) =>
        Array.from({ length }, (_, t) => [...data.subarray(5 * t, 5 * t + 5)]),
      );
      const padded = new Float64Array(90).fill(Number.NaN);
      rows.forEach(({ data }, i) => {
        padded.set(data, i * 30);
      });
      const expected = await m.forward(rows);
      expect(expected.data.every(Number.isFinite)).toBe(true);
      expect(await m.forward(nested)).toEqual(expected);
      expect(await m.forward({ data: padded, shape: [3, 6, 5], lengths })).toEqual(expected);
      const shared = new Float64Array(new SharedArrayBuffer(90 * 8));
      shared.set(padded);
      expect(await m.forward({ data: shared, shape: [3, 6, 5], lengths })).toEqual(expected);
      const alone = await Promise.all(rows.map((row) => m.forward([row])));
      expect(alone.flatMap(({ data }) => [...data])).toEqual([...expected.data]);
    });
  });
});
