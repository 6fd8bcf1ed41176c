import { type SequenceInput, sliceRows } from '../data/read-sequences.ts';
import { Word } from '../parallel/control.ts';
import { laneCount } from '../parallel/lane-plan.ts';
import { newReals, type RealArray, sizeOf } from '../tensor.ts';
import { type BatchMemory, type BatchSpec, forwardOnly } from './batch-memory.ts';
import { logitsShape, ROWS_PER_CALL } from './calls.ts';
import { writeServeSpec } from './epoch-program.ts';
import { outputRowSize } from './lane.ts';
import type { Network } from './network.ts';

/** A prediction that has been handed to the threads is looked for this often. */
const LOOK_MS = 1;

interface Request {
  readonly input: SequenceInput;
  resolve(probabilities: RealArray): void;
  reject(error: unknown): void;
}

/** Predictions: computed by a call of their own, or between two steps while training runs. */
export class PredictionServer {
  readonly #network: Network;
  readonly #waiting: Request[] = [];
  #served: { request: Request; plan: BatchMemory } | null = null;
  /** Where predictions may lie in memory while an epoch runs; null when none does. */
  #attending: number | null = null;
  #timer: NodeJS.Timeout | null = null;
  #wake = (): void => {};

  constructor(network: Network) {
    this.#network = network;
  }

  /** Probabilities of some rows [rows, O], as soon as training lets them in. */
  ask(input: SequenceInput): Promise<RealArray> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ input, resolve, reject });
      this.#wake();
      this.#look();
    });
  }

  /** While an epoch runs, answers requests as they come; `start` is where their memory may begin. */
  attend(start: number): void {
    this.#attending = start;
    this.#look();
  }

  /** The epoch has ended. */
  leave(): void {
    this.#attending = null;
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** Looks after what waits, again and again until nothing does: an idle timer would cost the threads their cores. */
  #look(): void {
    if (this.#attending === null || this.#timer) return;
    this.#exchange(this.#attending);
    if (!this.#served && this.#waiting.length === 0) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#look();
    }, LOOK_MS);
  }

  /** Hands out a result that is there, and the next request to the threads. */
  #exchange(start: number): void {
    const { words } = this.#network.control;
    if (this.#served && Atomics.load(words, Word.serve) === 2) this.#handOut();
    const request = this.#served ? undefined : this.#waiting.shift();
    if (!request) return;
    try {
      const spec = this.#spec(request.input, start, 0);
      const plan = this.#network.reserve(spec);
      // The threads read the frames from the batch's memory: there is no message in which a reference could travel.
      this.#network.writeInput(plan, { ...request.input, shared: null });
      writeServeSpec(words, spec);
      this.#served = { request, plan };
      Atomics.store(words, Word.serve, 1);
    } catch (error) {
      request.reject(error);
    }
  }

  /** When no epoch runs: answers everything that waits, what was handed to the threads too late included. */
  async between(start: number): Promise<void> {
    const { words } = this.#network.control;
    if (this.#served) {
      if (Atomics.load(words, Word.serve) === 2) this.#handOut();
      else this.#waiting.unshift(this.#served.request);
    }
    this.#served = null;
    Atomics.store(words, Word.serve, 0);
    for (let request = this.#waiting.shift(); request; request = this.#waiting.shift()) {
      await this.compute(request.input, start).then(request.resolve, request.reject);
    }
  }

  /** Answers requests while something else is waited for that uses no threads: a callback, a disk. */
  async during<T>(start: number, work: Promise<T>): Promise<T> {
    let isDone = false;
    const done = work.finally(() => {
      isDone = true;
    });
    // Whoever awaits `work` hears of its failure; this copy of it is only a clock.
    done.catch(() => {});
    while (!isDone) {
      await this.between(start);
      const asked = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      await Promise.race([done.catch(() => {}), asked]);
    }
    this.#wake = () => {};
    await this.between(start);
    return work;
  }

  /** Probabilities [rows, O] by calls of their own, many rows a part at a time. */
  async compute(input: SequenceInput, start: number, signal?: AbortSignal): Promise<RealArray> {
    const { g } = this.#network;
    const probabilities = newReals(g.dtype, this.#size(input));
    for (let from = 0; from < input.rows; from += ROWS_PER_CALL) {
      signal?.throwIfAborted();
      const part = sliceRows(input, from, Math.min(input.rows, from + ROWS_PER_CALL));
      probabilities.set(await this.#computePart(part, start), from * outputRowSize(g, input.time));
    }
    return probabilities;
  }

  async #computePart(input: SequenceInput, start: number): Promise<RealArray> {
    const network = this.#network;
    const { g } = network;
    const lanes = laneCount(input.rows, g.blockSize * g.realBytes, g.maker);
    const engagement = network.engaged(input.rows, input.frames, lanes, 1);
    const spec = this.#spec(input, start, engagement.parties);
    const plan = network.reserve(spec);
    const rows = network.writeInput(plan, input);
    await network.run(
      { kind: 'forward', spec, rows, h0: false, probabilities: true, score: false },
      engagement,
    );
    return network.copy(plan.logits, this.#size(input));
  }

  #handOut(): void {
    if (!this.#served) return;
    const { request, plan } = this.#served;
    request.resolve(this.#network.copy(plan.logits, this.#size(request.input)));
    this.#served = null;
    Atomics.store(this.#network.control.words, Word.serve, 0);
  }

  #size(input: SequenceInput): number {
    return sizeOf(logitsShape(this.#network, input));
  }

  /** `threads` 0 stands for those that train. */
  #spec(input: SequenceInput, start: number, threads: number): BatchSpec {
    return {
      start,
      ...{ rows: input.rows, steps: input.steps, time: input.time },
      threads: threads || Math.max(1, this.#network.threads),
      ...forwardOnly,
      inputFrames: input.shared && threads ? 0 : input.frames,
    };
  }
}
