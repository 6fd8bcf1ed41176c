import { badArgument } from '../errors.ts';
import { cosPi } from '../numeric/elementary.ts';

/** How the learning rate changes from step to step: a name, with its numbers where it has any. */
export type Schedule = 'constant' | 'cosine';

const SCHEDULES: readonly Schedule[] = ['constant', 'cosine'];

export function checkSchedule(schedule: unknown): Schedule {
  const found = SCHEDULES.find((name) => name === schedule);
  if (!found) throw badArgument('schedule', `one of ${SCHEDULES.join(', ')}`, schedule);
  return found;
}

/**
 * The factor on the learning rate in step `step` (from 0) of `steps`.
 * cosine: ½ (1 + cos π·step/steps), from 1 down to almost 0 (SGDR without restarts, https://arxiv.org/abs/1608.03983).
 */
export function scheduleFactor(schedule: Schedule, step: number, steps: number): number {
  return schedule === 'cosine' ? 0.5 * (1 + cosPi(step / steps)) : 1;
}
