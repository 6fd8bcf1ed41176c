import { threadId } from 'node:worker_threads';
import { workerData } from 'piscina';
import type { Job } from '../engine/network/jobs.ts';
import { programOf } from '../engine/network/programs.ts';
import { ModelThread, type ThreadSetup } from '../engine/network/thread.ts';
import { Aborted, Barrier, giveUp } from '../engine/parallel/barrier.ts';
import { nothing } from '../engine/parallel/program.ts';
import type { Reply, Task } from '../engine/parallel/team.ts';

/** One worker thread of a model: takes its place in the call it is given, and meets the others at the barriers. */
const thread = new ModelThread(workerData as ThreadSetup);

export default function run({ job, index, parties }: Task<Job>): Reply {
  const { words } = thread.control;
  const barrier = new Barrier(words, parties);
  try {
    if (job === null) barrier.wait(nothing);
    else for (const leader of programOf(thread, job, { index, parties })) if (leader) barrier.wait(leader);
    return { ok: true, threadId };
  } catch (error) {
    const aborted = error instanceof Aborted;
    // Not once more: the next call may have begun.
    if (!aborted) giveUp(words);
    return {
      ok: false,
      aborted,
      message: String(error instanceof Error ? error.stack : error),
    };
  }
}
