import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';

/**
 * The folders of engine/, and files beside them, from those that import nothing to the public API: each
 * imports from earlier rows only.
 */
const ORDER: readonly (readonly string[])[] = [
  ['describe.ts'],
  ['errors.ts'],
  ['artifacts.ts', 'validation.ts'],
  ['numeric'],
  ['kernels', 'tensor.ts'],
  ['read-tensor.ts'],
  ['cells', 'data', 'io', 'parallel', 'optimization'],
  ['network/memory', 'scratchpad.ts'],
  ['network/lanes'],
  ['network/programs'],
  ['network'],
  ['training', 'linear.ts'],
  ['rnn-cell.ts', 'stream.ts'],
  ['classifier'],
  ['rnn-classifier.ts'],
  ['index.ts'],
];

const ENGINE = join(import.meta.dirname);
const sources = readdirSync(ENGINE, { recursive: true, encoding: 'utf8' }).filter(
  (path) => path.endsWith('.ts') && !/\.test\.ts$|^testing.|^kernels.wasm.assembly/.test(path),
);
const NODES = ORDER.flat().sort((a, b) => b.length - a.length);
/** The part that a file belongs to: the innermost folder that has a place in the order. */
const nodeOf = (path: string): string | undefined => {
  const name = path.replaceAll('\\', '/');
  return NODES.find((node) => name === node || name.startsWith(`${node}/`));
};
const rowOf = (path: string): number => ORDER.findIndex((row) => row.includes(nodeOf(path) ?? ''));

function importsOf(path: string): string[] {
  const text = readFileSync(join(ENGINE, path), 'utf8');
  const found = [...text.matchAll(/from '(\.[^']+)'/g)].map(([, target]) => target);
  return found.map((target) => relative(ENGINE, join(ENGINE, dirname(path), target)));
}

describe('arrows between the parts of the engine', () => {
  it('know every part', () => {
    expect(sources.filter((path) => !nodeOf(path))).toEqual([]);
    expect(new Set(sources.map(nodeOf))).toEqual(new Set(NODES));
  });

  it('point one way', () => {
    const wrong = sources.flatMap((path) =>
      importsOf(path)
        .filter((target) => nodeOf(target) !== nodeOf(path) && rowOf(target) >= rowOf(path))
        .map((target) => `${path} → ${target}`),
    );
    expect(wrong).toEqual([]);
  });

  it('stay inside, so that the library needs nothing else of this repository', () => {
    const outside = sources.flatMap((path) => importsOf(path).filter((target) => target.startsWith('..')));
    expect(outside).toEqual([]);
  });
});
