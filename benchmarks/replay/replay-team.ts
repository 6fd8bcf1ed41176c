import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { wasmModule } from '../../engine/kernels/wasm-kernels.ts';
import { type Contestant, timedContestant } from '../common/rounds.ts';
import type { KernelCall } from './trace.ts';

/** Threads that run recorded kernel calls at the same time, each its own, and nothing else. */

export interface ReplaySetup {
  readonly memory: WebAssembly.Memory;
  readonly module: WebAssembly.Module;
  /** Control words of a barrier. */
  readonly words: Int32Array;
  readonly index: number;
  readonly parties: number;
}

export type ReplayTask =
  | { readonly kind: 'load'; readonly name: string; readonly calls: readonly (readonly KernelCall[])[] }
  | { readonly kind: 'replay'; readonly name: string; readonly repetitions: number }
  | { readonly kind: 'replay after'; readonly first: string; readonly name: string }
  | { readonly kind: 'barrier'; readonly repetitions: number };

export class ReplayTeam {
  readonly #workers: readonly Worker[];
  #last: Promise<unknown> = Promise.resolve();

  /** Starts so many threads, with calls for each by the name they are to be run under. */
  static async start(
    memory: WebAssembly.Memory,
    parties: number,
    calls: Readonly<Record<string, readonly (readonly KernelCall[])[]>> = {},
  ): Promise<ReplayTeam> {
    const team = new ReplayTeam(memory, parties);
    try {
      for (const [name, ofThreads] of Object.entries(calls)) await team.load(name, ofThreads);
      return team;
    } catch (error) {
      await team.close();
      throw error;
    }
  }

  private constructor(memory: WebAssembly.Memory, parties: number) {
    const words = new Int32Array(new SharedArrayBuffer(128));
    const file = new URL('./replay-worker.js', import.meta.url);
    this.#workers = Array.from({ length: parties }, (_, index) => {
      const workerData: ReplaySetup = { memory, module: wasmModule('float32'), words, index, parties };
      return new Worker(file, { workerData });
    });
  }

  /** Gives every thread its calls, to be run under a name. */
  async load(name: string, calls: readonly (readonly KernelCall[])[]): Promise<void> {
    await this.#ask({ kind: 'load', name, calls });
  }

  /** Seconds of one repetition, of the slowest thread. */
  replay(name: string, repetitions: number): Promise<number> {
    return this.#ask({ kind: 'replay', name, repetitions });
  }

  /** Seconds of one repetition that follows other loaded calls, as all threads have come through these. */
  replayAfter(first: string, name: string): Promise<number> {
    return this.#ask({ kind: 'replay after', first, name });
  }

  /** Seconds of one barrier. */
  barrier(repetitions: number): Promise<number> {
    return this.#ask({ kind: 'barrier', repetitions });
  }

  /** Loaded calls as a contestant. */
  contestant(name: string): Contestant {
    let once = 0;
    const measure = async (seconds: number): Promise<number> => {
      if (once === 0) once = await this.replay(name, 3);
      return this.replay(name, Math.max(1, Math.round(seconds / once)));
    };
    return { name, measure };
  }

  /** The same of calls that follow others; the time of those counts towards how long is measured. */
  contestantAfter(first: string, name: string): Contestant {
    return timedContestant(name, () => this.replayAfter(first, name));
  }

  /** One question after the other: an answer does not say to which it belongs. */
  #ask(task: ReplayTask): Promise<number> {
    const answer = this.#last.then(() => this.#askAll(task));
    this.#last = answer.catch(() => {});
    return answer;
  }

  async #askAll(task: ReplayTask): Promise<number> {
    const answers = this.#workers.map((worker) => once(worker, 'message') as Promise<[number]>);
    for (const worker of this.#workers) worker.postMessage(task);
    return Math.max(...(await Promise.all(answers)).flat());
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}
