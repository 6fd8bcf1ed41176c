import { fc } from '@fast-check/vitest';
import { describe, expect } from 'vitest';
import { ElmanError } from '../engine/errors.ts';
import type { KernelMaker } from '../engine/kernels/makers.ts';
import {
  type BatchSpec,
  batchSpec,
  blockWorkspace,
  lanesOf,
  planBatch,
} from '../engine/network/memory/batch-memory.ts';
import { geometryOf, type OutputMode } from '../engine/network/memory/geometry.ts';
import { laneCount, laneStart, largestBlock, smallestLane } from '../engine/network/memory/lane-plan.ts';
import { planModel } from '../engine/network/memory/model-memory.ts';
import { orderByLength } from '../engine/network/memory/sorted-batch.ts';
import type { Dtype } from '../engine/numeric/reals.ts';
import { MEMORY_LIMIT_BYTES, type Region } from '../engine/parallel/memory-map.ts';
import { shapeOf } from '../engine/testing/shapes.ts';
import { law } from './profile.ts';

/** The plan of memory, for sizes up to the edge of what a memory can hold: pure, nothing is allocated. */

const LINE_BYTES = 64;
const size = (max: number) => fc.oneof(fc.integer({ min: 1, max: 17 }), fc.integer({ min: 1, max }));
const shape = fc
  .record({
    inputSize: size(2_000),
    hiddenSize: size(4_000),
    outputSize: size(1_000),
    numLayers: fc.integer({ min: 1, max: 6 }),
    bidirectional: fc.boolean(),
    bias: fc.boolean(),
    output: fc.constantFrom<OutputMode>('last', 'mean', 'steps'),
    normalized: fc.boolean(),
  })
  .map(shapeOf);
const dtype = fc.constantFrom<Dtype>('float32', 'float64');
const maker = fc.constantFrom<KernelMaker>('wasm', 'blas');
const batch = fc.record({
  rows: size(5_000),
  steps: size(2_000),
  threads: fc.integer({ min: 1, max: 64 }),
  keep: fc.boolean(),
  gradients: fc.boolean(),
  results: fc.boolean(),
  inputGradient: fc.boolean(),
  finalStates: fc.boolean(),
  dropout: fc.boolean(),
  labels: size(100_000),
});

/** Every region begins on a cache line, where the one before ended; together they fill start … end. */
function expectTiling(regions: readonly Region[], start: number, end: number): void {
  let at = start;
  for (const region of regions) {
    expect(region.at % LINE_BYTES, region.name).toBe(0);
    expect(region.at, `${region.name} begins where the one before ends`).toBe(at);
    at = Math.ceil((region.at + region.bytes) / LINE_BYTES) * LINE_BYTES;
  }
  expect(at).toBe(end);
  expect(end).toBeLessThanOrEqual(MEMORY_LIMIT_BYTES);
}

/** Runs `plan`, or makes sure that it refused for want of room. */
function planned<T>(plan: () => T): T | null {
  try {
    return plan();
  } catch (error) {
    expect(error).toBeInstanceOf(ElmanError);
    expect((error as ElmanError).code).toBe('MEMORY_TOO_LARGE');
    return null;
  }
}

