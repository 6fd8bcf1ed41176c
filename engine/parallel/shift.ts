import type { MessagePort } from 'node:worker_threads';
import type { Piscina } from 'piscina';
import { type Mailbox, mailbox, post } from './mailbox.ts';
import type { Place } from './program.ts';

/** What a worker is told; without a job the threads only meet, to show that they are there. */
export interface Task<Job> extends Place {
  readonly job: Job | null;
  /** Whether the calling thread takes part: it knows by itself when the call is complete. */
  readonly here: boolean;
}

/** How a worker's shift ends. */
export type Reply =
  | { readonly ok: true }
  | { readonly ok: false; readonly aborted: boolean; readonly message: string };

/** What a worker writes: first of all its thread's id, later that a call is complete. */
export type Letter = { readonly threadId: number } | 'complete';

/**
 * A worker on duty: a piscina task that takes one job after the other, asleep beside its mailbox in between. A task for each
 * job would begin some 150 µs later and be heard of as much later: the code it takes on both sides is in nobody's cache after
 * some milliseconds of matmuls.
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

  /** The thread's id, as soon as it has written; -1 before. */
  get threadId(): number {
    return this.#threadId;
  }

  send(task: Task<Job>): void {
    post(this.#mailbox, task);
  }

  /** Ends the shift after what was sent before. */
  dismiss(): void {
    post(this.#mailbox, null);
  }
}
