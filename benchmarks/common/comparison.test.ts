import { describe, expect, it } from 'vitest';
import { compareRuns } from './comparison.ts';
import type { Measurement, RunResults } from './results.ts';

const machine = {
  date: '2026-01-01T00:00:00Z',
  cpu: 'a',
  cores: 2,
  memoryGiB: 1,
  node: 'v20',
  commit: 'c',
  load: 0,
};

const step = (seconds: number, spread: number, name = '1,1,1,1,1', limit = 50): Measurement => ({
  suite: 'training step',
  threads: 2,
  name,
  seconds,
  spread,
  limit,
});

const run = (measurements: Measurement[], options = {}): RunResults => ({
  command: 'bench',
  machine,
  threadCounts: [2],
  options,
  measurements,
});

describe('comparison of two runs', () => {
  it('tells a difference beyond both spreads, in either direction', () => {
    const verdict = (before: number, after: number) =>
      compareRuns(run([step(before, 0.04)]), run([step(after, 0.04)])).changes[0].verdict;
    expect([verdict(1, 1.07), verdict(1, 1.09), verdict(1.07, 1), verdict(1.09, 1)]).toEqual([
      'same',
      'slower',
      'same',
      'faster',
    ]);
  });

  it('does not believe that a machine is stiller than a few percent', () => {
    const { changes } = compareRuns(run([step(1, 0)]), run([step(1.02, 0)]));
    expect(changes[0]).toMatchObject({ verdict: 'same', noise: 0.03 });
  });

  it('measures both runs by the limit of one core in each', () => {
    // Half the time on a machine twice as fast is no change.
    const [kept, fresh] = [step(1, 0.01), step(0.5, 0.01, '1,1,1,1,1', 100)];
    const { changes } = compareRuns(run([kept]), run([fresh]));
    expect(changes[0]).toMatchObject({ ratio: 1, limitRatio: 2, verdict: 'same' });
  });

  it('counts how the limits vary as noise', () => {
    const at = (seconds: number, limitSpread: number) => ({ ...step(seconds, 0.02), limitSpread });
    const { changes } = compareRuns(run([at(1, 0.04)]), run([at(1.1, 0.05)]));
    expect(changes[0].noise).toBeCloseTo(0.02 + 0.04 + 0.02 + 0.05, 12);
    expect(changes[0].verdict).toBe('same');
  });

  it('compares what has no limit by its times alone', () => {
    const unlimited = (seconds: number) => ({ ...step(seconds, 0.01), limit: undefined });
    const { changes } = compareRuns(run([unlimited(1)]), run([unlimited(2)]));
    expect(changes[0]).toMatchObject({ ratio: 2, limitRatio: undefined, verdict: 'slower' });
  });

  it('names the cases that only one run has', () => {
    const both = step(1, 0, '3,3,3,3,3');
    const { changes, unmatched } = compareRuns(run([step(1, 0), both]), run([both, step(1, 0, '2,2,2,2,2')]));
    expect(changes).toHaveLength(1);
    expect(unmatched).toEqual(['training step, 1,1,1,1,1, 2 threads', 'training step, 2,2,2,2,2, 2 threads']);
  });

  it('refuses runs that have nothing in common, or were asked for otherwise', () => {
    const one = run([step(1, 0)]);
    expect(() => compareRuns(one, run([step(1, 0, '2,2,2,2,2')]))).toThrow('no case in common');
    expect(() => compareRuns(one, run([step(1, 0)], { quick: true }))).toThrow(
      'The kept run is of {"command":"bench"}, the new one of {"command":"bench","quick":true}.',
    );
  });
});
