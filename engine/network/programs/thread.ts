import { EDGE_BYTES } from '../../cells/cell.ts';
import { type CellName, cellKinds } from '../../cells/cell-kinds.ts';
import type { Passes } from '../../cells/pack-cell.ts';
import type { Kernels } from '../../kernels/kernels.ts';
import { tiledRows } from '../../kernels/layout.ts';
import { makeKernels } from '../../kernels/make-kernels.ts';
import type { KernelOptions } from '../../kernels/makers.ts';
import { type Dtype, type RealArray, realArray } from '../../numeric/reals.ts';
import { PAGE_BYTES } from '../../parallel/memory-map.ts';
import type { Place } from '../../parallel/program.ts';
import { offersIn, SharedProducts } from '../../parallel/shared-products.ts';
import type { Block, LaneTools } from '../lanes/block.ts';
import {
  type BatchMemory,
  type BatchSpec,
  type BlockShape,
  type BlockWorkspace,
  blockWorkspace,
  isSameBatch,
  planBatch,
} from '../memory/batch-memory.ts';
import { type Control, controlBlock, Word } from '../memory/control.ts';
import { type Geometry, geometryOf, type NetworkShape } from '../memory/geometry.ts';
import { BLOCK_ROWS, laneStart } from '../memory/lane-plan.ts';
import { type ModelMemory, planModel } from '../memory/model-memory.ts';
import type { SortedBatch } from '../memory/sorted-batch.ts';
import { BoundedCache } from './bounded-cache.ts';
import { bytesOfPieces, type ModelPackPiece, ownPieces, packPieces } from './pack-plan.ts';
import type { ByteRange } from './reduce.ts';

/** What a network is: every thread plans the same memory from it. */
export interface NetworkSpec {
  readonly shape: NetworkShape;
  readonly cell: CellName;
  readonly dtype: Dtype;
  readonly kernels: KernelOptions;
  /** Number of threads of the model; 0 where the calling one computes. */
  readonly threads: number;
}

/** What a thread needs to take part in it: the memory everything lies in, and the kernels. */
export interface ThreadSetup extends NetworkSpec {
  readonly memory: WebAssembly.Memory;
  readonly module: WebAssembly.Module;
}

/** Plans and layouts are kept: making one takes longer than some kernels, and longer than a small call. */
const PLANS_KEPT = 64;
const WORKSPACES_KEPT = 512;

/** How a lane's blocks are computed. */
export interface BlockOptions {
  /** Key of the masks of this step; null where no unit is dropped. */
  readonly dropoutKey: number | null;
  /** Whether all initial states are zeros. */
  readonly fromRest: boolean;
}

/** One thread's access to a model. */
export class ModelThread {
  readonly g: Geometry;
  readonly model: ModelMemory;
  readonly kernels: Kernels;
  readonly control: Control;
  /** Number of threads of the model; 0 where the calling one computes. */
  readonly threads: number;
  readonly #memory: WebAssembly.Memory;
  readonly #maySleep: boolean;
  /** Whether a single row can be computed by row kernels. */
  readonly #hasRows: boolean;
  readonly #packPieces: readonly ModelPackPiece[];
  readonly #plans = new BoundedCache<BatchMemory>(PLANS_KEPT);
  readonly #workspaces = new BoundedCache<BlockWorkspace>(WORKSPACES_KEPT);
  readonly #products = new BoundedCache<SharedProducts>(PLANS_KEPT);
  #lastPlan: BatchMemory | null = null;
  #lastWorkspace: BlockWorkspace | null = null;
  #reals: RealArray;
  #doubles: Float64Array;

  constructor(setup: ThreadSetup, kind: 'worker' | 'calling' = 'worker') {
    this.#maySleep = kind === 'worker';
    this.g = geometryOf(setup.shape, setup.dtype, setup.kernels.maker, cellKinds[setup.cell]);
    this.model = planModel(this.g, setup.threads);
    this.threads = setup.threads;
    this.kernels = makeKernels(setup.kernels, setup.module, setup.memory, setup.dtype);
    this.#hasRows = this.kernels.row !== null && this.g.kind.takesRows;
    this.#memory = setup.memory;
    this.#packPieces = packPieces(this.g, this.model);
    const { buffer } = setup.memory;
    this.control = controlBlock(buffer, this.model.control);
    this.#reals = this.#viewReals(buffer);
    this.#doubles = new Float64Array(buffer);
  }

