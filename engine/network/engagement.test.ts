import { describe, expect, it, vi } from 'vitest';
import { shapeOf } from '../testing/shapes.ts';
import { EngagementPolicy } from './engagement.ts';
import { geometryOf, type NetworkShape } from './memory/geometry.ts';

vi.mock('../parallel/spin.ts', () => ({ CORES: 4 }));

const HERE = { parties: 1, here: true };

/** A frame takes 100,000 operations, and a row's output 20,000. */
const shape = shapeOf({ inputSize: 200, hiddenSize: 100, outputSize: 100, numLayers: 2 });

const policyOf = (threads: number, variant: Partial<NetworkShape> = {}) =>
  new EngagementPolicy(geometryOf({ ...shape, ...variant }, 'float32'), threads);

/** Hidden units have weights for one another, and hardly any besides: 998 of them have just below a million, 999 a million. */
const policyOfWeights = (threads: number, hiddenSize: number) =>
  policyOf(threads, { inputSize: 1, hiddenSize, outputSize: 1, numLayers: 1, bias: false });

describe('the threads of a call', () => {
  it('are one for every million operations, if there are so many threads and lanes', () => {
    const batch = { rows: 100, frames: 40, lanes: 64 };
    expect(policyOf(64).ofCall('forward', batch).parties).toBe(6);
    expect(policyOf(64).ofCall('backward', batch).parties).toBe(12);
    expect(policyOf(64).ofCall('gradients', batch).parties).toBe(18);
    expect(policyOf(64, { output: 'steps' }).ofCall('forward', batch).parties).toBe(4);
    expect(policyOf(5).ofCall('forward', batch).parties).toBe(5);
    expect(policyOf(64).ofCall('forward', { ...batch, lanes: 3 }).parties).toBe(3);
  });

  it('are the calling one alone for less than four million operations, or where there are no others', () => {
    const batch = { rows: 50, frames: 30, lanes: 64 };
    expect(policyOf(64).ofCall('forward', batch)).toEqual({ parties: 4, here: true });
    expect(policyOf(64).ofCall('forward', { ...batch, rows: 49 })).toEqual(HERE);
    expect(policyOf(0).ofCall('forward', batch)).toEqual(HERE);
  });

  it('have the calling one among them for less than a hundred million operations, but never without another', () => {
    const batch = { rows: 100, frames: 980, lanes: 2 };
    expect(policyOf(2).ofCall('forward', batch)).toEqual({ parties: 2, here: false });
    expect(policyOf(2).ofCall('forward', { ...batch, rows: 99 })).toEqual({ parties: 2, here: true });
    expect(policyOf(2).ofCall('forward', { rows: 99, frames: 980, lanes: 1 })).toEqual({
      parties: 1,
      here: false,
    });
  });

  it('have the calling one among them only where it has less than a million parameters to pack', () => {
    const batch = { rows: 2, frames: 10, lanes: 2 };
    expect(policyOfWeights(2, 999).ofCall('forward', batch)).toEqual({ parties: 2, here: false });
    expect(policyOfWeights(2, 998).ofCall('forward', batch)).toEqual({ parties: 2, here: true });
  });
});

describe('the threads of an epoch', () => {
  /** 3.6 million operations in a step. */
  const batch = { rows: 10, frames: 10, lanes: 64 };

  it('are one for every million operations of a step, if there are so many threads and lanes', () => {
    expect(policyOf(64).ofEpoch(batch, 1)).toBe(3);
    expect(policyOf(2).ofEpoch(batch, 1)).toBe(2);
    expect(policyOf(64).ofEpoch({ ...batch, lanes: 2 }, 1)).toBe(2);
    expect(policyOf(64).ofEpoch({ ...batch, rows: 1, frames: 1 }, 1)).toBe(1);
    expect(policyOf(0).ofEpoch(batch, 1_000)).toBe(1);
  });

  it('are more where the epoch is long, if each has a core', () => {
    expect(policyOf(64).ofEpoch(batch, 27)).toBe(3);
    expect(policyOf(64).ofEpoch(batch, 28)).toBe(4);
    expect(policyOf(3).ofEpoch(batch, 28)).toBe(3);
    expect(policyOf(64).ofEpoch({ ...batch, frames: 20 }, 1_000)).toBe(6);
    // 0.72 million operations.
    expect(policyOf(64).ofEpoch({ rows: 2, frames: 2, lanes: 64 }, 1_000)).toBe(1);
    // 1.08 million.
    expect(policyOf(64).ofEpoch({ rows: 3, frames: 3, lanes: 64 }, 1_000)).toBe(2);
  });
});

describe('the threads of an optimizer’s step', () => {
  it('are one for every hundred thousand parameters, the calling one where that is none or one', () => {
    expect(policyOfWeights(64, 446).ofUpdate()).toEqual(HERE);
    expect(policyOfWeights(64, 447).ofUpdate()).toEqual({ parties: 2, here: false });
    expect(policyOfWeights(64, 999).ofUpdate()).toEqual({ parties: 10, here: false });
    expect(policyOfWeights(3, 999).ofUpdate()).toEqual({ parties: 3, here: false });
    expect(policyOfWeights(1, 999).ofUpdate()).toEqual(HERE);
  });
});
