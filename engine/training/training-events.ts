import {
  type Callbacks,
  type EpochLog,
  type FitOptions,
  fitSpec,
  type Progress,
  type StepsLog,
} from './fit-options.ts';

/** An event of training: progress ten times a second, the results of every `everySteps` steps and of every epoch. */
export type TrainingEvent =
  | ({ readonly type: 'progress' } & Progress)
  | ({ readonly type: 'steps' } & StepsLog)
  | ({ readonly type: 'epoch' } & EpochLog);

/**
 * Runs `fit` and yields its events as they come; returns the history. Training does not wait for the
 * consumer, but progress that has not been taken yet is replaced by newer progress. Leaving the loop
 * early ends training after the current step.
 */
export async function* trainingEvents(
  run: (options: FitOptions) => Promise<EpochLog[]>,
  options: FitOptions,
  classes: number,
): AsyncGenerator<TrainingEvent, EpochLog[], void> {
  // Checked before any of them is replaced.
  fitSpec(options, classes);
  const left = new AbortController();
  const waiting: TrainingEvent[] = [];
  let wake = (): void => {};
  const tell = (event: TrainingEvent): void => {
    if (event.type === 'progress' && waiting.at(-1)?.type === 'progress') waiting.pop();
    waiting.push(event);
    wake();
  };
  const callbacks: Callbacks = {
    onProgress: (progress) => {
      tell({ type: 'progress', ...progress });
      return options.callbacks?.onProgress?.(progress);
    },
    ...(options.everySteps !== undefined && {
      onSteps: (log: StepsLog) => {
        tell({ type: 'steps', ...log });
        return options.callbacks?.onSteps?.(log);
      },
    }),
    onEpochEnd: (epoch, log) => {
      tell({ type: 'epoch', ...log });
      return options.callbacks?.onEpochEnd?.(epoch, log);
    },
  };
  const signal = options.signal ? AbortSignal.any([options.signal, left.signal]) : left.signal;
  let isRunning = true;
  const history = run({ ...options, callbacks, signal }).finally(() => {
    isRunning = false;
    wake();
  });
  // Awaited at the end; until then a failure must not count as an unhandled rejection.
  history.catch(() => {});
  try {
    while (isRunning || waiting.length > 0) {
      // All at once: taking the first of very many from an array takes a time that grows with them.
      yield* waiting.splice(0);
      if (isRunning && waiting.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
    return await history;
  } finally {
    left.abort();
    await history.catch(() => {});
  }
}
