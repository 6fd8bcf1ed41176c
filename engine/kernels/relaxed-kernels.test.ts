import { setFlagsFromString } from 'node:v8';
import { describe, expect, it } from 'vitest';
import { bitsOf, labelled, withModel } from '../testing/models.ts';
import { wasmModule } from './wasm-kernels.ts';

const options = { kernels: 'wasm-relaxed', hiddenSize: 37 } as const;
const data = labelled(70, 9);

describe('relaxed kernels', () => {
  // Node.js 20 has relaxed SIMD behind a flag, and V8 reads flags when a module is compiled: the order matters here.
  it.runIf(process.versions.node.startsWith('20.'))(
    'are refused where there is no relaxed SIMD',
    async () => {
      await expect(withModel({ threads: 0, ...options }, async () => {})).rejects.toMatchObject({
        code: 'RELAXED_SIMD_MISSING',
        message: expect.stringContaining('--experimental-wasm-relaxed-simd'),
      });
    },
  );

  it('compute a stream too: the bits of a batch', async () => {
    setFlagsFromString('--experimental-wasm-relaxed-simd');
    await withModel({ threads: 0, ...options }, async (model) => {
      const { x } = labelled(1, 9);
      const stream = model.stream();
      let logits: ArrayLike<number> = [];
      for (let t = 0; t < 9; t++) logits = stream.step(x.data.subarray(5 * t, 5 * t + 5));
      expect(Array.from(logits)).toEqual(Array.from((await model.forward(x)).data));
    });
  });

  it('are a module of their own, and train the same bits on any number of threads', async () => {
    setFlagsFromString('--experimental-wasm-relaxed-simd');
    expect(wasmModule('float32', 'wasm-relaxed')).not.toBe(wasmModule('float32', 'wasm'));
    const trained = (threads: number) =>
      withModel({ threads, ...options }, async (model) => {
        const { loss } = await model.gradients(data.x, data.labels);
        await model.fit(data, { epochs: 2, batchSize: 24, seed: 5, clipNorm: 1 });
        return { loss, bits: bitsOf(model) };
      });
    const expected = await trained(0);
    for (const threads of [1, 3]) expect(await trained(threads)).toEqual(expected);
    const exact = await withModel({ threads: 0, hiddenSize: 37 }, (model) =>
      model.gradients(data.x, data.labels),
    );
    // Some hundred roundings of 2⁻²⁴ on the way to a loss of ordinary size; the laws of ELMAN_KERNELS have the bounds.
    expect(Math.abs(exact.loss - expected.loss)).toBeLessThan(1e-5);
  });
});
