import { describe, expect, it } from 'vitest';
import { parseCommandLine } from '../../cli/common/command-line.ts';
import { EFFORT, effortOf } from './effort.ts';

describe('the effort of a run', () => {
  it('is the usual or the short one where the command line says nothing', () => {
    const [usual, short] = [
      { rounds: 11, seconds: 1 },
      { rounds: 3, seconds: 0.1 },
    ];
    expect(effortOf({ quick: false }, usual, short)).toEqual(usual);
    expect(effortOf({ quick: true, seconds: 2 }, usual, short)).toEqual({ rounds: 3, seconds: 2 });
  });

  it('has whole rounds', () => {
    expect(() => parseCommandLine(EFFORT, ['--rounds', '2.5'])).toThrow('--rounds: expected an integer');
  });
});
