import { describe, expect, it } from 'vitest';
import { betterCore } from './openblas.ts';

const avx512 = new Set(['avx2', 'fma', 'avx512f', 'avx512vl']);

describe('the kernel of OpenBLAS', () => {
  it('is asked for where a new processor got an old one', () => {
    expect(betterCore('Prescott', avx512)).toBe('SKYLAKEX');
    expect(betterCore('Nehalem', new Set(['avx2', 'fma']))).toBe('HASWELL');
  });

  it('is left alone where it uses AVX, or there is none', () => {
    expect(betterCore('SkylakeX', avx512)).toBeUndefined();
    expect(betterCore('Zen', avx512)).toBeUndefined();
    expect(betterCore('Prescott', new Set(['sse3']))).toBeUndefined();
  });
});
