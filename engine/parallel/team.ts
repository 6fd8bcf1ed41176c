import { performance } from 'node:perf_hooks';
import { clearTimeout, setTimeout } from 'node:timers';
import { Piscina } from 'piscina';
import { workerFile } from '../artifacts.ts';
import { messageOf, workerFailed, workerLost } from '../errors.ts';
import { Aborted, GIVEN_UP, giveUp } from './barrier.ts';
import type { CallingThread } from './calling-thread.ts';
import type { Mailbox } from './mailbox.ts';
import type { Place } from './program.ts';
import { type Reply, Shift } from './shift.ts';
import { TeamWord } from './team-words.ts';

type Pool = Piscina<Mailbox, Reply>;

/** Throws WORKER_FAILED where Node.js starts no threads, for example with --permission but without --allow-worker. */
function newPool(options: ConstructorParameters<typeof Piscina>[0]): Pool {
  try {
    return new Piscina<Mailbox, Reply>(options);
  } catch (cause) {
    const isDenied = (cause as NodeJS.ErrnoException).code === 'ERR_ACCESS_DENIED';
    const advice = isDenied ? ' (start Node.js with --allow-worker, or make the model with threads: 0)' : '';
    throw workerFailed(`${messageOf(cause)}${advice}`, cause);
  }
}

/** The threads a call engages: how many, and whether the calling thread is the first of them. */
export interface Engagement {
  readonly parties: number;
  readonly here: boolean;
}

const placesOf = (parties: number): Place[] =>
  Array.from({ length: parties }, (_, index) => ({ index, parties }));

/** If not all threads have started by then, they never will. */
const START_LIMIT_MS = 30_000;

/** How long workers stay on duty after a call, asleep. A process that has nothing else to do ends that much later. */
const DUTY_MS = 50;

/** A call that workers are computing. */
interface Call<Job> {
  readonly engaged: readonly Shift<Job>[];
  readonly complete: () => void;
  /** For when the shift of one of the engaged has ended: the call cannot be completed. */
  readonly fail: () => void;
}

/**
 * The worker threads of one piscina pool, and the calling thread where it takes part. A pool that lost
 * a thread is destroyed; the next call makes a new one. `Job` is plain data, or lies in shared memory.
 */
export class WorkerTeam<Job> {
  /** Number of workers: a call engages at most that many threads. */
  readonly size: number;
  readonly #here: CallingThread<Job>;
  readonly #workerData: unknown;
  readonly #words: Int32Array;
  #pool: Pool | null = null;
  #ready: Promise<Pool> | null = null;
  /** Whether the pool has lost a thread, even between two calls. */
  #lost = false;
  /** Resolves when the last discarded pool has ended. */
  #ending: Promise<void> = Promise.resolve();
  /** The workers that wait for a job or compute one; the others are in their event loops until they are called in. */
  #onDuty: Shift<Job>[] = [];
  #call: Call<Job> | null = null;
  #ranOn: readonly Shift<Job>[] = [];
  #dismissal: NodeJS.Timeout | undefined;
  /** When the last call ended. */
  #idleSince = 0;

  /** `words` is the control block, which must stay in its place for as long as the team lives. */
  constructor(size: number, here: CallingThread<Job>, workerData: unknown, words: Int32Array) {
    this.size = size;
    this.#here = here;
    this.#workerData = workerData;
    this.#words = words;
  }

  /** The worker threads' pool, for tests that kill one. */
  get pool(): Pool | null {
    return this.#pool;
  }

  /** The ids of the workers that ran the last call, by their places. */
  get ranOn(): readonly number[] {
    return this.#ranOn.map(({ threadId }) => threadId);
  }

