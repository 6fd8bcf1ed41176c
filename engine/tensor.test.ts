import { describe, expect, it } from 'vitest';
import { tensor } from './read-tensor.ts';
import { type NestedNumbers, Tensor } from './tensor.ts';

describe('tensor', () => {
  it('takes its shape from the nesting, typed arrays in the innermost rank included', () => {
    const t = tensor([[Float32Array.of(1, 2)], [Float64Array.of(3, 4)]]);
    expect(t.shape).toEqual([2, 1, 2]);
    expect(t.dtype).toBe('float32');
    expect(t.toArray()).toEqual([[[1, 2]], [[3, 4]]]);
  });

  it('takes a flat array in a shape, and its data type from a Float64Array', () => {
    const data = Float64Array.of(1, 2, 3, 4);
    const t = tensor(data, { shape: [2, 2] });
    expect(t.dtype).toBe('float64');
    expect(t.data).toBe(data);
    expect(tensor(data, { dtype: 'float32' }).data).toBeInstanceOf(Float32Array);
  });

  it('of another tensor has its shape, and another data type where that is asked for', () => {
    const whole = tensor([
      [1, 2],
      [3, 4.1],
    ]);
    expect(tensor(whole)).toEqual(whole);
    expect(tensor(whole).data).toBe(whole.data);
    expect(tensor(whole, { dtype: 'float64' })).toMatchObject({ dtype: 'float64', shape: [2, 2] });
    expect(tensor(whole, { dtype: 'float64' }).data[3]).toBe(Math.fround(4.1));
    expect(tensor({ data: Float64Array.of(1, 2), shape: [2, 1] }, { shape: [1, 2] })).toMatchObject({
      dtype: 'float64',
      shape: [1, 2],
    });
  });

  it('of a number has rank 0', () => {
    expect(tensor(3).shape).toEqual([]);
    expect(tensor(3).toArray()).toBe(3);
  });

  it('knows the largest along its last dimension, the first of equals', () => {
    expect([
      ...tensor([
        [1, 3, 2],
        [5, 5, 4],
      ]).argmax(),
    ]).toEqual([1, 0]);
    expect([
      ...tensor([
        [
          [0, 1],
          [1, 0],
        ],
        [
          [2, 3],
          [3, 2],
        ],
      ]).argmax(),
    ]).toEqual([1, 0, 1, 0]);
    expect([...tensor([4, 9]).argmax()]).toEqual([1]);
  });

  it('has no class where a number is none', () => {
    const rows = [
      [1, 2, 3],
      [Number.NaN, 2, 3],
      [1, 2, Number.NaN],
      [3, 2, 1],
    ];
    expect([...tensor(rows).argmax()]).toEqual([2, -1, -1, 0]);
  });

  it('survives JSON', () => {
    const t = tensor([
      [1, 2.5],
      [3, 4],
    ]);
    const { data, shape } = JSON.parse(JSON.stringify(t));
    expect(tensor(data, { shape })).toEqual(t);
  });

  it('has a shape of its own', () => {
    const shape = [1, 2];
    const t = new Tensor(Float32Array.of(1, 2), shape);
    shape.reverse();
    expect(t.shape).toEqual([1, 2]);
  });

  const cyclic: NestedNumbers[] = [];
  cyclic.push(cyclic);
  const refused: [string, () => unknown, string][] = [
    ['ragged rows', () => tensor([[1, 2], [3]]), 'values[1]: expected 2 entries, as the others have, got 1'],
    [
      'no number, and says where',
      () =>
        tensor([
          [1, 2],
          [3, null as never],
        ]),
      'values[1][1]: expected a number, got null',
    ],
    [
      'an array that contains itself',
      () => tensor(cyclic),
      'values: expected numbers nested at most 16 deep, got deeper',
    ],
    [
      'rows that are not as many as the first is long',
      () => tensor([new Float32Array(100_000), ...new Array<NestedNumbers>(1_000_000).fill([1])]),
      'values[1]: expected 100000 entries, as the others have, got 1',
    ],
    ['no array, and says where', () => tensor([[1, 2], 3]), 'values[1]: expected an array of 2, got 3'],
    ['text', () => tensor('abc' as unknown as NestedNumbers), 'values: expected numbers in nested arrays'],
    ['nothing', () => tensor(null as unknown as NestedNumbers), 'values: expected numbers in nested arrays'],
    [
      'big integers',
      () => tensor(BigInt64Array.of(1n) as unknown as NestedNumbers),
      'values: expected numbers',
    ],
    [
      'a shape that does not fit',
      () => tensor(5, { shape: [3] }),
      'shape: expected dimensions whose product is 1, got [3]',
    ],
    ['a shape that is none', () => tensor([1], { shape: 1 as never }), 'shape: expected dimensions'],
    [
      'null for a shape',
      () => tensor({ data: [1], shape: [1] }, { shape: null as never }),
      'shape: expected dimensions whose product is 1, got null',
    ],
    [
      'null for a data type',
      () => tensor([1], { dtype: null as never }),
      "dtype: expected 'float32' or 'float64', got null",
    ],
    [
      'a constructor’s shape that does not fit',
      () => new Tensor(Float32Array.of(1, 2), [3]),
      'shape: expected dimensions whose product is 2, got [3]',
    ],
    [
      'a constructor’s numbers in a plain array',
      () => new Tensor([1, 2] as never, [2]),
      'data: expected a Float32Array or a Float64Array',
    ],
    [
      'a misspelt option',
      () => tensor([1], { dtpye: 'float64' } as object),
      'options.dtpye: expected one of the options',
    ],
    [
      'another data type',
      () => tensor([1], { dtype: 'int8' as never }),
      `dtype: expected 'float32' or 'float64'`,
    ],
  ];
  for (const [what, make, message] of refused) it(`refuses ${what}`, () => expect(make).toThrow(message));
});
