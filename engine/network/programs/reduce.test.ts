import { describe, expect, it } from 'vitest';
import { wasmExports, wasmModule } from '../../kernels/wasm-kernels.ts';
import { Random } from '../../numeric/random.ts';
import { treeSum } from './reduce.ts';

describe('the tree along which lanes are added', () => {
  it('groups neighbours: ((0 + 1) + (2 + 3)) + 4', () => {
    // Added from the left these would come to 2 ** -53 less, one rounding after the other.
    const tiny = 2 ** -53;
    const values = Float64Array.of(1, 0, tiny, tiny, 0);
    expect(treeSum(values, 0, 1, 5)).toBe(1 + 2 * tiny);
    expect([...values].reduce((a, b) => a + b)).toBe(1);
  });

  it('is the same for losses as for gradients, for any number of lanes', () => {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 65_536, shared: true });
    const kernels = wasmExports(wasmModule('float64'), memory);
    const random = new Random(3);
    for (let lanes = 1; lanes <= 64; lanes++) {
      const values = Float64Array.from({ length: 2 * lanes }, () => random.normal());
      new Float64Array(memory.buffer, 1024, 2 * lanes).set(values);
      kernels.reduceLanes(1024, 16, lanes, 16, 4096, 0, 1);
      const [first, second] = new Float64Array(memory.buffer, 4096, 2);
      expect([treeSum(values, 0, 2, lanes), treeSum(values, 1, 2, lanes)]).toEqual([first, second]);
    }
  });
});
