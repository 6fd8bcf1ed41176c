import { describe, expect, it } from 'vitest';
import { PAGE_BYTES } from './memory-map.ts';
import { growTo, newMemory } from './shared-memory.ts';

describe('shared memory', () => {
  it('is made in whole pages, grows to what is asked for, and keeps what it holds', () => {
    const memory = newMemory(PAGE_BYTES + 1);
    expect(memory.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect(memory.buffer.byteLength).toBe(2 * PAGE_BYTES);
    new Uint8Array(memory.buffer)[PAGE_BYTES] = 7;
    growTo(memory, 2 * PAGE_BYTES);
    expect(memory.buffer.byteLength).toBe(2 * PAGE_BYTES);
    growTo(memory, 2 * PAGE_BYTES + 1);
    expect(memory.buffer.byteLength).toBe(3 * PAGE_BYTES);
    expect(new Uint8Array(memory.buffer)[PAGE_BYTES]).toBe(7);
  });

  it('that cannot be had is an error of this library, with its size', () => {
    const refusal = expect.objectContaining({
      code: 'MEMORY_TOO_LARGE',
      message: expect.stringContaining('the system refuses 8192.0 MiB of memory'),
    });
    expect(() => newMemory(2 ** 33)).toThrow(refusal);
    expect(() => growTo(newMemory(1), 2 ** 33)).toThrow(refusal);
  });
});