describe('memory plan', () => {
  law(
    'regions of model and batch tile the memory',
    { shape, dtype, batch, maker },
    { cases: 100 },
    ({ shape, dtype, batch, maker }) => {
      const g = geometryOf(shape, dtype, maker);
      const model = planned(() => planModel(g, batch.threads));
      if (!model) return;
      expectTiling(model.regions, 0, model.end);
      const frames = batch.rows * batch.steps;
      const spec: BatchSpec = { ...batch, start: model.end, time: batch.steps, inputFrames: frames };
      const memory = planned(() => planBatch(g, spec));
      if (memory) expectTiling(memory.regions, model.end, memory.end);
    },
  );

  law(
    'the workspaces of all blocks fit into their region',
    { shape, dtype, batch, maker },
    { cases: 100 },
    ({ shape, dtype, batch, maker }) => {
      const g = geometryOf(shape, dtype, maker);
      const spec: BatchSpec = { ...batch, start: 0, time: batch.steps, inputFrames: 0 };
      const memory = planned(() => planBatch(g, spec));
      if (!memory) return;
      const places = batch.keep ? memory.lanes * memory.blocksPerLane : batch.threads;
      const last = memory.workspaces + (places - 1) * memory.workspaceBytes;
      const block = {
        rows: largestBlock(batch.rows, memory.lanes),
        steps: batch.steps,
        dropout: batch.dropout,
        lengths: new Int32Array(0),
      };
      const workspace = planned(() => blockWorkspace(g, last, block));
      if (workspace) expect(workspace.end).toBeLessThanOrEqual(memory.end);
      if (memory.workspaceBytes > 0) expect(memory.workspaceBytes % LINE_BYTES).toBe(0);
    },
  );

  law(
    'parameters lie one after the other without gap or overlap',
    { shape, dtype },
    { cases: 100 },
    ({ shape, dtype }) => {
      const g = geometryOf(shape, dtype);
      let offset = 0;
      for (const parameter of g.parameters) {
        expect(parameter.offset).toBe(offset);
        expect(parameter.size).toBe(parameter.shape.reduce((a, b) => a * b, 1));
        offset += parameter.size;
      }
      expect(g.parameterCount).toBe(offset);
      expect(g.paddedCount - offset).toBeLessThan(8);
      expect(g.paddedCount % 8).toBe(0);
    },
  );
});

describe('the memory of a training step', () => {
  law(
    'does not grow with the batch, once there are as many lanes as there may be and blocks are full',
    { shape, dtype, maker },
    { cases: 100 },
    ({ shape, dtype, maker }) => {
      const g = geometryOf(shape, dtype, maker);
      const bytes = (rows: number) => {
        const sizes = { rows, steps: 20, time: 20, threads: 4, inputFrames: 0, start: 0 };
        return planBatch(g, batchSpec(sizes, { gradients: true, results: false })).end;
      };
      expect(planned(() => bytes(1_000_000))).toBe(planned(() => bytes(64 * 16)));
    },
  );
});

describe('lane plan', () => {
  law(
    'only gradient buffers are a reason for fewer lanes than there are smallest ones',
    { sizes: shape, dtype, maker, rows: size(5_000) },
    { cases: 100 },
    ({ sizes, dtype, maker, rows }) => {
      const g = geometryOf(sizes, dtype, maker);
      const lanes = (gradients: boolean, keep: boolean) => lanesOf(g, { rows, gradients, keep });
      const laneRows = smallestLane(maker, rows, g.cells[0].W_ih.size + g.cells[0].W_hh.size);
      expect(lanes(false, false)).toBe(laneCount(rows, 0, laneRows));
      expect(lanes(true, false)).toBe(laneCount(rows, g.paddedCount * g.realBytes, laneRows));
      // A kept forward is cut as its backward will be.
      expect(lanes(false, true)).toBe(lanes(true, false));
    },
  );

  law(
    'lanes cover every row once, in whole tiles',
    {
      rows: size(5_000),
      gradientBytes: fc.integer({ min: 1, max: 2 ** 28 }),
      laneRows: fc.constantFrom(4, 8),
    },
    { cases: 100 },
    ({ rows, gradientBytes, laneRows }) => {
      const lanes = laneCount(rows, gradientBytes, laneRows);
      const starts = Array.from({ length: lanes + 1 }, (_, lane) => laneStart(lane, lanes, rows));
      expect(starts[0]).toBe(0);
      expect(starts[lanes]).toBe(rows);
      for (let lane = 0; lane < lanes; lane++) {
        expect(starts[lane] % 4).toBe(0);
        expect(starts[lane + 1]).toBeGreaterThan(starts[lane]);
      }
      const sizes = starts.slice(1, -1).map((start, lane) => start - starts[lane]);
      if (sizes.length > 0) expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(4);
    },
  );

  law(
    'rows are ordered from the longest to the shortest, equal ones as they came',
    { lengths: fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 200 }) },
    { cases: 100 },
    ({ lengths }) => {
      const order = new Int32Array(lengths.length);
      orderByLength(Int32Array.from(lengths), lengths.length, Math.max(...lengths), order);
      const expected = lengths.map((_, row) => row).sort((a, b) => lengths[b] - lengths[a] || a - b);
      expect([...order]).toEqual(expected);
    },
  );
});
