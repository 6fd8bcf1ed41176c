/** One of the two threads of the mailbox's stress test, with the compiled mailbox: one posts numbers, one takes them. */
import { parentPort, workerData } from 'node:worker_threads';
import { xorshift } from './xorshift.mjs';

const { module, role, mailbox, taken, messages, seed } = workerData;
const { post, take } = await import(module);

/** A message that has not been taken by then never will be. */
const LOST_MS = 10_000;

const random = xorshift(seed | 1);

/** Mostly next to nothing, so that a message meets the other thread at every point of its way to sleep. */
function delay() {
  for (let i = random(8) === 0 ? random(4_000) : random(60); i > 0; i--) Atomics.load(taken, 1);
}

/** Some messages at once, then waits until all are taken. */
function postAll() {
  for (let next = 0; next < messages; ) {
    for (let burst = 1 + random(3); burst > 0 && next < messages; burst--) post(mailbox, next++);
    for (let at = Atomics.load(taken, 0); at < next; at = Atomics.load(taken, 0)) {
      if (Atomics.wait(taken, 0, at, LOST_MS) === 'timed-out') throw new Error(`message ${at} is not taken`);
    }
    delay();
  }
}

function takeAll() {
  for (let expected = 0; expected < messages; expected++) {
    const message = take(mailbox, random(3) === 0 ? random(200) : 0);
    if (message !== expected) throw new Error(`got ${message} instead of ${expected}`);
    Atomics.add(taken, 0, 1);
    Atomics.notify(taken, 0);
    delay();
  }
}

if (role === 'post') postAll();
else takeAll();
parentPort.postMessage('done');
