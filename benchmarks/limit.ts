import { type Dtype, type Kernels, PANEL_BYTES, panelColumns } from '../engine/kernels/kernels.ts';
import { wasmKernels, wasmModule } from '../engine/kernels/wasm-kernels.ts';
import { PAGE_BYTES } from '../engine/parallel/memory-map.ts';
import { newMemory } from '../engine/parallel/shared-memory.ts';
import { readCommandLine } from './command-line.ts';
import { describeMachine, machineLine } from './machine.ts';
import { isMain } from './main-module.ts';
import { type Contestant, syncContestant } from './rounds.ts';
import { summarise } from './statistics.ts';
import { digits, markdownTable, percent } from './table.ts';

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
export function limitContestant(dtype: Dtype): Contestant & { readonly flops: number } {
  const memory = newMemory(PAGE_BYTES);
  const kernels = wasmKernels(wasmModule(dtype), memory, dtype);
  const call = bareCall(0, dtype);
  const work = () => kernels.bareTile(...call);
  return { ...syncContestant(`limit ${dtype}`, work), flops: limitFlops(dtype) };
}

/** Operations a second of one core, measured for so long. */
export async function measureLimit(dtype: Dtype, seconds = 0.5): Promise<number> {
  const limit = limitContestant(dtype);
  await limit.measure(0.05);
  const times: number[] = [];
  for (let i = 0; i < 5; i++) times.push(await limit.measure(seconds / 5));
  return limit.flops / summarise(times).median;
}

async function main(): Promise<void> {
  readCommandLine('npm run bench:limit', {});
  const rows: string[][] = [];
  for (const dtype of ['float32', 'float64'] as const) {
    const limit = limitContestant(dtype);
    const rates: number[] = [];
    for (let i = 0; i < 11; i++) rates.push(limit.flops / (await limit.measure(0.1)));
    const { median, spread } = summarise(rates.slice(1));
    rows.push([dtype, digits(median / 1e9), percent(spread)]);
  }
  console.log(
    `${machineLine(describeMachine())}\n\n${markdownTable(['limit of one core', 'GFLOP/s', 'spread'], rows)}`,
  );
}

if (isMain(import.meta.url)) await main();
