import { Piscina } from 'piscina';
import { workerFile } from '../artifacts.ts';
import { workerFailed, workerLost } from '../errors.ts';
import { giveUp } from './barrier.ts';
import type { CallingThread } from './calling-thread.ts';
import { Word } from './control.ts';
import type { Place } from './program.ts';

/** The threads a call engages: how many, and whether the calling thread is the first of them. */
export interface Engagement {
  readonly parties: number;
  readonly here: boolean;
}

/** What a worker is told, and what it answers; without a job the threads only meet, to show that they are there. */
export interface Task<Job> extends Place {
  readonly job: Job | null;
}
export type Reply =
  | { readonly ok: true; readonly threadId: number }
  | { readonly ok: false; readonly aborted: boolean; readonly message: string };

const placesOf = (parties: number): Place[] =>
  Array.from({ length: parties }, (_, index) => ({ index, parties }));

/** Threads that have not all started by then never will. */
const START_LIMIT_MS = 30_000;

/**
 * Worker threads of one piscina pool, and the calling thread where it takes part. A pool that lost a thread is destroyed;
 * the next call makes a new one. `Job` is plain data, or lies in shared memory.
 */
export class WorkerTeam<Job> {
  /** Workers there are: a call engages at most so many threads. */
  readonly size: number;
  readonly #here: CallingThread<Job>;
  readonly #workerData: unknown;
  readonly #words: Int32Array;
  #pool: Piscina<Task<Job>, Reply> | null = null;
  #ready: Promise<Piscina<Task<Job>, Reply>> | null = null;
  /** Whether the pool has lost a thread, even between two calls. */
  #lost = false;
  /** Resolves when the last pool that was given up has ended. */
  #ending: Promise<void> = Promise.resolve();
  /** Resolves when the workers of the last short call have answered. */
  #late: Promise<void> = Promise.resolve();
  #ranOn: readonly number[] = [];

  /** `words` is the control block, which must outlive the team at the same place. */
  constructor(size: number, here: CallingThread<Job>, workerData: unknown, words: Int32Array) {
    this.size = size;
    this.#here = here;
    this.#workerData = workerData;
    this.#words = words;
  }

  /** The worker threads' pool, for tests that kill one. */
  get pool(): Piscina<Task<Job>, Reply> | null {
    return this.#pool;
  }

  /** The ids of the workers that ran the last call, by their places. */
  get ranOn(): readonly number[] {
    return this.#ranOn;
  }

  /** Runs a job and returns when it is done; rejects as if it had not been begun. */
  async run(job: Job, { parties, here }: Engagement): Promise<void> {
    await this.answered();
    // piscina puts a new thread in a lost one's place, but if that one dies while it starts, tasks wait for ever.
    if (this.#lost) await this.#retire();
    const pool = await this.ready();
    const places = placesOf(parties);
    const workers = this.#dispatch(pool, job, here ? places.slice(1) : places);
    if (here) await this.#takePart(job, places[0], workers);
    else await workers;
  }

  /**
   * Waits for the workers that a call has gone on without. Until they have answered, piscina takes them for busy, and
   * would keep the next call's tasks waiting while the calling thread is at work.
   */
  async answered(): Promise<void> {
    await this.#late;
  }

  /** Ends with the last barrier: the call is complete then, and the workers' answers come later. */
  async #takePart(job: Job, place: Place, workers: Promise<void>): Promise<void> {
    // A thread that is lost after the last barrier is the next call's matter.
    this.#late = workers.catch(() => {});
    try {
      await this.#here.run(job, place);
    } catch (error) {
      giveUp(this.#words);
      // Where the calling thread only followed the others, theirs is the error to be told.
      await workers;
      throw error;
    }
  }

  /**
   * Starts the threads, unless they are there, and waits until all have met.
   * @throws WORKER_FAILED where one cannot start
   */
  ready(): Promise<Piscina<Task<Job>, Reply>> {
    this.#ready ??= this.#startAll().catch((error) => {
      this.#ready = null;
      throw error;
    });
    return this.#ready;
  }

  async #startAll(): Promise<Piscina<Task<Job>, Reply>> {
    await this.#ending;
    const pool = this.#start();
    this.#pool = pool;
    this.#lost = false;
    let fault = 'it could not start';
    const limit = setTimeout(() => {
      fault = `not all ${this.size} have started within ${START_LIMIT_MS / 1000} s`;
      void this.#discard(pool);
    }, START_LIMIT_MS);
    try {
      await this.#dispatch(pool, null, placesOf(this.size));
      return pool;
    } catch (error) {
      // What kept a thread from starting would do so again: this is no thread lost in a call.
      throw workerFailed(fault, error instanceof Error ? (error.cause ?? error) : error);
    } finally {
      clearTimeout(limit);
    }
  }

  async #dispatch(pool: Piscina<Task<Job>, Reply>, job: Job | null, places: readonly Place[]): Promise<void> {
    Atomics.store(this.#words, Word.abort, 0);
    Atomics.store(this.#words, Word.arrived, 0);
    const tasks = places.map((place) => pool.run({ job, ...place }));
    let replies: Reply[];
    try {
      replies = await Promise.all(tasks);
    } catch (cause) {
      giveUp(this.#words);
      // The other threads may be anywhere in the call: once they are gone, nobody writes into the memory any more.
      await Promise.all([this.#discard(pool), Promise.allSettled(tasks)]);
      throw workerLost(cause);
    }
    // A thread that failed makes the others give up: what is told is the failure, not its consequences.
    const failure = replies.find((reply) => !reply.ok && !reply.aborted);
    if (failure && !failure.ok) throw workerFailed(failure.message);
    if (job) this.#ranOn = replies.map((reply) => (reply.ok ? reply.threadId : -1));
  }

  #start(): Piscina<Task<Job>, Reply> {
    // Throws where there is none: piscina would leave every task but the first pending for ever.
    const filename = workerFile();
    const pool = new Piscina<Task<Job>, Reply>({
      filename,
      minThreads: this.size,
      maxThreads: this.size,
      idleTimeout: Number.POSITIVE_INFINITY,
      maxQueue: this.size,
      atomics: 'disabled',
      recordTiming: false,
      workerData: this.#workerData,
    });
    // A stray error of a worker is followed by its exit, which rejects the task: see run.
    pool.on('error', () => {});
    for (const worker of pool.threads) {
      worker.once('exit', () => {
        if (pool === this.#pool) this.#lost = true;
      });
    }
    return pool;
  }

  async close(): Promise<void> {
    await this.answered();
    await this.#retire();
  }

  /** Ends the threads; the next call starts new ones. */
  async #retire(): Promise<void> {
    await (this.#pool ? this.#discard(this.#pool) : this.#ending);
  }

  /** Ends a pool, once: destroyed a second time, piscina would take the end of its threads for a loss, and start others. */
  #discard(pool: Piscina<Task<Job>, Reply>): Promise<void> {
    if (pool === this.#pool) {
      this.#pool = null;
      this.#ready = null;
      this.#ending = pool.destroy();
    }
    return this.#ending;
  }
}
