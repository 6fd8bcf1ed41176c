import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';
import { workerFile } from '../artifacts.ts';
import { workerFailed, workerLost } from '../errors.ts';
import { giveUp } from './barrier.ts';
import { Word } from './control.ts';
import type { Place, Program } from './program.ts';

/** A group of threads that computes a call together. `Job` is plain data, or lies in shared memory. */
export interface Team<Job> {
  /** Threads there are: a call engages at most so many. */
  readonly size: number;
  /** Resolves when the threads are there. */
  ready(): Promise<unknown>;
  /** Runs a job on `parties` threads and returns when all have ended it; rejects as if it had not been begun. */
  run(job: Job, parties: number): Promise<void>;
  close(): Promise<void>;
}

/** What a worker is told, and what it answers; without a job the threads only meet, to show that they are there. */
export interface Task<Job> extends Place {
  readonly job: Job | null;
}
export type Reply =
  | { readonly ok: true; readonly threadId: number }
  | { readonly ok: false; readonly aborted: boolean; readonly message: string };

/** Threads that have not all started by then never will. */
const START_LIMIT_MS = 30_000;

/** The event loop gets its turn at least this often, lanes permitting. */
const BREATH_MS = 10;

/** Computes on the calling thread. */
export class CallingThread<Job> implements Team<Job> {
  readonly size = 1;
  readonly #program: (job: Job, place: Place) => Program;
  #breath = performance.now();

  constructor(program: (job: Job, place: Place) => Program) {
    this.#program = program;
  }

  async ready(): Promise<void> {}

  async run(job: Job): Promise<void> {
    await this.#breathe();
    for (const leader of this.#program(job, { index: 0, parties: 1 })) {
      leader?.();
      if (performance.now() - this.#breath > BREATH_MS) await this.#breathe();
    }
  }

  /** Lets the event loop have its turn, if it has waited; many short calls count like one long one. */
  async #breathe(): Promise<void> {
    if (performance.now() - this.#breath < BREATH_MS) return;
    await new Promise(setImmediate);
    this.#breath = performance.now();
  }

  async close(): Promise<void> {}
}

/** Worker threads of one piscina pool. A pool that lost a thread is destroyed; the next call makes a new one. */
export class WorkerTeam<Job> implements Team<Job> {
  readonly size: number;
  readonly #workerData: unknown;
  readonly #words: Int32Array;
  #pool: Piscina<Task<Job>, Reply> | null = null;
  #ready: Promise<Piscina<Task<Job>, Reply>> | null = null;
  /** Whether the pool has lost a thread, even between two calls. */
  #lost = false;
  #ranOn: readonly number[] = [];

  /** `words` is the control block, which must outlive the team at the same place. */
  constructor(size: number, workerData: unknown, words: Int32Array) {
    this.size = size;
    this.#workerData = workerData;
    this.#words = words;
  }

  /** The worker threads' pool, for tests that kill one. */
  get pool(): Piscina<Task<Job>, Reply> | null {
    return this.#pool;
  }

  /** The ids of the threads that ran the last call, by their places. */
  get ranOn(): readonly number[] {
    return this.#ranOn;
  }

  async run(job: Job, parties: number): Promise<void> {
    // piscina puts a new thread in a lost one's place, but if that one dies while it starts, tasks wait for ever.
    if (this.#lost) await this.#retire();
    const pool = await this.ready();
    const replies = await this.#dispatch(pool, job, parties);
    this.#ranOn = replies.map((reply) => (reply.ok ? reply.threadId : -1));
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
    const pool = this.#start();
    this.#pool = pool;
    this.#lost = false;
    const limit = setTimeout(() => void pool.destroy(), START_LIMIT_MS);
    try {
      await this.#dispatch(pool, null, this.size);
      return pool;
    } catch (error) {
      // What kept a thread from starting would do so again: this is no thread lost in a call.
      throw workerFailed('it could not start', error instanceof Error ? (error.cause ?? error) : error);
    } finally {
      clearTimeout(limit);
    }
  }

  async #dispatch(pool: Piscina<Task<Job>, Reply>, job: Job | null, parties: number): Promise<Reply[]> {
    Atomics.store(this.#words, Word.abort, 0);
    Atomics.store(this.#words, Word.arrived, 0);
    const tasks = Array.from({ length: parties }, (_, index) => pool.run({ job, index, parties }));
    let replies: Reply[];
    try {
      replies = await Promise.all(tasks);
    } catch (cause) {
      giveUp(this.#words);
      this.#pool = null;
      this.#ready = null;
      // The other threads may be anywhere in the call: once they are gone, nobody writes into the memory any more.
      await Promise.all([pool.destroy(), Promise.allSettled(tasks)]);
      throw workerLost(cause);
    }
    // A thread that failed makes the others give up: what is told is the failure, not its consequences.
    const failure = replies.find((reply) => !reply.ok && !reply.aborted);
    if (failure && !failure.ok) throw workerFailed(failure.message);
    return replies;
  }

  #start(): Piscina<Task<Job>, Reply> {
    const filename = fileURLToPath(workerFile);
    // Without this, piscina would leave every task but the first pending for ever.
    if (!existsSync(filename)) throw workerFailed(`${filename} does not exist; run npm run build`);
    const pool = new Piscina<Task<Job>, Reply>({
      filename,
      minThreads: this.size,
      maxThreads: this.size,
      idleTimeout: Number.POSITIVE_INFINITY,
      maxQueue: this.size,
      atomics: 'disabled',
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

  close(): Promise<void> {
    return this.#retire();
  }

  /** Ends the threads; the next call starts new ones. */
  async #retire(): Promise<void> {
    const pool = this.#pool;
    this.#pool = null;
    this.#ready = null;
    await pool?.destroy();
  }
}
