import { normNotFinite } from '../errors.ts';
import { Real } from '../network/memory/control.ts';
import { stepCopies } from '../network/memory/model-memory.ts';
import type { Network } from '../network/network.ts';
import { readCounts, writeCounts } from '../network/programs/update-program.ts';
import { newReals, type RealArray } from '../numeric/reals.ts';
import { freshCounts, type OptimizerCounts, type OptimizerSpec } from '../optimization/optimizers.ts';

/** Moments and counts of an optimizer, outside of the model's memory. */
export interface OptimizerState {
  readonly first: RealArray;
  readonly second: RealArray;
  readonly counts: OptimizerCounts;
}

/** The slot whose state is in a model's memory, which has room for only one. */
const residents = new WeakMap<Network, OptimizerSlot>();

/**
 * An optimizer's state, wherever it is: in its model's memory, or put aside. It refers to no memory but
 * its own, so that an optimizer keeps nothing of a closed model alive.
 */
export class OptimizerSlot {
  readonly spec: OptimizerSpec;
  /** Null before it was first used, and while it is in the model's memory. */
  #aside: OptimizerState | null = null;

  constructor(spec: OptimizerSpec) {
    this.spec = spec;
  }

  /** One step from the accumulated gradients. Rejects with NOT_FINITE or WORKER_LOST, and nothing has changed. */
  async step(network: Network, clipNorm: number | null, rate = this.spec.learningRate): Promise<void> {
    this.moveIn(network);
    const job = { kind: 'update', optimizer: this.spec, learningRate: rate, clipNorm } as const;
    await network.runAndTakeOver(job, network.engagement.ofUpdate(), stepCopies(network.model));
    const norm = network.control.reals[Real.gradientNorm];
    if (!Number.isFinite(norm)) throw normNotFinite(norm);
    const { reals } = network.control;
    writeCounts(reals, 0, readCounts(reals, 1));
  }

  /** Brings the state into the model's memory; another one that is there is put aside. */
  moveIn(network: Network): void {
    const resident = residents.get(network);
    if (resident === this) return;
    resident?.moveOut(network);
    const { model, control } = network;
    const { first, second, counts } = this.#aside ?? freshState(network);
    // Both copies: SGD has no second moments, and never writes them.
    for (const copy of model.firstMoments) network.parameterArray(copy).set(first);
    for (const copy of model.secondMoments) network.parameterArray(copy).set(second);
    writeCounts(control.reals, 0, counts);
    residents.set(network, this);
    this.#aside = null;
  }

  moveOut(network: Network): void {
    this.#aside = this.state(network);
    residents.delete(network);
  }

  /** Replaces the state by a saved one. */
  restore(network: Network, state: OptimizerState): void {
    if (residents.get(network) === this) residents.delete(network);
    this.#aside = state;
  }

  /** Moments and counts: a copy of those in the model's memory, or what is put aside. */
  state(network: Network): OptimizerState {
    if (residents.get(network) !== this) return this.#aside ?? freshState(network);
    const { model, control, g } = network;
    return {
      first: network.copy(model.firstMoments[0], g.paddedCount),
      second: network.copy(model.secondMoments[0], g.paddedCount),
      counts: readCounts(control.reals, 0),
    };
  }
}

function freshState({ g }: Network): OptimizerState {
  const zeros = () => newReals(g.dtype, g.paddedCount);
  return { first: zeros(), second: zeros(), counts: freshCounts };
}
