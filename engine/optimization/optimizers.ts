import { badArgument } from '../errors.ts';
import { checkFlag, checkFraction, checkNotNegative } from '../validation.ts';

/** Stochastic gradient descent, as torch.optim.SGD. */
export interface Sgd {
  type: 'sgd';
  /** Default 0.01. */
  learningRate?: number | undefined;
  /** Default 0. */
  momentum?: number | undefined;
  /** Nesterov's momentum; default false. */
  nesterov?: boolean | undefined;
  /** λ of an L2 penalty λ/2·‖p‖², added to the gradient; default 0. */
  weightDecay?: number | undefined;
}

/**
 * Adam (https://arxiv.org/abs/1412.6980) and AdamW (https://arxiv.org/abs/1711.05101), as torch.optim.Adam and AdamW.
 */
export interface Adam {
  type: 'adam' | 'adamw';
  /** Default 0.001. */
  learningRate?: number | undefined;
  /** Decay of the first moment; default 0.9. */
  beta1?: number | undefined;
  /** Decay of the second moment; default 0.999. */
  beta2?: number | undefined;
  /** Default 1e-8. */
  epsilon?: number | undefined;
  /**
   * adam: factor of an L2 penalty that is added to the gradient, default 0; adamw: decoupled weight
   * decay, default 0.01.
   */
  weightDecay?: number | undefined;
}

/** RMSprop, as torch.optim.RMSprop. */
export interface RmsProp {
  type: 'rmsprop';
  /** Default 0.01. */
  learningRate?: number | undefined;
  /** Decay of the squared gradient; default 0.99. */
  alpha?: number | undefined;
  /** Default 1e-8. */
  epsilon?: number | undefined;
  /** Default 0. */
  momentum?: number | undefined;
  /** Default 0. */
  weightDecay?: number | undefined;
}

export type OptimizerOptions = Sgd | Adam | RmsProp;
export type OptimizerType = OptimizerOptions['type'];

/** Options with every default filled in; which of the numbers apply depends on the type. */
export interface OptimizerSpec {
  readonly type: OptimizerType;
  readonly learningRate: number;
  readonly momentum: number;
  readonly nesterov: boolean;
  readonly weightDecay: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly alpha: number;
  readonly epsilon: number;
}

const DEFAULTS: Record<OptimizerType, Partial<OptimizerSpec>> = {
  sgd: { learningRate: 0.01, momentum: 0, nesterov: false, weightDecay: 0 },
  adam: { learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 },
  adamw: { learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 },
  rmsprop: { learningRate: 0.01, alpha: 0.99, epsilon: 1e-8, momentum: 0, weightDecay: 0 },
};

const ABSENT: Omit<OptimizerSpec, 'type'> = {
  learningRate: 0,
  momentum: 0,
  nesterov: false,
  weightDecay: 0,
  beta1: 0,
  beta2: 0,
  alpha: 0,
  epsilon: 0,
};

/** Checks an optimizer's options and fills the defaults in. Throws BAD_ARGUMENT. */
export function optimizerSpec(options: OptimizerType | OptimizerOptions): OptimizerSpec {
  const given: { type: OptimizerType } = typeof options === 'string' ? { type: options } : options;
  const isObject = typeof given === 'object' && given !== null;
  if (!isObject || !Object.keys(DEFAULTS).includes(given.type)) {
    const name = typeof options === 'string' || !isObject ? 'optimizer' : 'optimizer.type';
    throw badArgument(name, `one of ${Object.keys(DEFAULTS).join(', ')}`, isObject ? given.type : given);
  }
  const defaults = DEFAULTS[given.type];
  for (const [name, value] of Object.entries(given)) {
    if (name === 'type' || value === undefined) continue;
    if (!Object.hasOwn(defaults, name))
      throw badArgument(`optimizer.${name}`, `one of the options ${Object.keys(defaults).join(', ')}`, name);
    checkOption(name, value);
  }
  const present = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const spec = { ...ABSENT, ...defaults, ...present, type: given.type };
  if (spec.nesterov && spec.momentum === 0)
    throw badArgument('optimizer.nesterov', 'a momentum above 0 beside it', spec.momentum);
  return spec;
}

const DECAYS: ReadonlySet<string> = new Set(['beta1', 'beta2', 'alpha']);

function checkOption(name: string, value: unknown): void {
  const label = `optimizer.${name}`;
  if (name === 'nesterov') checkFlag(label, value);
  else if (DECAYS.has(name)) checkFraction(label, value);
  else checkNotNegative(label, value);
}

/** An optimizer's step count, and β₁ and β₂ to that power, multiplied up so that every machine agrees. */
export interface OptimizerCounts {
  readonly steps: number;
  readonly beta1Power: number;
  readonly beta2Power: number;
}

/** Whether a value from a file is such counts. */
export function isCounts(value: unknown): value is OptimizerCounts {
  const counts = Object.keys(freshCounts) as (keyof OptimizerCounts)[];
  return counts.every((name) => Number.isFinite((value as OptimizerCounts | null)?.[name]));
}

export const freshCounts: OptimizerCounts = { steps: 0, beta1Power: 1, beta2Power: 1 };

export const countStep = (spec: OptimizerSpec, counts: OptimizerCounts): OptimizerCounts => ({
  steps: counts.steps + 1,
  beta1Power: counts.beta1Power * spec.beta1,
  beta2Power: counts.beta2Power * spec.beta2,
});

/** PyTorch adds this to the norm before it divides (torch.nn.utils.clip_grad_norm_), and so do we. */
const CLIP_EPSILON = 1e-6;

/** The factor that scales a gradient of this norm down to at most `clipNorm`. */
export const clipScale = (norm: number, clipNorm: number): number =>
  Math.min(1, clipNorm / (norm + CLIP_EPSILON));
