import { describe, expect, it } from 'vitest';
import { parseCommandLine } from '../../cli/common/command-line.ts';
import {
  forwardFlops,
  nameOf,
  parseSize,
  SIZE_LIST,
  SIZES,
  seededData,
  sizesOf,
  stepFlops,
} from './sizes.ts';

describe('sizes', () => {
  it('counts the multiplications and additions of a forward pass', () => {
    // Layer 0: 2·2·3·5·(4 + 5) = 540; layer 1: 2·2·3·5·(5 + 5) = 600; output: 2·2·5·48 = 960.
    expect(forwardFlops({ B: 2, T: 3, I: 4, H: 5, L: 2 })).toBe(540 + 600 + 960);
  });

  it('counts a step as three forward passes less dx of the first layer', () => {
    // 3 · 2100 − 2·2·3·5·4
    expect(stepFlops({ B: 2, T: 3, I: 4, H: 5, L: 2 })).toBe(6300 - 240);
  });

  it('reads the names it writes, and nothing else', () => {
    for (const size of SIZES) expect(parseSize(nameOf(size))).toEqual(size);
    for (const wrong of ['', '1,2,3,4', '1,2,3,4,0', '1,2,3,4,x', '1,2,3,4,5,6']) {
      expect(() => parseSize(wrong)).toThrow(RangeError);
    }
  });

  it('says which option has a size that is none', () => {
    const args = ['--sizes', '1,2,3,4,5;1,2,3,4'];
    const message = '--sizes: expected five whole numbers B,T,I,H,L, got 1,2,3,4';
    expect(() => parseCommandLine({ sizes: SIZE_LIST }, args)).toThrow(message);
  });

  it('has quick sizes, and they are among all', () => {
    expect(sizesOf(true).length).toBeGreaterThan(1);
    expect(SIZES).toEqual(expect.arrayContaining([...sizesOf(true)]));
  });

  it('makes the same data in every run, in shared memory or not', () => {
    const size = { B: 3, T: 4, I: 5, H: 6, L: 1 };
    const [shared, own] = [seededData(size), seededData(size, { shared: false })];
    expect(shared.x.data.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect([...own.x.data]).toEqual([...shared.x.data]);
    expect([...own.labels]).toEqual([...shared.labels]);
    expect(shared.x.data).toHaveLength(3 * 4 * 5);
  });
});
