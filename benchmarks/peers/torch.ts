import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { threadsText } from '../../cli/common/format.ts';
import { O } from '../common/sizes.ts';
import type { Peer, Problem } from './problem.ts';

// The script is no TypeScript and so stays where the sources are, beside dist/.
const script = join(process.cwd(), 'benchmarks/peers/torch-step.py');

/** Both of PyTorch's pools of threads are of one size. */
const environment = (threads: number): NodeJS.ProcessEnv => ({
  ...process.env,
  OMP_NUM_THREADS: String(threads),
  OPENBLAS_NUM_THREADS: String(threads),
});

/** The first Python that has PyTorch, if there is one. */
export function findTorch(): string | undefined {
  return ['python3', '/usr/bin/python3'].find((python) => {
    try {
      execFileSync(python, ['-c', 'import torch, numpy'], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  });
}

/** PyTorch's idle threads spin for a while after their last work: whoever is next must not be slowed down by it. */
const COOL_DOWN_MS = 60;

/** What is timed: a training step on the batch, or one frame of a stream (of a batch of one sequence). */
type TorchWork = 'step' | 'stream';

export async function torchStep(
  problem: Problem,
  python: string,
  threads: number,
  work: TorchWork = 'step',
): Promise<Peer> {
  const folder = mkdtempSync(join(tmpdir(), 'elman-torch-'));
  const file = join(folder, 'problem.bin');
  writeFileSync(file, packProblem(problem));
  const child = spawn(python, [script], { stdio: ['pipe', 'pipe', 'inherit'], env: environment(threads) });
  const talk = conversation(child);
  const weights = [...problem.weights].map(([name, { shape }]) => [name, shape]);
  const started = await talk(
    JSON.stringify({ file, size: problem.size, classes: O, threads, weights, work }),
  );
  rmSync(folder, { recursive: true });
  return {
    name: `PyTorch ${started.version}, ${threadsText(threads)}`,
    threads,
    loss: Number(started.loss),
    measure: async (seconds) => {
      const answer = await talk(String(seconds));
      await setTimeout(COOL_DOWN_MS);
      return Number(answer.seconds);
    },
    close: () => end(child),
  };
}

function packProblem({ weights, data }: Problem): Uint8Array {
  const parts = [
    ...[...weights.values()].map((weight) => weight.data),
    Float32Array.from(data.x.data),
    data.labels,
  ];
  return Buffer.concat(
    parts.map(({ buffer, byteOffset, byteLength }) => Buffer.from(buffer, byteOffset, byteLength)),
  );
}

type Answer = Readonly<Record<string, string | number>>;

/** Writes a line, and resolves with the JSON of the line that comes back. */
function conversation(child: ChildProcess): (line: string) => Promise<Answer> {
  const { stdin, stdout } = child;
  if (!stdin || !stdout) throw new Error('The PyTorch process has no pipes.');
  const lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  return async (line) => {
    stdin.write(`${line}\n`);
    const { value, done } = await lines.next();
    if (done) throw new Error('The PyTorch process ended early.');
    return JSON.parse(value) as Answer;
  };
}

function end(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.stdin?.end();
  });
}
