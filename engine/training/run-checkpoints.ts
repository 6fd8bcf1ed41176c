import { fingerprint } from '../data/fingerprint.ts';
import type { Sequences } from '../data/sequences.ts';
import type { Network } from '../network/network.ts';
import type { RealArray } from '../numeric/reals.ts';
import { type Checkpoint, openCheckpoints, saveCheckpoint, type TrainingSettings } from './checkpoint.ts';
import type { CheckpointSpec } from './checkpoint-options.ts';
import type { FitSpec } from './fit-options.ts';
import type { OptimizerSlot } from './optimizer-slot.ts';
import type { TrainingState } from './training-state.ts';

/** What a run trains and is validated on. */
export interface FitData {
  readonly training: Sequences;
  readonly validation: Sequences | null;
}

/** A run of fit, as its checkpoints see it. */
interface Run {
  readonly spec: CheckpointSpec;
  readonly network: Network;
  readonly slot: OptimizerSlot;
  readonly plan: FitSpec;
  readonly data: FitData;
  /** Steps of an epoch. */
  readonly steps: number;
}

/** The checkpoints of one run of fit: after which steps they come, and what they hold. */
export class RunCheckpoints {
  readonly #run: Run;
  #fingerprints: { readonly data: string; readonly validation: string | null } | null = null;
  /** Steps that the last one contains. */
  #stepsSaved = 0;

  constructor(run: Run) {
    this.#run = run;
  }

  /** Makes the directory ready; returns the newest checkpoint if the run is to be resumed. Throws BAD_ARGUMENT. */
  async open(): Promise<Checkpoint | null> {
    const { inputSize, paddedCount } = this.#run.network.g;
    const { training, validation } = this.#run.data;
    this.#fingerprints = {
      data: await fingerprint(training, inputSize),
      validation: validation && (await fingerprint(validation, inputSize)),
    };
    const found = await openCheckpoints(this.#run.spec, this.#settings(), paddedCount);
    if (found) this.#stepsSaved = this.#stepsDone(found.state);
    return found;
  }

  #stepsDone({ epoch, step }: TrainingState): number {
    return epoch * this.#run.steps + step;
  }

  /** The step of the epoch after which the threads are to come back for the next one, or the epoch's end. */
  nextStop(state: TrainingState): number {
    const { everySteps } = this.#run.spec;
    if (everySteps === null) return this.#run.steps;
    return Math.min(this.#run.steps, state.step + everySteps - (this.#stepsDone(state) % everySteps));
  }

  /** Whether one is due. After the last step of an epoch it waits for what belongs to the epoch's end. */
  isDue(state: TrainingState): boolean {
    const { everyEpochs, everySteps } = this.#run.spec;
    if (state.step === this.#run.steps) return false;
    if (everySteps !== null && this.#stepsDone(state) % everySteps === 0) return true;
    return everyEpochs !== null && state.step === 0 && state.epoch % everyEpochs === 0;
  }

  async save(state: TrainingState, best: RealArray | null): Promise<void> {
    const { model, g } = this.#run.network;
    const steps = this.#stepsDone(state);
    await saveCheckpoint(this.#run.spec, steps, {
      parameters: this.#run.network.copy(model.parameters[0], g.paddedCount),
      best,
      optimizer: this.#run.slot.state(this.#run.network),
      state,
      settings: this.#settings(),
    });
    this.#stepsSaved = steps;
  }

  /** Saves what has been done since the last one. */
  async saveRest(state: TrainingState, best: RealArray | null): Promise<void> {
    if (this.#stepsSaved !== this.#stepsDone(state)) await this.save(state, best);
  }

  /** The settings that make two trainings the same, however far they have come. */
  #settings(): TrainingSettings {
    // All options but those that only say how far to go and what to tell meanwhile.
    const { epochs, checkpoint, callbacks, everySteps, signal, ...options } = this.#run.plan;
    const { inputSize, hiddenSize, outputSize, numLayers, dtype, maker } = this.#run.network.g;
    const { nonlinearity, bidirectional, bias, dropout, output } = this.#run.network.g;
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
      normalization: this.#run.network.normalization,
      kernels: maker,
      rows: this.#run.data.training.lengths.length,
      ...this.#fingerprints,
      optimizer: this.#run.slot.spec,
      ...options,
      // Only a cosine's rates depend on the number of epochs: with any other schedule training may be
      // resumed with more.
      epochs: options.schedule.type === 'cosine' ? epochs : null,
    };
  }
}
