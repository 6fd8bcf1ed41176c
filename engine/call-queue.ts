import { setMaxListeners } from 'node:events';

/** Runs asynchronous calls one after the other, in the order they were made. */
export class CallQueue {
  #inFlight = 0;
  #writing = 0;
  #turn: Promise<unknown> = Promise.resolve();

  /** Calls that have not ended yet. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Whether a call made with `runWriting` has not ended yet. */
  get isWriting(): boolean {
    return this.#writing > 0;
  }

  /** Resolves when all calls made so far have ended. */
  get ended(): Promise<unknown> {
    return this.#turn;
  }

  /**
   * Runs when all calls made before have ended. A signal ends the waiting at once; the work then begins in its turn all
   * the same, sees the signal, and leaves everything in order.
   */
  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const before = this.#turn;
    const result = this.#inTurn(before, work);
    // Nobody hears of it where the waiting has been aborted.
    result.catch(() => {});
    await orAborted(before, signal);
    return result;
  }

  /** The same for a call that writes where others read: to the parameters, or an optimizer's state. */
  async runWriting<T>(work: () => Promise<T>): Promise<T> {
    this.#writing++;
    return this.run(() => work().finally(() => this.#writing--));
  }

  async #inTurn<T>(before: Promise<unknown>, work: () => Promise<T>): Promise<T> {
    this.#inFlight++;
    let end = (): void => {};
    this.#turn = new Promise<void>((resolve) => {
      end = resolve;
    });
    try {
      await before;
      return await work();
    } finally {
      this.#inFlight--;
      end();
    }
  }
}

/** A promise, or the reason of a signal that comes before it. */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    // One signal may stand for any number of waiting calls: Node would take the eleventh listener for a leak.
    setMaxListeners(0, signal);
    signal.addEventListener('abort', abort);
    if (signal.aborted) abort();
    void promise.finally(() => signal.removeEventListener('abort', abort)).then(resolve, reject);
  });
}
