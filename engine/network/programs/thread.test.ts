import { describe, expect, it, vi } from 'vitest';
import { wasmModule } from '../../kernels/wasm-kernels.ts';
import { PAGE_BYTES } from '../../parallel/memory-map.ts';
import { labelled, withModel } from '../../testing/models.ts';
import { shapeOf } from '../../testing/shapes.ts';
import { batchSpec, isSameBatch } from '../memory/batch-memory.ts';
import { Word } from '../memory/control.ts';
import { networkOf } from '../registry.ts';
import { ModelThread, type ThreadSetup } from './thread.ts';

const place = { index: 0, parties: 1 };

/** A memory that grows at every access, as it may while the main thread prepares a larger batch. */
function growingMemory(): WebAssembly.Memory {
  const memory = new WebAssembly.Memory({ initial: 8, maximum: 1_024, shared: true });
  const grown = Object.getOwnPropertyDescriptor(WebAssembly.Memory.prototype, 'buffer')?.get;
  Object.defineProperty(memory, 'buffer', {
    get: () => {
      memory.grow(1);
      return grown?.call(memory);
    },
  });
  return memory;
}

describe("a thread's views of a memory that grows meanwhile", () => {
  const shape = shapeOf({ inputSize: 2, hiddenSize: 3, outputSize: 2, numLayers: 1 });
  const setup: ThreadSetup = {
    shape,
    cell: 'elman',
    dtype: 'float32',
    threads: 1,
    kernels: { maker: 'wasm' },
    memory: growingMemory(),
    module: wasmModule('float32'),
  };

  it('are asked for again only where the memory has grown', () => {
    const memory = new WebAssembly.Memory({ initial: 8, maximum: 1_024, shared: true });
    const thread = new ModelThread({ ...setup, memory });
    const { buffer } = memory;
    // The memory's old size, as another thread may still see it.
    Object.defineProperty(memory, 'buffer', { get: () => buffer });
    const grow = vi.spyOn(memory, 'grow');
    thread.seeGrowth();
    Atomics.store(thread.control.words, Word.pages, 8);
    thread.seeGrowth();
    expect(grow).not.toHaveBeenCalled();
    Atomics.store(thread.control.words, Word.pages, 9);
    thread.seeGrowth();
    expect(grow).toHaveBeenCalledExactlyOnceWith(0);
  });

  it('know of every growth', async () => {
    await withModel({ threads: 2 }, async (model) => {
      await model.forward(labelled(300, 90).x);
      const { thread } = networkOf(model);
      expect(thread.buffer.byteLength).toBeGreaterThan(1e6);
      expect(Atomics.load(thread.control.words, Word.pages)).toBe(thread.buffer.byteLength / PAGE_BYTES);
    });
  });

  it('reach equally far, when the thread starts and at every call', () => {
    const thread = new ModelThread(setup);
    for (let call = 0; call < 3; call++) {
      const { reals, doubles } = thread.tools(place);
      expect(reals.byteLength).toBe(doubles.byteLength);
    }
  });
});

describe('the memory a thread remembers for a call', () => {
  const spec = batchSpec({ start: 64, rows: 8, steps: 3, time: 3, threads: 1, inputFrames: 24 });

  it.each(Object.entries(spec))('is not that of a call whose %s differs', (key, value) => {
    const other = { ...spec, [key]: typeof value === 'boolean' ? !value : 2 * value + 64 };
    expect(isSameBatch(spec, { ...spec })).toBe(true);
    expect(isSameBatch(spec, other)).toBe(false);
    expect(isSameBatch(other, spec)).toBe(false);
  });
});
