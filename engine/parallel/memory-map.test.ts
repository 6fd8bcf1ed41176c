import { describe, expect, it } from 'vitest';
import { MemoryMap } from './memory-map.ts';

describe('memory map', () => {
  it('lays regions out one after the other, each on a cache line', () => {
    const map = new MemoryMap(100);
    const first = map.add('first', 1);
    const second = map.add('second', 64);
    const third = map.add('third', 0);
    expect([first, second, third, map.end]).toEqual([128, 192, 256, 256]);
  });

  it('holds exactly 4 GiB and refuses a byte more, with the sizes of the largest regions', () => {
    const map = new MemoryMap(0);
    map.add('all but a line', 2 ** 32 - 64);
    map.add('the last line', 64);
    expect(map.end).toBe(2 ** 32);
    expect(() => map.add('one byte more', 1)).toThrow(
      /must fit into 4096\.0 MiB.*all but a line 4096\.0 MiB/,
    );
  });
});
