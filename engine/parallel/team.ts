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
  /** Runs a job on `parties` threads and returns when all have ended it; rejects as if it had not been begun. */
  run(job: Job, parties: number): Promise<void>;
  close(): Promise<void>;
}

/** What a worker is told, and what it answers. */
export interface Task<Job> extends Place {
  readonly job: Job;
}
export type Reply =
  | { readonly ok: true; readonly threadId: number }
  | { readonly ok: false; readonly aborted: boolean; readonly message: string };

/** The event loop gets its turn at least this often, lanes permitting. */
const BREATH_MS = 10;

/** Computes on the calling thread. */
export class CallingThread<Job> implements Team<Job> {
  readonly size = 1;
  readonly #program: (job: Job, place: Place) => Program;

  constructor(program: (job: Job, place: Place) => Program) {
    this.#program = program;
  }

  async run(job: Job): Promise<void> {
    let breath = performance.now();
    for (const leader of this.#program(job, { index: 0, parties: 1 })) {
      leader?.();
      if (performance.now() - breath > BREATH_MS) {
        await new Promise(setImmediate);
        breath = performance.now();
      }
    }
  }

  async close(): Promise<void> {}
}

/** Worker threads of one piscina pool. A pool that lost a thread is destroyed; the next call makes a new one. */
export class WorkerTeam<Job> implements Team<Job> {
  readonly size: number;
  readonly #workerData: unknown;
  readonly #words: Int32Array;
  #pool: Piscina<Task<Job>, Reply> | null = null;
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
    this.#pool ??= this.#start();
    const pool = this.#pool;
    Atomics.store(this.#words, Word.abort, 0);
    Atomics.store(this.#words, Word.arrived, 0);
    const tasks = Array.from({ length: parties }, (_, index) => pool.run({ job, index, parties }));
    let replies: Reply[];
    try {
      replies = await Promise.all(tasks);
    } catch (cause) {
      giveUp(this.#words);
      this.#pool = null;
      // The other threads may be anywhere in the call: once they are gone, nobody writes into the memory any more.
      await Promise.all([pool.destroy(), Promise.allSettled(tasks)]);
      throw workerLost(cause);
    }
    this.#ranOn = replies.map((reply) => (reply.ok ? reply.threadId : -1));
    // A thread that failed makes the others give up: what is told is the failure, not its consequences.
    const failure = replies.find((reply) => !reply.ok && !reply.aborted);
    if (failure && !failure.ok) throw workerFailed(failure.message);
  }

  /** Starts the threads ahead of the first call. */
  start(): void {
    this.#pool ??= this.#start();
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
    return pool;
  }

  async close(): Promise<void> {
    const pool = this.#pool;
    this.#pool = null;
    await pool?.destroy();
  }
}
