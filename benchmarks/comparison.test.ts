import { describe, expect, it } from 'vitest';
import { compareRuns } from './comparison.ts';
import type { Measurement, RunResults } from './results.ts';

const machine = {
  ...{ date: '2026-01-01T00:00:00Z', cpu: 'a', cores: 2, memoryGiB: 1, node: 'v20', commit: 'c', load: 0 },
};

const step = (seconds: number, spread: number, name = '1,1,1,1,1'): Measurement => ({
  ...{ suite: 'training step', threads: 2, name, seconds, spread },
});

const run = (measurements: Measurement[], limit = 50): RunResults => ({
  ...{ command: 'bench', machine, threadCounts: [2], limits: { float32: limit }, measurements },
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
    const { changes, limitRatio } = compareRuns(run([step(1, 0.01)], 50), run([step(0.5, 0.01)], 100));
    expect(limitRatio).toBe(2);
    expect(changes[0]).toMatchObject({ ratio: 1, verdict: 'same' });
  });

  it('names the cases that only one run has', () => {
    const { changes, unmatched } = compareRuns(run([step(1, 0)]), run([step(1, 0, '2,2,2,2,2')]));
    expect(changes).toEqual([]);
    expect(unmatched).toEqual(['training step, 1,1,1,1,1, 2 threads', 'training step, 2,2,2,2,2, 2 threads']);
  });
});
