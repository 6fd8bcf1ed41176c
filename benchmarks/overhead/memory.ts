import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { digits, percent } from '../../cli/common/format.ts';
import { CORES } from '../common/machine.ts';
import { nameOf, type Size, TINY } from '../common/sizes.ts';
import { markdownTable } from '../common/table.ts';

/** Memory held by a training process against the planned bytes and a fixed amount for every thread. */
interface Footprint {
  readonly before: number;
  readonly after: number;
  readonly planned: number;
}

const child = fileURLToPath(new URL('./memory-child.js', import.meta.url));

const footprint = (size: Size, threads: number): Footprint =>
  JSON.parse(
    execFileSync(process.execPath, [child, nameOf(size), String(threads)], { encoding: 'utf8' }),
  ) as Footprint;

const MIB = 2 ** 20;

/** What a worker thread takes by itself: its share of a process that trains next to nothing. */
function bytesOfThread(): number {
  const { before, after, planned } = footprint(TINY, CORES);
  return (after - before - planned) / CORES;
}

export function memory(sizes: readonly Size[]): void {
  const thread = bytesOfThread();
  const rows = sizes.map((size) => {
    const { before, after, planned } = footprint(size, CORES);
    const expected = planned + CORES * thread;
    const cells = [before, planned, expected, after - before].map((bytes) => digits(bytes / MIB));
    return [nameOf(size), ...cells, percent((after - before) / expected - 1)];
  });
  console.log(`\n## Memory in MiB, ${CORES} threads, ${digits(thread / MIB)} MiB for a thread by itself\n`);
  console.log(
    markdownTable(
      ['B,T,I,H,L', 'before (data in it)', 'planned', 'with threads', 'measured growth', 'off by'],
      rows,
    ),
  );
}
