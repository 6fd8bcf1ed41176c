import { oneOf, readCommandLine } from '../cli/common/command-line.ts';
import { EFFORT, effortOf } from './effort.ts';
import { describeMachine, machineLine } from './machine.ts';
import { callOverhead } from './overhead/calls.ts';
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
const SECTION_NAMES = [
  'speedup',
  'share',
  'identity',
  'calls',
  'threads',
  'odd',
  'options',
  'growth',
  'memory',
] as const;
const options = readCommandLine('npm run bench:overhead', {
  ...EFFORT,
  only: oneOf(SECTION_NAMES, 'one table'),
});
const effort = effortOf(options, { rounds: 15, seconds: 0.5 }, { rounds: 3, seconds: 0.1 });
const usual = options.quick ? [SMALL] : [SMALL, MEDIUM, LARGE];
const all = options.quick ? [SMALL] : SIZES;

const SECTIONS: Readonly<Record<(typeof SECTION_NAMES)[number], () => void | Promise<void>>> = {
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

console.log(machineLine(describeMachine()));
for (const name of options.only ? [options.only] : SECTION_NAMES) await SECTIONS[name]();
