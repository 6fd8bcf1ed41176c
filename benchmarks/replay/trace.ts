import type { RNNPhonemeClassifier } from '../../engine/index.ts';
import type { Kernels } from '../../engine/kernels/kernels.ts';
import { Word } from '../../engine/network/memory/control.ts';
import type { Job } from '../../engine/network/programs/jobs.ts';
import { programOf } from '../../engine/network/programs/program-of.ts';
import type { ModelThread } from '../../engine/network/programs/thread.ts';
import { networkOf } from '../../engine/network/registry.ts';
import { newMemory } from '../../engine/parallel/shared-memory.ts';
import type { SeededData } from '../common/sizes.ts';
import { engage } from '../common/steps.ts';

/** A kernel and its arguments: numbers only, addresses in the model's memory. */
export interface KernelCall {
  readonly kernel: keyof Kernels;
  readonly args: readonly number[];
}

/** What the threads do between two barriers of a step inside `fit`; the weights are packed as they are updated. */
export const PHASES = ['lanes', 'reduce', 'update'] as const;
/** Before the first step they are packed alone. */
const RECORDED = ['start', ...PHASES] as const;
export type Phase = (typeof RECORDED)[number];

/** Every kernel call of one training step, and of its epoch's start: by phase, then by thread. */
export type StepTrace = Readonly<Record<Phase, readonly (readonly KernelCall[])[]>>;

/** A step's calls, and a copy of the memory they refer to. */
interface RecordedStep {
  readonly trace: StepTrace;
  readonly memory: WebAssembly.Memory;
}

/**
 * Records one step of `fit` with the plainest optimizer as `parties` threads would do it: the threads' programs run by
 * turns on the calling thread, a lane each, so that each gets its even share.
 */
export async function recordStep(
  model: RNNPhonemeClassifier,
  data: SeededData,
  parties: number,
): Promise<RecordedStep> {
  const network = networkOf(model);
  engage(model, parties);
  const recorder = new Recorder(network.thread.kernels, parties);
  Object.defineProperty(network.thread, 'kernels', { value: recorder.kernels, configurable: true });
  network.run = async (job) => {
    Atomics.store(network.control.words, Word.packed, 0);
    runTogether(network.thread, job, parties, recorder);
  };
  const optimizer = { type: 'sgd', learningRate: 1e-4 } as const;
  await model.fit(data, { batchSize: data.labels.length, shuffle: false, optimizer });
  return { trace: recorder.trace, memory: copyMemory(network.thread.buffer) };
}

export function copyMemory(buffer: ArrayBufferLike): WebAssembly.Memory {
  const memory = newMemory(buffer.byteLength);
  new Uint8Array(memory.buffer).set(new Uint8Array(buffer));
  return memory;
}

/** Kernels that compute and write down what they were asked. */
class Recorder {
  readonly kernels: Kernels;
  readonly trace: Record<Phase, KernelCall[][]>;
  phase = 0;
  thread = 0;

  constructor(kernels: Kernels, parties: number) {
    const none = () => Array.from({ length: parties }, (): KernelCall[] => []);
    this.trace = { start: none(), lanes: none(), reduce: none(), update: none() };
    const functions = Object.entries(kernels).filter(([, value]) => typeof value === 'function');
    const recorded = functions.map(([name, kernel]) => [
      name,
      (...args: number[]): unknown => {
        this.trace[RECORDED[this.phase]][this.thread].push({ kernel: name as keyof Kernels, args });
        return (kernel as (...args: number[]) => unknown)(...args);
      },
    ]);
    this.kernels = Object.fromEntries(recorded) as Kernels;
  }
}

/** Runs the programs of all threads by turns; each phase ends where all have arrived. */
function runTogether(thread: ModelThread, job: Job, parties: number, recorder: Recorder): void {
  const programs = Array.from({ length: parties }, (_, index) => programOf(thread, job, { index, parties }));
  for (recorder.phase = 0; ; recorder.phase++) {
    let leader: (() => void) | null = null;
    const running = new Set(programs.keys());
    while (running.size > 0) {
      for (const index of running) {
        recorder.thread = index;
        const { value, done } = programs[index].next();
        if (done || value) running.delete(index);
        if (value) leader = value;
      }
    }
    if (!leader) return;
    leader();
  }
}

/** Lanes whose gradients the step adds up. */
export function lanesAdded(trace: StepTrace): number {
  return trace.reduce.flat().find(({ kernel }) => kernel === 'reduceLanes')?.args[2] ?? 1;
}

/** A step's calls of each thread, one after the other. */
export function callsByThread(trace: StepTrace, phases: readonly Phase[] = PHASES): KernelCall[][] {
  return trace.lanes.map((_, thread) => phases.flatMap((phase) => trace[phase][thread]));
}

/** Each phase's calls of each thread, by its name. */
export const callsOfPhases = (trace: StepTrace, phases: readonly Phase[]): Record<string, KernelCall[][]> =>
  Object.fromEntries(phases.map((phase) => [phase, callsByThread(trace, [phase])]));

/**
 * The same step with one gradient buffer a thread instead of one a lane: each thread's lanes are added onto one
 * another in the order they come, and the reduction adds one buffer for each thread that has a lane. What bit-identity
 * costs is the difference.
 */
export function oneBufferAThread(trace: StepTrace): StepTrace {
  const parties = trace.lanes.length;
  const additions = trace.reduce.flat().filter(({ kernel }) => kernel === 'reduceLanes');
  const first = Math.min(...additions.map(({ args }) => args[0]));
  const [, stride, lanes] = additions[0].args;
  const end = first + stride * lanes;
  const buffers = Math.min(parties, lanes);
  const lanesOf = (calls: readonly KernelCall[], thread: number): KernelCall[] => {
    const written = new Set<number>();
    const onThreads = (at: number): number => first + thread * stride + ((at - first) % stride);
    return calls.map((call) => {
      const { kernel, args } = call;
      if ((kernel !== 'outerProduct' && kernel !== 'sumRows') || args[0] < first || args[0] >= end)
        return call;
      // sumRows writes to two places, outerProduct to one.
      const places = args.slice(0, kernel === 'sumRows' ? 2 : 1).map(onThreads);
      const add = written.has(places[0]) ? 1 : 0;
      written.add(places[0]);
      return { kernel, args: [...places, ...args.slice(places.length, -1), add] };
    });
  };
  const fewer = (call: KernelCall): KernelCall =>
    call.kernel === 'reduceLanes'
      ? { ...call, args: [call.args[0], stride, buffers, ...call.args.slice(3)] }
      : call;
  return {
    ...trace,
    lanes: trace.lanes.map(lanesOf),
    reduce: trace.reduce.map((calls) => calls.map(fewer)),
  };
}
