import { threadId } from 'node:worker_threads';
import { workerData } from 'piscina';
import type { Job } from '../engine/network/programs/jobs.ts';
import { programOf } from '../engine/network/programs/program-of.ts';
import { ModelThread, type ThreadSetup } from '../engine/network/programs/thread.ts';
import { Aborted, Barrier, giveUp } from '../engine/parallel/barrier.ts';
import { type Mailbox, take } from '../engine/parallel/mailbox.ts';
import { nothing } from '../engine/parallel/program.ts';
import type { Letter, Reply, Task } from '../engine/parallel/shift.ts';
import { spinsBeforeSleep } from '../engine/parallel/spin.ts';
import { TeamWord } from '../engine/parallel/team-words.ts';

/** One worker thread of a model: takes part in the calls it is given, and meets the others at the barriers. */
let thread: ModelThread | null = null;

/** A shift: one call after the other, until it is dismissed or a call fails. */
export default function shift(mailbox: Mailbox): Reply {
  // Not sooner: a thread that piscina starts in a lost one's place is ended unused, and would abort the whole process
  // if that met it while it loads a BLAS.
  thread ??= new ModelThread(workerData as ThreadSetup);
  const reply = takeCalls(thread, mailbox);
  // It may hold messages that nobody is going to read any more.
  mailbox.port.close();
  return reply;
}

function takeCalls(thread: ModelThread, mailbox: Mailbox): Reply {
  const { words } = thread.control;
  const write = (letter: Letter): void => mailbox.port.postMessage(letter);
  write({ threadId });
  let spins = 0;
  for (;;) {
    const task = take(mailbox, spins) as Task<Job> | null;
    if (task === null) return { ok: true };
    const failure = takePart(thread, task);
    if (failure) return failure;
    const { here, parties } = task;
    if (!here && Atomics.add(words, TeamWord.ended, 1) + 1 === parties) write('complete');
    // Between two calls the calling thread is awake as well, and needs a core.
    spins = spinsBeforeSleep(here ? parties : parties + 1);
  }
}

function takePart(thread: ModelThread, { job, index, parties }: Task<Job>): Reply | null {
  const { words } = thread.control;
  const barrier = new Barrier(words, parties);
  try {
    if (job === null) barrier.wait(nothing);
    else for (const leader of programOf(thread, job, { index, parties })) if (leader) barrier.wait(leader);
    return null;
  } catch (error) {
    const aborted = error instanceof Aborted;
    // Not after an abort by another thread: the next call may have begun.
    if (!aborted) giveUp(words);
    return {
      ok: false,
      aborted,
      message: String(error instanceof Error ? error.stack : error),
    };
  }
}
