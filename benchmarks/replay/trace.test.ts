import { describe, expect, it } from 'vitest';
import { wasmKernels, wasmModule } from '../../engine/kernels/wasm-kernels.ts';
import { type Size, seededData } from '../common/sizes.ts';
import { createModel } from '../common/steps.ts';
import { withOpen } from '../common/with-open.ts';
import { Replay } from './replay.ts';
import { callsByThread, copyMemory, oneBufferAThread, PHASES, recordStep, type StepTrace } from './trace.ts';

const size: Size = { B: 22, T: 3, I: 5, H: 9, L: 2 };

const record = (threads: number) =>
  withOpen([createModel(size, threads)], (model) => recordStep(model, seededData(size), threads));

/** Replays all threads' calls, phase by phase, on a copy of the memory; returns the averaged gradient. */
function gradientOf(trace: StepTrace, memory: WebAssembly.Memory): number[] {
  const copy = copyMemory(memory.buffer);
  const kernels = wasmKernels(wasmModule('float32'), copy, 'float32');
  // The weights in memory are those that the step has made; the gradient was that of the ones before.
  for (const phase of ['start', ...PHASES] as const) {
    for (const calls of callsByThread(trace, [phase])) new Replay(kernels, calls).run();
  }
  const averages = trace.reduce.flat().filter(({ kernel }) => kernel === 'reduceLanes');
  return averages.flatMap(({ args: [, , , bytes, out] }) => [
    ...new Float32Array(copy.buffer, out, bytes / 4),
  ]);
}

describe('a recorded step', () => {
  it('gives every thread its share of every phase', async () => {
    const { trace } = await record(2);
    const lanes = trace.lanes.map((calls) => calls.filter(({ kernel }) => kernel === 'sumRows').length);
    // Six lanes by turns, each with one sum a layer and one of the output layer.
    expect(lanes).toEqual([9, 9]);
    const kernels = ({ start, update }: StepTrace, thread: number) =>
      [start, update].map((phase) => [...new Set(phase[thread].map(({ kernel }) => kernel))]);
    const packing = ['packTransposed', 'packPlain', 'packBias'];
    for (const thread of [0, 1]) expect(kernels(trace, thread)).toEqual([packing, ['sgd', ...packing]]);
  });

  // The second has more threads than lanes, of which there are six.
  it.each([2, 8])(
    'computes the same again, and nearly the same with a gradient buffer for each of %i threads',
    async (threads) => {
      const { trace, memory } = await record(threads);
      const asItIs = gradientOf(trace, memory);
      expect(gradientOf(trace, memory)).toEqual(asItIs);
      const merged = gradientOf(oneBufferAThread(trace), memory);
      expect(Math.max(...asItIs.map(Math.abs))).toBeGreaterThan(1e-3);
      const apart = merged.map((value, i) => Math.abs(value - asItIs[i]));
      // Sums of 66 terms below 1 in another order: 66 · 2⁻²⁴.
      expect(Math.max(...apart)).toBeLessThan(4e-6);
    },
  );
});
