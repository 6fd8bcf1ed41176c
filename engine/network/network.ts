import { setImmediate } from 'node:timers';
import { cellKinds } from '../cells/cell-kinds.ts';
import { type NormalizationSpec, writeNormalization } from '../data/normalization.ts';
import type { Labels } from '../data/read-labels.ts';
import { consecutiveStarts, type SequenceInput } from '../data/read-sequences.ts';
import { wasmModule } from '../kernels/wasm-kernels.ts';
import { newReals, type RealArray, realArray } from '../numeric/reals.ts';
import { CallingThread } from '../parallel/calling-thread.ts';
import { PAGE_BYTES } from '../parallel/memory-map.ts';
import { ALONE } from '../parallel/program.ts';
import { countAsGarbage, growTo, newMemory } from '../parallel/shared-memory.ts';
import { offersIn, withdrawOffers } from '../parallel/shared-products.ts';
import { type Engagement, WorkerTeam } from '../parallel/team.ts';
import { EngagementPolicy } from './engagement.ts';
import type { BatchMemory, BatchSpec } from './memory/batch-memory.ts';
import { type Control, Word } from './memory/control.ts';
import { type Geometry, geometryOf, type Parameter } from './memory/geometry.ts';
import { type Copies, type ModelMemory, planModel } from './memory/model-memory.ts';
import { type Job, PASSES, type Rows } from './programs/jobs.ts';
import { openLanes } from './programs/lane-programs.ts';
import { programOf } from './programs/program-of.ts';
import { ModelThread, type NetworkSpec, type ThreadSetup } from './programs/thread.ts';

/** A classifier's memory and threads. It has no queue: the caller must make one call at a time. */
export class Network {
  readonly g: Geometry;
  readonly model: ModelMemory;
  readonly control: Control;
  readonly threads: number;
  readonly normalization: NormalizationSpec | null;
  /** null where there are no threads but the calling one. */
  readonly team: WorkerTeam<Job> | null;
  readonly #here: CallingThread<Job>;
  readonly #offers: readonly Int32Array[];
  /** Which threads a call engages. */
  readonly engagement: EngagementPolicy;
  /** The main thread's own access to the model. */
  readonly thread: ModelThread;
  readonly #memory: WebAssembly.Memory;

