import { execFileSync } from 'node:child_process';
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os';
import { MAX_THREADS } from '../../engine/classifier/classifier-options.ts';

/** What a measurement is worth nothing without. */
export interface Machine {
  readonly date: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly node: string;
  readonly commit: string;
  /** Load average of the last minute when the run began: above 0.3 or so, others were at work. */
  readonly load: number;
}

/** Cores that are measured: a model has no more threads, so that a machine with more counts as one of so many. */
export const CORES = Math.min(availableParallelism(), MAX_THREADS);

/** Numbers of worker threads to measure: 1, 2, 4 … and all cores. */
export function workerCounts(): number[] {
  const counts: number[] = [];
  for (let threads = 1; threads < CORES; threads *= 2) counts.push(threads);
  return [...counts, CORES];
}

/** Thread counts to measure: 0 (the calling thread), and workers. */
export const threadCounts = (): number[] => [0, ...workerCounts()];

/** Cores that compute with so many worker threads. */
export const coresUsed = (threads: number): number => Math.min(Math.max(threads, 1), CORES);

export function describeMachine(): Machine {
  return {
    date: new Date().toISOString(),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    commit: commit(),
    load: Math.round(100 * (loadavg()[0] ?? 0)) / 100,
  };
}

/** The commit measured, marked where files differ from it. */
function commit(): string {
  const git = (...args: string[]) => execFileSync('git', args, { encoding: 'utf8' }).trim();
  try {
    const changed = git('status', '--porcelain', '--untracked-files=no') !== '';
    return git('rev-parse', '--short', 'HEAD') + (changed ? '-changed' : '');
  } catch {
    return 'unknown';
  }
}

/** One line that goes above every table. */
export function machineLine(machine: Machine): string {
  const { date, cpu, cores, memoryGiB, node, commit: measured, load } = machine;
  return `${date.slice(0, 16)}Z, ${cpu}, ${cores} cores, ${memoryGiB} GiB, Node ${node}, commit ${measured}, load ${load}`;
}
