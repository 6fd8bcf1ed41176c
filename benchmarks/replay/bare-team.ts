import { wasmModule } from '../../engine/kernels/wasm-kernels.ts';
import { newMemory } from '../../engine/parallel/shared-memory.ts';
import { BARE_BYTES, bareCall } from '../common/limit.ts';
import type { Contestant } from '../common/rounds.ts';
import { ReplayTeam } from './replay-team.ts';

/**
 * Threads that run the bare loop side by side, all the same work and nothing between them: the most that so many cores
 * of this machine give at the time.
 */
export async function bareTeam(parties: number): Promise<Contestant & { close(): Promise<void> }> {
  const team = new ReplayTeam(newMemory(parties * BARE_BYTES), wasmModule('float32'), parties);
  const name = `bare loop on ${parties}`;
  const calls = Array.from({ length: parties }, (_, i) => [
    { kernel: 'bareTile' as const, args: bareCall(i * BARE_BYTES, 'float32') },
  ]);
  await team.load(name, calls);
  return { ...team.contestant(name), close: () => team.close() };
}
