import { describe, expect, it } from 'vitest';
import { flag, integer, list, oneOf, parseCommandLine, positive, text, whole } from './command-line.ts';

const OPTIONS = {
  quick: flag('short'),
  only: oneOf(['step', 'fit'], 'one of them'),
  seconds: positive('how long'),
  picture: text('FILE', 'where to'),
  threads: list('N,N', 'counts', ',', integer(0)),
  epochs: whole('how many', 1, 100),
};

describe('a command line', () => {
  it('reads every kind of option', () => {
    const args = '--quick --only fit --seconds 0.5 --picture a.svg --threads 0,2 --epochs 8'.split(' ');
    const read = { quick: true, only: 'fit', seconds: 0.5, picture: 'a.svg', threads: [0, 2], epochs: 8 };
    expect(parseCommandLine(OPTIONS, args)).toEqual({ ...read, help: false });
  });

  it('leaves open what is not given', () => {
    expect(parseCommandLine(OPTIONS, [])).toEqual({ quick: false, help: false });
  });

  it.each(['--help', '-h'])('is asked for help by %s', (args) => {
    expect(parseCommandLine(OPTIONS, [args]).help).toBe(true);
  });

  it.each([
    ['--only steps', '--only: expected one of step, fit, got steps'],
    ['--seconds 0', '--seconds: expected a number above 0, got 0'],
    ['--seconds soon', '--seconds: expected a number above 0, got soon'],
    ['--seconds=', '--seconds: expected a number above 0, got nothing'],
    ['--epochs 2.5', '--epochs: expected an integer, 1 or more, got 2.5'],
    ['--epochs 0', '--epochs: expected an integer, 1 or more, got 0'],
    ['--epochs=', '--epochs: expected an integer, 1 or more, got nothing'],
    ['--epochs 101', '--epochs: expected at most 100, got 101'],
    ['--threads 2,many', '--threads: expected an integer, 0 or more, got many'],
    ['--seconds', /seconds <value>' argument missing/],
    ['--fast', /Unknown option '--fast'/],
    ['fast', /Unexpected argument 'fast'/],
  ])('refuses %s', (line, message) => {
    expect(() => parseCommandLine(OPTIONS, line.split(' '))).toThrow(message);
  });
});
