import { clearTimeout, setTimeout } from 'node:timers';
import { joinRows, type SequenceInput, sliceRows } from '../data/read-sequences.ts';
import { newReals, type RealArray } from '../numeric/reals.ts';
import { sizeOf } from '../tensor.ts';
import { extentOf, planCall, ROWS_PER_CALL } from './call-plan.ts';
import { type BatchMemory, batchSpec } from './memory/batch-memory.ts';
import { Serve, Word } from './memory/control.ts';
import { logitsShape, outputRowSize } from './memory/geometry.ts';
import type { Network } from './network.ts';
import { writeServeSpec } from './programs/serve-program.ts';

/** How often to check whether the threads have computed a prediction. */
const LOOK_MS = 1;
/** Most frames, padding included, to hand over together: training waits for all of them. */
const FRAMES_TOGETHER = 65_536;

/** A prediction in progress; many rows are computed in parts. */
interface Prediction {
  readonly input: SequenceInput;
  readonly signal: AbortSignal | undefined;
  /** Whether a callback of fit may write to the parameters meanwhile, so that each part needs a snapshot of them. */
  readonly snapshot: boolean;
  /** [rows, O] or, with output 'steps', [rows, T, O]; the first `done` rows of which are there. */
  readonly probabilities: RealArray;
  done: number;
}

interface Request extends Prediction {
  resolve(probabilities: RealArray): void;
  reject(error: unknown): void;
}

/** What has been handed to the threads: parts of several requests, as one input. */
interface Served {
  readonly parts: readonly Part[];
  readonly plan: BatchMemory;
}

interface Part {
  readonly request: Request;
  readonly input: SequenceInput;
}

/** Computes predictions: in calls of its own or, while training runs, between two steps. */
export class PredictionServer {
  readonly #network: Network;
  readonly #waiting: Request[] = [];
  /** The parts that have been handed to the threads. */
  #served: Served | null = null;
  /** Where the memory of predictions may begin while an epoch runs; null when none does. */
  #attending: number | null = null;
  #timer: NodeJS.Timeout | null = null;
  #wake = (): void => {};

  constructor(network: Network) {
    this.#network = network;
  }

