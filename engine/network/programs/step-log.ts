/** What the threads record of each step of an epoch: four numbers in shared memory, read by the main thread. */
export interface StepEntry {
  /** Sum of the step's losses, NaN where it was left out. */
  readonly lossSum: number;
  /** Rows of the step, or labels that count. */
  readonly counted: number;
  /** Global norm before clipping. */
  readonly gradientNorm: number;
  readonly learningRate: number;
}

const REALS = 4;

export const newStepLog = (steps: number): Float64Array =>
  new Float64Array(new SharedArrayBuffer(8 * REALS * steps));

export function writeStep(log: Float64Array, step: number, entry: StepEntry): void {
  log.set([entry.lossSum, entry.counted, entry.gradientNorm, entry.learningRate], REALS * step);
}

export function readStep(log: Float64Array, step: number): StepEntry {
  const [lossSum, counted, gradientNorm, learningRate] = log.subarray(REALS * step, REALS * (step + 1));
  return { lossSum, counted, gradientNorm, learningRate };
}
