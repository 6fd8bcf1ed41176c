import { describe, expect, it, vi } from 'vitest';
import { workerLost } from '../errors.ts';
import { Word } from '../network/memory/control.ts';
import { stepCopies } from '../network/memory/model-memory.ts';
import { networkOf } from '../network/registry.ts';
import { giveUp } from '../parallel/barrier.ts';
import { Shift } from '../parallel/shift.ts';
import type { RNNPhonemeClassifier } from '../rnn-classifier.ts';
import { bitsOf, killWorker, labelled, teamOf, withModel } from '../testing/models.ts';

const data = labelled(64, 30);
/** Large enough for a call to last while a worker is killed, however busy the machine is. */
const large = { hiddenSize: 192, numLayers: 3, threads: 2 } as const;
const many = labelled(1_024, 30);
const soon = () => new Promise((resolve) => setTimeout(resolve, 15));

/** Waits until training has done this many steps of its epoch. */
async function stepsDone(model: RNNPhonemeClassifier, steps: number): Promise<void> {
  const words = networkOf(model).control.words;
  while (Atomics.load(words, Word.step) < steps) await new Promise(setImmediate);
}

/** Makes the next call lose a thread at the worst moment: half of what it changes has been copied, and is garbage. */
function loseInTakeOver(model: RNNPhonemeClassifier): void {
  const network = networkOf(model);
  const { run } = network;
  network.run = async (job, engagement) => {
    network.run = run;
    await network.run(job, engagement);
    const changed = job.kind === 'update' ? stepCopies(network.model) : [network.model.gradients];
    for (const [home] of changed) network.parameterArray(home).fill(NaN, 0, network.g.paddedCount / 2);
    throw workerLost(new Error('killed'));
  };
}

describe('a worker killed', () => {
  for (const call of ['forward', 'backward', 'gradients', 'evaluate', 'predict'] as const) {
    it(`in ${call}: the call rejects, nothing has changed, and the next call works`, async () => {
      await withModel(large, async (model) => {
        const logits = await model.forward(many.x);
        await model.backward(logits);
        const weights = bitsOf(model);
        const gradient = model.rnn[0].dW_ih.data.slice();
        const calls = {
          forward: () => model.forward(many.x),
          backward: () => model.backward(logits),
          gradients: () => model.gradients(many.x, many.labels),
          evaluate: () => model.evaluate(many),
          predict: () => model.predict(many.x),
        };
        const failed = calls[call]();
        void killWorker(model);
        await expect(failed).rejects.toMatchObject({ code: 'WORKER_LOST' });
        expect(bitsOf(model)).toBe(weights);
        expect(model.rnn[0].dW_ih.data).toEqual(gradient);
        await model.gradients(many.x, many.labels);
        expect(await model.forward(many.x)).toEqual(logits);
      });
    });
  }

  it('in gradients: the call that repeats it has the same dropout masks', async () => {
    const loss = async (lost: boolean) =>
      withModel({ ...large, dropout: 0.5 }, async (model) => {
        const call = () => model.gradients(many.x, many.labels).then(({ loss }) => loss);
        if (lost) {
          const failed = call();
          void killWorker(model);
          await expect(failed).rejects.toMatchObject({ code: 'WORKER_LOST' });
        }
        return [await call(), await call()];
      });
    expect(await loss(true)).toEqual(await loss(false));
  });

  it('in forward: nothing is left to go back through', async () => {
    await withModel(large, async (model) => {
      const logits = await model.forward(many.x);
      const failed = model.forward(many.x);
      void killWorker(model);
      await expect(failed).rejects.toMatchObject({ code: 'WORKER_LOST' });
      await expect(model.backward(logits)).rejects.toMatchObject({ code: 'NO_FORWARD' });
    });
  });

  // After an even and an odd number of steps the new parameters lie in different copies.
  it.each([20, 21])(
    'in fit: after some %i steps the parameters are those of a whole step, and training goes on',
    async (steps) => {
      const small = { hiddenSize: 48, numLayers: 2 };
      const optimizer = { type: 'sgd', learningRate: 0.1, momentum: 0.9 } as const;
      // A single long epoch: between two epochs there would be no step to be interrupted.
      const { x, labels } = labelled(4_000, 30);
      const options = { batchSize: 8, shuffle: false, optimizer };
      const reached = await withModel({ ...small, threads: 2 }, async (model) => {
        const failed = model.fit({ x, labels }, options);
        await stepsDone(model, steps);
        await killWorker(model);
        await expect(failed).rejects.toMatchObject({ code: 'WORKER_LOST' });
        const bits = bitsOf(model);
        const [log] = await model.fit({ x, labels }, options);
        expect(log.loss).toBeGreaterThan(0);
        return bits;
      });
      await withModel({ ...small, threads: 0 }, async (model) => {
        const slot = model.optimizer(optimizer);
        const after = async (step: number): Promise<string> => {
          const [first, end] = [step * 8, step * 8 + 8];
          const frames = x.data.subarray(first * 150, end * 150);
          model.zeroGrad();
          await model.gradients({ data: frames, shape: [8, 30, 5] }, labels.subarray(first, end));
          await slot.step();
          return bitsOf(model);
        };
        let step = 0;
        while ((await after(step)) !== reached)
          expect(++step, 'not the state after a whole step').toBeLessThan(500);
      });
    },
  );

  it('between two calls is not even noticed', async () => {
    await withModel({ threads: 2, hiddenSize: 64 }, async (model) => {
      const before = await model.forward(data.x);
      expect(teamOf(model).ranOn).not.toHaveLength(0);
      await killWorker(model, 1);
      await soon();
      expect(await model.forward(data.x)).toEqual(before);
      expect(teamOf(model).pool?.threads).toHaveLength(2);
    });
  });

  it('after the last barrier of a short call does not undo it, and close waits until all are gone', async () => {
    await withModel({ threads: 2, hiddenSize: 64 }, async (model) => {
      const before = await model.forward(data.x);
      const pool = teamOf(model).pool;
      if (!pool) throw new Error('the threads have not started');
      await vi.waitFor(() => expect(pool.completed).toBeGreaterThanOrEqual(2), 10_000);
      // The shift never ends; instead the pool reports, some time after the call, that the thread was lost.
      let lose = (): void => {};
      const lost = new Promise<never>((_, reject) => {
        lose = () => reject(new Error('killed'));
      });
      const run = pool.run.bind(pool);
      const called = vi.spyOn(pool, 'run').mockImplementation((task, options) => {
        run(task, options).catch(() => {});
        return lost;
      });
      expect(await model.forward(data.x)).toEqual(before);
      expect(called).toHaveBeenCalled();
      const { threads } = pool;
      let others = 0;
      pool.on('workerCreate', () => others++);
      lose();
      await new Promise(process.nextTick);
      await model.close();
      expect(threads.map(({ threadId }) => threadId)).toEqual([-1, -1]);
      await soon();
      expect(others).toBe(0);
    });
  });

  it('right before close: close waits until all are gone, and no others start in their place', async () => {
    await withModel({ threads: 2, hiddenSize: 64 }, async (model) => {
      await model.gradients(data.x, data.labels);
      const pool = teamOf(model).pool;
      if (!pool) throw new Error('the threads have not started');
      const { threads } = pool;
      let others = 0;
      pool.on('workerCreate', () => others++);
      void killWorker(model);
      await model.close();
      expect(threads.map(({ threadId }) => threadId)).toEqual([-1, -1]);
      await soon();
      expect(others).toBe(0);
    });
  });

  for (const call of ['backward', 'gradients', 'step'] as const) {
    it(`while its results are taken over does not undo ${call}`, async () => {
      const run = (lose: boolean) =>
        withModel({ threads: 2, hiddenSize: 64 }, async (model) => {
          const optimizer = model.optimizer({ type: 'adam', weightDecay: 0.1 });
          const logits = await model.forward(data.x);
          await model.gradients(data.x, data.labels);
          await optimizer.step();
          if (lose) loseInTakeOver(model);
          const calls = {
            backward: () => model.backward(logits),
            gradients: () => model.gradients(data.x, data.labels),
            step: () => optimizer.step(),
          };
          const result = await calls[call]();
          await optimizer.step();
          return { result, gradient: model.rnn[1].dW_hh.toArray(), bits: bitsOf(model) };
        });
      expect(await run(true)).toEqual(await run(false));
    });
  }

  it('between two calls, and the thread in its place while it starts, holds no call up', async () => {
    await withModel({ threads: 1, hiddenSize: 64 }, async (model) => {
      const before = await model.forward(data.x);
      expect(teamOf(model).ranOn).toHaveLength(1);
      await killWorker(model);
      const pool = teamOf(model).pool;
      const after = model.forward(data.x);
      await pool?.threads[0]?.terminate();
      expect(await after).toEqual(before);
    });
  });
});

