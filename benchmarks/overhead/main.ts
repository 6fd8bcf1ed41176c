import { oneOf, readCommandLine } from '../../cli/common/command-line.ts';
import { EFFORT, effortOf } from '../common/effort.ts';
import { describeMachine, machineLine } from '../common/machine.ts';
import { LARGE, MEDIUM, SIZES, SMALL, TINY } from '../common/sizes.ts';
import { callOverhead } from './calls.ts';
import { engagement } from './engagement.ts';
import { growth } from './growth.ts';
import { identityCost } from './identity.ts';
import { memory } from './memory.ts';
import { oddSizes } from './odd-sizes.ts';
import { optionCosts } from './options.ts';
import { kernelShare } from './share.ts';
import { speedUp } from './speed-up.ts';

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
