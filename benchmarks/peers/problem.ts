import { nameOf, type SeededData, type Size, seededData } from '../common/sizes.ts';
import { createModel } from '../common/steps.ts';
import { withOpen } from '../common/with-open.ts';

/** The same weights and the same batch for everybody. */
export interface Problem {
  readonly size: Size;
  readonly data: SeededData;
  /** Float32 weights and their shapes by PyTorch's names. */
  readonly weights: ReadonlyMap<string, { readonly data: Float32Array; readonly shape: readonly number[] }>;
}

/** A library on one problem. */
export interface Peer {
  readonly name: string;
  readonly threads: number;
  /** Mean cross-entropy of the batch; what must agree before anything is timed. */
  readonly loss: number;
  /** Repeats the step for so long; the median of the single steps, in seconds. */
  measure(seconds: number): Promise<number>;
  close(): Promise<void>;
}

export async function problemOf(size: Size): Promise<Problem> {
  const state = await withOpen([createModel(size, 0)], async (model) => model.stateDict());
  const weights = Object.entries(state).map(
    ([name, { data, shape }]) => [name, { data: Float32Array.from(data), shape }] as const,
  );
  return { size, data: seededData(size), weights: new Map(weights) };
}

/** A weight by its name. */
export function weightOf({ size, weights }: Problem, name: string) {
  const found = weights.get(name);
  if (!found) throw new RangeError(`The model of size ${nameOf(size)} has no ${name}.`);
  return found;
}

/** How far losses in float32 may lie apart that were summed in different orders. */
const LOSS_TOLERANCE = 1e-4;

/** Throws where a peer computes another loss: it would not be the same work that is timed. */
export function checkLoss(peer: Peer, expected: number): void {
  const off = Math.abs(peer.loss - expected) / expected;
  if (!(off <= LOSS_TOLERANCE)) {
    throw new Error(`${peer.name} computes the loss ${peer.loss}, elman ${expected}: not the same model.`);
  }
}

/** The frames of a batch of one sequence. */
export function framesOf({ size, data }: Problem): Float32Array[] {
  const values = Float32Array.from(data.x.data);
  return Array.from({ length: size.T }, (_, t) => values.subarray(t * size.I, (t + 1) * size.I));
}

/** Softmax cross-entropy of one row of logits. */
export function lossOfLogits(logits: ArrayLike<number>, label: number): number {
  const values = Array.from(logits);
  return logSumExp(values) - values[label];
}

/** log Σ exp(y): a logit less this is the logarithm of its class's probability. */
export function logSumExp(logits: readonly number[]): number {
  const largest = Math.max(...logits);
  return Math.log(logits.reduce((sum, y) => sum + Math.exp(y - largest), 0)) + largest;
}
