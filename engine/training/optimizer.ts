import { checkKeys, checkNotNegative, checkPositive, checkSource } from '../validation.ts';

/** What the model does for its optimizers. */
interface OptimizerWork {
  step(clipNorm: number | null, learningRate: number | undefined): Promise<void>;
  load(source: string | Uint8Array): Promise<void>;
}

/** An optimizer of one model, with its state; for `fit`, or for a training loop of your own. */
export class Optimizer {
  readonly #work: OptimizerWork;

  /** @internal */
  constructor(work: OptimizerWork) {
    this.#work = work;
  }

  /**
   * Updates the model's parameters from its accumulated gradients, which stay as they are.
   * @param options `clipNorm`: scales the gradients down to at most this global norm over all
   * parameters; `learningRate`: for this step, instead of the optimizer's own
   * @throws BAD_ARGUMENT, BUSY, CLOSED; NOT_FINITE where the gradient norm is not finite, WORKER_LOST
   * (nothing has changed)
   */
  async step(
    options: { clipNorm?: number | undefined; learningRate?: number | undefined } = {},
  ): Promise<void> {
    checkKeys('options', options, ['clipNorm', 'learningRate']);
    const { clipNorm, learningRate } = options;
    if (learningRate !== undefined) checkNotNegative('learningRate', learningRate);
    await this.#work.step(clipNorm === undefined ? null : checkPositive('clipNorm', clipNorm), learningRate);
  }

  /**
   * Restores moments and step count from a file, or from its bytes, for which the model's `save` or
   * `toSafetensors` was given an optimizer: one of the same type, of a model of the same sizes and data type.
   * Bytes are read in the call's turn, and must not change before. Everything else stays: this optimizer's learning
   * rate and other options, and the model's parameters.
   * @throws BAD_ARGUMENT; BAD_FILE_… and BAD_MODEL_FILE where the file is damaged or of another kind
   * (nothing has changed); BUSY, CLOSED; the file system's errors
   */
  async load(source: string | URL | Uint8Array): Promise<void> {
    await this.#work.load(checkSource(source));
  }
}
