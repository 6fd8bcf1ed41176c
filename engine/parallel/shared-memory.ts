import { noMemory } from '../errors.ts';
import { MEMORY_LIMIT_BYTES, PAGE_BYTES } from './memory-map.ts';

/** A memory that threads and WebAssembly share. Throws MEMORY_TOO_LARGE where the system has none of this size. */
export function newMemory(bytes: number): WebAssembly.Memory {
  const [initial, maximum] = [Math.ceil(bytes / PAGE_BYTES), MEMORY_LIMIT_BYTES / PAGE_BYTES];
  return granted(bytes, () => new WebAssembly.Memory({ initial, maximum, shared: true }));
}

/**
 * Grows a memory to `bytes` bytes, unless it is that large; returns whether it has grown. Throws
 * MEMORY_TOO_LARGE where the system has no more.
 */
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

/**
 * After this many bytes of new ordinary buffers V8 looks for garbage. The system gives buffers of this
 * size no pages until they are touched.
 */
const NOTICED_BYTES = 2 ** 26;
let unnoticed = 0;

/**
 * Tells V8 that `bytes` bytes from newMemory are garbage. V8 does not count shared memory, and would keep any amount of
 * it for as long as little else is allocated. It does count ordinary buffers: so some are made, and dropped at once.
 */
export function countAsGarbage(bytes: number): void {
  try {
    for (unnoticed += bytes; unnoticed >= NOTICED_BYTES; unnoticed -= NOTICED_BYTES)
      void new ArrayBuffer(NOTICED_BYTES);
  } catch {
    // There is no room for the buffer: V8 has looked for garbage already.
    unnoticed = 0;
  }
}
