import { nothing, type Place, type Program } from '../../parallel/program.ts';
import { Word } from '../memory/control.ts';
import type { Copies } from '../memory/model-memory.ts';
import { runsOf } from './reduce.ts';
import type { ModelThread } from './thread.ts';

/**
 * The end of a call that changes the model: the second copies it has made of what it changes replace the first
 * ones, so that a thread that dies leaves either everything as it was or everything as it was to be. From the first
 * barrier on the call counts as done; then each thread copies what it has computed itself, which its caches still hold.
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
