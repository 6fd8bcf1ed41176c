import { describe, expect, it } from 'vitest';
import { Linear } from './linear.ts';

const W = [
  [1, 2, 3],
  [4, 5, 6],
];

describe('a linear layer by itself', () => {
  it('has tensors in the shapes of its sizes, float32 unless asked otherwise', () => {
    const layer = new Linear(3, 2);
    expect([layer.W, layer.b, layer.dW, layer.db].map(({ shape }) => shape)).toEqual([
      [2, 3],
      [2],
      [2, 3],
      [2],
    ]);
    expect(layer.W.data).toBeInstanceOf(Float32Array);
    expect(new Linear(3, 2, { dtype: 'float64' }).b.data).toBeInstanceOf(Float64Array);
  });

  it('draws its weights from the seed, within ±1/√inFeatures', () => {
    const [one, same, other] = [5, 5, 6].map((seed) => new Linear(9, 4, { seed }));
    expect(one.W.data).toEqual(same.W.data);
    expect(one.W.data).not.toEqual(other.W.data);
    for (const { data } of [one.W, one.b]) {
      expect(Math.max(...data.map(Math.abs))).toBeLessThanOrEqual(Math.fround(1 / 3));
      expect(new Set(data).size).toBe(data.length);
    }
    expect(new Linear(9, 4).W.data).toEqual(new Linear(9, 4, { seed: 0 }).W.data);
  });

  it('takes its bias as a row or as a column, as arrays or as a tensor', () => {
    const column = { data: Float64Array.of(7, 8), shape: [2, 1] };
    for (const b of [[7, 8], [[7], [8]], column, { ...column, shape: [2] }]) {
      const layer = new Linear(3, 2, { dtype: 'float64' });
      layer.initWeights(W, b);
      expect(layer.forward([[1, 1, 1]]).toArray()).toEqual([[13, 23]]);
    }
  });

  it('keeps what forward was given, even where it is written into afterwards', () => {
    const layer = new Linear(3, 2, { dtype: 'float64' });
    const h = { data: Float64Array.of(1, 2, 3), shape: [1, 3] };
    layer.forward(h);
    h.data.fill(9);
    layer.backward([[1, 2]]);
    expect(layer.dW.toArray()).toEqual([
      [1, 2, 3],
      [2, 4, 6],
    ]);
  });

  it('sets its gradients to zero', () => {
    const layer = new Linear(3, 2);
    layer.forward([[1, 2, 3]]);
    layer.backward([[1, 1]]);
    layer.zeroGrad();
    expect([...layer.dW.data, ...layer.db.data]).toEqual(new Array(8).fill(0));
  });

  it.each([
    ['an option it does not know', () => new Linear(3, 2, { sead: 1 } as object), 'options.sead: expected'],
    ['no inputs', () => new Linear(0, 2), 'inFeatures: expected'],
    ['no outputs', () => new Linear(3, 0), 'outFeatures: expected'],
    ['a negative seed', () => new Linear(3, 2, { seed: -1 }), 'seed: expected'],
    [
      'weights of another shape',
      () => new Linear(3, 2).initWeights([[1]], [1, 2]),
      'W: expected [2, 3], got',
    ],
    ['a bias of another size', () => new Linear(3, 2).initWeights(W, [1]), 'b: expected [2], got'],
    ['a column of another size', () => new Linear(3, 2).initWeights(W, [[1]]), 'b: expected [2, 1], got'],
    ['an input of another width', () => new Linear(3, 2).forward([[1]]), 'h: expected [batch, 3], got'],
    ['backward without forward', () => new Linear(3, 2).backward([[1, 2]]), 'there has been no forward'],
  ])('refuses %s', (_, make, message) => {
    expect(make).toThrow(message);
  });

  it('refuses a delta of another shape than its outputs', () => {
    const layer = new Linear(3, 2);
    layer.forward([[1, 2, 3]]);
    expect(() => layer.backward([[1]])).toThrow('delta: expected [1, 2], got');
  });
});
