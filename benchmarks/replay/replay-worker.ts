import { parentPort, workerData } from 'node:worker_threads';
import { wasmKernels } from '../../engine/kernels/wasm-kernels.ts';
import { Barrier } from '../../engine/parallel/barrier.ts';
import { nothing } from '../../engine/parallel/program.ts';
import { Replay } from './replay.ts';
import type { ReplaySetup, ReplayTask } from './replay-team.ts';

/** One thread of a ReplayTeam: keeps recorded calls, and runs them when all are ready to. */
const { memory, module, words, index, parties } = workerData as ReplaySetup;
const kernels = wasmKernels(module, memory, 'float32');
const barrier = new Barrier(words, parties);
const replays = new Map<string, Replay>();

function timed(repetitions: number, work: () => void): number {
  barrier.wait(nothing);
  const begun = performance.now();
  for (let i = 0; i < repetitions; i++) work();
  return (performance.now() - begun) / 1000 / repetitions;
}

function replayOf(name: string): Replay {
  const replay = replays.get(name);
  if (!replay) throw new Error(`Nothing was loaded under the name ${name}.`);
  return replay;
}

function answer(task: ReplayTask): number {
  switch (task.kind) {
    case 'load':
      replays.set(task.name, new Replay(kernels, task.calls[index]));
      return 0;
    case 'replay': {
      const replay = replayOf(task.name);
      return timed(task.repetitions, () => replay.run());
    }
    case 'replay after': {
      const replay = replayOf(task.name);
      // So that they all arrive at the calls that count when they do in a step.
      barrier.wait(nothing);
      replayOf(task.first).run();
      return timed(1, () => replay.run());
    }
    case 'barrier':
      return timed(task.repetitions, () => barrier.wait(nothing));
  }
}

parentPort?.on('message', (task: ReplayTask) => parentPort?.postMessage(answer(task)));
