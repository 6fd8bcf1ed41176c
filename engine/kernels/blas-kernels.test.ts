import { describe, expect, it } from 'vitest';
import { bitsOf, hasBlas, labelled, withModel } from '../testing/models.ts';

describe('BLAS kernels', () => {
  it('say what was looked for when there is no such library', async () => {
    const missing = withModel({ threads: 0, kernels: { blas: '/nowhere/libblas.so' } }, async () => {});
    await expect(missing).rejects.toMatchObject({
      code: 'BLAS_MISSING',
      // Or koffi is missing, which is optional.
      message: expect.stringMatching(/no library found under \/nowhere\/libblas\.so|koffi/),
    });
  });

  it('are asked for by name or by path', async () => {
    const wrong = withModel({ threads: 0, kernels: 'mkl' as never }, async () => {});
    await expect(wrong).rejects.toThrow(
      `kernels: expected 'wasm', 'wasm-relaxed', 'blas' or { blas: path }, got "mkl"`,
    );
  });
});

describe.runIf(hasBlas())('BLAS kernels, with a BLAS', () => {
  const data = labelled(70, 9);

  for (const dtype of ['float32', 'float64'] as const) {
    // The larger layer's products are computed for some columns at a time.
    it.each([
      { hiddenSize: 37, rows: 70, steps: 9 },
      { hiddenSize: 410, rows: 16, steps: 2 },
    ])(`give what the WebAssembly kernels give, up to rounding, in ${dtype}: %o`, async (size) => {
      const { hiddenSize, rows, steps } = size;
      const { x, labels } = labelled(rows, steps);
      const results = await Promise.all(
        (['wasm', 'blas'] as const).map((kernels) =>
          withModel({ threads: 2, kernels, dtype, hiddenSize }, async (model) => {
            const { loss, dx } = await model.gradients(x, labels, { inputGradient: true });
            return {
              loss,
              values: [...dx.data, ...model.rnn[0].dW_ih.data, ...model.rnn[1].dW_hh.data],
            };
          }),
        ),
      );
      const [wasm, blas] = results;
      const largest = wasm.values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const off = wasm.values.reduce((most, value, i) => Math.max(most, Math.abs(value - blas.values[i])), 0);
      // Some hundred roundings between the two orders of the same sums.
      expect(off / largest).toBeLessThan(dtype === 'float32' ? 1e-5 : 1e-14);
      expect(Math.abs(wasm.loss - blas.loss)).toBeLessThan(dtype === 'float32' ? 1e-5 : 1e-13);
    });

    it(`train the same bits for any number of threads, in ${dtype}`, async () => {
      const trained = (threads: number) =>
        withModel({ threads, kernels: 'blas', dtype, hiddenSize: 40 }, async (model) => {
          await model.fit(data, { epochs: 2, batchSize: 24, seed: 5, clipNorm: 1 });
          return bitsOf(model);
        });
      const expected = await trained(0);
      for (const threads of [1, 2, 5]) expect(await trained(threads)).toBe(expected);
    });
  }
});
