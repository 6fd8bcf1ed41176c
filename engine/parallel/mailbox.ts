import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { spin } from './spin.ts';

/**
 * How a thread is reached that does not go back to its event loop: messages lie in the port, and a bell in shared memory wakes
 * it up.
 */
export interface Mailbox {
  readonly port: MessagePort;
  /** One word: messages that have been posted. */
  readonly bell: Int32Array;
}

/** The two ends of a new one: the first posts what the second takes, and hears its answers as events. */
export function mailbox(): [Mailbox, Mailbox] {
  const { port1, port2 } = new MessageChannel();
  const bell = new Int32Array(new SharedArrayBuffer(4));
  return [
    { port: port1, bell },
    { port: port2, bell },
  ];
}

/** For the first end. */
export function post({ port, bell }: Mailbox, message: unknown): void {
  port.postMessage(message);
  Atomics.add(bell, 0, 1);
  Atomics.notify(bell, 0);
}

/** For the second end: the next message. Waits for it, looking so often before it sleeps. */
export function take({ port, bell }: Mailbox, spins: number): unknown {
  for (;;) {
    // Read before the port: what is posted after the look into it rings the bell.
    const rung = Atomics.load(bell, 0);
    const mail = receiveMessageOnPort(port);
    if (mail) return mail.message;
    if (!spin(bell, 0, rung, spins)) Atomics.wait(bell, 0, rung);
  }
}
