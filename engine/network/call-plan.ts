import { longest, type SequenceInput, total } from '../data/read-sequences.ts';
import type { Sequences } from '../data/sequences.ts';
import type { Engagement } from '../parallel/team.ts';
import {
  type BatchKind,
  type BatchMemory,
  type BatchSpec,
  batchSpec,
  lanesOf,
} from './memory/batch-memory.ts';
import type { Network } from './network.ts';

/** Plans calls: how their batch lies in memory, and which threads compute it. */

/** Rows that `predict` and `evaluate` compute in one call; more are computed in several. */
export const ROWS_PER_CALL = 1_024;

/** How large a call's batch is. */
interface Extent {
  readonly rows: number;
  /** Steps of the longest row. */
  readonly steps: number;
  /** Steps per row of the caller's x, padding included. */
  readonly time: number;
  /** Frames of all rows together. */
  readonly frames: number;
  /** How many of them are to be copied into the call's memory. */
  readonly inputFrames: number;
}

export const extentOf = ({ rows, steps, time, frames, shared }: SequenceInput): Extent => ({
  rows,
  steps,
  time,
  frames,
  inputFrames: shared ? 0 : frames,
});

interface PlannedCall {
  readonly plan: BatchMemory;
  readonly engagement: Engagement;
}

/** Plans a call and makes room for it from `start` on. Throws MEMORY_TOO_LARGE before it changes anything. */
export function planCall(
  network: Network,
  call: 'forward' | 'backward' | 'gradients',
  { rows, steps, time, frames, inputFrames }: Extent,
  start: number,
  kind: BatchKind = {},
): PlannedCall {
  const lanes = lanesOf(network.g, { rows, gradients: kind.gradients, keep: kind.keep });
  const engagement = network.engagement.ofCall(call, { rows, frames, lanes });
  const sizes = { start, rows, steps, time, threads: engagement.parties, inputFrames };
  return { plan: network.reserve(batchSpec(sizes, kind)), engagement };
}

/** The parts in which `evaluate` goes through a data set. */
export function* partsOf({ lengths }: Sequences): Generator<{ first: number; lengths: Int32Array }> {
  for (let first = 0; first < lengths.length; first += ROWS_PER_CALL)
    yield { first, lengths: lengths.subarray(first, Math.min(lengths.length, first + ROWS_PER_CALL)) };
}

/** Plans the forward pass of such a part, by the lengths of its rows. */
export function planPart(network: Network, lengths: Int32Array, start: number): PlannedCall {
  const steps = longest(lengths);
  const extent = { rows: lengths.length, steps, time: steps, frames: total(lengths), inputFrames: 0 };
  return planCall(network, 'forward', extent, start);
}

/** Makes room for every part of an evaluation. Throws MEMORY_TOO_LARGE. */
export function reserveEvaluation(network: Network, data: Sequences, start: number): void {
  for (const { lengths } of partsOf(data)) planPart(network, lengths, start);
}

/**
 * Plans the batches of an epoch, makes room for every one of them, and says where that room ends. The last
 * batch, where it is smaller, is cut into other lanes, and may need more than a whole one.
 */
export function planEpoch(
  network: Network,
  data: Sequences,
  batchSize: number,
  start: number,
): { spec: BatchSpec; end: number } {
  const { g } = network;
  const allRows = data.lengths.length;
  const rows = Math.min(batchSize, allRows);
  const frames = (total(data.lengths) / allRows) * rows;
  const lanes = lanesOf(g, { rows, gradients: true });
  const threads = network.engagement.ofEpoch({ rows, frames, lanes }, Math.ceil(allRows / rows));
  const steps = longest(data.lengths);
  const spec = batchSpec(
    { start, rows, steps, time: steps, threads, inputFrames: 0 },
    { gradients: true, results: false, dropout: g.dropout > 0 },
  );
  const { end } = network.reserve(spec);
  const last = allRows % rows;
  return { spec, end: last === 0 ? end : Math.max(end, network.reserve({ ...spec, rows: last }).end) };
}
