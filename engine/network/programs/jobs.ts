import { BACKWARD, BOTH, FORWARD, NEITHER, type Passes } from '../../cells/pack-cell.ts';
import type { Sequences } from '../../data/sequences.ts';
import type { RealArray } from '../../numeric/reals.ts';
import type { OptimizerSpec } from '../../optimization/optimizers.ts';
import type { ScheduleSpec } from '../../optimization/schedules.ts';
import type { LossSpec } from '../lanes/loss.ts';
import type { BatchSpec } from '../memory/batch-memory.ts';

/** What the threads of a model are to do: plain data, since it is sent to them as a message. */
export type Job =
  | ({ kind: 'forward' } & ForwardCall)
  | ({ kind: 'backward' } & BackwardCall)
  | ({ kind: 'gradients' } & GradientsCall)
  | ({ kind: 'update' } & UpdateCall)
  | ({ kind: 'epoch' } & Epoch);

/** The passes that each kind of job packs weights for. */
export const PASSES = {
  forward: FORWARD,
  backward: BACKWARD,
  gradients: BOTH,
  update: NEITHER,
  epoch: BOTH,
} as const satisfies Record<Job['kind'], Passes>;

/** The rows of a data set that a call is to compute. */
export interface Rows {
  readonly first: number;
  /** The data set, or null where the caller has put the rows into the batch's own memory. */
  readonly data: Sequences | null;
  /** The frames, where the caller has them in shared memory of its own. */
  readonly values: RealArray | null;
}

export interface ForwardCall {
  readonly spec: BatchSpec;
  readonly rows: Rows;
  /** Whether all initial states are zeros. */
  readonly fromRest: boolean;
  /** Logits, their softmax in their place, or logits and the loss against the rows' labels. */
  readonly result: 'logits' | 'probabilities' | 'logits and loss';
}

export interface BackwardCall {
  readonly spec: BatchSpec;
  /** The batch of the forward pass it goes back through. */
  readonly kept: BatchSpec;
  /** Whether all initial states are zeros. */
  readonly fromRest: boolean;
}

export interface GradientsCall {
  readonly spec: BatchSpec;
  readonly rows: Rows;
  /** Whether all initial states are zeros. */
  readonly fromRest: boolean;
  readonly loss: LossSpec;
  /** Key of the masks of this call (see dropout.ts); null where no unit is dropped. */
  readonly dropoutKey: number | null;
}

export interface UpdateCall {
  readonly optimizer: OptimizerSpec;
  readonly learningRate: number;
  readonly clipNorm: number | null;
}

/** One epoch of training. */
export interface Epoch {
  readonly spec: BatchSpec;
  readonly data: Sequences;
  /** Order of the data set's rows in this epoch. */
  readonly permutation: Uint32Array;
  readonly optimizer: OptimizerSpec;
  readonly learningRate: number;
  readonly schedule: ScheduleSpec;
  /** The steps of the epoch to be done: `firstStep` to `endStep` − 1. */
  readonly firstStep: number;
  readonly endStep: number;
  /** Steps before this epoch and in all epochs, for the schedule. */
  readonly stepsBefore: number;
  readonly stepsInAll: number;
  readonly clipNorm: number | null;
  readonly loss: LossSpec;
  /** Seed of the dropout masks. */
  readonly seed: number;
  /** Whether a step that is not finite is left out, instead of ending the training. */
  readonly skipNotFinite: boolean;
  /** The outcome of each step of the epoch (see step-log.ts), in shared memory. */
  readonly log: Float64Array;
}
