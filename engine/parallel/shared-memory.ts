import { noMemory } from '../errors.ts';
import { MEMORY_LIMIT_BYTES, PAGE_BYTES } from './memory-map.ts';

/** A memory that threads and WebAssembly share. Throws MEMORY_TOO_LARGE where the system has none of this size. */
export function newMemory(bytes: number): WebAssembly.Memory {
  const [initial, maximum] = [Math.ceil(bytes / PAGE_BYTES), MEMORY_LIMIT_BYTES / PAGE_BYTES];
  return granted(bytes, () => new WebAssembly.Memory({ initial, maximum, shared: true }));
}

/** Makes a memory so large, unless it is; returns whether it has grown. Throws MEMORY_TOO_LARGE where the system has no more. */
export function growTo(memory: WebAssembly.Memory, bytes: number): boolean {
  const missing = Math.ceil((bytes - memory.buffer.byteLength) / PAGE_BYTES);
  if (missing <= 0) return false;
  granted(bytes, () => memory.grow(missing));
  return true;
}

function granted<T>(bytes: number, ask: () => T): T {
  try {
    return ask();
  } catch (cause) {
    throw noMemory(bytes, cause);
  }
}
