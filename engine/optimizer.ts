import { checkKeys, checkNotNegative, checkPositive, checkSource } from './validation.ts';

/** What the model does for its optimizers. */
interface OptimizerWork {
  step(clipNorm: number | null, learningRate: number | undefined): Promise<void>;
  load(source: string | Uint8Array): Promise<void>;
}

/** An optimizer of one model, with its moments; for `fit`, or for a training loop of one's own. */
export class Optimizer {
  readonly #work: OptimizerWork;

  /** @internal */
  constructor(work: OptimizerWork) {
    this.#work = work;
  }

  /**
   * Updates the model's parameters from its accumulated gradients, which stay as they are.
   * @param options `clipNorm`: scales the gradient of all parameters down to this global norm;
   * `learningRate`: for this step, instead of the optimizer's own
   * @throws BAD_ARGUMENT, BUSY, CLOSED; NOT_FINITE where the gradient's norm is not, WORKER_LOST (nothing has changed)
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
   * Takes over the moments, and how many steps were taken, from a file, or the bytes of `toSafetensors`, that an optimizer was
   * given for: one
   * of the same type, of a model of the same sizes and data type. Everything else, such as the learning rate, is as this one was
   * made; so are the model's parameters.
   * @throws BAD_ARGUMENT; BAD_FILE_… and BAD_MODEL_FILE where the file is damaged or something else (nothing has changed);
   * BUSY, CLOSED; the file system's errors
   */
  async load(source: string | URL | Uint8Array): Promise<void> {
    await this.#work.load(checkSource(source));
  }
}
