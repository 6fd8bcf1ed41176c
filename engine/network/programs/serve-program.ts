import type { Place, Program } from '../../parallel/program.ts';
import { type BatchSpec, batchSpec } from '../memory/batch-memory.ts';
import { Command, Serve, Word } from '../memory/control.ts';
import { forward } from './call-programs.ts';
import type { ForwardCall } from './jobs.ts';
import { openLanes } from './lane-programs.ts';
import type { ModelThread } from './thread.ts';

/**
 * Computes predictions that are asked for during training, between two steps, with all its threads.
 * After each of them `decide` says what comes next.
 */
export function* servePredictions(thread: ModelThread, place: Place, decide: () => void): Program {
  const { words } = thread.control;
  while (Atomics.load(words, Word.command) === Command.serve) {
    thread.seeGrowth();
    const call: ForwardCall = {
      spec: readServeSpec(words, thread.threads),
      rows: { first: 0, data: null, values: null },
      fromRest: true,
      result: 'probabilities',
    };
    yield* forward(thread, call, Atomics.load(words, Word.parity), place, () => {
      Atomics.store(words, Word.serve, Serve.served);
      decide();
      openLanes(thread);
    });
  }
}

const SERVE_UNIT_BYTES = 64;

/** Writes what a prediction needs memory for into the control block's words. */
export function writeServeSpec(words: Int32Array, spec: BatchSpec): void {
  const { start, rows, steps, time, inputFrames } = spec;
  words.set([start / SERVE_UNIT_BYTES, rows, steps, time, inputFrames], Word.serveSpec);
}

function readServeSpec(words: Int32Array, threads: number): BatchSpec {
  const [start, rows, steps, time, inputFrames] = words.subarray(Word.serveSpec, Word.serveSpec + 5);
  return batchSpec({ start: start * SERVE_UNIT_BYTES, rows, steps, time, inputFrames, threads });
}
