import { readCommandLine } from '../../cli/common/command-line.ts';
import { digits, duration, percent } from '../../cli/common/format.ts';
import { median } from '../../cli/common/quantile.ts';
import { EFFORT, effortOf } from '../common/effort.ts';
import { describeMachine, machineLine } from '../common/machine.ts';
import { measureRounds, syncContestant, timesOf } from '../common/rounds.ts';
import { nameOf, type Size } from '../common/sizes.ts';
import { pairedRatios, summarize } from '../common/statistics.ts';
import { createModel } from '../common/steps.ts';
import { markdownTable } from '../common/table.ts';
import { checkLoss, framesOf, lossOfLogits, type Peer, type Problem, problemOf } from './problem.ts';
import { tfjsStream } from './tfjs.ts';
import { findTorch, torchStep } from './torch.ts';

/**
 * One frame of live input, from the frame to the logits, in several libraries by turns: `npm run bench:streams`. The
 * loss of the last frame must agree before anything is timed.
 */
const options = readCommandLine('npm run bench:streams', EFFORT);
const { rounds, seconds } = effortOf(options, { rounds: 11, seconds: 0.5 }, { rounds: 3, seconds: 0.1 });
const SIZES: readonly Size[] = [64, 128, 256].map((H) => ({ B: 1, T: 100, I: 40, H, L: 2 }));

async function elmanStream(problem: Problem): Promise<Peer> {
  const model = await createModel(problem.size, 0);
  const stream = model.stream();
  const frames = framesOf(problem);
  const sequence = (): ArrayLike<number> => {
    stream.reset();
    let logits: ArrayLike<number> = [];
    for (const frame of frames) logits = stream.step(frame);
    return logits;
  };
  const loss = lossOfLogits(sequence(), problem.data.labels[0]);
  const { measure } = syncContestant('elman', sequence);
  return {
    name: 'elman',
    threads: 0,
    loss,
    measure: async (time) => (await measure(time)) / frames.length,
    close: () => model.close(),
  };
}

async function measureSize(size: Size): Promise<string[][]> {
  const problem = await problemOf(size);
  const peers: Peer[] = [];
  try {
    peers.push(await elmanStream(problem));
    if (python) peers.push(await torchStep(problem, python, 1, 'stream'));
    for (const backend of ['cpu', 'wasm'] as const) peers.push(await tfjsStream(problem, backend));
    for (const peer of peers) checkLoss(peer, peers[0].loss);
    const times = await measureRounds(peers, rounds, seconds);
    return peers.map(({ name }) => {
      const { median: time, spread } = summarize(timesOf(times, name));
      const ratio = median(pairedRatios(timesOf(times, name), timesOf(times, 'elman')));
      return [nameOf(size), name, duration(time), percent(spread), digits(ratio)];
    });
  } finally {
    for (const peer of peers) await peer.close();
  }
}

console.log(machineLine(describeMachine()));
const python = findTorch();
const rows: string[][] = [];
for (const size of SIZES) rows.push(...(await measureSize(size)));
console.log(`\n## One frame of a stream\n`);
console.log(markdownTable(['B,T,I,H,L', 'library', 'a frame', 'spread', '× elman'], rows));
