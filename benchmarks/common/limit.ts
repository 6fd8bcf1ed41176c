import type { Kernels } from '../../engine/kernels/kernels.ts';
import { PANEL_BYTES, panelColumns } from '../../engine/kernels/layout.ts';
import { wasmKernels, wasmModule } from '../../engine/kernels/wasm-kernels.ts';
import type { Dtype } from '../../engine/numeric/reals.ts';
import { PAGE_BYTES } from '../../engine/parallel/memory-map.ts';
import { newMemory } from '../../engine/parallel/shared-memory.ts';
import { type Contestant, syncContestant } from './rounds.ts';
import { type Summary, summarize } from './statistics.ts';

/**
 * One core's limit: the micro-kernel alone, on one tile and one packed panel that stay in the first-level cache.
 * Everything else is held to it, since the loop itself is the most that one core gives WebAssembly.
 */

/** Depth of the inner sum, in values. */
const DEPTH = 128;
/** Calls of the micro-kernel in one call of `bareTile`: some 100 µs. */
const TIMES = 2_000;

/** Multiplications and additions of one call of `bareTile`. */
const limitFlops = (dtype: Dtype): number => 2 * 4 * panelColumns(dtype) * DEPTH * TIMES;

/** Bytes the loop works on: a tile, at most 4 KB of A, and 4 KB of B. */
export const BARE_BYTES = 16_384;

/** The bare loop on memory from an address on. */
export function bareCall(at: number, dtype: Dtype): Parameters<Kernels['bareTile']> {
  const panels = DEPTH / panelColumns(dtype);
  const a = at + 1_024;
  const b = a + panels * 4 * PANEL_BYTES;
  return [at, a, panels, b, TIMES];
}

/** The bare loop, to be measured by turns with whatever is held to it. */
export interface Limit extends Contestant {
  readonly flops: number;
}

export function limitContestant(dtype: Dtype): Limit {
  const memory = newMemory(PAGE_BYTES);
  const kernels = wasmKernels(wasmModule(dtype), memory, dtype);
  const call = bareCall(0, dtype);
  const work = () => kernels.bareTile(...call);
  return { ...syncContestant(`limit ${dtype}`, work), flops: limitFlops(dtype) };
}

/** Seconds of the bare loop, measured so often, for so many seconds each, after a first time that does not count. */
export async function measureLimit(limit: Limit, count: number, seconds: number): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i <= count; i++) times.push(await limit.measure(seconds));
  return times.slice(1);
}

/** Operations a second of one core, from the seconds of the bare loop. */
export const limitOf = ({ flops }: Limit, times: readonly number[]): Summary =>
  summarize(times.map((time) => flops / time));

/** What a measurement keeps of the limit beside it: `rate` is what so many cores did, in operations a second. */
export const heldTo = ({ median, spread }: Summary, rate: number, cores: number) => ({
  limit: median / 1e9,
  limitSpread: spread,
  share: rate / (cores * median),
});
