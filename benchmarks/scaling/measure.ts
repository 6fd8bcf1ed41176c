import { median } from '../../cli/common/quantile.ts';
import { MAX_THREADS } from '../../engine/classifier/classifier-options.ts';
import { runCount } from '../../engine/network/memory/model-memory.ts';
import { SortedBatch } from '../../engine/network/memory/sorted-batch.ts';
import { packPieces } from '../../engine/network/programs/pack-plan.ts';
import { networkOf } from '../../engine/network/registry.ts';
import { PAGE_BYTES } from '../../engine/parallel/memory-map.ts';
import { newMemory } from '../../engine/parallel/shared-memory.ts';
import type { Effort } from '../common/effort.ts';
import { CORES } from '../common/machine.ts';
import { type Contestant, measureRounds, syncContestant, timesOf } from '../common/rounds.ts';
import { type Size, seededData } from '../common/sizes.ts';
import { pairedRatios } from '../common/statistics.ts';
import { createModel, engage, stepInside } from '../common/steps.ts';
import { withOpen } from '../common/with-open.ts';
import { bareName, bareTeam } from '../replay/bare-team.ts';
import { ReplayTeam } from '../replay/replay-team.ts';
import { callsOfPhases, lanesAdded, PHASES, recordStep } from '../replay/trace.ts';
import type { StepCosts } from './prediction.ts';

/** What the parts of a step cost on this machine, and whole steps to set predictions against. */

/** What is measured: one core's threads, all cores', and twice as many, as far as a model may have so many. */
const measuredCounts = [...new Set([1, CORES, Math.min(2 * CORES, MAX_THREADS)])];

export interface Measured {
  /** What a step's parts cost on one thread alone. */
  readonly costs: StepCosts;
  /** Whole steps for each measured count. */
  readonly steps: ReadonlyMap<number, number>;
  /** What the bare loop on all cores at once takes over what it takes on one. */
  readonly crowding: number;
}

export async function measureSize(size: Size, effort: Effort): Promise<Measured> {
  const recorded = await recordAlone(size);
  const times = await withOpen([teamOf(recorded), bareTeam(1), bareTeam(CORES)], (team, ...bare) =>
    measureTogether(size, [...phasesOf(team), sorting(size), ...bare], effort),
  );
  const [one, all] = [1, CORES].map((parties) => timesOf(times, bareName(parties)));
  return {
    costs: costsOf(recorded, times),
    steps: new Map(measuredCounts.map((threads) => [threads, median(timesOf(times, stepName(threads)))])),
    // No core is the faster for others being busy: where it looks like that, the clock has changed.
    crowding: Math.max(1, median(pairedRatios(all, one))),
  };
}

type Recorded = Awaited<ReturnType<typeof recordAlone>>;

/** A step recorded for one thread, and what it is cut into. */
async function recordAlone(size: Size) {
  return withOpen([createModel(size, 1)], async (model) => {
    const { g, model: plan } = networkOf(model);
    const { trace, memory } = await recordStep(model, seededData(size), 1);
    return {
      trace,
      memory,
      lanes: lanesAdded(trace),
      parameterBytes: g.paddedCount * g.realBytes,
      runs: runCount(g),
      pieces: packPieces(g, plan).length,
    };
  });
}

const teamOf = ({ trace, memory }: Recorded): Promise<ReplayTeam> =>
  ReplayTeam.start(memory, 1, callsOfPhases(trace, PHASES));

/** The lanes leave the reduction cold caches, here as in a step. */
const phasesOf = (team: ReplayTeam): Contestant[] => [
  team.contestant('lanes'),
  team.contestantAfter('lanes', 'reduce'),
  team.contestant('update'),
];

/** Steps inside fit for each measured count, and `parts` besides, by turns. */
function measureTogether(
  size: Size,
  parts: readonly Contestant[],
  { rounds, seconds }: Effort,
): Promise<Map<string, number[]>> {
  return withOpen(
    measuredCounts.map((threads) => createModel(size, threads)),
    (...models) => {
      for (const [i, model] of models.entries()) engage(model, measuredCounts[i]);
      const steps = models.map((model, i) => stepInside(stepName(measuredCounts[i]), model, size));
      return measureRounds([...steps, ...parts], rounds, seconds);
    },
  );
}

function costsOf(
  { lanes, parameterBytes, runs, pieces }: Recorded,
  times: ReadonlyMap<string, number[]>,
): StepCosts {
  const take = (name: string) => median(timesOf(times, name));
  const [kernels, reduce, update] = PHASES.map(take);
  const serial = take(SORTING);
  // What one thread's step takes besides its kernels is bookkeeping around the lanes.
  const bookkeeping = Math.max(0, take(stepName(1)) - kernels - reduce - update - serial);
  return {
    lanes: new Array<number>(lanes).fill((kernels + bookkeeping) / lanes),
    // A lane writes its gradient buffer, which the reduction reads on another core; activations stay in its cache.
    laneBytes: parameterBytes,
    reduce,
    update,
    runs,
    pieces,
    serial,
    reduceBytes: (lanes + 2) * parameterBytes,
    updateBytes: 3 * parameterBytes,
  };
}

const stepName = (threads: number): string => `step on ${threads}`;
const SORTING = 'sorting the batch';

function sorting(size: Size): Contestant {
  const data = {
    lengths: new Int32Array(size.B).fill(size.T),
    counted: new Int32Array(size.B).fill(1),
  };
  const batch = new SortedBatch(size.B);
  return syncContestant(SORTING, () => batch.fill(data, 0, null), 100);
}

/**
 * Seconds of a barrier of threads that arrive together, by thread count. Where every thread has a core the fastest of
 * many bursts counts: anything else has waited for somebody else's time slice. Where threads share cores that very
 * waiting is the cost.
 */
export async function measureBarriers(): Promise<Map<number, number>> {
  const barriers = new Map<number, number>();
  for (const threads of measuredCounts) {
    const memory = newMemory(PAGE_BYTES);
    const isCrowded = threads > CORES;
    const times: number[] = [];
    await withOpen([ReplayTeam.start(memory, threads)], async (team) => {
      for (let i = 0; i < (isCrowded ? 9 : 60); i++) times.push(await team.barrier(isCrowded ? 100 : 1_000));
    });
    barriers.set(threads, isCrowded ? median(times) : Math.min(...times));
  }
  return barriers;
}
