import { expect, it, vi } from 'vitest';
import { mailbox, post, take } from './mailbox.ts';

/** Called after a look into the port that has found nothing. */
let meanwhile = (): void => {};

vi.mock('node:worker_threads', async (original) => {
  const real = await original<typeof import('node:worker_threads')>();
  const receiveMessageOnPort: typeof real.receiveMessageOnPort = (port) => {
    const mail = real.receiveMessageOnPort(port);
    if (!mail) meanwhile();
    return mail;
  };
  return { ...real, receiveMessageOnPort };
});

it('takes a message that comes right after a look that found none, without sleeping', () => {
  const [theirs, ours] = mailbox();
  meanwhile = () => post(theirs, 'late');
  const sleep = vi.spyOn(Atomics, 'wait');
  sleep.mockImplementation((bell, index, value) => {
    if (bell[index] === value) throw new Error('asleep for ever');
    return 'not-equal';
  });
  try {
    expect(take(ours, 0)).toBe('late');
    expect(sleep).toHaveBeenCalled();
  } finally {
    sleep.mockRestore();
    theirs.port.close();
  }
});