describe('a call that waits for a thread', () => {
  it('ends where that thread is lost, and the one in its place too', async () => {
    await withModel({ ...large, threads: 1 }, async (model) => {
      const before = await model.forward(data.x);
      const { pool } = teamOf(model);
      // As if the worker took long to hear that it is dismissed: the call after that is queued behind its shift.
      await new Promise<void>((resolve) => {
        vi.spyOn(Shift.prototype, 'dismiss').mockImplementationOnce(resolve);
      });
      const failed = model.forward(data.x);
      const rejected = expect(failed).rejects.toMatchObject({ code: 'WORKER_LOST' });
      await vi.waitFor(() => expect(pool?.queueSize).toBe(1));
      await killWorker(model);
      await pool?.threads[0]?.terminate();
      await rejected;
      expect(await model.forward(data.x)).toEqual(before);
    });
  });
});

describe('an error of ours', () => {
  it('that makes all threads give a call up, and none say why, is no result', async () => {
    await withModel(large, async (model) => {
      const failed = model.predict(many.x);
      const words = networkOf(model).control.words;
      while (Atomics.load(words, Word.nextLane) === 0) await new Promise(setImmediate);
      giveUp(words);
      await expect(failed).rejects.toMatchObject({ code: 'WORKER_FAILED' });
    });
  });

  for (const here of [false, true]) {
    it(`in a worker${here ? ' and the calling thread' : ''} makes the call fail, and the next one works`, async () => {
      await withModel({ threads: 2, hiddenSize: 64 }, async (model) => {
        const before = await model.forward(data.x);
        // A job that no thread knows how to do.
        const failed = teamOf(model).run({ kind: 'nonsense' } as never, { parties: 2, here });
        await expect(failed).rejects.toThrow('not iterable');
        expect(await model.forward(data.x)).toEqual(before);
      });
    });
  }
});
