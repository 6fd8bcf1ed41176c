import { AsyncLocalStorage } from 'node:async_hooks';
import type { Callbacks } from './fit-options.ts';

/** An onEpochEnd callback. What it starts may outlive it: timers, servers. */
interface RunningCallback {
  /**
   * The model whose fit called it; null once it has ended, so that what it has started keeps no model
   * alive that nobody else holds.
   */
  owner: object | null;
  /** The callback, of another model's fit, that this one was called from. */
  readonly outer: RunningCallback | undefined;
}

/** The callback that the running code was called from, if any. */
const calledBy = new AsyncLocalStorage<RunningCallback>();

/** The innermost callback that the running code was called from and that has not ended. */
function running(): RunningCallback | undefined {
  let callback = calledBy.getStore();
  while (callback?.owner === null) callback = callback.outer;
  return callback;
}

/** Wraps callbacks so that `isInCallbackOf` tells their calls from others': they may ask other things of the model. */
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

/** Whether the running code was called from a marked callback of this owner that has not ended. */
export function isInCallbackOf(owner: object): boolean {
  for (let callback = running(); callback; callback = callback.outer) {
    if (callback.owner === owner) return true;
  }
  return false;
}
