import { checkKeys, checkPositive } from './validation.ts';

/** An optimizer of one model, with its moments; for `fit`, or for a training loop of one's own. */
export class Optimizer {
  readonly #step: (clipNorm: number | null, learningRate: number | undefined) => Promise<void>;

  /** @internal */
  constructor(step: (clipNorm: number | null, learningRate: number | undefined) => Promise<void>) {
    this.#step = step;
  }

  /**
   * Updates the model's parameters from its accumulated gradients, which stay as they are.
   * @param options `clipNorm`: scales the gradient of all parameters down to this global norm;
   * `learningRate`: for this step, instead of the optimizer's own
   * @throws BAD_ARGUMENT, BUSY, CLOSED; NOT_FINITE where the gradient's norm is not, WORKER_LOST (nothing has changed)
   */
  async step(options: { clipNorm?: number; learningRate?: number } = {}): Promise<void> {
    checkKeys('options', options, ['clipNorm', 'learningRate']);
    const { clipNorm, learningRate } = options;
    if (learningRate !== undefined) checkPositive('learningRate', learningRate);
    await this.#step(clipNorm === undefined ? null : checkPositive('clipNorm', clipNorm), learningRate);
  }
}
