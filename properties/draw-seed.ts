/** Runs once before all test files: draws the seed of the laws, or takes ELMAN_SEED, and prints it. */
import { randomInt } from 'node:crypto';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  export interface ProvidedContext {
    lawSeed: number;
  }
}

export default function drawSeed(project: TestProject): void {
  const given = process.env.ELMAN_SEED;
  const seed = given === undefined ? randomInt(0x7fffffff) : Number(given);
  if (!Number.isInteger(seed)) throw new Error(`ELMAN_SEED: expected an integer, got ${given}`);
  project.provide('lawSeed', seed);
  console.log(`laws: ELMAN_SEED=${seed} ELMAN_PROFILE=${process.env.ELMAN_PROFILE ?? 'quick'}`);
}
