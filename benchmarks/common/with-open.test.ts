import { describe, expect, it } from 'vitest';
import type { Size } from './sizes.ts';
import { createModel } from './steps.ts';
import { withOpen } from './with-open.ts';

const size: Size = { B: 2, T: 2, I: 3, H: 4, L: 1 };

describe('withOpen', () => {
  it('closes what was made where another model could not be, and tells why', async () => {
    const made = createModel(size, 0);
    const failed = createModel(size, -1);
    await expect(withOpen([failed, made], async () => {})).rejects.toThrow('threads: expected');
    await expect((await made).predict([[[1, 2, 3]]])).rejects.toMatchObject({ code: 'CLOSED' });
  });
});
