import type { Kernels } from '../../kernels/kernels.ts';
import type { OptimizerCounts, OptimizerSpec } from '../../optimization/optimizers.ts';
import type { ModelMemory } from '../memory/model-memory.ts';
import type { ByteRange } from './reduce.ts';

/** One step on a run of parameters. */
export interface UpdateStep {
  readonly spec: OptimizerSpec;
  readonly learningRate: number;
  /** The counts, this step included. */
  readonly counts: OptimizerCounts;
  /** What the gradient is multiplied by as it is read. */
  readonly scale: number;
  /** Address of the gradient block. */
  readonly gradient: number;
  /** The copy that is current: the step writes into the other. */
  readonly parity: number;
}

export function updateRun(k: Kernels, model: ModelMemory, run: ByteRange, update: UpdateStep): void {
  const { spec, learningRate: rate, counts, scale, parity } = update;
  const { offset, bytes } = run;
  const at = (copies: readonly [number, number], parity: number) => copies[parity] + offset;
  const now = parity;
  const next = 1 - parity;
  const p = at(model.parameters, now);
  const pNew = at(model.parameters, next);
  const m = at(model.first, now);
  const mNew = at(model.first, next);
  const v = at(model.second, now);
  const vNew = at(model.second, next);
  const g = update.gradient + offset;
  const { momentum, weightDecay, beta1, beta2, epsilon } = spec;
  if (spec.type === 'sgd') {
    k.sgd(pNew, p, g, mNew, m, bytes, scale, rate, momentum, weightDecay, spec.nesterov ? 1 : 0);
  } else if (spec.type === 'rmsprop') {
    const { alpha } = spec;
    k.rmsprop(
      pNew,
      p,
      g,
      mNew,
      m,
      vNew,
      v,
      bytes,
      scale,
      rate,
      alpha,
      1 - alpha,
      epsilon,
      momentum,
      weightDecay,
    );
  } else {
    const decoupled = spec.type === 'adamw';
    const decay = decoupled ? 0 : weightDecay;
    const shrink = decoupled ? 1 - rate * weightDecay : 1;
    const rateOverC1 = rate / (1 - counts.beta1Power);
    const root2 = Math.sqrt(1 - counts.beta2Power);
    k.adam(
      pNew,
      p,
      g,
      mNew,
      m,
      vNew,
      v,
      bytes,
      scale,
      rateOverC1,
      beta1,
      1 - beta1,
      beta2,
      1 - beta2,
      root2,
      epsilon,
      decay,
      shrink,
    );
  }
}
