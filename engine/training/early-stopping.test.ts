import { describe, expect, it } from 'vitest';
import { bitsOf, labelled, withModel } from '../testing/models.ts';
import {
  type EarlyStopping,
  earlyStoppingSpec,
  freshStopping,
  isOver,
  watchEpoch,
} from './early-stopping.ts';
import type { EpochLog } from './fit-options.ts';

/** Passes figures to early stopping one by one; returns the number of epochs before it stops, and the best figure. */
function watch(options: EarlyStopping, figures: readonly number[]) {
  const spec = earlyStoppingSpec(options);
  let state = freshStopping;
  let epochs = 0;
  for (const figure of figures) {
    state = watchEpoch(spec, state, { [spec.monitor]: figure } as unknown as EpochLog);
    epochs++;
    if (isOver(spec, state)) break;
  }
  return { epochs, best: state.best };
}

describe('early stopping', () => {
  it('waits for a loss to fall, and puts up with `patience` epochs in which it does not', () => {
    for (const monitor of ['loss', 'validationLoss'] as const) {
      expect(watch({ monitor }, [3, 2, 2, 1])).toEqual({ epochs: 3, best: 2 });
      expect(watch({ monitor, patience: 1 }, [3, 2, 2, 1, 4, 4, 0])).toEqual({ epochs: 6, best: 1 });
    }
  });

  it('waits for an accuracy to rise', () => {
    for (const monitor of ['accuracy', 'validationAccuracy'] as const)
      expect(watch({ monitor }, [0.1, 0.2, 0.3, 0.25, 0.4])).toEqual({ epochs: 4, best: 0.3 });
  });

  it('counts an improvement only beyond minDelta', () => {
    expect(watch({ minDelta: 0.1 }, [1, 0.95, 0.5])).toEqual({ epochs: 2, best: 1 });
    expect(watch({ minDelta: 0.1 }, [1, 0.85, 0.5])).toEqual({ epochs: 3, best: 0.5 });
  });

  it('takes no figure that is not a number for the best', () => {
    expect(watch({ patience: 1 }, [Number.NaN, 3, 2])).toEqual({ epochs: 3, best: 2 });
  });

  const refused: [unknown, string][] = [
    [{ patients: 1 }, 'earlyStopping.patients: expected one of the options monitor, patience, minDelta'],
    [{ monitor: 'f1' }, "earlyStopping.monitor: expected 'loss', 'accuracy', 'validationLoss' or"],
    [{ patience: -1 }, 'earlyStopping.patience: expected an integer, 0 or more, got -1'],
    [{ minDelta: -1 }, 'earlyStopping.minDelta: expected a finite number, 0 or more, got -1'],
    [{ restoreBest: 1 }, 'earlyStopping.restoreBest: expected true or false, got 1'],
  ];
  it.each(refused)('refuses %j, and says which option that is', (options, message) => {
    expect(() => earlyStoppingSpec(options as EarlyStopping)).toThrow(message);
  });

  it('leaves the parameters of the last epoch where restoreBest is false', async () => {
    const validation = labelled(20, 6, 5, 4, 9);
    await withModel({ threads: 0, hiddenSize: 24 }, async (model) => {
      const after: string[] = [];
      const history = await model.fit(labelled(50, 6), {
        epochs: 200,
        batchSize: 10,
        validation,
        optimizer: { type: 'adam', learningRate: 0.02 },
        earlyStopping: { patience: 3, restoreBest: false },
        callbacks: { onEpochEnd: () => void after.push(bitsOf(model)) },
      });
      expect(history.length).toBeLessThan(200);
      expect(bitsOf(model)).toBe(after.at(-1));
    });
  });
});
