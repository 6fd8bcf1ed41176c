import { Word } from '../parallel/control.ts';
import { nothing, type Place, type Program } from '../parallel/program.ts';
import type { Engagement } from '../parallel/team.ts';
import type { Job } from './jobs.ts';
import type { Copies } from './model-memory.ts';
import type { Network } from './network.ts';
import { runsOf } from './reduce.ts';
import type { ModelThread } from './thread.ts';

/**
 * A call that changes the model writes second copies of what it changes, which replace the first ones
 * at its end: a thread that dies leaves either everything as it was or everything as it was to be.
 */

/**
 * The end of such a call's program. From its first barrier on the call counts as done; then each thread
 * copies what it has computed itself, which its caches still hold.
 */
export function* takeOver(
  thread: ModelThread,
  arrays: readonly Copies[],
  place: Place,
  leader: () => void = nothing,
): Program {
  yield () => {
    leader();
    Atomics.store(thread.control.words, Word.whole, 1);
  };
  const { reals } = thread.tools(place);
  const real = reals.BYTES_PER_ELEMENT;
  for (const { offset, bytes } of runsOf(thread.g, place)) {
    for (const [home, second] of arrays) {
      const from = (second + offset) / real;
      reals.copyWithin((home + offset) / real, from, from + bytes / real);
    }
  }
  yield nothing;
}

/**
 * Runs a job whose program ends with `takeOver`. If a thread is lost while the copies are taken over,
 * they are complete all the same, and are taken over here.
 */
export async function runAndTakeOver(
  network: Network,
  job: Job,
  engagement: Engagement,
  arrays: readonly Copies[],
): Promise<void> {
  const { words } = network.control;
  Atomics.store(words, Word.whole, 0);
  try {
    await network.run(job, engagement);
  } catch (error) {
    if (!Atomics.load(words, Word.whole)) throw error;
    network.takeOver(arrays);
  }
}
