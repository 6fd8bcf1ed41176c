import type { Kernels } from '../../engine/kernels/kernels.ts';
import type { KernelCall } from './trace.ts';

/** Runs recorded kernel calls with nothing around them. */

/** Calls of one kernel, one after the other, their arguments side by side. */
interface Run {
  readonly kernel: keyof Kernels;
  readonly args: Float64Array;
  readonly count: number;
  readonly loop: Loop;
}

type Loop = (kernels: Kernels, args: Float64Array, count: number) => void;

const loops = new Map<keyof Kernels, Loop>();

/**
 * A loop for each kernel, as it would be written by hand: V8 then calls WebAssembly directly, as it does in the
 * engine. One loop for all kernels would go through a slower way in, at every call.
 */
function loopOf(kernel: keyof Kernels, arity: number): Loop {
  let loop = loops.get(kernel);
  if (!loop) {
    const values = Array.from({ length: arity }, (_, i) => `args[i + ${i}]`).join(', ');
    const body = `for (let i = 0; i < ${arity} * count; i += ${arity}) kernels.${kernel}(${values});`;
    loop = new Function('kernels', 'args', 'count', body) as Loop;
    loops.set(kernel, loop);
  }
  return loop;
}

export class Replay {
  readonly #kernels: Kernels;
  readonly #runs: readonly Run[];

  constructor(kernels: Kernels, calls: readonly KernelCall[]) {
    this.#kernels = kernels;
    this.#runs = runsOf(calls);
  }

  run(): void {
    for (const { loop, args, count } of this.#runs) loop(this.#kernels, args, count);
  }

  /** Runs so often, and returns the seconds of one time that went to each kernel. */
  timeByKernel(repetitions: number): Map<keyof Kernels, number> {
    const seconds = new Map<keyof Kernels, number>();
    for (let i = 0; i < repetitions; i++) {
      let before = performance.now();
      for (const { kernel, loop, args, count } of this.#runs) {
        loop(this.#kernels, args, count);
        const now = performance.now();
        seconds.set(kernel, (seconds.get(kernel) ?? 0) + (now - before) / 1000 / repetitions);
        before = now;
      }
    }
    return seconds;
  }
}

function runsOf(calls: readonly KernelCall[]): Run[] {
  const runs: Run[] = [];
  for (let from = 0; from < calls.length; ) {
    const { kernel, args } = calls[from];
    let to = from + 1;
    while (to < calls.length && calls[to].kernel === kernel) to++;
    const all = Float64Array.from(calls.slice(from, to).flatMap((call) => call.args));
    runs.push({ kernel, args: all, count: to - from, loop: loopOf(kernel, args.length) });
    from = to;
  }
  return runs;
}
