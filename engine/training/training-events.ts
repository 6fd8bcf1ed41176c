import {
  type Callbacks,
  type EpochLog,
  type FitOptions,
  type Progress,
  readFitOptions,
  type StepsLog,
} from './fit-options.ts';

/** What happens in training: where it stands a few times a second, every `everySteps` steps, and every epoch's end. */
export type TrainingEvent =
  | ({ readonly type: 'progress' } & Progress)
  | ({ readonly type: 'steps' } & StepsLog)
  | ({ readonly type: 'epoch' } & EpochLog);

/**
 * Runs a `fit` and gives its events as they come; ends with the history. The threads do not wait for who listens, but
 * progress that nobody has taken yet is replaced by newer progress. Leaving the loop early ends training after the
 * current step.
 */
export async function* trainingEvents(
  run: (options: FitOptions) => Promise<EpochLog[]>,
  options: FitOptions,
  classes: number,
): AsyncGenerator<TrainingEvent, EpochLog[], void> {
  // Checked before anything of it is replaced.
  readFitOptions(options, classes);
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
  // Awaited at the end; until then a failure is nobody's unhandled rejection.
  history.catch(() => {});
  try {
    while (isRunning || waiting.length > 0) {
      const event = waiting.shift();
      if (event) yield event;
      else {
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
