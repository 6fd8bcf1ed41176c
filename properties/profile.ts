/**
 * How the laws are run: how many cases, from which seed, how long a case may take, and what a failure prints.
 *
 *     ELMAN_PROFILE   quick (default), deep, or mutation
 *     ELMAN_SEED      the seed; drawn once a run and printed otherwise
 *     ELMAN_SHRINK    no: fail with the first counterexample, however large
 *     ELMAN_PATH      the way from that seed to one counterexample, as a failure prints it
 */
import { relative } from 'node:path';
import { fc, test } from '@fast-check/vitest';
import { expect, inject } from 'vitest';

interface Profile {
  name: string;
  /** Cases for each one that a law asks for. */
  casesFactor: number;
  /** A law that takes longer is interrupted, which counts as a failure. */
  lawMs: number;
}

const profiles: Record<string, Profile> = {
  quick: { name: 'quick', casesFactor: 1, lawMs: 360_000 },
  deep: { name: 'deep', casesFactor: 25, lawMs: 3_600_000 },
  // For `npm run mutate`, which runs the laws once for every mutant.
  mutation: { name: 'mutation', casesFactor: 0.1, lawMs: 15_000 },
};

export function profileOf(name: string): Profile {
  const profile = profiles[name];
  if (profile === undefined) {
    throw new Error(`ELMAN_PROFILE: expected ${Object.keys(profiles).join(', ')}, got ${name}`);
  }
  return profile;
}

export const profile = profileOf(process.env.ELMAN_PROFILE ?? 'quick');

/** A case that takes longer is taken for a deadlock. Far above what the slowest takes on a loaded machine. */
const caseMs = 20_000;

interface LawOptions {
  /** Cases in the quick profile. */
  cases: number;
  caseMs?: number;
}

/** A law holds for every generated value: `predicate` throws where it does not. */
export function law<T extends object>(
  name: string,
  arbitraries: { [K in keyof T]: fc.Arbitrary<T[K]> },
  options: LawOptions,
  predicate: (values: T) => void | Promise<void>,
): void {
  const parameters: fc.Parameters<[T]> = {
    numRuns: Math.ceil(options.cases * profile.casesFactor),
    seed: inject('lawSeed'),
    path: process.env.ELMAN_PATH,
    timeout: options.caseMs ?? caseMs,
    interruptAfterTimeLimit: profile.lawMs,
    markInterruptAsFailure: true,
    endOnFailure: process.env.ELMAN_SHRINK === 'no',
    reporter: (details) => {
      if (details.failed) throw lawFailure(name, details.counterexample?.[0], details);
    },
  };
  const values: fc.Arbitrary<T> = fc.record<T>(arbitraries);
  const run = test.prop<[T]>([values], parameters);
  // Vitest's own limit comes last, so that the one with the replay line is the one that is seen.
  run(name, async (value) => predicate(value), profile.lawMs + 2 * (options.caseMs ?? caseMs));
}

/** The part of fast-check's report that a message needs. */
interface Outcome {
  seed: number;
  numRuns: number;
  numShrinks: number;
  counterexamplePath: string | null;
  errorInstance: unknown;
}

function lawFailure(name: string, counterexample: unknown, details: Outcome): Error {
  const cause = details.errorInstance;
  const reason = cause instanceof Error ? cause.message : String(cause ?? 'interrupted: it took too long');
  const found =
    details.counterexamplePath === null
      ? `Stopped after ${details.numRuns} cases.`
      : `Counterexample after ${details.numRuns} cases and ${details.numShrinks} shrinks: ${fc.stringify(counterexample)}`;
  const file = relative(process.cwd(), expect.getState().testPath ?? 'properties');
  return new Error(`${reason}\n\n${found}\n\nReplay:\n${replayCommand(file, name, details)}\n`, { cause });
}

function replayCommand(file: string, name: string, details: Outcome): string {
  const path = details.counterexamplePath === null ? '' : `ELMAN_PATH=${details.counterexamplePath} `;
  const profileChoice = path === '' && profile.name !== 'quick' ? `ELMAN_PROFILE=${profile.name} ` : '';
  return `${profileChoice}ELMAN_SEED=${details.seed} ${path}npx vitest run ${file} -t '${patternOf(name)}'`;
}

/** `-t` takes a regular expression, the shell takes no single quote inside single quotes. */
function patternOf(name: string): string {
  return name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/'/g, '.');
}
