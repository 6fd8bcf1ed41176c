import { describe, expect, it } from 'vitest';
import { blocksPerLane, laneCount, laneStart, largestBlock, smallestLane } from './lane-plan.ts';

const KILOBYTE = 1024;

describe('lane plan', () => {
  it('makes a lane of every so many rows, up to 64', () => {
    const counts = [1, 4, 5, 32, 64, 256, 1000].map((rows) => laneCount(rows, KILOBYTE, 4));
    expect(counts).toEqual([1, 1, 2, 8, 16, 64, 64]);
  });

  it('makes fewer lanes where their gradient buffers would take more than 64 MiB together', () => {
    expect(laneCount(256, 4 * 2 ** 20, 4)).toBe(16);
    expect(laneCount(256, 2 ** 30, 4)).toBe(1);
    expect(laneCount(256, 0, 4)).toBe(64);
  });

  it('makes lanes of a tile of four rows, of two for a BLAS', () => {
    expect([smallestLane('wasm', 8, 513), smallestLane('blas', 20, 5_000)]).toEqual([4, 8]);
  });

  it('makes lanes of two tiles for few weights, where that is one lane or pairs of them', () => {
    expect([3, 8, 9, 16, 17, 24, 25, 64].map((rows) => smallestLane('wasm', rows, 512))).toEqual([
      8, 8, 8, 8, 4, 4, 8, 8,
    ]);
  });

  it('cuts between tiles and leaves the odd rows to the last lane', () => {
    expect([0, 1, 2, 3].map((lane) => laneStart(lane, 3, 21))).toEqual([0, 8, 16, 21]);
  });

  it('gives the rows of the largest block in whole tiles, sixteen at most', () => {
    expect([largestBlock(5, 2), largestBlock(100, 4), largestBlock(2000, 64)]).toEqual([4, 16, 16]);
  });

  it('gives the blocks of the largest lane', () => {
    expect([blocksPerLane(5, 2), blocksPerLane(65, 4), blocksPerLane(2000, 64)]).toEqual([1, 2, 2]);
  });
});
