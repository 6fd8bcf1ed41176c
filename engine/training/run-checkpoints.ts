import { fingerprint } from '../data/fingerprint.ts';
import type { Sequences } from '../data/sequences.ts';
import type { Network } from '../network/network.ts';
import type { RealArray } from '../tensor.ts';
import { type Checkpoint, openCheckpoints, saveCheckpoint, type TrainingSettings } from './checkpoint.ts';
import type { CheckpointSpec } from './checkpoint-options.ts';
import type { FitPlan } from './fit-options.ts';
import type { OptimizerSlot } from './optimizer-slot.ts';
import type { TrainingState } from './training-state.ts';

/** What a run trains and is validated on. */
export interface FitData {
  readonly training: Sequences;
  readonly validation: Sequences | null;
}

/** The checkpoints of one run of fit: after which steps they come, and what they hold. */
export class RunCheckpoints {
  readonly #spec: CheckpointSpec;
  readonly #network: Network;
  readonly #slot: OptimizerSlot;
  readonly #plan: FitPlan;
  readonly #data: FitData;
  /** Steps of an epoch. */
  readonly #steps: number;
  #fingerprints: { readonly data: string; readonly validation: string | null } | null = null;
  /** Steps that the last one contains. */
  #stepsSaved = 0;

  constructor(
    spec: CheckpointSpec,
    network: Network,
    slot: OptimizerSlot,
    plan: FitPlan,
    data: FitData,
    steps: number,
  ) {
    this.#spec = spec;
    this.#network = network;
    this.#slot = slot;
    this.#plan = plan;
    this.#data = data;
    this.#steps = steps;
  }

  /** Makes the directory ready; returns the newest checkpoint if the run is to be resumed. Throws BAD_CHECKPOINT. */
  async open(): Promise<Checkpoint | null> {
    const { inputSize, blockSize } = this.#network.g;
    const { training, validation } = this.#data;
    this.#fingerprints = {
      data: await fingerprint(training, inputSize),
      validation: validation && (await fingerprint(validation, inputSize)),
    };
    const found = await openCheckpoints(this.#spec, this.#settings(), blockSize);
    if (found) this.#stepsSaved = this.#stepsDone(found.state);
    return found;
  }

  #stepsDone({ epoch, step }: TrainingState): number {
    return epoch * this.#steps + step;
  }

  /** The step of the epoch after which the threads are to come back for the next one, or the epoch's end. */
  nextStop(state: TrainingState): number {
    const { everySteps } = this.#spec;
    if (everySteps === null) return this.#steps;
    return Math.min(this.#steps, state.step + everySteps - (this.#stepsDone(state) % everySteps));
  }

  /** Whether one is due. After the last step of an epoch it waits for what belongs to the epoch's end. */
  isDue(state: TrainingState): boolean {
    const { everyEpochs, everySteps } = this.#spec;
    if (state.step === this.#steps) return false;
    if (everySteps !== null && this.#stepsDone(state) % everySteps === 0) return true;
    return everyEpochs !== null && state.step === 0 && state.epoch % everyEpochs === 0;
  }

  async save(state: TrainingState, best: RealArray | null): Promise<void> {
    const { model, g } = this.#network;
    this.#stepsSaved = this.#stepsDone(state);
    await saveCheckpoint(this.#spec, this.#stepsSaved, {
      parameters: this.#network.copy(model.parameters[0], g.blockSize),
      best,
      optimizer: this.#slot.state(this.#network),
      state,
      settings: this.#settings(),
    });
  }

  /** Saves what has been done since the last one. */
  async saveRest(state: TrainingState, best: RealArray | null): Promise<void> {
    if (this.#stepsSaved !== this.#stepsDone(state)) await this.save(state, best);
  }

  /** The settings that make two trainings the same, however far they have come. */
  #settings(): TrainingSettings {
    // All options but those that only say how far to go and what to tell meanwhile.
    const { epochs, checkpoint, callbacks, everySteps, signal, ...options } = this.#plan;
    const { inputSize, hiddenSize, outputSize, numLayers, dtype, maker } = this.#network.g;
    const { nonlinearity, bidirectional, bias, dropout, output } = this.#network.g;
    return {
      inputSize,
      hiddenSize,
      outputSize,
      numLayers,
      dtype,
      nonlinearity,
      bidirectional,
      bias,
      dropout,
      output,
      normalization: this.#network.normalization,
      kernels: maker,
      rows: this.#data.training.lengths.length,
      ...this.#fingerprints,
      optimizer: this.#slot.spec,
      ...options,
      // Only a cosine's rates depend on the number of epochs: with any other schedule training may be
      // resumed with more.
      epochs: options.schedule.type === 'cosine' ? epochs : null,
    };
  }
}
