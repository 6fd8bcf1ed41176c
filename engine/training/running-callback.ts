import { AsyncLocalStorage } from 'node:async_hooks';
import type { Callbacks } from './fit-options.ts';

/** An onEpochEnd callback. What it starts may outlive it: timers, servers. */
interface RunningCallback {
  /** The model whose fit called it; null once it has ended: what it started must not keep a model that nobody else holds. */
  owner: object | null;
  /** The callback it was itself called from, of another model's fit. */
  readonly outer: RunningCallback | undefined;
}

/** The callback that the code which runs was called by, if it was called by one. */
const calledBy = new AsyncLocalStorage<RunningCallback>();

/** The innermost callback that has not ended, of those that the code which runs was called by. */
function running(): RunningCallback | undefined {
  let callback = calledBy.getStore();
  while (callback?.owner === null) callback = callback.outer;
  return callback;
}

/** The same callbacks, told apart from other callers by `isInCallbackOf`: what they may ask of the model is not what others may. */
export function markCallbacks(owner: object, callbacks: Callbacks): Callbacks {
  const { onEpochEnd } = callbacks;
  if (!onEpochEnd) return callbacks;
  return {
    ...callbacks,
    onEpochEnd: async (epoch, log) => {
      const callback: RunningCallback = { owner, outer: running() };
      try {
        await calledBy.run(callback, () => onEpochEnd(epoch, log));
      } finally {
        callback.owner = null;
      }
    },
  };
}

/** Whether the code that runs was called by a marked callback that has not ended. */
export function isInCallbackOf(owner: object): boolean {
  for (let callback = running(); callback; callback = callback.outer) {
    if (callback.owner === owner) return true;
  }
  return false;
}
