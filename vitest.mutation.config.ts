import { defineConfig } from 'vitest/config';

// Mutants live in the test process: compiled worker threads would not see them, so only suites that compute on the
// calling thread take part. The seed is fixed, so that a mutant meets the cases that the run without one has met.
process.env.ELMAN_PROFILE = 'mutation';
process.env.ELMAN_SEED = '20260101';

export default defineConfig({
  test: {
    include: [
      'engine/network/second-cell.test.ts',
      'engine/{validation,linear,rnn-cell,rnn-classifier,stream}.test.ts',
      'engine/classifier/{call-queue,classifier-arguments,classifier-options,method-errors,turns}.test.ts',
      'engine/data/{normalization,read-labels}.test.ts',
      'engine/io/json.test.ts',
      'engine/network/memory/{lane-plan,sorted-batch}.test.ts',
      'engine/network/{call-plan,engagement}.test.ts',
      'engine/network/lanes/loss.test.ts',
      'engine/network/programs/{pack-plan,reduce}.test.ts',
      'engine/optimization/schedules.test.ts',
      'engine/training/{batch-order,early-stopping,fit}.test.ts',
      'properties/{between-steps,dropout,gradients,memory-plan,optimizers,options,pytorch,structure,training}.test.ts',
    ],
    maxWorkers: 1,
    testTimeout: 60_000,
    globalSetup: ['properties/draw-seed.ts'],
  },
});
