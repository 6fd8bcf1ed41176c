import type { NormalizationSpec } from '../data/normalization.ts';
import type { Labels } from '../data/read-labels.ts';
import { consecutiveStarts, type SequenceInput } from '../data/read-sequences.ts';
import { realArray } from '../data/sequences.ts';
import type { Dtype } from '../kernels/kernels.ts';
import type { KernelOptions } from '../kernels/make-kernels.ts';
import { wasmModule } from '../kernels/wasm-kernels.ts';
import { type Control, Word } from '../parallel/control.ts';
import { PAGE_BYTES } from '../parallel/memory-map.ts';
import { CallingThread, type Team, WorkerTeam } from '../parallel/team.ts';
import { newReals, type RealArray } from '../tensor.ts';
import type { BatchMemory, BatchSpec } from './batch-memory.ts';
import { type Geometry, geometryOf, type NetworkShape, type Parameter } from './geometry.ts';
import type { Job, Rows } from './jobs.ts';
import { type ModelMemory, planModel } from './model-memory.ts';
import { programOf } from './programs.ts';
import { ModelThread, type ThreadSetup } from './thread.ts';

/**
 * A call engages one thread for every so many floating-point operations: with less for each, its barriers cost more
 * than it brings, and with less in all, the way to a thread and back takes longer than computing here (some 40 µs).
 */
const FLOPS_PER_THREAD = 1e6;
/** The same for an optimizer's step, by parameters. */
const PARAMETERS_PER_THREAD = 1e5;

/** A classifier's memory and threads: calls in, numbers out. It knows no queue; one call at a time is the caller's duty. */
export class Network {
  readonly g: Geometry;
  readonly model: ModelMemory;
  readonly control: Control;
  readonly threads: number;
  readonly normalization: NormalizationSpec | null;
  readonly team: Team<Job>;
  readonly #here: CallingThread<Job>;
  /** Work that is worth one more thread; tests lower it, so that small models use all theirs. */
  flopsPerThread = FLOPS_PER_THREAD;
  /** The main thread's own hold on the model. */
  readonly thread: ModelThread;
  readonly #memory: WebAssembly.Memory;

  /** Throws MEMORY_TOO_LARGE before anything is allocated. */
  constructor(
    shape: NetworkShape,
    dtype: Dtype,
    threads: number,
    kernels: KernelOptions,
    normalization: NormalizationSpec | null = null,
  ) {
    this.g = geometryOf(shape, dtype, kernels.maker);
    this.model = planModel(this.g, threads);
    this.threads = threads;
    this.normalization = normalization;
    const pages = Math.ceil(this.model.end / PAGE_BYTES);
    this.#memory = new WebAssembly.Memory({ initial: pages, maximum: 65_536, shared: true });
    const setup: ThreadSetup = {
      memory: this.#memory,
      module: wasmModule(dtype, kernels.maker),
      shape,
      dtype,
      kernels,
      threads,
    };
    const thread = new ModelThread(setup);
    this.thread = thread;
    if (normalization) this.#writeNormalization(normalization);
    this.control = thread.control;
    this.#here = new CallingThread((job, place) => programOf(thread, job, place));
    this.team = threads === 0 ? this.#here : new WorkerTeam<Job>(threads, setup, this.control.words);
  }

  #writeNormalization({ mean, std }: NormalizationSpec): void {
    const { g, model } = this;
    this.reals(model.normalization.mean, g.inputSize).set(mean);
    // Columns that only fill the last panel up are divided as well.
    this.reals(model.normalization.std, g.inputPanels * g.columns).fill(1);
    this.reals(model.normalization.std, g.inputSize).set(std);
  }

  /** Waits until the threads are there. Throws WORKER_FAILED. */
  async ready(): Promise<void> {
    await this.team.ready();
  }

  /** Numbers at an address of the memory. A view: valid until the memory grows, and after. */
  reals(at: number, size: number): RealArray {
    return realArray(this.g.dtype, this.#memory.buffer, at, size);
  }

  integers(at: number, size: number): Int32Array {
    return new Int32Array(this.#memory.buffer, at, size);
  }

  /** A parameter, or its gradient, as the public views show it. */
  parameterView({ offset, size }: Parameter): RealArray {
    return this.reals(this.model.parameters[0] + offset * this.g.realBytes, size);
  }

  gradientView({ offset, size }: Parameter): RealArray {
    return this.reals(this.model.gradients[0] + offset * this.g.realBytes, size);
  }

  /** A whole block of parameters' size. */
  block(at: number): RealArray {
    return this.reals(at, this.g.blockSize);
  }

  /** Plans a batch and makes room for it; throws MEMORY_TOO_LARGE before it changes anything. */
  reserve(spec: BatchSpec): BatchMemory {
    const plan = this.thread.plan(spec);
    const missing = Math.ceil(plan.end / PAGE_BYTES) - this.#memory.buffer.byteLength / PAGE_BYTES;
    if (missing > 0) this.#memory.grow(missing);
    return plan;
  }

  /**
   * Puts a call's sequences into its batch's memory; frames that lie in shared memory already stay where they are.
   * Returns the rows as the threads are to read them.
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

  /** Threads worth engaging for a batch: never more than there are lanes, fewer for little work, 0 for next to none. */
  engaged(rows: number, frames: number, lanes: number, passes: 1 | 2 | 3): number {
    const worthwhile = Math.floor((this.#flops(rows, frames) * passes) / this.flopsPerThread);
    return Math.min(this.threads, lanes, worthwhile);
  }

  /** The same for an optimizer's step. */
  engagedInStep(): number {
    return Math.min(this.threads, Math.floor(this.g.blockSize / PARAMETERS_PER_THREAD));
  }

  /** Multiplications and additions of a forward pass. */
  #flops(rows: number, frames: number): number {
    const { g } = this;
    const cells = g.cells.reduce((sum, { W_ih, W_hh }) => sum + W_ih.size + W_hh.size, 0);
    return 2 * (frames * cells + (g.output === 'steps' ? frames : rows) * g.W.size);
  }

  /** Runs a job on so many threads, or here where that is 0. */
  run(job: Job, parties: number): Promise<void> {
    Atomics.store(this.control.words, Word.nextLane, 0);
    return parties === 0 ? this.#here.run(job) : this.team.run(job, parties);
  }

  /** Makes the second copy of an array the current one. */
  takeOver([home, second]: readonly [number, number]): void {
    this.block(home).set(this.block(second));
  }

  copy(at: number, size: number): RealArray {
    const copy = newReals(this.g.dtype, size);
    copy.set(this.reals(at, size));
    return copy;
  }

  close(): Promise<void> {
    return this.team.close();
  }
}
