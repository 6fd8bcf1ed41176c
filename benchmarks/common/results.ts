import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Machine } from './machine.ts';

/** One number of a run, with what it needs to be set against another run's. */
export interface Measurement {
  /** Which benchmark: `training step`, `fit`, … */
  readonly suite: string;
  /** Which case of it: a size, a kernel, a peer. */
  readonly name: string;
  readonly threads: number;
  /** Median seconds of one piece of work. */
  readonly seconds: number;
  /** Distance of the quartiles, relative to the median. */
  readonly spread: number;
  /** Work done a second. */
  readonly gflops?: number;
  readonly sequencesPerSecond?: number;
  /** GFLOP/s of one core's bare micro-kernel loop, measured beside it; none for what waits for memory. */
  readonly limit?: number;
  /** Distance of that limit's quartiles, relative to it. */
  readonly limitSpread?: number;
  /** Share of what the cores used could do at most, by that limit. */
  readonly share?: number;
}

/** A run as it is kept. */
export interface RunResults {
  readonly command: string;
  readonly machine: Machine;
  readonly threadCounts: readonly number[];
  /** What was asked for: runs of other options are other runs. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly measurements: readonly Measurement[];
}

const RESULTS_FOLDER = 'benchmarks/results';

/** Writes a run beside the others, and a chart where there is one. Returns the paths written. */
export function saveResults(results: RunResults, html?: string): string[] {
  mkdirSync(RESULTS_FOLDER, { recursive: true });
  const { date, commit } = results.machine;
  const stem = `${date.slice(0, 19).replaceAll(':', '')}-${commit}-${results.command}`;
  const json = join(RESULTS_FOLDER, `${stem}.json`);
  writeFileSync(json, `${JSON.stringify(results, null, 2)}\n`);
  if (html === undefined) return [json];
  const page = join(RESULTS_FOLDER, `${stem}.html`);
  writeFileSync(page, html);
  return [json, page];
}
