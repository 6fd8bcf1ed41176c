import { describe, expect, it } from 'vitest';
import { betterCore } from './openblas-core.ts';

const avx512 = new Set(['avx2', 'fma', 'avx512f', 'avx512vl']);

describe('the kernel of OpenBLAS', () => {
  it('is asked for where a new processor got an old one', () => {
    expect(betterCore('Prescott', avx512)).toBe('SkylakeX');
    expect(betterCore('Nehalem', new Set(['avx2', 'fma']))).toBe('Haswell');
    // The AVX-512 kernels need more than its foundation.
    expect(betterCore('Prescott', new Set(['avx2', 'fma', 'avx512f']))).toBe('Haswell');
  });

  it('is left alone where it uses AVX, or there is none', () => {
    expect(betterCore('SkylakeX', avx512)).toBeUndefined();
    expect(betterCore('Zen', avx512)).toBeUndefined();
    expect(betterCore('Prescott', new Set(['sse3']))).toBeUndefined();
  });
});
