import { describe, expect, it } from 'vitest';
import { RNNCell } from './rnn-cell.ts';

const tensorsOf = (cell: RNNCell) => [
  cell.W_ih,
  cell.W_hh,
  cell.b_ih,
  cell.b_hh,
  cell.dW_ih,
  cell.dW_hh,
  cell.db_ih,
  cell.db_hh,
];
const square = [
  [1, 2],
  [3, 4],
];
const wide = [
  [1, 2, 3],
  [4, 5, 6],
];

describe('a cell by itself', () => {
  it('has tensors in the shapes of its sizes, float32 unless asked otherwise', () => {
    const shapes = [[2, 3], [2, 2], [2], [2]];
    const cell = new RNNCell(3, 2);
    expect(tensorsOf(cell).map(({ shape }) => shape)).toEqual([...shapes, ...shapes]);
    expect(cell.W_ih.data).toBeInstanceOf(Float32Array);
    expect(new RNNCell(3, 2, { dtype: 'float64' }).W_ih.data).toBeInstanceOf(Float64Array);
  });

  it('draws its weights from the seed, within ±1/√hiddenSize', () => {
    const [one, same, other] = [5, 5, 6].map((seed) => new RNNCell(3, 4, { seed }));
    for (const [k, { data }] of tensorsOf(one).slice(0, 4).entries()) {
      expect(data).toEqual(tensorsOf(same)[k].data);
      expect(data).not.toEqual(tensorsOf(other)[k].data);
      expect(Math.max(...data.map(Math.abs))).toBeLessThanOrEqual(0.5);
      expect(new Set(data).size).toBe(data.length);
    }
    expect(new RNNCell(3, 4).W_hh.data).toEqual(new RNNCell(3, 4, { seed: 0 }).W_hh.data);
  });

  it('takes its biases as rows or as columns', () => {
    const cell = new RNNCell(3, 2);
    cell.initWeights(wide, square, [5, 6], [[7], [8]]);
    expect([cell.b_ih.toArray(), cell.b_hh.toArray()]).toEqual([
      [5, 6],
      [7, 8],
    ]);
  });

  it('may be given views of its own parameters', () => {
    const cell = new RNNCell(3, 3);
    const before = [cell.W_ih, cell.W_hh, cell.b_ih, cell.b_hh].map(({ data }) => [...data]);
    cell.initWeights(cell.W_hh, cell.W_ih, cell.b_hh, cell.b_ih);
    const after = [cell.W_hh, cell.W_ih, cell.b_hh, cell.b_ih].map(({ data }) => [...data]);
    expect(after).toEqual(before);
  });

  it('sets its gradients to zero', () => {
    const cell = new RNNCell(3, 2);
    const h = cell.forward([[1, 2, 3]], [[0.5, 0.5]]);
    cell.backward([[1, 1]], h, [[1, 2, 3]], [[0.5, 0.5]]);
    const gradients = () =>
      tensorsOf(cell)
        .slice(4)
        .flatMap(({ data }) => [...data]);
    expect(gradients()).not.toContain(0);
    cell.zeroGrad();
    expect(gradients()).toEqual(new Array(14).fill(0));
  });

  const cell = () => new RNNCell(3, 2);
  const x = [[1, 2, 3]];
  const h = [[0, 0]];
  it.each([
    ['an option it does not know', () => new RNNCell(3, 2, { sead: 1 } as object), 'options.sead: expected'],
    ['no inputs', () => new RNNCell(0, 2), 'inputSize: expected'],
    ['no units', () => new RNNCell(3, 0), 'hiddenSize: expected'],
    ['a negative seed', () => new RNNCell(3, 2, { seed: -1 }), 'seed: expected'],
    [
      'W_ih of another shape',
      () => cell().initWeights(square, square, [1, 2], [1, 2]),
      'W_ih: expected [2, 3], got',
    ],
    [
      'W_hh of another shape',
      () => cell().initWeights(wide, wide, [1, 2], [1, 2]),
      'W_hh: expected [2, 2], got',
    ],
    ['b_ih of another size', () => cell().initWeights(wide, square, [1], [1, 2]), 'b_ih: expected [2], got'],
    ['b_hh of another size', () => cell().initWeights(wide, square, [1, 2], [1]), 'b_hh: expected [2], got'],
    ['an input of another width', () => cell().forward(h, h), 'x: expected [batch, 3], got'],
    ['a state of another width', () => cell().forward(x, x), 'hPrevT: expected [1, 2], got'],
    ['a delta of another width', () => cell().backward(x, h, x, h), 'delta: expected [batch, 2], got'],
    ['an h of another width', () => cell().backward(h, x, x, h), 'h: expected [1, 2], got'],
    [
      'an input in backward of another width',
      () => cell().backward(h, h, h, h),
      'hPrevL: expected [1, 3], got',
    ],
    [
      'a state in backward of another width',
      () => cell().backward(h, h, x, x),
      'hPrevT: expected [1, 2], got',
    ],
  ])('refuses %s', (_, make, message) => {
    expect(make).toThrow(message);
  });
});
