import { newReals, type RealArray } from '../numeric/reals.ts';
import { ALONE } from '../parallel/program.ts';
import { Tensor } from '../tensor.ts';
import { type Block, everyState } from './lanes/block.ts';
import type { BatchMemory } from './memory/batch-memory.ts';
import type { Geometry } from './memory/geometry.ts';
import { SortedBatch } from './memory/sorted-batch.ts';
import type { Network } from './network.ts';

/** What a forward that is kept leaves in memory. */
export interface KeptForward {
  readonly plan: BatchMemory;
  readonly fromRest: boolean;
  readonly lengths: Int32Array;
}

/** Reads the states out of the lanes' workspaces. */
export function readHiddens(network: Network, kept: KeptForward): Tensor[] {
  const { g, thread } = network;
  const { rows, time } = kept.plan.spec;
  const states = Array.from({ length: time + 1 }, () =>
    newReals(g.dtype, g.stateCount * rows * g.hiddenSize),
  );
  const { lengths } = kept;
  const batch = new SortedBatch(rows).fill({ lengths, counted: new Int32Array(rows) }, 0, null);
  const pass = { dropoutKey: null, fromRest: kept.fromRest };
  const { reals } = thread.tools(ALONE);
  for (let lane = 0; lane < kept.plan.lanes; lane++) {
    for (const block of thread.blocksOf(lane, batch, kept.plan, pass, ALONE)) {
      copyStates(g, block, reals, states);
    }
  }
  return states.map((state) => new Tensor(state, [g.stateCount, rows, g.hiddenSize]));
}

function copyStates(g: Geometry, block: Block, reals: RealArray, states: RealArray[]): void {
  // In reverse, too, state t lies between frames t − 1 and t; the one after the last frame is the initial state.
  const { rows } = block.workspace;
  everyState(block, (cell, state, number) => {
    const h = cell.states[state];
    for (let i = 0; i < block.count; i++) {
      const to = (number * block.batch.rows + block.batch.positions[block.firstRank + i]) * g.hiddenSize;
      for (let t = 0; t <= block.batch.lengths[block.firstRank + i]; t++) {
        const row = h.at + (t * rows + i) * h.pitch;
        for (let j = 0; j < g.hiddenSize; j++) {
          const at = row + Math.floor(j / g.columns) * h.stride;
          states[t][to + j] = reals[at / g.realBytes + (j % g.columns)];
        }
      }
    }
  });
}
