import { describe, expect, it } from 'vitest';
import { freshPlateau, nextPlateau, scheduleFactor, scheduleSpec } from './schedules.ts';

const factors = (schedule: Parameters<typeof scheduleSpec>[0], steps: number, perEpoch = 1) =>
  Array.from({ length: steps }, (_, step) =>
    scheduleFactor(scheduleSpec(schedule), { step, perEpoch, inAll: steps }),
  );

describe('schedules', () => {
  it('constant keeps the rate', () => {
    expect(factors('constant', 3)).toEqual([1, 1, 1]);
  });

  it('cosine falls from 1 along ½ (1 + cos π·step/steps)', () => {
    const [first, quarter, half, last] = factors('cosine', 4);
    expect([first, half]).toEqual([1, 0.5]);
    // cos 45° = 0.70710678…
    expect(quarter).toBeCloseTo(0.8535533905932737, 15);
    expect(last).toBeCloseTo(0.1464466094067263, 15);
  });

  it('step multiplies by the factor after every so many epochs', () => {
    // Two steps an epoch, a tenth after every two epochs.
    const expected = [1, 1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.1 * 0.1];
    expect(factors({ type: 'step', epochs: 2 }, 9, 2)).toEqual(expected);
  });

  it('warm-up rises in a straight line, into any of them', () => {
    expect(factors({ type: 'constant', warmup: 4 }, 6)).toEqual([0.25, 0.5, 0.75, 1, 1, 1]);
    expect(factors({ type: 'cosine', warmup: 2 }, 4)[0]).toBe(0.5);
  });

  it('plateau waits for more than `patience` epochs, then lowers the rate and waits again', () => {
    const spec = scheduleSpec({ type: 'plateau', patience: 1, factor: 0.5 });
    let state = freshPlateau;
    const rates = [5, 4, 4, 4, 4, 4, 3.9].map((loss) => {
      state = nextPlateau(spec, state, loss);
      return state.factor;
    });
    // The best is 4; the first epoch without a better one is tolerated, the second lowers the rate.
    expect(rates).toEqual([1, 1, 1, 0.5, 0.5, 0.25, 0.25]);
  });

  it('plateau takes a loss for better only where it has fallen by more than the threshold’s share', () => {
    const spec = scheduleSpec({ type: 'plateau', patience: 0, factor: 0.5, threshold: 0.1 });
    const factorAfter = (loss: number) => nextPlateau(spec, nextPlateau(spec, freshPlateau, 1), loss).factor;
    expect([factorAfter(0.95), factorAfter(0.89)]).toEqual([0.5, 1]);
  });

  it('refuse what is none, and options of another', () => {
    expect(() => scheduleSpec('linear' as never)).toThrow(
      'schedule: expected one of constant, cosine, step, plateau',
    );
    expect(() => scheduleSpec({ type: 'cosine', factor: 2 } as never)).toThrow(
      'schedule.factor: expected one of',
    );
    expect(() => scheduleSpec({ type: 'plateau', threshold: Symbol('x') } as never)).toThrow(
      'schedule.threshold: expected a number from 0 to below 1, got Symbol(x)',
    );
    expect(() => scheduleSpec({ type: 'step' } as never)).toThrow(
      'schedule.epochs: expected an integer, 1 or more',
    );
  });
});
