import { stepCopies } from '../network/model-memory.ts';
import type { Network } from '../network/network.ts';
import { readCounts, writeCounts } from '../network/update-program.ts';
import { newReals, type RealArray } from '../tensor.ts';
import { freshCounts, type OptimizerCounts, type OptimizerSpec } from './optimizers.ts';

/** Moments and counts of an optimizer while another one has its place in the model's memory. */
export interface OptimizerState {
  readonly first: RealArray;
  readonly second: RealArray;
  readonly counts: OptimizerCounts;
}

/** The model's memory has room for one optimizer's state: who is in it. */
const residents = new WeakMap<Network, OptimizerSlot>();

/** An optimizer's state, wherever it is: in the model's memory, or put aside. */
export class OptimizerSlot {
  readonly spec: OptimizerSpec;
  readonly #network: Network;
  /** Null while it is in the model's memory. */
  #aside: OptimizerState | null;

  constructor(network: Network, spec: OptimizerSpec) {
    this.#network = network;
    this.spec = spec;
    const zeros = () => newReals(network.g.dtype, network.g.blockSize);
    this.#aside = { first: zeros(), second: zeros(), counts: freshCounts };
  }

  belongsTo(network: Network): boolean {
    return network === this.#network;
  }

  /** Brings the state into the model's memory; whoever was there is put aside. */
  moveIn(): void {
    const resident = residents.get(this.#network);
    if (resident === this) return;
    resident?.moveOut();
    const { model, control } = this.#network;
    const { first, second, counts } = this.state();
    this.#network.block(model.first[0]).set(first);
    this.#network.block(model.second[0]).set(second);
    writeCounts(control.reals, 0, counts);
    residents.set(this.#network, this);
    this.#aside = null;
  }

  moveOut(): void {
    this.#aside = this.state();
    residents.delete(this.#network);
  }

  /** Puts a saved state in this one's place. */
  restore(state: OptimizerState): void {
    if (residents.get(this.#network) === this) residents.delete(this.#network);
    this.#aside = state;
  }

  /** Moments and counts: a copy of those in the model's memory, or what is put aside. */
  state(): OptimizerState {
    if (this.#aside) return this.#aside;
    const { model, control, g } = this.#network;
    return {
      first: this.#network.copy(model.first[0], g.blockSize),
      second: this.#network.copy(model.second[0], g.blockSize),
      counts: readCounts(control.reals, 0),
    };
  }
}

/** After a step: the second copies of parameters and optimizer state become the current ones. */
export function takeOverStep(network: Network): void {
  network.takeOver(stepCopies(network.model));
  takeOverCounts(network);
}

export function takeOverCounts({ control }: Network): void {
  writeCounts(control.reals, 0, readCounts(control.reals, 1));
}
