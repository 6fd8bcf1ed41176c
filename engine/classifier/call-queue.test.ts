import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { CallQueue, orAborted } from './call-queue.ts';

const reason = new Error('enough');

describe('a queue of calls', () => {
  it('does not keep a call waiting whose signal is aborted, but runs its work in its turn', async () => {
    const queue = new CallQueue();
    const order: string[] = [];
    const stop = new AbortController();
    const first = queue.run(async () => {
      await expect(second).rejects.toBe(reason);
      order.push('first');
    });
    const second = queue.run(async () => {
      order.push('second');
      throw new Error('nobody awaits this');
    }, stop.signal);
    const third = queue.run(async () => order.push('third'));
    stop.abort(reason);
    await Promise.all([first, third]);
    expect(order).toEqual(['first', 'second', 'third']);
  });
});

describe('what a signal may abort', () => {
  it.each(['before', 'meanwhile'])('is rejected with the reason of a signal aborted %s', async (when) => {
    const stop = new AbortController();
    if (when === 'before') stop.abort(reason);
    const aborted = orAborted(new Promise(() => {}), stop.signal);
    stop.abort(reason);
    await expect(aborted).rejects.toBe(reason);
  });

  it('settles as it would without one, and listens to the signal no longer', async () => {
    const { signal } = new AbortController();
    expect(await orAborted(Promise.resolve(1), signal)).toBe(1);
    await expect(orAborted(Promise.reject(reason), signal)).rejects.toBe(reason);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    expect(await orAborted(Promise.resolve(2), undefined)).toBe(2);
  });
});
