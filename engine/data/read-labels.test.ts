import { describe, expect, it } from 'vitest';
import { labelled, withModel } from '../testing/models.ts';

describe('labels', () => {
  const { x } = labelled(3, 4);
  const lengths = [4, 2, 3];
  const padded = { ...x, lengths };

  it('of a model with logits at every step are one a step, as lists or padded', async () => {
    await withModel({ threads: 0, output: 'steps', dtype: 'float64' }, async (model) => {
      const own = [[0, 1, -100, 3], [-100, -100], Int32Array.of(2, 3, 0)];
      const data = [0, 1, -100, 3, -100, -100, 77, 77, 2, 3, 0, 77];
      const { loss } = await model.gradients(padded, own);
      for (const labels of [
        [
          [0, 1, -100, 3],
          [-100, -100, 9, 9],
          [2, 3, 0, 9],
        ],
        { data, shape: [3, 4] },
      ])
        expect((await model.gradients(padded, labels)).loss).toBe(loss);
      const renamed = own.map((row) => Array.from(row, (label) => (label === -100 ? 9 : label)));
      expect((await model.gradients(padded, renamed, { ignoreIndex: 9 })).loss).toBe(loss);
      const { accuracy, confusion } = await model.evaluate({ x: padded, labels: own });
      expect(confusion.flat().reduce((a, b) => a + b)).toBe(6);
      expect(accuracy * 6).toBeCloseTo(
        confusion.reduce((sum, row, i) => sum + row[i], 0),
        12,
      );
      expect((await model.evaluate({ x: padded, labels: renamed }, { ignoreIndex: 9 })).confusion).toEqual(
        confusion,
      );
    });
  });

  const refused: [string, unknown, string][] = [
    ['too few rows', [[0, 1, 2, 3]], 'labels: expected 3 rows of labels, one a step, got an array of 1'],
    [
      'a row that is too short',
      [[0, 1, 2, 3], [1], [0, 0, 0]],
      'labels[1]: expected 2 labels, one a step, got an array of 1',
    ],
    ['one label a row', [0, 1, 2], 'labels[0]: expected 4 labels, one a step, got 0'],
    [
      'another shape',
      { data: new Int32Array(6), shape: [3, 2] },
      'labels: expected [3, 4], a label a step, got [3, 2]',
    ],
    [
      'a class too many',
      [
        [0, 1, 2, 4],
        [1, 1],
        [0, 0, 0],
      ],
      'labels[0][3]: expected an integer from 0 to 3 or -100, got 4',
    ],
    [
      'nothing to learn',
      [
        [-100, -100, -100, -100],
        [-100, -100],
        [-100, -100, -100],
      ],
      'labels: expected at least one label other than -100, got none',
    ],
    ['no labels', undefined, 'labels: expected 3 rows of labels, one a step, got undefined'],
  ];
  it.each(refused)(
    'of a model with logits at every step are refused with %s',
    async (_what, labels, message) => {
      await withModel({ threads: 0, output: 'steps' }, async (model) => {
        await expect(model.gradients(padded, labels as never)).rejects.toMatchObject({
          code: 'BAD_ARGUMENT',
          message: expect.stringContaining(message),
        });
      });
    },
  );

  it('take ignoreIndex only where they are one a step', async () => {
    await withModel({ threads: 0 }, async (model) => {
      await expect(model.gradients(x, [0, 1, 2], { ignoreIndex: 2 })).rejects.toThrow(
        "ignoreIndex: expected an integer, where output is 'steps', got 2",
      );
      await expect(model.gradients(x, [0, 1, -100])).rejects.toThrow(
        'labels[2]: expected an integer from 0 to 3, got -100',
      );
      await expect(model.gradients(x, [0, null, 1] as never)).rejects.toThrow(
        'labels[1]: expected an integer from 0 to 3, got null',
      );
      await expect(model.gradients(x, [0, 1])).rejects.toThrow(
        'labels: expected 3 labels, one a row, got an array of 2',
      );
      await expect(model.gradients(x, null as never)).rejects.toThrow(
        'labels: expected 3 labels, one a row, got null',
      );
      await expect(model.gradients(x, { data: [0, 1, 2], shape: [3, 1] })).rejects.toThrow(
        'labels: expected [3], a label a row, got [3, 1]',
      );
      const tensor = { data: Int32Array.of(0, 1, 2), shape: [3] };
      expect((await model.gradients(x, tensor)).loss).toBe((await model.gradients(x, [0, 1, 2])).loss);
    });
  });
});
