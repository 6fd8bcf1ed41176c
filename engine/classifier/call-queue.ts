import { setMaxListeners } from 'node:events';

/** Runs asynchronous calls one after the other, in the order they were made. */
export class CallQueue {
  #inFlight = 0;
  #writing = 0;
  #turn: Promise<unknown> = Promise.resolve();

  /** Number of calls that have not ended yet. */
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
   * Runs `work` once all earlier calls have ended. An aborted signal rejects at once; `work` is still
   * run when its turn comes, so that it can see the signal and clean up.
   */
  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const before = this.#turn;
    const result = this.#inTurn(before, work);
    // After an abort nobody awaits this promise: its failure must not count as an unhandled rejection.
    result.catch(() => {});
    await orAborted(before, signal);
    return result;
  }

  /** Like `run`, for a call that writes what others read: the parameters or an optimizer's state. */
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

/** Settles like `promise`, or rejects with the signal's reason if it is aborted first. */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    // One signal may be passed to any number of calls: Node.js would warn of a leak at the eleventh listener.
    setMaxListeners(0, signal);
    signal.addEventListener('abort', abort);
    if (signal.aborted) abort();
    void promise.finally(() => signal.removeEventListener('abort', abort)).then(resolve, reject);
  });
}
