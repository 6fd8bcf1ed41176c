import { describe, expect, it, vi } from 'vitest';
import { readSequences } from '../data/read-sequences.ts';
import type { Sequences } from '../data/sequences.ts';
import { shapeOf } from '../testing/shapes.ts';
import { extentOf, planCall, planEpoch, reserveEvaluation } from './call-plan.ts';
import { EngagementPolicy } from './engagement.ts';
import { type BatchSpec, planBatch } from './memory/batch-memory.ts';
import { geometryOf, type NetworkShape } from './memory/geometry.ts';
import type { Network } from './network.ts';

const small = shapeOf({ inputSize: 3, hiddenSize: 16, outputSize: 300, numLayers: 1 });

/** A network that makes room without memory, and says which threads it was asked for. */
function networkOf(shape: NetworkShape) {
  const g = geometryOf(shape, 'float32');
  const engagement = new EngagementPolicy(g, 64);
  const spies = { ofCall: vi.spyOn(engagement, 'ofCall'), ofEpoch: vi.spyOn(engagement, 'ofEpoch') };
  const reserve = vi.fn((spec: BatchSpec) => planBatch(g, spec));
  return { network: { g, engagement, reserve } as unknown as Network, reserve, ...spies };
}

describe('the extent of a call', () => {
  it('counts the frames that are to be copied: none of those in shared memory', () => {
    const shape = [2, 4, 3];
    const lengths = [1, 3];
    const own = readSequences('x', { data: new Float32Array(24), shape, lengths }, 3, 'float32');
    const extent = { rows: 2, steps: 3, time: 4, frames: 4 };
    expect(extentOf(own)).toEqual({ ...extent, inputFrames: 4 });
    const data = new Float32Array(new SharedArrayBuffer(4 * 24));
    const shared = readSequences('x', { data, shape, lengths }, 3, 'float32');
    expect(extentOf(shared)).toEqual({ ...extent, inputFrames: 0 });
  });
});

describe('an evaluation', () => {
  it('goes in parts of 1,024 rows, each as long as its own longest, and has room for all', () => {
    const { network, reserve, ofCall } = networkOf(small);
    ofCall.mockReturnValue({ parties: 1, here: true });
    const lengths = new Int32Array(2_050).fill(3);
    lengths[1_500] = 7;
    lengths[2_049] = 99;
    reserveEvaluation(network, { lengths } as Sequences, 4_096);
    const parts = reserve.mock.calls.map(([{ rows, steps, start }]) => ({ rows, steps, start }));
    expect(parts).toEqual([
      { rows: 1_024, steps: 3, start: 4_096 },
      { rows: 1_024, steps: 7, start: 4_096 },
      { rows: 2, steps: 99, start: 4_096 },
    ]);
  });
});

describe('the plan of a call', () => {
  const extent = { rows: 128, steps: 3, time: 4, frames: 300, inputFrames: 200 };

  it('has its extent, its kind, and as many threads as are engaged', () => {
    const { network, ofCall } = networkOf(small);
    ofCall.mockReturnValue({ parties: 5, here: false });
    const kind = { inputGradient: true, labels: 7 };
    const { plan, engagement } = planCall(network, 'backward', extent, 640, kind);
    const sizes = { start: 640, rows: 128, steps: 3, time: 4, inputFrames: 200 };
    expect(plan.spec).toMatchObject({ ...sizes, ...kind, threads: 5 });
    expect(engagement).toEqual({ parties: 5, here: false });
    expect(ofCall).toHaveBeenCalledWith('backward', { rows: 128, frames: 300, lanes: 16 });
  });

  it('counts lanes as the batch is cut: into fewer where each has, or is to have, a large gradient', () => {
    const { network, ofCall } = networkOf({ ...small, hiddenSize: 2_000 });
    const lanesOf = (kind: object) => planCall(network, 'forward', extent, 0, kind).plan.lanes;
    expect([{}, { gradients: true }, { keep: true }].map(lanesOf)).toEqual([32, 3, 3]);
    expect(ofCall.mock.calls.map(([, { lanes }]) => lanes)).toEqual([32, 3, 3]);
  });
});

describe('the plan of an epoch', () => {
  const dataOf = (...lengths: number[]) => ({ lengths: Int32Array.from(lengths) }) as Sequences;
  const rowsOf = (rows: number) => dataOf(...Array<number>(rows).fill(2));

  it('has the longest row’s steps, and threads for as many frames as a batch has on average', () => {
    const { network, ofEpoch } = networkOf(small);
    ofEpoch.mockReturnValue(3);
    const { spec } = planEpoch(network, dataOf(10, 20, 30, 10, 30), 2, 640);
    expect(spec).toMatchObject({ start: 640, rows: 2, steps: 30, time: 30, threads: 3, inputFrames: 0 });
    expect(spec).toMatchObject({ gradients: true, results: false, dropout: false });
    expect(ofEpoch).toHaveBeenCalledWith({ rows: 2, frames: 40, lanes: 1 }, 3);
  });

  it('has no more rows than there are, fewer lanes for large gradients, and masks where units are dropped', () => {
    const { network, ofEpoch } = networkOf({ ...small, hiddenSize: 2_000, dropout: 0.5 });
    expect(planEpoch(network, rowsOf(40), 64, 0).spec).toMatchObject({ rows: 40, dropout: true });
    expect(ofEpoch).toHaveBeenCalledWith({ rows: 40, frames: 80, lanes: 3 }, 1);
  });

  it('makes room for whole batches and for the last one, which may be cut into more lanes', () => {
    const { network, reserve } = networkOf(small);
    const ends = [32, 40, 56].map((rows) => planEpoch(network, rowsOf(rows), 32, 0).end);
    expect(reserve.mock.calls.map(([{ rows }]) => rows)).toEqual([32, 32, 8, 32, 24]);
    const [whole, , few, , many] = reserve.mock.results.map(({ value }) => value.end);
    expect(few).toBeLessThan(whole);
    expect(many).toBeGreaterThan(whole);
    expect(ends).toEqual([whole, whole, many]);
  });
});
