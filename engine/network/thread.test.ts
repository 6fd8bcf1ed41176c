import { describe, expect, it } from 'vitest';
import { wasmModule } from '../kernels/wasm-kernels.ts';
import { ModelThread, type ThreadSetup } from './thread.ts';

const place = { index: 0, parties: 1 };

/** A memory that grows at every look, as it may while the main thread prepares a larger batch. */
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
  const shape = { inputSize: 2, hiddenSize: 3, outputSize: 2, numLayers: 1 };
  const setup: ThreadSetup = {
    ...{ shape, dtype: 'float32', threads: 1 },
    kernels: { maker: 'wasm' },
    memory: growingMemory(),
    module: wasmModule('float32'),
  };

  it('reach equally far, when the thread starts and at every call', () => {
    const thread = new ModelThread(setup);
    for (let call = 0; call < 3; call++) {
      const { reals, doubles } = thread.tools(place);
      expect(reals.byteLength).toBe(doubles.byteLength);
    }
  });
});
