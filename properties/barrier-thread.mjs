/**
 * One thread of the barrier's stress test. It runs the compiled barrier, and after every step looks whether all
 * threads are where they should be. Ordinary writes travel along with the atomic ones: the barrier orders them too.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { xorshift } from './xorshift.mjs';

const { barrierModule, words, progress, plain, leaders, index, parties, rounds, seed, stopAt, awake } =
  workerData;
const { Aborted, Barrier, giveUp } = await import(barrierModule);
const barrier = new Barrier(words, parties);

/** Slots of `leaders`. */
const RAN = 0;
const INSIDE = 1;

const random = xorshift(seed ^ Math.imul(index + 1, 0x9e3779b1));

const nobody = new Int32Array(new SharedArrayBuffer(4));

/** Mostly nothing; often some thousand instructions; sometimes so long that the others go to sleep. */
function delay() {
  const kind = random(1024);
  if (kind < 256) for (let i = random(2_000); i > 0; i--) Atomics.load(nobody, 0);
  else if (kind < 258) Atomics.wait(nobody, 0, 0, 1);
}

function check(holds, fault) {
  if (!holds) throw new Error(`thread ${index} of ${parties}: ${fault}`);
}

function leader(round) {
  check(Atomics.add(leaders, INSIDE, 1) === 0, `round ${round}: two leaders at once`);
  for (let other = 0; other < parties; other++) {
    const at = Atomics.load(progress, other);
    check(at === round, `leading round ${round}: thread ${other} is in round ${at}`);
    check(plain[other * 16] === round, `leading round ${round}: thread ${other}'s write has not arrived`);
  }
  delay();
  plain[parties * 16] = round;
  Atomics.add(leaders, RAN, 1);
  Atomics.sub(leaders, INSIDE, 1);
}

async function meet(round) {
  delay();
  plain[index * 16] = round;
  Atomics.store(progress, index, round);
  if (awake) await barrier.waitAwake(() => leader(round));
  else barrier.wait(() => leader(round));
  check(Atomics.load(leaders, INSIDE) === 0, `round ${round}: left while the leader was at work`);
  const ran = Atomics.load(leaders, RAN);
  check(ran === round + 1, `after round ${round} the leaders have run ${ran} times`);
  check(plain[parties * 16] === round, `round ${round}: the leader's write has not arrived`);
  for (let other = 0; other < parties; other++) {
    const ahead = Atomics.load(progress, other) - round;
    check(ahead === 0 || ahead === 1, `after round ${round} thread ${other} is ahead by ${ahead}`);
  }
}

try {
  for (let round = 0; round < rounds; round++) {
    // One that never arrives, for the others to be freed by whoever gives up.
    if (round === stopAt) break;
    await meet(round);
  }
  parentPort.postMessage({ end: 'done' });
} catch (error) {
  if (error instanceof Aborted) {
    parentPort.postMessage({ end: 'aborted' });
  } else {
    giveUp(words);
    parentPort.postMessage({ end: 'fault', message: error.message });
  }
}
