import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { spin } from './spin.ts';

/**
 * A way to reach a thread that does not return to its event loop: messages lie in the port, and a bell
 * in shared memory wakes the thread.
 */
export interface Mailbox {
  readonly port: MessagePort;
  /** One word: the number of messages that have been posted. */
  readonly bell: Int32Array;
}

/**
 * The two ends of a new mailbox: the first one posts, the second one takes, and its answers arrive at
 * the first as events.
 */
export function mailbox(): [Mailbox, Mailbox] {
  const { port1, port2 } = new MessageChannel();
  const bell = new Int32Array(new SharedArrayBuffer(4));
  return [
    { port: port1, bell },
    { port: port2, bell },
  ];
}

/** Posts a message, at the first end. */
export function post({ port, bell }: Mailbox, message: unknown): void {
  port.postMessage(message);
  Atomics.add(bell, 0, 1);
  Atomics.notify(bell, 0);
}

/** Takes the next message, at the second end. Waits for it: looks `spins` times, then sleeps. */
export function take({ port, bell }: Mailbox, spins: number): unknown {
  for (;;) {
    // Read before the port: a message posted after the look into the port changes the bell.
    const rung = Atomics.load(bell, 0);
    const mail = receiveMessageOnPort(port);
    if (mail) return mail.message;
    if (!spin(bell, 0, rung, spins)) Atomics.wait(bell, 0, rung);
  }
}
