import { describe, expect, it } from 'vitest';
import { flag, list, oneOf, parseCommandLine, positive, text } from './command-line.ts';
import { effortOf } from './effort.ts';

const OPTIONS = {
  quick: flag('short'),
  only: oneOf(['step', 'fit'], 'one of them'),
  seconds: positive('how long'),
  picture: text('FILE', 'where to'),
  threads: list('N,N', 'counts', ',', Number),
};

describe('command line of a benchmark', () => {
  it('reads every kind of option', () => {
    const args = '--quick --only fit --seconds 0.5 --picture a.svg --threads 0,2'.split(' ');
    const read = { quick: true, only: 'fit', seconds: 0.5, picture: 'a.svg', threads: [0, 2], help: false };
    expect(parseCommandLine(OPTIONS, args)).toEqual(read);
  });

  it('leaves open what is not given', () => {
    expect(parseCommandLine(OPTIONS, [])).toEqual({ quick: false, help: false });
  });

  it.each([
    ['--only steps', '--only: expected one of step, fit, got steps'],
    ['--seconds 0', '--seconds: expected a number above 0, got 0'],
    ['--seconds soon', '--seconds: expected a number above 0, got soon'],
    ['--seconds=', '--seconds: expected a number above 0, got nothing'],
    ['--seconds', /seconds <value>' argument missing/],
    ['--fast', /Unknown option '--fast'/],
    ['fast', /Unexpected argument 'fast'/],
  ])('refuses %s', (line, message) => {
    expect(() => parseCommandLine(OPTIONS, line.split(' '))).toThrow(message);
  });

  it('takes the usual or the short effort for what it does not say', () => {
    const [usual, short] = [
      { rounds: 11, seconds: 1 },
      { rounds: 3, seconds: 0.1 },
    ];
    expect(effortOf({ quick: false }, usual, short)).toEqual(usual);
    expect(effortOf({ quick: true, seconds: 2 }, usual, short)).toEqual({ rounds: 3, seconds: 2 });
  });
});
