import type { MessagePort } from 'node:worker_threads';
import type { Piscina } from 'piscina';
import { type Mailbox, mailbox, post } from './mailbox.ts';
import type { Place } from './program.ts';

/** What a worker is sent. Without a job the threads only meet, to show that they have started. */
export interface Task<Job> extends Place {
  readonly job: Job | null;
  /** Whether the calling thread takes part: then it knows by itself when the call is complete. */
  readonly here: boolean;
}

/** How a worker's shift ends. */
export type Reply =
  | { readonly ok: true }
  | { readonly ok: false; readonly aborted: boolean; readonly message: string };

/** What a worker sends: first its thread's id, later that a call is complete. */
export type Letter = { readonly threadId: number } | 'complete';

/**
 * A worker on duty: one piscina task that takes job after job, asleep beside its mailbox in between.
 * With a piscina task for each job, jobs would begin some 150 µs later, and end as much later: after
 * some milliseconds of matmuls no cache holds the code that this takes on both sides.
 */
export class Shift<Job> {
  /** Rejects where the thread is lost. */
  readonly end: Promise<Reply>;
  readonly #mailbox: Mailbox;
  #threadId = -1;

  constructor(pool: Piscina<Mailbox, Reply>, complete: () => void) {
    const [ours, theirs] = mailbox();
    this.#mailbox = ours;
    const { port } = ours;
    port.on('message', (letter: Letter) => {
      if (letter === 'complete') complete();
      else this.#threadId = letter.threadId;
    });
    const transferList: MessagePort[] = [theirs.port];
    this.end = pool.run(theirs, { transferList }).finally(() => port.close());
  }

  /** The thread's id; −1 until the worker has sent it. */
  get threadId(): number {
    return this.#threadId;
  }

  /** Whether a thread has taken it up; until then it may wait in the pool's queue. */
  get hasBegun(): boolean {
    return this.#threadId !== -1;
  }

  send(task: Task<Job>): void {
    post(this.#mailbox, task);
  }

  /** Ends the shift after the tasks sent before. */
  dismiss(): void {
    post(this.#mailbox, null);
  }
}