  /** Runs a job; resolves when it is done. If it rejects, none of its threads is at work any more. */
  async run(job: Job, { parties, here }: Engagement): Promise<void> {
    // piscina replaces a lost thread, but if the new one dies while it starts, its tasks wait for ever.
    if (this.#lost) await this.#retire();
    const pool = await this.ready();
    const places = placesOf(parties);
    const workers = this.#send(pool, job, here ? places.slice(1) : places, here);
    if (here) await this.#takePart(job, places[0], workers);
    else await workers;
  }

  /** Takes part in a call, which is complete once this thread is through its last barrier. */
  async #takePart(job: Job, place: Place, workers: Promise<void>): Promise<void> {
    // It may reject while this thread computes its lanes and does not await it yet.
    workers.catch(() => {});
    try {
      await this.#here.run(job, place);
    } catch (error) {
      giveUp(this.#words);
      // If the calling thread only followed the others in giving up, theirs is the error to be thrown.
      await (error instanceof Aborted ? workers : workers.catch(() => {}));
      throw error;
    }
    // A thread that is lost from now on concerns the next call only.
    this.#call?.complete();
    await workers;
  }

  /**
   * Starts the threads unless they are running, and waits until all have met.
   * @throws WORKER_FAILED where one cannot start
   */
  ready(): Promise<Pool> {
    this.#ready ??= this.#startAll().catch((error) => {
      this.#ready = null;
      throw error;
    });
    return this.#ready;
  }

  async #startAll(): Promise<Pool> {
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
      await this.#send(pool, null, placesOf(this.size), false);
      return pool;
    } catch (error) {
      // Not WORKER_LOST, after which the next call would start new threads: whatever kept a thread from
      // starting would do so again.
      throw workerFailed(fault, error instanceof Error ? (error.cause ?? error) : error);
    } finally {
      clearTimeout(limit);
    }
  }

  /** Gives each place a worker; resolves when the call is complete. */
  async #send(pool: Pool, job: Job | null, places: readonly Place[], here: boolean): Promise<void> {
    for (const word of [TeamWord.abort, TeamWord.arrived, TeamWord.ended])
      Atomics.store(this.#words, word, 0);
    while (this.#onDuty.length < places.length) this.#onDuty.push(this.#callIn(pool));
    const engaged = this.#onDuty.slice(0, places.length);
    if (job) this.#ranOn = engaged;
    const failed = await new Promise<boolean>((resolve) => {
      this.#call = { engaged, complete: () => resolve(false), fail: () => resolve(true) };
      places.forEach((place, i) => {
        engaged[i].send({ job, here, index: place.index, parties: place.parties });
      });
    });
    this.#call = null;
    this.#idleSince = performance.now();
    this.#dismissal ??= setTimeout(() => this.#dismiss(), DUTY_MS);
    if (failed) await this.#fail(pool, engaged);
  }

  #callIn(pool: Pool): Shift<Job> {
    const shift = new Shift<Job>(pool, () => this.#callOf(shift)?.complete());
    const ended = (): void => {
      this.#onDuty = this.#onDuty.filter((other) => other !== shift);
      this.#callOf(shift)?.fail();
    };
    shift.end.then(ended, ended);
    return shift;
  }

  /**
   * The current call, if the shift is engaged in it: what arrives late from an earlier call's workers
   * must not affect it.
   */
  #callOf(shift: Shift<Job>): Call<Job> | null {
    return this.#call?.engaged.includes(shift) ? this.#call : null;
  }

  /**
   * Ends the workers' shifts, or waits on if there has been a call meanwhile. One timer serves many
   * calls, since setting a timer is slow.
   */
  #dismiss(): void {
    this.#dismissal = undefined;
    // The end of the call sets it again.
    if (this.#call) return;
    const left = this.#idleSince + DUTY_MS - performance.now();
    if (left > 0) this.#dismissal = setTimeout(() => this.#dismiss(), left);
    else for (const shift of this.#onDuty.splice(0)) shift.dismiss();
  }

  /** Throws the error that made a call fail, once none of its threads is at work any more. */
  async #fail(pool: Pool, engaged: readonly Shift<Job>[]): Promise<void> {
    giveUp(this.#words);
    const ends = engaged.map(({ end }) => end);
    let lost: unknown;
    try {
      // A shift that has not begun may never: see #lose.
      if (this.#lost || engaged.some(({ hasBegun }) => !hasBegun)) await this.#discard(pool);
      await Promise.all(ends);
    } catch (cause) {
      lost = cause;
      // The other threads may be anywhere in the call: only once they are gone does nobody write into
      // the memory any more.
      await this.#discard(pool);
    }
    const replies = await Promise.allSettled(ends);
    // A thread that failed makes the others give up: its failure is reported, not theirs. Even if none
    // has failed, the call's results are incomplete.
    for (const reply of replies) {
      if (reply.status === 'fulfilled' && !reply.value.ok && !reply.value.aborted)
        throw workerFailed(reply.value.message);
    }
    throw lost === undefined ? workerFailed(GIVEN_UP) : workerLost(lost);
  }

  #start(): Pool {
    // Throws if the file does not exist: piscina would leave every task but the first pending for ever.
    const filename = workerFile();
    const pool = newPool({
      filename,
      minThreads: this.size,
      maxThreads: this.size,
      idleTimeout: Number.POSITIVE_INFINITY,
      maxQueue: this.size,
      atomics: 'disabled',
      recordTiming: false,
      workerData: this.#workerData,
    });
    // A stray error of a worker ends its shift, and so fails its call anyway.
    pool.on('error', () => {});
    for (const worker of pool.threads) {
      worker.once('exit', () => {
        if (pool === this.#pool) this.#lose();
      });
    }
    return pool;
  }

  /**
   * Notes that a thread is lost. Where the call in flight waits for one, nothing else tells: piscina leaves a queued
   * task pending for ever if the thread it starts in the lost one's place dies too.
   */
  #lose(): void {
    this.#lost = true;
    if (this.#call?.engaged.some(({ hasBegun }) => !hasBegun)) this.#call.fail();
  }

  async close(): Promise<void> {
    clearTimeout(this.#dismissal);
    await this.#retire();
  }

  /** Ends the threads; the next call starts new ones. */
  async #retire(): Promise<void> {
    await (this.#pool ? this.#discard(this.#pool) : this.#ending);
  }

  /**
   * Ends a pool, only once: if it were destroyed again, piscina would take the end of its threads for a
   * loss and start others.
   */
  #discard(pool: Pool): Promise<void> {
    if (pool === this.#pool) {
      this.#pool = null;
      this.#ready = null;
      this.#ending = pool.destroy();
    }
    return this.#ending;
  }
}
