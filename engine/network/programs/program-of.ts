import type { Place, Program } from '../../parallel/program.ts';
import { backward, forward, gradients } from './call-programs.ts';
import { epoch } from './epoch-program.ts';
import type { Job } from './jobs.ts';
import type { ModelThread } from './thread.ts';
import { update } from './update-program.ts';

/** What a thread does for a job. */
export function programOf(thread: ModelThread, job: Job, place: Place): Program {
  thread.seeGrowth();
  switch (job.kind) {
    case 'forward':
      return forward(thread, job, 0, place);
    case 'backward':
      return backward(thread, job, place);
    case 'gradients':
      return gradients(thread, job, place);
    case 'update':
      return update(thread, job, place);
    case 'epoch':
      return epoch(thread, job, place);
  }
}
