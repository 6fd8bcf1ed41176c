import { flag, positive, whole } from '../../cli/common/command-line.ts';

/** How long to measure: rounds, and seconds of each contestant in each round. */
export interface Effort {
  readonly rounds: number;
  readonly seconds: number;
}

/** What a command line may say about it. */
export const EFFORT = {
  quick: flag('a few seconds, to see that it runs; not to quote'),
  rounds: whole('rounds in which everything is measured once', 1),
  seconds: positive('seconds of each piece of work in a round'),
};

interface Said {
  readonly quick: boolean;
  readonly rounds?: number;
  readonly seconds?: number;
}

/** What the command line says, and where it says nothing the usual or the quick effort. */
export function effortOf({ quick, rounds, seconds }: Said, usual: Effort, short: Effort): Effort {
  const otherwise = quick ? short : usual;
  return { rounds: rounds ?? otherwise.rounds, seconds: seconds ?? otherwise.seconds };
}
