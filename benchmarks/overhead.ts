import { parseArgs } from 'node:util';
import { describeMachine, machineLine } from './machine.ts';
import { callOverhead } from './overhead/calls.ts';
import type { Effort } from './overhead/effort.ts';
import { engagement } from './overhead/engagement.ts';
import { growth } from './overhead/growth.ts';
import { identityCost } from './overhead/identity.ts';
import { memory } from './overhead/memory.ts';
import { oddSizes } from './overhead/odd-sizes.ts';
import { optionCosts } from './overhead/options.ts';
import { kernelShare } from './overhead/share.ts';
import { speedUp } from './overhead/speed-up.ts';
import { LARGE, MEDIUM, SIZES, SMALL, TINY } from './sizes.ts';

/** What a step costs besides its arithmetic: `npm run bench:overhead`. Prints a Markdown table for each question. */
const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    /** One of the sections below. */
    only: { type: 'string' },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
  },
});

const effort: Effort = {
  rounds: Number(options.rounds ?? (options.quick ? 3 : 15)),
  seconds: Number(options.seconds ?? (options.quick ? 0.1 : 0.5)),
};
const usual = options.quick ? [SMALL] : [SMALL, MEDIUM, LARGE];
const all = options.quick ? [SMALL] : SIZES;

const SECTIONS: Readonly<Record<string, () => void | Promise<void>>> = {
  speedup: () => speedUp(all, effort),
  share: () => kernelShare(usual, effort),
  identity: () => identityCost(usual, effort),
  calls: () => callOverhead(usual, effort),
  threads: () => engagement([TINY, ...all], effort),
  odd: () => oddSizes(effort),
  options: () => optionCosts(effort),
  growth: () => growth(effort),
  memory: () => memory(all),
};

const names = options.only === undefined ? Object.keys(SECTIONS) : [options.only];
if (names.some((name) => !(name in SECTIONS))) {
  throw new RangeError(`--only takes one of ${Object.keys(SECTIONS).join(', ')}.`);
}
console.log(machineLine(describeMachine()));
for (const name of names) await SECTIONS[name]();
