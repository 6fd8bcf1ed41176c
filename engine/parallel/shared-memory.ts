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

/** V8 looks for garbage when so many bytes of ordinary buffers have been added; the system gives untouched ones of this size no pages. */
const NOTICED_BYTES = 2 ** 26;
let unnoticed = 0;

/**
 * Has V8 look for garbage when so much of what newMemory gave is garbage: it does not count shared memory, and
 * would leave any amount of it where it is for as long as little else is allocated. Ordinary buffers do count: these are
 * dropped as soon as they are made.
 */
export function countAsGarbage(bytes: number): void {
  try {
    for (unnoticed += bytes; unnoticed >= NOTICED_BYTES; unnoticed -= NOTICED_BYTES)
      void new ArrayBuffer(NOTICED_BYTES);
  } catch {
    // There is no room for it: V8 has looked for garbage already.
    unnoticed = 0;
  }
}
