import { newMemory } from '../../engine/parallel/shared-memory.ts';
import { BARE_BYTES, bareCall } from '../common/limit.ts';
import type { Contestant } from '../common/rounds.ts';
import type { Closable } from '../common/with-open.ts';
import { ReplayTeam } from './replay-team.ts';

export const bareName = (parties: number): string => `bare loop on ${parties}`;

/**
 * Threads that run the bare loop side by side, all the same work and nothing between them: the most that so many cores
 * of this machine give at the time.
 */
export async function bareTeam(parties: number): Promise<Contestant & Closable> {
  const name = bareName(parties);
  const calls = Array.from({ length: parties }, (_, i) => [
    { kernel: 'bareTile' as const, args: bareCall(i * BARE_BYTES, 'float32') },
  ]);
  const team = await ReplayTeam.start(newMemory(parties * BARE_BYTES), parties, { [name]: calls });
  return { ...team.contestant(name), close: () => team.close() };
}
