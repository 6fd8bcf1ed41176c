import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { describe, expect, inject, it } from 'vitest';
import { mailbox } from '../engine/parallel/mailbox.ts';
import { profile } from './profile.ts';

const threadFile = new URL('mailbox-thread.mjs', import.meta.url);
const module = new URL('../dist/engine/parallel/mailbox.js', import.meta.url).href;
const messages = profile.name === 'deep' ? 1_000_000 : 50_000;
const seed = inject('lawSeed');

describe('a mailbox', () => {
  it(
    `wakes its thread for each of ${messages} messages, and gives them out in order`,
    async () => {
      const taken = new Int32Array(new SharedArrayBuffer(8));
      const [theirs, ours] = mailbox();
      const start = (role: string, box: typeof ours) =>
        new Worker(threadFile, {
          workerData: { module, role, mailbox: box, taken, messages, seed: seed + role.length },
          transferList: [box.port],
        });
      const threads = [start('post', theirs), start('take', ours)];
      try {
        await expect(Promise.all(threads.map((thread) => once(thread, 'message')))).resolves.toHaveLength(2);
      } finally {
        await Promise.all(threads.map((thread) => thread.terminate()));
      }
    },
    profile.name === 'deep' ? 1_800_000 : 240_000,
  );
});
