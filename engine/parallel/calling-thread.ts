import { performance } from 'node:perf_hooks';
import { setImmediate } from 'node:timers';
import { Barrier } from './barrier.ts';
import type { Place, Program } from './program.ts';

/** The event loop gets its turn at least this often, lanes permitting. */
const BREATH_MS = 2;

/** Computes on the calling thread: a whole call, or one thread's part of it. */
export class CallingThread<Job> {
  readonly #program: (job: Job, place: Place) => Program;
  readonly #words: Int32Array;
  #breath = performance.now();

  /** `words`: the control block, where the threads of a call meet. */
  constructor(program: (job: Job, place: Place) => Program, words: Int32Array) {
    this.#program = program;
    this.#words = words;
  }

  /** Throws Aborted when the call has been given up by another thread. */
  async run(job: Job, place: Place): Promise<void> {
    await this.#breathe();
    const barrier = new Barrier(this.#words, place.parties);
    for (const leader of this.#program(job, place)) {
      if (leader && place.parties > 1) await barrier.waitAwake(leader);
      else leader?.();
      if (performance.now() - this.#breath > BREATH_MS) await this.#breathe();
    }
  }

  /** Lets the event loop have a turn if its last one is BREATH_MS ago; many short calls count like one long one. */
  async #breathe(): Promise<void> {
    if (performance.now() - this.#breath < BREATH_MS) return;
    await new Promise(setImmediate);
    this.#breath = performance.now();
  }
}
