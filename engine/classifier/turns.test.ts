import { describe, expect, it } from 'vitest';
import { markCallbacks } from '../training/running-callback.ts';
import { Turns } from './turns.ts';

const busy = { code: 'BUSY' };
const closed = { code: 'CLOSED' };
const thrownBy = (call: () => unknown): unknown => {
  try {
    return call();
  } catch (error) {
    return error;
  }
};

/** A promise, and what settles it. */
function gate(): { opened: Promise<void>; open: () => void } {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

describe('turns', () => {
  it('come in the order of the calls, whatever fails', async () => {
    const turns = new Turns({}, 'parts');
    const done: number[] = [];
    const calls = [1, 2, 3].map((n) =>
      turns.run(async () => {
        await new Promise(setImmediate);
        done.push(n);
        if (n === 2) throw new Error('two');
        return n;
      }),
    );
    const outcomes = await Promise.allSettled(calls);
    expect(done).toEqual([1, 2, 3]);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  });

  it('tell what may be done at once while a call reads, and while one writes', async () => {
    const turns = new Turns({}, 'parts');
    const { opened, open } = gate();
    const mayBe = () => [
      turns.open('a'),
      turns.queued('b'),
      thrownBy(() => turns.settled('c')),
      thrownBy(() => turns.idle('d')),
    ];
    const refused = expect.objectContaining(busy);
    expect(mayBe()).toEqual(['parts', 'parts', 'parts', 'parts']);
    const reading = turns.run(() => opened);
    expect(mayBe()).toEqual(['parts', 'parts', 'parts', refused]);
    const writing = turns.runWriting(() => opened);
    expect(mayBe()).toEqual(['parts', 'parts', refused, refused]);
    open();
    await Promise.all([reading, writing]);
    expect(mayBe()).toEqual(['parts', 'parts', 'parts', 'parts']);
  });

  it('read what calls may write when these have ended, or at once', async () => {
    const turns = new Turns({}, 'parts');
    const order: string[] = [];
    const read = () => turns.whenSettled('save', () => order.push('read'));
    const slowly = (name: string) => async () => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      order.push(name);
    };
    await Promise.all([turns.run(slowly('reading')), read()]);
    await Promise.all([turns.runWriting(slowly('writing')), read()]);
    await Promise.all([turns.runInParts('training', slowly('training'), async () => {}), read()]);
    expect(order).toEqual(['read', 'reading', 'writing', 'read', 'training', 'read']);
  });

  it('let predictions into training, and small ones between parts of what reads, if nothing else waits', async () => {
    const turns = new Turns({}, 'parts');
    const lets = () => [turns.letsIn(true), turns.letsIn(false)];
    const { opened, open } = gate();
    expect(lets()).toEqual([false, false]);
    const reading = turns.runInParts(
      'reading',
      () => opened,
      async () => {},
    );
    expect(lets()).toEqual([true, false]);
    const waiting = turns.run(() => opened);
    expect(lets()).toEqual([false, false]);
    const training = turns.runInParts(
      'training',
      () => opened,
      async () => {},
    );
    expect([lets(), turns.isTraining]).toEqual([[true, true], true]);
    open();
    await Promise.all([reading, waiting, training]);
    expect([lets(), turns.isTraining]).toEqual([[false, false], false]);
  });

  it.each(['training', 'reading'] as const)(
    'answer what waits at the end of %s, before the next call',
    async (kind) => {
      const turns = new Turns({}, 'parts');
      const order: string[] = [];
      let next: Promise<unknown> = Promise.resolve();
      const failed = turns.runInParts(
        kind,
        async () => {
          throw new Error('failed');
        },
        async () => {
          order.push(turns.letsIn(true) ? 'still let in' : 'let in no more');
          next = turns.run(async () => order.push('next'));
          await new Promise(setImmediate);
          order.push('answered');
        },
      );
      await expect(failed).rejects.toThrow('failed');
      await next;
      expect(order).toEqual(['let in no more', 'answered', 'next']);
    },
  );

  it('are over with close, which waits for the calls made before, once', async () => {
    const turns = new Turns({}, 'parts');
    const order: string[] = [];
    const { opened, open } = gate();
    const call = turns.run(async () => {
      await opened;
      await new Promise(setImmediate);
      order.push('call');
    });
    const end = async (parts: string) => {
      await new Promise(setImmediate);
      order.push(`end of ${parts}`);
    };
    const closing = [1, 2].map((n) => turns.close(end).then(() => order.push(`close ${n}`)));
    for (const refused of [turns.open, turns.idle, turns.settled, turns.queued])
      expect(thrownBy(() => refused.call(turns, 'x'))).toMatchObject(closed);
    await expect(turns.whenSettled('x', () => 1)).rejects.toMatchObject(closed);
    open();
    await Promise.all([call, ...closing]);
    expect(order).toEqual(['call', 'end of parts', 'close 1', 'close 2']);
  });

  it('are not waited for in a callback of training, which may do at once what it may do', async () => {
    const owner = {};
    const turns = new Turns(owner, 'parts');
    const end = async () => {};
    const { onEpochEnd } = markCallbacks(owner, {
      onEpochEnd: async () => {
        expect([turns.idle('a'), turns.settled('b')]).toEqual(['parts', 'parts']);
        expect(await turns.whenSettled('c', (parts) => parts)).toBe('parts');
        expect(thrownBy(() => turns.queued('d'))).toMatchObject(busy);
        await expect(turns.close(end)).rejects.toThrow('close: busy');
      },
    });
    await turns.runInParts('training', async () => onEpochEnd?.(0, {} as never), end);
    await turns.close(end);
    expect(thrownBy(() => turns.open('e'))).toMatchObject(closed);
  });
});
