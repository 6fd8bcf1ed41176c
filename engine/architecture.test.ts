import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';

/**
 * The folders of engine/, and files beside them, from those that import nothing to the public API: each
 * imports from earlier rows only.
 */
const ORDER: readonly (readonly string[])[] = [
  ['errors.ts'],
  ['artifacts.ts', 'validation.ts', 'numeric', 'call-queue.ts'],
  ['kernels'],
  ['tensor.ts'],
  ['cells', 'data', 'io', 'parallel', 'optimization'],
  ['scratchpad.ts', 'results.ts', 'optimizer.ts'],
  ['network'],
  ['training', 'linear.ts', 'stream-weights.ts'],
  ['rnn-cell.ts', 'stream.ts'],
  ['model-parameters.ts', 'model-views.ts', 'classifier-options.ts'],
  ['pytorch-file.ts'],
  ['model-file.ts'],
  ['turns.ts'],
  ['rnn-classifier.ts'],
  ['index.ts'],
];

const ENGINE = join(import.meta.dirname);
const sources = readdirSync(ENGINE, { recursive: true, encoding: 'utf8' }).filter(
  (path) => path.endsWith('.ts') && !/\.test\.ts$|^test-models\.ts$|^kernels.wasm.assembly/.test(path),
);
const nodeOf = (path: string): string => path.split(/[\\/]/)[0];
const rowOf = (node: string): number => ORDER.findIndex((row) => row.includes(node));

function importsOf(path: string): string[] {
  const text = readFileSync(join(ENGINE, path), 'utf8');
  const found = [...text.matchAll(/from '(\.[^']+)'/g)].map(([, target]) => target);
  return found.map((target) => relative(ENGINE, join(ENGINE, dirname(path), target)));
}

describe('arrows between the parts of the engine', () => {
  it('know every part', () => {
    expect(new Set(sources.map(nodeOf))).toEqual(new Set(ORDER.flat()));
  });

  it('point one way', () => {
    const wrong = sources.flatMap((path) =>
      importsOf(path)
        .filter((target) => nodeOf(target) !== nodeOf(path) && rowOf(nodeOf(target)) >= rowOf(nodeOf(path)))
        .map((target) => `${path} → ${target}`),
    );
    expect(wrong).toEqual([]);
  });

  it('stay inside, so that the library needs nothing else of this repository', () => {
    const outside = sources.flatMap((path) => importsOf(path).filter((target) => target.startsWith('..')));
    expect(outside).toEqual([]);
  });
});
