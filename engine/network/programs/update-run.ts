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
  /** Address of the gradients. */
  readonly gradient: number;
  /** The copy that is current: the step writes into the other. */
  readonly parity: number;
}

export function updateRun(k: Kernels, model: ModelMemory, run: ByteRange, update: UpdateStep): void {
  const addresses = addressesOf(model, run, update);
  const { type } = update.spec;
  if (type === 'sgd') sgd(k, addresses, update);
  else if (type === 'rmsprop') rmsprop(k, addresses, update);
  else adam(k, addresses, update);
}

/** Addresses of a run: what the step reads, and where it writes what that becomes. */
interface RunAddresses {
  readonly p: number;
  readonly pNew: number;
  readonly g: number;
  readonly m: number;
  readonly mNew: number;
  readonly v: number;
  readonly vNew: number;
  readonly bytes: number;
}

function addressesOf(
  { parameters, firstMoments, secondMoments }: ModelMemory,
  { offset, bytes }: ByteRange,
  { gradient, parity }: UpdateStep,
): RunAddresses {
  const next = 1 - parity;
  return {
    p: parameters[parity] + offset,
    pNew: parameters[next] + offset,
    g: gradient + offset,
    m: firstMoments[parity] + offset,
    mNew: firstMoments[next] + offset,
    v: secondMoments[parity] + offset,
    vNew: secondMoments[next] + offset,
    bytes,
  };
}

function sgd(k: Kernels, run: RunAddresses, { spec, scale, learningRate }: UpdateStep): void {
  const { p, pNew, g, m, mNew, bytes } = run;
  const { momentum, weightDecay, nesterov } = spec;
  k.sgd(pNew, p, g, mNew, m, bytes, scale, learningRate, momentum, weightDecay, nesterov ? 1 : 0);
}

function rmsprop(k: Kernels, run: RunAddresses, { spec, scale, learningRate: rate }: UpdateStep): void {
  const { p, pNew, g, m, mNew, v, vNew, bytes } = run;
  const { alpha, epsilon, momentum, weightDecay: decay } = spec;
  const beta = 1 - alpha;
  k.rmsprop(pNew, p, g, mNew, m, vNew, v, bytes, scale, rate, alpha, beta, epsilon, momentum, decay);
}

/** AdamW shrinks the parameters; Adam adds its decay to the gradient. */
function adam(k: Kernels, run: RunAddresses, { spec, scale, learningRate: rate, counts }: UpdateStep): void {
  const { p, pNew, g, m, mNew, v, vNew, bytes } = run;
  const { beta1: b1, beta2: b2, epsilon, weightDecay } = spec;
  const isDecoupled = spec.type === 'adamw';
  const decay = isDecoupled ? 0 : weightDecay;
  const shrink = isDecoupled ? 1 - rate * weightDecay : 1;
  const step = rate / (1 - counts.beta1Power);
  const root2 = Math.sqrt(1 - counts.beta2Power);
  const [c1, c2] = [1 - b1, 1 - b2];
  k.adam(pNew, p, g, mNew, m, vNew, v, bytes, scale, step, b1, c1, b2, c2, root2, epsilon, decay, shrink);
}
