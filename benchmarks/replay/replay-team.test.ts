import { expect, it } from 'vitest';
import { wasmModule } from '../../engine/kernels/wasm-kernels.ts';
import { BARE_BYTES, bareCall } from '../limit.ts';

type Module = typeof import('./replay-team.ts');

it('answers two questions asked at once each with its own time', async () => {
  // Its worker is there only when it is built.
  const built = new URL('../../dist/benchmarks/replay/replay-team.js', import.meta.url).href;
  const { ReplayTeam } = (await import(built)) as Module;
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65_536, shared: true });
  const team = new ReplayTeam(memory, wasmModule('float32'), 2);
  try {
    const call = (i: number) => ({ kernel: 'bareTile' as const, args: bareCall(i * BARE_BYTES, 'float32') });
    await team.load(
      'short',
      [0, 1].map((i) => [call(i)]),
    );
    await team.load(
      'long',
      [0, 1].map((i) => new Array(60).fill(call(i))),
    );
    const [long, short] = await Promise.all([team.replay('long', 1), team.replay('short', 1)]);
    expect(long).toBeGreaterThan(short);
  } finally {
    await team.close();
  }
});