  #viewReals(buffer: ArrayBufferLike): RealArray {
    return realArray(this.g.dtype, buffer, 0, buffer.byteLength / this.g.realBytes);
  }

  /**
   * Makes this thread see the memory as large as the main thread has made it. V8 tells other threads of a
   * shared memory's growth by an interrupt, which may come later than a word written to that memory;
   * growing by nothing asks at once. But that interrupts all threads in their turn, and takes 50 to 100 µs.
   */
  seeGrowth(): void {
    const bytes = Atomics.load(this.control.words, Word.pages) * PAGE_BYTES;
    if (this.buffer.byteLength < bytes) this.#memory.grow(0);
  }

  /** What this thread computes lanes with. Its views are renewed if the main thread has made the memory larger. */
  tools(place: Place): LaneTools {
    // Read once: the memory may grow between two reads, and the two views must not differ.
    const { buffer } = this.#memory;
    if (buffer.byteLength !== this.#reals.byteLength) {
      this.#reals = this.#viewReals(buffer);
      this.#doubles = new Float64Array(buffer);
    }
    return {
      kernels: this.kernels,
      g: this.g,
      model: this.model,
      scratch: { edge: this.#edge(place), zeros: this.model.zeros },
      products: this.#productsAt(place),
      reals: this.#reals,
      doubles: this.#doubles,
    };
  }

  #edge({ index }: Place): number {
    return this.model.edges + index * EDGE_BYTES;
  }

  #productsAt(place: Place): SharedProducts {
    return this.#products.get(`${place.index} of ${place.parties}`, () => {
      const { kernels, g, model } = this;
      const offers = offersIn(this.buffer, model.offers, place.parties);
      const panelColumns = g.maker === 'blas' ? null : g.columns;
      const { words } = this.control;
      return new SharedProducts({
        kernels,
        words,
        offers,
        place,
        panelColumns,
        maySleep: this.#maySleep,
        edge: this.#edge(place),
      });
    });
  }

  get buffer(): ArrayBufferLike {
    return this.#memory.buffer;
  }

  /** This thread's share of the weights: where their parameters lie, and how it packs them. */
  weights(place: Place): { readonly range: ByteRange; pack(parity: number, passes: Passes): void } {
    const pieces = ownPieces(this.g, this.#packPieces, place);
    const pack = (parity: number, passes: Passes): void => {
      for (const piece of pieces) piece.pack(this.kernels, this.model.parameters[parity], passes);
    };
    return { range: bytesOfPieces(this.g, pieces), pack };
  }

  /** Claims lanes until none is left: a thread that is slowed down takes fewer. */
  *claimLanes(lanes: number): Generator<number> {
    for (;;) {
      const lane = Atomics.add(this.control.words, Word.nextLane, 1);
      if (lane >= lanes) return;
      yield lane;
    }
  }

  /** The memory of a batch. Throws MEMORY_TOO_LARGE. */
  plan(spec: BatchSpec): BatchMemory {
    // Most calls are like the one before, and making a key takes 20 µs where matmuls have emptied the caches.
    if (!this.#lastPlan || !isSameBatch(spec, this.#lastPlan.spec))
      this.#lastPlan = this.#plans.get(JSON.stringify(spec), () => planBatch(this.g, spec));
    return this.#lastPlan;
  }

  /** Most blocks are laid out like the one before, and even making a key takes longer than a row's loss. */
  #workspace(at: number, rows: number, steps: number, dropout: boolean): BlockWorkspace {
    const last = this.#lastWorkspace;
    if (last?.at === at && last.rows === rows && last.steps === steps && last.dropout === dropout)
      return last;
    this.#lastWorkspace = this.#keptWorkspace(at, { rows, steps, dropout });
    return this.#lastWorkspace;
  }

  #keptWorkspace(at: number, shape: BlockShape): BlockWorkspace {
    const { rows, steps, dropout } = shape;
    const make = () => blockWorkspace(this.g, at, shape);
    return this.#workspaces.get(`${at} ${rows} ${steps} ${dropout}`, make);
  }

  /** The blocks of a lane in order, with their workspaces. */
  *blocksOf(
    lane: number,
    batch: SortedBatch,
    memory: BatchMemory,
    { dropoutKey, fromRest }: BlockOptions,
    place: Place,
  ): Generator<Block> {
    const { keep, gradients, dropout } = memory.spec;
    // Row kernels go forward only.
    const takesRows = this.#hasRows && !keep && !gradients;
    const end = laneStart(lane + 1, memory.lanes, batch.rows);
    let number = keep ? lane * memory.blocksPerLane : place.index;
    for (
      let firstRank = laneStart(lane, memory.lanes, batch.rows);
      firstRank < end;
      firstRank += BLOCK_ROWS
    ) {
      const count = Math.min(BLOCK_ROWS, end - firstRank);
      const at = memory.workspaces + number * memory.workspaceBytes;
      const rows = count === 1 && takesRows ? 1 : tiledRows(count);
      const workspace = this.#workspace(at, rows, batch.lengths[firstRank], dropout);
      const lengths = batch.lengths.subarray(firstRank, firstRank + count);
      yield { batch, firstRank, count, lengths, workspace, dropoutKey, fromRest };
      if (keep) number++;
    }
  }
}