  /** Throws MEMORY_TOO_LARGE before anything is allocated. */
  constructor(spec: NetworkSpec, normalization: NormalizationSpec | null) {
    const { shape, cell, dtype, kernels, threads } = spec;
    this.g = geometryOf(shape, dtype, kernels.maker, cellKinds[cell]);
    this.model = planModel(this.g, threads);
    this.threads = threads;
    this.engagement = new EngagementPolicy(this.g, threads);
    this.normalization = normalization;
    this.#memory = newMemory(this.model.end);
    const setup: ThreadSetup = {
      memory: this.#memory,
      module: wasmModule(dtype, kernels.maker),
      shape,
      cell,
      dtype,
      kernels,
      threads,
    };
    const thread = new ModelThread(setup, 'calling');
    this.thread = thread;
    if (normalization) {
      const { mean, std } = this.model.normalization;
      const at = { mean: mean / this.g.realBytes, std: std / this.g.realBytes };
      const columns = this.g.inputPanels * this.g.columns;
      writeNormalization(this.reals(0, this.model.end / this.g.realBytes), normalization, at, columns);
    }
    this.control = thread.control;
    this.#offers = offersIn(this.#memory.buffer, this.model.offers, threads);
    const { words } = this.control;
    this.#here = new CallingThread((job, place) => programOf(thread, job, place), words);
    this.team = threads === 0 ? null : new WorkerTeam<Job>(threads, this.#here, setup, words);
  }

  /** Waits until the threads are there. Throws WORKER_FAILED. */
  async ready(): Promise<void> {
    await this.team?.ready();
  }

  /** Numbers at an address of the memory: a view of it. */
  reals(at: number, size: number): RealArray {
    return realArray(this.g.dtype, this.#memory.buffer, at, size);
  }

  integers(at: number, size: number): Int32Array {
    return new Int32Array(this.#memory.buffer, at, size);
  }

  /** A view of a parameter, as the public cells and layers show it. */
  parameterView({ offset, size }: Parameter): RealArray {
    return this.reals(this.model.parameters[0] + offset * this.g.realBytes, size);
  }

  gradientView({ offset, size }: Parameter): RealArray {
    return this.reals(this.model.gradients[0] + offset * this.g.realBytes, size);
  }

  /** A view of an array of all parameters' size: the parameters, or their gradients, or moments. */
  parameterArray(at: number): RealArray {
    return this.reals(at, this.g.paddedCount);
  }

  /** Plans a batch and makes room for it; throws MEMORY_TOO_LARGE before it changes anything. */
  reserve(spec: BatchSpec): BatchMemory {
    const plan = this.thread.plan(spec);
    if (growTo(this.#memory, plan.end))
      Atomics.store(this.control.words, Word.pages, this.#memory.buffer.byteLength / PAGE_BYTES);
    return plan;
  }

  /**
   * Copies a call's sequences into its batch's memory; frames that already lie in shared memory stay
   * where they are. Returns the rows as the threads are to read them.
   */
  writeInput(plan: BatchMemory, input: SequenceInput): Rows {
    this.integers(plan.lengths, input.rows).set(input.lengths);
    const starts = new Uint32Array(this.#memory.buffer, plan.starts, input.rows);
    if (input.shared) {
      starts.set(input.shared.starts);
      return { first: 0, data: null, values: input.shared.values };
    }
    consecutiveStarts(input.lengths, starts);
    input.copyTo(this.reals(plan.values, input.frames * this.g.inputSize), 0, input.rows);
    return { first: 0, data: null, values: null };
  }

  writeLabels(plan: BatchMemory, { labels, labelStarts, counted }: Labels): void {
    this.integers(plan.labels, labels.length).set(labels);
    new Uint32Array(this.#memory.buffer, plan.labelStarts, labelStarts.length).set(labelStarts);
    this.integers(plan.counted, counted.length).set(counted);
  }

  /** Runs a job. With `snapshot` it uses the parameters of this moment, even if they are written to before it ends. */
  run(job: Job, engagement: Engagement, snapshot = false): Promise<void> {
    const { parties, here } = engagement;
    const { words } = this.control;
    // Packing here lets this thread start on its first lane while the others wake up.
    const packsHere = snapshot || (here && parties > 1);
    if (packsHere) this.thread.weights(ALONE).pack(0, PASSES[job.kind]);
    Atomics.store(words, Word.packed, packsHere ? 1 : 0);
    openLanes(this.thread);
    withdrawOffers(this.#offers);
    return this.team && !(here && parties === 1)
      ? this.team.run(job, engagement)
      : this.#here.run(job, ALONE);
  }

  /**
   * Runs a job whose program ends with `takeOver`. If a thread is lost while the second copies are taken
   * over, they are complete all the same, and are taken over here.
   */
  async runAndTakeOver(job: Job, engagement: Engagement, arrays: readonly Copies[]): Promise<void> {
    const { words } = this.control;
    Atomics.store(words, Word.whole, 0);
    try {
      await this.run(job, engagement);
    } catch (error) {
      if (!Atomics.load(words, Word.whole)) throw error;
      this.takeOver(arrays);
    }
  }

  /** Makes the second copies of arrays the current ones. */
  takeOver(arrays: readonly Copies[]): void {
    for (const [home, second] of arrays) this.parameterArray(home).set(this.parameterArray(second));
  }

  /** A copy of all parameters, all of the same step even while threads compute the next ones. */
  parametersNow(): RealArray {
    const { words } = this.control;
    // Allocated once: writing to fresh memory takes longer than the copying.
    const parameters = newReals(this.g.dtype, this.g.paddedCount);
    for (;;) {
      const step = Atomics.load(words, Word.step);
      const parity = Atomics.load(words, Word.parity);
      parameters.set(this.parameterArray(this.model.parameters[parity]));
      // Before anybody writes to the copy that was current, the end of a step makes the other one
      // current and advances the count. Not a load: an Arm processor might do that before the copying.
      if (Atomics.or(words, Word.step, 0) === step) return parameters;
    }
  }

  copy(at: number, size: number): RealArray {
    const copy = newReals(this.g.dtype, size);
    copy.set(this.reals(at, size));
    return copy;
  }

  async close(): Promise<void> {
    await this.team?.close();
    // Deferred until whoever awaits this has let go of the network.
    setImmediate(countAsGarbage, this.#memory.buffer.byteLength).unref();
  }
}
