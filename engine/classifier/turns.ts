import { busy, closed } from '../errors.ts';
import { isInCallbackOf } from '../training/running-callback.ts';
import { CallQueue } from './call-queue.ts';

/** Calls that have not ended, with their models: one that nobody else holds would be collected, and its threads ended. */
const unfinished = new Set<{ readonly model: object }>();

/**
 * Says whose turn it is on a model: asynchronous calls run one after the other, some let predictions in between, and
 * what is synchronous is refused where it would meet a call. `Parts` is what an open model consists of; close lets go
 * of it.
 */
export class Turns<Parts> {
  readonly #owner: object;
  readonly #queue = new CallQueue();
  #parts: Parts | null;
  #closing: Promise<void> | null = null;
  /** Number of calls of `fit`, and of calls in several parts that only read the parameters, that have not ended. */
  readonly #inParts = { training: 0, reading: 0 };

  /** `owner` is the model whose callbacks `markCallbacks` has marked. */
  constructor(owner: object, parts: Parts) {
    this.#owner = owner;
    this.#parts = parts;
  }

  /** For what may always be done. Throws CLOSED. */
  open(method: string): Parts {
    if (!this.#parts) throw closed(method);
    return this.#parts;
  }

  /**
   * For what must not overlap with a call. A callback of fit is an exception: while fit waits for it,
   * the threads compute at most predictions, from weights of their own. Throws CLOSED, BUSY.
   */
  idle(method: string): Parts {
    const parts = this.open(method);
    if (this.#queue.inFlight > 0 && !this.#isInCallback) throw busy(method);
    return parts;
  }

  /**
   * For what only reads the parameters. It may overlap with fit, which leaves those of its last complete step alone.
   * Throws CLOSED, BUSY.
   */
  settled(method: string): Parts {
    const parts = this.open(method);
    if (this.#queue.isWriting && !this.#isInCallback) throw busy(method);
    return parts;
  }

  /**
   * For a call that is to be queued: in fit's callback it would wait for the fit that waits for the callback.
   * Throws CLOSED, BUSY.
   */
  queued(method: string): Parts {
    const parts = this.open(method);
    if (this.#isInCallback) throw busy(method);
    return parts;
  }

  get isTraining(): boolean {
    return this.#inParts.training > 0;
  }

  /** Whether a prediction may come between two steps or parts of the call in flight. Only a small one comes between parts. */
  letsIn(isSmall: boolean): boolean {
    // Not if a call that may write comes before the prediction.
    const { reading } = this.#inParts;
    return this.isTraining || (isSmall && reading > 0 && reading === this.#queue.inFlight);
  }

  run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#queue.run(this.#holding(work), signal);
  }

  /** Like `run`, for a call that writes the parameters or an optimizer's state. */
  runWriting<T>(work: () => Promise<T>): Promise<T> {
    return this.#queue.runWriting(this.#holding(work));
  }

  /**
   * Like `run`, for fit, or for a call in several parts that only reads the parameters; `answer` answers the
   * predictions that still wait at its end.
   */
  runInParts<T>(
    kind: 'training' | 'reading',
    work: () => Promise<T>,
    answer: () => Promise<void>,
    signal?: AbortSignal,
  ): Promise<T> {
    this.#inParts[kind]++;
    const answered = async () => {
      try {
        return await work();
      } finally {
        this.#inParts[kind]--;
        await answer();
      }
    };
    return this.run(answered, signal);
  }

  /** Work that holds on to the model from now until it is done. Throws CLOSED. */
  #holding<T>(work: () => Promise<T>): () => Promise<T> {
    // A getter among the arguments may have closed it since `open`.
    if (!this.#parts) throw closed('call');
    const call = { model: this.#owner };
    unfinished.add(call);
    return async () => {
      try {
        return await work();
      } finally {
        unfinished.delete(call);
      }
    };
  }

  /** Reads what calls may write: at once, or in its turn if a call in flight does write. Throws CLOSED. */
  async whenSettled<T>(method: string, read: (parts: Parts) => T): Promise<T> {
    const parts = this.open(method);
    const work = async () => read(parts);
    const isWriting = this.#queue.isWriting || this.isTraining;
    return isWriting && !this.#isInCallback ? this.run(work) : work();
  }

  /** Lets go of the parts, for `end` to end them once all earlier calls have ended. May be called again. Throws BUSY. */
  async close(end: (parts: Parts) => Promise<void>): Promise<void> {
    // Refused, but not remembered: it may be called again when the callback has ended.
    if (this.#isInCallback) throw busy('close');
    this.#closing ??= this.#close(end);
    return this.#closing;
  }

  async #close(end: (parts: Parts) => Promise<void>): Promise<void> {
    const parts = this.#parts;
    this.#parts = null;
    await this.#queue.ended;
    if (parts) await end(parts);
  }

  get #isInCallback(): boolean {
    return isInCallbackOf(this.#owner);
  }
}
