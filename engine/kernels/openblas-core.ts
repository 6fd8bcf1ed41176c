import { readFileSync } from 'node:fs';

/**
 * Which kernels OpenBLAS computes with. It chooses them by the processor's model, and takes a processor that is newer
 * than itself for one of twenty years ago: it then runs several times slower than it could, which nothing else shows.
 */

/** Kernels without AVX, by OpenBLAS's names. */
const OLD = [
  'Generic',
  'Katmai',
  'Coppermine',
  'Northwood',
  'Prescott',
  'Banias',
  'Core2',
  'Penryn',
  'Dunnington',
  'Nehalem',
  'Atom',
  'Athlon',
  'Opteron',
  'Barcelona',
  'Bobcat',
];

/**
 * What to set OPENBLAS_CORETYPE to, given what OpenBLAS chose and what the processor has; undefined where it has chosen
 * well.
 */
export function betterCore(chosen: string, flags: ReadonlySet<string>): string | undefined {
  if (!OLD.includes(chosen)) return undefined;
  if (flags.has('avx512f') && flags.has('avx512vl')) return 'SkylakeX';
  return flags.has('avx2') && flags.has('fma') ? 'Haswell' : undefined;
}

/** What the processor has, by Linux's names; nothing is known on other systems. */
export function processorFlags(): ReadonlySet<string> {
  try {
    const line = /^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'));
    return new Set(line?.[1].trim().split(' '));
  } catch {
    return new Set();
  }
}
