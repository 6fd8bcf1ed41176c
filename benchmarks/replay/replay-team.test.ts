import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newMemory } from '../../engine/parallel/shared-memory.ts';
import { BARE_BYTES, bareCall } from '../common/limit.ts';
import type { ReplayTeam } from './replay-team.ts';
import type { KernelCall } from './trace.ts';

type Module = typeof import('./replay-team.ts');

describe('a team that replays', () => {
  const memory = newMemory(2 * BARE_BYTES);
  let team: ReplayTeam;
  beforeAll(async () => {
    // Its worker is there only when it is built.
    const built = new URL('../../dist/benchmarks/replay/replay-team.js', import.meta.url).href;
    const { ReplayTeam } = (await import(built)) as Module;
    const bareLoops = (times: number) =>
      [0, 1].map((i): KernelCall[] =>
        new Array(times).fill({ kernel: 'bareTile', args: bareCall(i * BARE_BYTES, 'float32') }),
      );
    team = await ReplayTeam.start(memory, 2, { short: bareLoops(1), long: bareLoops(60) });
  });
  afterAll(() => team.close());

  it('answers two questions asked at once each with its own time', async () => {
    const [long, short] = await Promise.all([team.replay('long', 1), team.replay('short', 1)]);
    expect(long).toBeGreaterThan(short);
  });

  it('times calls that follow others without these', async () => {
    const [short, long] = [await team.replayAfter('long', 'short'), await team.replay('long', 1)];
    expect(2 * short).toBeLessThan(long);
  });

  it('runs the others before the calls that follow them, every time', async () => {
    const [source, first, second] = [0, 64, 128];
    // Adds what lies at `from` to what lies at `to`; only one of the threads has anything to do.
    const add = (from: number, to: number): KernelCall[][] => [
      [{ kernel: 'reduceLanes', args: [from, 0, 1, 16, to, to, 1] }],
      [],
    ];
    const reals = new Float32Array(memory.buffer);
    reals.fill(0);
    reals[source / 4] = 1;
    await team.load('first', add(source, first));
    await team.load('second', add(first, second));
    for (let i = 0; i < 3; i++) await team.replayAfter('first', 'second');
    expect([reals[first / 4], reals[second / 4]]).toEqual([3, 1 + 2 + 3]);
  });
});
