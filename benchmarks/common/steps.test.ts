import { describe, expect, it } from 'vitest';
import type { Size } from './sizes.ts';
import { createModel, withModels } from './steps.ts';

const size: Size = { B: 2, T: 2, I: 3, H: 4, L: 1 };

describe('withModels', () => {
  it('closes what was made where another model could not be, and tells why', async () => {
    const made = createModel(size, 0);
    const failed = createModel(size, -1);
    await expect(withModels([failed, made], async () => {})).rejects.toThrow('threads: expected');
    await expect((await made).predict([[[1, 2, 3]]])).rejects.toMatchObject({ code: 'CLOSED' });
  });
});
