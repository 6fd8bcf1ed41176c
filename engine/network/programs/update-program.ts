import { clipScale, countStep, type OptimizerCounts } from '../../optimization/optimizers.ts';
import type { Place, Program } from '../../parallel/program.ts';
import type { LaneTools } from '../lanes/block.ts';
import { OPTIMIZER_REALS, Real } from '../memory/control.ts';
import { runCount, stepCopies } from '../memory/model-memory.ts';
import type { UpdateCall } from './jobs.ts';
import { type ParameterRun, runsOf } from './reduce.ts';
import { takeOver } from './take-over.ts';
import type { ModelThread } from './thread.ts';
import { updateRun } from './update-run.ts';

/** The optimizer's counts in the copy `parity`. */
export function readCounts(reals: Float64Array, parity: number): OptimizerCounts {
  const at = Real.optimizer + parity * OPTIMIZER_REALS;
  return { steps: reals[at], beta1Power: reals[at + 1], beta2Power: reals[at + 2] };
}

export function writeCounts(reals: Float64Array, parity: number, counts: OptimizerCounts): void {
  const at = Real.optimizer + parity * OPTIMIZER_REALS;
  reals.set([counts.steps, counts.beta1Power, counts.beta2Power], at);
}

/** Stores a run's squared norm in its slot. There are so few runs that every thread adds up all slots, in order. */
export function storeNorm({ model, doubles }: LaneTools, { number }: ParameterRun, squared: number): void {
  doubles[model.norms / 8 + number] = squared;
}

export function globalNorm({ g, model, doubles }: LaneTools): number {
  const first = model.norms / 8;
  const runs = runCount(g);
  let sum = 0;
  for (let i = 0; i < runs; i++) sum += doubles[first + i];
  return Math.sqrt(sum);
}

/**
 * One optimizer step from the accumulated gradients, unless their norm is not finite. The counts stay
 * in the second copy.
 */
export function* update(thread: ModelThread, job: UpdateCall, place: Place): Program {
  const { model, kernels, control, g } = thread;
  const tools = thread.tools(place);
  for (const run of runsOf(g, place)) {
    storeNorm(tools, run, kernels.squaredNorm(model.gradients[0] + run.offset, run.bytes));
  }
  yield () => {
    control.reals[Real.gradientNorm] = globalNorm(tools);
  };
  const norm = control.reals[Real.gradientNorm];
  if (!Number.isFinite(norm)) return;
  const counts = countStep(job.optimizer, readCounts(control.reals, 0));
  const step = {
    spec: job.optimizer,
    learningRate: job.learningRate,
    counts,
    scale: job.clipNorm === null ? 1 : clipScale(norm, job.clipNorm),
    gradient: model.gradients[0],
    parity: 0,
  };
  for (const run of runsOf(g, place)) updateRun(kernels, model, run, step);
  yield* takeOver(thread, stepCopies(model), place, () => {
    writeCounts(control.reals, 1, counts);
  });
}
