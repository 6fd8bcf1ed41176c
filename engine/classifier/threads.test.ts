import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { threadId } from 'node:worker_threads';
import { describe, expect, it, vi } from 'vitest';
import { networkOf } from '../network/registry.ts';
import { offersIn } from '../parallel/shared-products.ts';
import { RNNPhonemeClassifier } from '../rnn-classifier.ts';
import { bitsOf, collectUntil, labelled, small, teamOf, withModel } from '../testing/models.ts';

const run = promisify(execFile);

describe('worker threads', () => {
  it('really run, as many as were asked for, none of them the main thread', async () => {
    await withModel({ threads: 3, hiddenSize: 64 }, async (model) => {
      const { x, labels } = labelled(64, 90);
      await model.gradients(x, labels);
      const ids = teamOf(model).ranOn;
      expect(new Set(ids).size).toBe(3);
      expect(ids).not.toContain(threadId);
      expect(teamOf(model).pool?.threads.map((worker) => worker.threadId)).toEqual(
        expect.arrayContaining([...ids]),
      );
    });
  });

  it('are one fewer in a short call, which the calling thread takes part in', async () => {
    await withModel({ threads: 3, hiddenSize: 64 }, async (model) => {
      const { x, labels } = labelled(24, 20);
      const { loss } = await model.gradients(x, labels);
      await vi.waitFor(() => expect(teamOf(model).ranOn).not.toContain(-1));
      const ids = teamOf(model).ranOn;
      expect(new Set(ids).size).toBe(2);
      expect(ids).not.toContain(threadId);
      await withModel({ threads: 0, hiddenSize: 64 }, async (alone) => {
        expect((await alone.gradients(x, labels)).loss).toBe(loss);
        expect(model.rnn[0].dW_hh.toArray()).toEqual(alone.rnn[0].dW_hh.toArray());
      });
    });
  });

  it('stay on duty from call to call, leave when none comes, and are called in for the next one', async () => {
    await withModel({ threads: 3, hiddenSize: 64 }, async (model) => {
      const { x, labels } = labelled(64, 90);
      const { pool } = teamOf(model);
      if (!pool) throw new Error('the threads have not started');
      const called = vi.spyOn(pool, 'run');
      const losses: number[] = [];
      for (let call = 0; call < 5; call++) losses.push((await model.gradients(x, labels)).loss);
      // Whoever comes later than 50 ms calls three threads in: on a busy machine one or two calls may.
      expect(called.mock.calls.length).toBeLessThan(9);
      const shifts = 3 + called.mock.calls.length;
      await vi.waitFor(() => expect(pool.completed).toBe(shifts), 10_000);
      losses.push((await model.gradients(x, labels)).loss);
      expect(called).toHaveBeenCalledTimes(shifts);
      expect(new Set(losses).size).toBe(1);
    });
  });

  it('let a process end whose model nobody has closed', { timeout: 60_000 }, async () => {
    const engine = new URL('../../dist/engine/index.js', import.meta.url).href;
    const code = `
      import { RNNPhonemeClassifier } from '${engine}';
      const model = await RNNPhonemeClassifier.create({ inputSize: 9, hiddenSize: 64, outputSize: 4, numLayers: 2, threads: 2 });
      const x = { data: new Float32Array(64 * 90 * 9), shape: [64, 90, 9] };
      await model.gradients(x, new Int32Array(64));
      console.log('done');`;
    const limit = { timeout: 30_000 };
    const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', code], limit);
    expect(stdout).toBe('done\n');
  });

  it('that Node.js does not allow are an error of the library', async () => {
    const engine = new URL('../../dist/engine/index.js', import.meta.url).href;
    const code = `
      import { RNNPhonemeClassifier } from '${engine}';
      const sizes = { inputSize: 9, hiddenSize: 64, outputSize: 4 };
      const model = await RNNPhonemeClassifier.create({ ...sizes, threads: 0 });
      await model.close();
      await RNNPhonemeClassifier.create({ ...sizes, threads: 2 }).catch(({ code, message }) => console.log(code, message));`;
    const permission = process.allowedNodeEnvironmentFlags.has('--permission')
      ? '--permission'
      : '--experimental-permission';
    const flags = [permission, '--allow-fs-read=*', '--input-type=module', '--eval', code];
    const { stdout } = await run(process.execPath, flags, { timeout: 30_000 });
    expect(stdout).toMatch(/^WORKER_FAILED a worker thread failed: .*--allow-worker.* threads: 0\)$/m);
  });

  it('share one memory with the main thread: what is written into a view is what they compute with', async () => {
    await withModel({ threads: 2 }, async (model) => {
      const { W, b } = model.outputLayer;
      expect(W.data.buffer).toBeInstanceOf(SharedArrayBuffer);
      expect(model.rnn[1].dW_hh.data.buffer).toBe(W.data.buffer);
      W.data.fill(0);
      b.data.set([1, 2, 3, 4]);
      const logits = await model.forward(labelled(9, 3).x);
      expect(logits.toArray()).toEqual(Array.from({ length: 9 }, () => [1, 2, 3, 4]));
    });
  });

  it('share the weight gradients of the last lanes, and train the same bits as one alone', async () => {
    const shape = { hiddenSize: 40, numLayers: 4, bidirectional: true } as const;
    const data = labelled(36, 20);
    const trained = (threads: number) =>
      withModel({ ...shape, threads }, async (model) => {
        const network = networkOf(model);
        network.engagement.flopsPerThread = 1;
        // Three lanes per batch.
        await model.fit(data, { epochs: 4, batchSize: 12, shuffle: false });
        const { model: memory, control } = network;
        const offers = offersIn(control.words.buffer, memory.offers, Math.max(1, threads));
        // A thread that computes one of the last lanes offers products: not always the same one.
        return { bits: bitsOf(model), offered: Math.max(...offers.map(([offered]) => offered)) };
      });
    const alone = await trained(0);
    expect(alone.offered).toBe(0);
    for (const threads of [2, 3]) {
      const together = await trained(threads);
      expect(together.bits).toBe(alone.bits);
      expect(together.offered).toBeGreaterThan(0);
    }
  });

  it('find no offers of a call before that was given up', async () => {
    await withModel({ threads: 2 }, async (model) => {
      const network = networkOf(model);
      network.engagement.flopsPerThread = 1;
      network.engagement.flopsHere = 0;
      const { x, labels } = labelled(64, 6);
      const { loss } = await model.gradients(x, labels);
      const [own] = offersIn(network.thread.buffer, network.model.offers, 2);
      // An offer with a piece that nobody computes.
      own[0] = 1;
      own[16] = 1;
      const hung = new Promise((resolve) => setTimeout(resolve, 10_000, 'it hangs').unref());
      expect(await Promise.race([model.gradients(x, labels), hung])).toMatchObject({ loss });
    });
  });

  it('are not engaged for less work than they cost', async () => {
    await withModel({ threads: 4 }, async (model) => {
      await model.forward(labelled(1, 1).x);
      // 1.6 million operations.
      await model.forward(labelled(64, 30).x);
      expect(teamOf(model).ranOn).toHaveLength(0);
    });
    await withModel({ threads: 4, hiddenSize: 128, numLayers: 2 }, async (model) => {
      await model.forward(labelled(5, 10).x);
      const { ranOn } = teamOf(model);
      expect(ranOn.length).toBeGreaterThan(0);
      expect(ranOn.length).toBeLessThan(4);
    });
  });

  it('keep nothing of a closed model alive, although its optimizer is kept', async () => {
    const kept: unknown[] = [];
    const networks: WeakRef<object>[] = [];
    await withModel({ threads: 0 }, async (model) => {
      networks.push(new WeakRef(networkOf(model)));
      const optimizer = model.optimizer('adam');
      await optimizer.step();
      kept.push(model, optimizer);
    });
    await collectUntil(() => !networks[0].deref());
    expect(networks[0].deref()).toBeUndefined();
    expect(kept).toHaveLength(2);
  });

  it.each(['evaluate', 'backward'] as const)(
    'stay for %s to its end, though nobody holds the model',
    async (call) => {
      const data = labelled(1_024, 100);
      const start = async () => {
        const model = await RNNPhonemeClassifier.create({ ...small, hiddenSize: 192, threads: 2 });
        const delta = await model.forward(data.x);
        // In an object: returned as it is, it would be awaited here.
        return { pending: call === 'evaluate' ? model.evaluate(data) : model.backward(delta) };
      };
      const { pending } = await start();
      let hasEnded = false;
      const outcome = pending.finally(() => {
        hasEnded = true;
      });
      await Promise.all([collectUntil(() => hasEnded), expect(outcome).resolves.toBeTruthy()]);
    },
  );

  it('end with a model that nobody holds any more, though nobody has closed it', async () => {
    const exited: Promise<unknown>[] = [];
    const drop = async () => {
      const model = await RNNPhonemeClassifier.create({ ...small, threads: 2 });
      await model.predict(labelled(4, 3).x);
      for (const worker of teamOf(model).pool?.threads ?? [])
        exited.push(new Promise((resolve) => worker.once('exit', resolve)));
    };
    await drop();
    expect(exited).toHaveLength(2);
    let ended = false;
    void Promise.all(exited).then(() => {
      ended = true;
    });
    await collectUntil(() => ended);
    expect(ended).toBe(true);
  });

  it.each(['closed models', 'streams'])(
    'leave no memory behind with %s, though V8 does not count it',
    async (of) => {
      const engine = new URL('../../dist/engine/index.js', import.meta.url).href;
      const code = `
      import { setTimeout as sleep } from 'node:timers/promises';
      import { RNNPhonemeClassifier } from '${engine}';
      const options = { inputSize: 10, hiddenSize: ${of === 'streams' ? 512 : 8}, outputSize: 2, threads: 1 };
      const rss = () => process.memoryUsage().rss;
      const use = async (model) => {
        // Either way some 50 MB.
        if (${of === 'streams'}) for (let i = 0; i < 10; i++) {
          // No two of them share their weights.
          model.outputLayer.b.data[0]++;
          model.stream().step(new Float32Array(10));
        }
        else await model.predict({ data: new Float32Array(1_000_000), shape: [1, 100_000, 10] });
      };
      const kept = await RNNPhonemeClassifier.create(options);
      const start = rss();
      await use(kept);
      const used = rss() - start;
      let most = 0;
      for (let i = 0; i < 40; i++) {
        const model = ${of === 'streams'} ? kept : await RNNPhonemeClassifier.create(options);
        await use(model);
        if (model !== kept) await model.close();
        most = Math.max(most, rss() - start);
        await sleep(10);
      }
      console.log(most / used);`;
      const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', code]);
      expect(Number(stdout)).toBeGreaterThan(0);
      expect(Number(stdout)).toBeLessThan(15);
    },
  );

  it('end with close, so that a thousand models fit into one process', { timeout: 120_000 }, async () => {
    for (let i = 0; i < 1_000; i++)
      await withModel({ threads: 0 }, async (model) => model.forward(labelled(2, 2).x));
    for (let i = 0; i < 10; i++)
      await withModel({ threads: 2 }, async (model) => model.forward(labelled(2, 2).x));
  });

  it('end with a model that is closed right after a short call, and no others start in their place', async () => {
    const { pool, started } = await withModel({ threads: 3, hiddenSize: 64 }, async (model) => {
      const { pool } = teamOf(model);
      const started = vi.fn();
      const { x, labels } = labelled(24, 20);
      await model.gradients(x, labels);
      pool?.on('workerCreate', started);
      return { pool, started };
    });
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(pool?.threads).toHaveLength(0);
    expect(started).not.toHaveBeenCalled();
  });

  it('leave nothing behind when the model is closed', async () => {
    const model = await withModel({ threads: 2 }, async (model) => model);
    expect(() => networkOf(model)).toThrow('closed');
    await expect(model.forward(labelled(1, 1).x)).rejects.toMatchObject({ code: 'CLOSED' });
    await model.close();
  });
});
