import { expect, it } from 'vitest';
import { fingerprint } from './fingerprint.ts';

it('a fingerprint tells apart the same frames that are divided into other sequences', async () => {
  const frames = {
    values: Float32Array.of(1, 2, 3),
    labels: Int32Array.of(0, 1),
    labelStarts: Uint32Array.of(0, 1),
  };
  const divided = (first: number) => ({
    ...frames,
    starts: Uint32Array.of(0, first),
    lengths: Int32Array.of(first, 3 - first),
    counted: Int32Array.of(1, 1),
  });
  expect(await fingerprint(divided(1), 1)).not.toBe(await fingerprint(divided(2), 1));
});
