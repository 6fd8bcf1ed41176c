import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { describe, expect, inject, it } from 'vitest';
import { giveUp } from '../engine/parallel/barrier.ts';
import { TeamWord } from '../engine/parallel/team-words.ts';
import { profile } from './profile.ts';

const threadFile = new URL('barrier-thread.mjs', import.meta.url);
const barrierModule = new URL('../dist/engine/parallel/barrier.js', import.meta.url).href;

const shared = (words: number) => new Int32Array(new SharedArrayBuffer(4 * words));

interface End {
  end: 'done' | 'aborted' | 'fault';
  message?: string;
}

interface Meeting {
  parties: number;
  rounds: number;
  seed: number;
  /** The round that the last thread does not come to any more. */
  stopAt?: number;
  /** Whether the first thread is one that must not sleep, like the one with the event loop. */
  awake?: boolean;
}

/** Threads that meet at one barrier, round after round. */
class Threads {
  readonly words = shared(Object.keys(TeamWord).length);
  readonly ends: Promise<End[]>;
  readonly #workers: Worker[];
  readonly #leaders = shared(2);
  readonly #progress: Int32Array;

  constructor({ parties, stopAt, awake, ...rest }: Meeting) {
    this.#progress = shared(parties).fill(-1);
    const plain = shared(16 * (parties + 1));
    const common = { ...rest, barrierModule, words: this.words, leaders: this.#leaders, parties, plain };
    this.#workers = Array.from({ length: parties }, (_, index) => {
      const own = { stopAt: index === parties - 1 ? stopAt : undefined, awake: awake && index === 0 };
      return new Worker(threadFile, { workerData: { ...common, ...own, progress: this.#progress, index } });
    });
    this.ends = Promise.all(this.#workers.map(endOf));
  }

  /** Rounds that have been led to their end. */
  get rounds(): number {
    return Atomics.load(this.#leaders, 0);
  }

  /** What became of each thread; a deadlock where no round ends for some time, or all take longer than `limitMs`. */
  async within(limitMs: number): Promise<End[]> {
    const started = performance.now();
    let [last, since] = [this.rounds, started];
    for (;;) {
      const ends = await Promise.race([this.ends, sleep(100, null)]);
      if (ends !== null) return ends;
      const now = performance.now();
      if (this.rounds !== last) [last, since] = [this.rounds, now];
      if (now - since > stallMs || now - started > limitMs) throw this.#deadlock(now - started);
    }
  }

  #deadlock(ms: number): Error {
    const [arrived, round] = [TeamWord.arrived, TeamWord.round].map((word) => Atomics.load(this.words, word));
    return new Error(
      `deadlock: after ${Math.round(ms)} ms the threads are in the rounds ${this.#progress}, ` +
        `${arrived} have arrived in round ${round}, ${this.rounds} rounds have been led`,
    );
  }

  /** Whether all have arrived in this round but one. */
  waitFor(round: number): boolean {
    const [arrived, rounds] = [TeamWord.arrived, TeamWord.round].map((word) =>
      Atomics.load(this.words, word),
    );
    return rounds === round && arrived === this.#workers.length - 1;
  }

  /** Makes whoever leads first find another one at work. */
  failFirstLeader(): void {
    Atomics.add(this.#leaders, 1, 1);
  }

  async kill(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}

function endOf(worker: Worker): Promise<End> {
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

async function withThreads(meeting: Meeting, use: (threads: Threads) => Promise<void>): Promise<void> {
  const threads = new Threads(meeting);
  try {
    await use(threads);
  } finally {
    await threads.kill();
  }
}

/** A round takes microseconds where each thread has a core, and a turn of the scheduler where it has not. */
const quickRounds = [100_000, 3_000, 1_500, 800, 600, 500, 500];
const cases = quickRounds.map((quick, k) => ({
  awake: false,
  parties: k + 2,
  rounds: profile.name === 'deep' ? 100_000 : quick,
}));
/** The one that must not sleep lets its event loop have many turns while it waits: such rounds take longer. */
const awakeCases = cases
  .slice(0, 3)
  .map(({ parties, rounds }) => ({ parties, rounds: rounds / 5, awake: true }));
/** For a machine that is busy with other things; a deadlock is seen long before. */
const limitMs = profile.name === 'deep' ? 1_800_000 : 240_000;
/** A round that takes longer never ends. */
const stallMs = 15_000;
const seed = inject('lawSeed');

describe('a barrier', () => {
  it.each([...cases, ...awakeCases])(
    'keeps $parties threads together for $rounds rounds, each led once, alone, before anyone leaves; the first awake: $awake',
    async ({ parties, rounds, awake }) => {
      await withThreads({ parties, rounds, seed, awake }, async (threads) => {
        const ends = await threads.within(limitMs);
        expect(ends, `ELMAN_SEED=${seed}`).toEqual(ends.map(() => ({ end: 'done' })));
        expect(threads.rounds).toBe(rounds);
      });
    },
    limitMs + 10_000,
  );

  it.each([
    { parties: 2, awake: false },
    { parties: 3, awake: false },
    { parties: 4, awake: true },
    { parties: 5, awake: false },
    { parties: 8, awake: true },
  ])(
    'frees all of $parties threads when the call is given up, those that sleep as well; the first awake: $awake',
    async ({ parties, awake }) => {
      for (const [stopAt, waitMs] of [
        [0, 0],
        [1, 150],
        [17, 5],
      ]) {
        await withThreads({ parties, awake, rounds: 1_000, seed: seed + stopAt, stopAt }, async (threads) => {
          while (!threads.waitFor(stopAt)) await sleep(1);
          await sleep(waitMs);
          giveUp(threads.words);
          const [late, ...freed] = (await threads.within(stallMs)).reverse();
          // It had done its rounds; perhaps it had not left the last one yet.
          expect(['done', 'aborted']).toContain(late.end);
          expect(freed.map(({ end }) => end)).toEqual(freed.map(() => 'aborted'));
        });
      }
    },
    60_000,
  );

  it('frees the others when one of them fails in a round that it leads', async () => {
    await withThreads({ parties: 3, rounds: 10, seed }, async (threads) => {
      threads.failFirstLeader();
      const ends = (await threads.within(stallMs)).map(({ end }) => end).sort();
      expect(ends).toEqual(['aborted', 'aborted', 'fault']);
    });
  });
});