  /**
   * Probabilities of some rows, [rows, O] or [rows, T, O], as soon as training lets them in. A signal ends the
   * prediction before its next part, with the signal's reason.
   */
  ask(input: SequenceInput, signal: AbortSignal | undefined): Promise<RealArray> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ ...this.#begin(input, signal, true), resolve, reject });
      this.#wake();
      this.#look();
    });
  }

  /** While an epoch runs, answers requests as they come; `start` is where their memory may begin. */
  attend(start: number): void {
    this.#attending = start;
    this.#look();
  }

  /** Called when the epoch has ended: what it has served is collected before that memory is used for something else. */
  leave(): void {
    this.#attending = null;
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    const { words } = this.#network.control;
    if (Atomics.load(words, Word.serve) === Serve.served) this.#takeServed();
    // Handed to the threads too late: these keep waiting.
    if (this.#served) this.#waiting.unshift(...this.#served.parts.map(({ request }) => request));
    this.#served = null;
    Atomics.store(words, Word.serve, Serve.nothing);
  }

  /**
   * Exchanges results and requests with the threads, again and again until nothing waits: an idle timer
   * would cost the threads their cores.
   */
  #look(): void {
    if (this.#attending === null || this.#timer) return;
    this.#exchange(this.#attending);
    if (!this.#served && this.#waiting.length === 0) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#look();
    }, LOOK_MS);
  }

  /** Collects a result if there is one, and hands the threads the next parts. */
  #exchange(start: number): void {
    const { words } = this.#network.control;
    if (this.#served && Atomics.load(words, Word.serve) === Serve.served) this.#takeServed();
    const parts = this.#served ? [] : this.#nextParts();
    if (parts.length === 0) return;
    try {
      // All frames are copied: no message is sent in which a reference to shared ones could travel.
      const input = joinRows(parts.map(({ input }) => input));
      const { rows, steps, time, frames } = input;
      // As many as may be training: the threads, which compute it, plan it in the same way.
      const { threads } = this.#network;
      const spec = batchSpec({ start, rows, steps, time, threads, inputFrames: frames });
      const plan = this.#network.reserve(spec);
      this.#network.writeInput(plan, input);
      writeServeSpec(words, spec);
      this.#served = { parts, plan };
      Atomics.store(words, Word.serve, Serve.asked);
    } catch (error) {
      for (const { request } of parts) request.reject(error);
    }
  }

  /** Parts of as many waiting requests as fit together: they get a turn only once per step. */
  #nextParts(): Part[] {
    const parts: Part[] = [];
    let [rows, time] = [0, 0];
    // A BLAS's result for a row depends on the rows beside it: with one, each request has a turn of its own.
    const most = this.#network.g.maker === 'blas' ? 1 : Number.POSITIVE_INFINITY;
    while (parts.length < most && this.#waiting.length > 0) {
      const [request] = this.#waiting;
      try {
        const input = nextPart(request);
        rows += input.rows;
        time = Math.max(time, input.time);
        if (parts.length > 0 && (rows > ROWS_PER_CALL || rows * time > FRAMES_TOGETHER)) break;
        parts.push({ request, input });
      } catch (error) {
        request.reject(error);
      }
      this.#waiting.shift();
    }
    return parts;
  }

  /** Collects what the threads have served; a request that is not complete yet lets the others go first. */
  #takeServed(): void {
    if (!this.#served) return;
    const { parts, plan } = this.#served;
    let first = 0;
    for (const { request, input } of parts) {
      this.#keep(request, input, plan, first);
      first += input.rows;
      if (request.done === request.input.rows) request.resolve(request.probabilities);
      else this.#waiting.push(request);
    }
    this.#served = null;
    Atomics.store(this.#network.control.words, Word.serve, Serve.nothing);
  }

  /**
   * While no epoch runs: answers everything that waits now. What is asked for meanwhile waits for the
   * next time, so that it cannot hold up the call.
   */
  async between(start: number): Promise<void> {
    for (const request of this.#waiting.splice(0)) {
      await this.#finish(request, start).then(request.resolve, request.reject);
    }
  }

  /** Answers requests while awaiting something that uses no threads: a callback, a disk. */
  async during<T>(start: number, work: Promise<T>): Promise<T> {
    let isDone = false;
    const end = () => {
      isDone = true;
    };
    // Its failure is for whoever awaits `work`.
    const done = work.then(end, end);
    while (!isDone) {
      // Before anything is awaited: whoever gets an answer may ask again at once.
      const asked = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      await this.between(start);
      if (this.#waiting.length === 0) await Promise.race([done, asked]);
    }
    this.#wake = () => {};
    return work;
  }

  /**
   * Computes probabilities, [rows, O] or [rows, T, O], in calls of their own, between which it answers others. Rejects
   * with the signal's reason.
   */
  compute(input: SequenceInput, start: number, signal?: AbortSignal): Promise<RealArray> {
    return this.#finish(this.#begin(input, signal, false), start, () => this.between(start));
  }

  async #finish(prediction: Prediction, start: number, between?: () => Promise<void>): Promise<RealArray> {
    for (;;) {
      await this.#computePart(prediction, start);
      if (prediction.done === prediction.input.rows) return prediction.probabilities;
      await between?.();
    }
  }

  async #computePart(prediction: Prediction, start: number): Promise<void> {
    const network = this.#network;
    const part = nextPart(prediction);
    const { plan, engagement } = planCall(network, 'forward', extentOf(part), start);
    const rows = network.writeInput(plan, part);
    await network.run(
      { kind: 'forward', spec: plan.spec, rows, fromRest: true, result: 'probabilities' },
      engagement,
      prediction.snapshot,
    );
    this.#keep(prediction, part, plan);
  }

  /** Copies out the results of a part: the rows from `first` on of the batch, whose rows may have more steps. */
  #keep(prediction: Prediction, part: SequenceInput, plan: BatchMemory, first = 0): void {
    const { g } = this.#network;
    const [size, computed] = [part.time, plan.spec.time].map((steps) => outputRowSize(g, steps));
    const all = this.#network.reals(plan.logits, (first + part.rows) * computed);
    for (let row = 0; row < part.rows; row++) {
      const from = (first + row) * computed;
      prediction.probabilities.set(all.subarray(from, from + size), (prediction.done + row) * size);
    }
    prediction.done += part.rows;
  }

  #begin(input: SequenceInput, signal: AbortSignal | undefined, snapshot: boolean): Prediction {
    const { g } = this.#network;
    const probabilities = newReals(g.dtype, sizeOf(logitsShape(g, input)));
    return { input, signal, snapshot, probabilities, done: 0 };
  }
}

/** The next rows to be computed. Throws the signal's reason. */
function nextPart({ input, signal, done }: Prediction): SequenceInput {
  signal?.throwIfAborted();
  return sliceRows(input, done, Math.min(input.rows, done + ROWS_PER_CALL));
}
