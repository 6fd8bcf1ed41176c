import { CORES } from '../parallel/spin.ts';
import type { Engagement } from '../parallel/team.ts';
import type { Geometry } from './memory/geometry.ts';

/**
 * Floating-point operations of a batch for each thread it engages: with fewer, barriers cost more than a thread gains.
 */
const FLOPS_PER_THREAD = 1e6;
/** In fit, where threads are called in once an epoch, less is enough for those that have a core each … */
const FLOPS_PER_THREAD_IN_EPOCH = 4e5;
/** … in epochs of at least this many operations: waking one more thread takes some half a millisecond. */
const FLOPS_OF_LONG_EPOCH = 1e8;
/** A call that is worth fewer threads is computed here: calling others in takes as long as they would save. */
const THREADS_WORTH_A_MESSAGE = 4;
/**
 * The calling thread takes part in calls of fewer operations: one or two milliseconds, of which the way to
 * another thread and back would be a tenth. The event loop waits no longer for that than for many other things.
 */
const FLOPS_HERE = 1e8;
/** And of fewer parameters, since it packs them alone. */
const PARAMETERS_HERE = 1e6;
/** An optimizer's step engages one thread for every so many parameters. */
const PARAMETERS_PER_THREAD = 1e5;

/** What a call costs, in forward passes: the way back takes two, for the gradients of the inputs and of the weights. */
const FORWARD_PASSES = { forward: 1, backward: 2, gradients: 3 };

const HERE: Engagement = { parties: 1, here: true };

/** How much a batch is. */
interface BatchWork {
  readonly rows: number;
  /** Frames of all rows together. */
  readonly frames: number;
  readonly lanes: number;
}

/** Decides from the amount of work which threads compute it. Never more than there are lanes. */
export class EngagementPolicy {
  /** Work that is worth one more thread; tests lower it, so that small models use all theirs. */
  flopsPerThread = FLOPS_PER_THREAD;
  /** Work in which the calling thread takes part; tests set it, so that small calls are made in either way. */
  flopsHere = FLOPS_HERE;
  readonly #g: Geometry;
  readonly #threads: number;

  constructor(g: Geometry, threads: number) {
    this.#g = g;
    this.#threads = threads;
  }

  /** Which threads compute a call on a batch. */
  ofCall(kind: 'forward' | 'backward' | 'gradients', batch: BatchWork): Engagement {
    const flops = this.#forwardFlops(batch) * FORWARD_PASSES[kind];
    if (this.#threads === 0 || flops < THREADS_WORTH_A_MESSAGE * this.flopsPerThread) return HERE;
    const parties = this.#parties(flops, batch.lanes);
    const small = flops < this.flopsHere && this.#g.paddedCount < PARAMETERS_HERE;
    return { parties, here: parties > 1 && small };
  }

  /** How many threads share each batch of an epoch of so many steps. */
  ofEpoch(batch: BatchWork, steps: number): number {
    const flops = this.#forwardFlops(batch) * FORWARD_PASSES.gradients;
    const parties = this.#parties(flops, batch.lanes);
    if (flops * steps < FLOPS_OF_LONG_EPOCH) return parties;
    return Math.max(parties, Math.min(CORES, this.#parties(flops, batch.lanes, FLOPS_PER_THREAD_IN_EPOCH)));
  }

  /** Which threads compute an optimizer's step. */
  ofUpdate(): Engagement {
    const parties = Math.min(this.#threads, Math.floor(this.#g.paddedCount / PARAMETERS_PER_THREAD));
    return parties < 2 ? HERE : { parties, here: false };
  }

  #parties(flops: number, lanes: number, flopsPerThread = this.flopsPerThread): number {
    return Math.max(1, Math.min(this.#threads, lanes, Math.floor(flops / flopsPerThread)));
  }

  /** Multiplications and additions of a forward pass. */
  #forwardFlops({ rows, frames }: BatchWork): number {
    const { cells, output, W } = this.#g;
    const weights = cells.reduce((sum, { W_ih, W_hh }) => sum + W_ih.size + W_hh.size, 0);
    return 2 * (frames * weights + (output === 'steps' ? frames : rows) * W.size);
  }
}
