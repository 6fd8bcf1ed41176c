import { fitLine } from '../common/statistics.ts';

/**
 * How long a training step takes on P threads, from what its parts cost on one. Pure: measure.ts measures the parts.
 *
 *     t(P) = serial + lanes(P) + reduce(P) + update(P) + 3 · barrier(P)
 *
 * lanes(P) is the time until the last of the lanes has ended that P threads claim one after the other. reduce is cut into
 * runs of parameters, a share of whole runs for each thread; update, which packs the weights anew as well, into groups of
 * a matrix's rows. What moves memory takes no less than its bytes need at what all cores together can move.
 */

/** What one step costs on one core, in seconds and bytes. */
export interface StepCosts {
  /** Each lane's time, bookkeeping included, in the order in which lanes are claimed. */
  readonly lanes: readonly number[];
  /** Bytes that a lane moves from and to memory that cores share. */
  readonly laneBytes: number;
  readonly reduce: number;
  readonly reduceBytes: number;
  readonly update: number;
  readonly updateBytes: number;
  /** Runs of parameters that the reduction is cut into, and pieces that the update is. */
  readonly runs: number;
  readonly pieces: number;
  /** What every thread does for itself and all wait for: sorting the batch by length. */
  readonly serial: number;
}

export interface MachineCosts {
  readonly cores: number;
  /** How much longer a core takes when the others are busy as well. */
  readonly crowding: number;
  /** Bytes a second that all cores move together. */
  readonly bandwidth: number;
  /** Seconds of a barrier of so many threads that arrive together. */
  barrier(threads: number): number;
}

/** A predicted step, part by part, in seconds. */
export interface Prediction {
  readonly lanes: number;
  readonly reduce: number;
  readonly update: number;
  readonly barriers: number;
  readonly serial: number;
  readonly step: number;
}

/** Barriers of one step: after the lanes, the reduction and the update. */
const BARRIERS = 3;

export function predictStep(costs: StepCosts, machine: MachineCosts, threads: number): Prediction {
  const { cores, bandwidth } = machine;
  // Threads that share a core are each as much slower.
  const slower = (threads / Math.min(threads, cores)) * (threads > 1 ? machine.crowding : 1);
  const parts = {
    lanes: Math.max(
      makespan(costs.lanes, threads) * slower,
      (costs.lanes.length * costs.laneBytes) / bandwidth,
    ),
    reduce: Math.max(costs.reduce * wholeShare(costs.runs, threads) * slower, costs.reduceBytes / bandwidth),
    update: Math.max(
      costs.update * wholeShare(costs.pieces, threads) * slower,
      costs.updateBytes / bandwidth,
    ),
    barriers: BARRIERS * machine.barrier(threads),
    serial: costs.serial * slower,
  };
  return { ...parts, step: Object.values(parts).reduce((a, b) => a + b, 0) };
}

/** The largest part of `pieces` that a thread gets when they are shared out whole. */
export const wholeShare = (pieces: number, threads: number): number => Math.ceil(pieces / threads) / pieces;

/** Time until the last piece of work has ended, when each thread takes the next piece as soon as it is free. */
export function makespan(durations: readonly number[], threads: number): number {
  const busyUntil = new Array<number>(Math.min(threads, durations.length)).fill(0);
  for (const duration of durations) {
    const first = busyUntil.indexOf(Math.min(...busyUntil));
    busyUntil[first] += duration;
  }
  return Math.max(0, ...busyUntil);
}

/** A barrier's cost as a straight line a + b·P through measured points, and never less than the smallest of them. */
export function barrierLine(points: readonly (readonly [threads: number, seconds: number])[]) {
  const line = fitLine(points);
  const least = Math.min(...points.map(([, seconds]) => seconds));
  return (threads: number): number => Math.max(least, line.at(threads));
}
