import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, inject, it } from 'vitest';
import { expectFixture } from './engine-fixture.ts';
import type { PackedCase } from './fixtures.ts';
import { unpackCase } from './fixtures.ts';

const script = fileURLToPath(new URL('fixtures/make-fixtures.py', import.meta.url));

/** The first Python that has PyTorch, if there is one. */
function findPython(): string | undefined {
  return ['python3', '/usr/bin/python3'].find((python) => {
    try {
      execFileSync(python, ['-c', 'import torch, numpy'], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  });
}

const python = findPython();
const isRequired = process.env.ELMAN_REQUIRE_TORCH === '1';
const cases = process.env.ELMAN_PROFILE === 'deep' ? 40 : 2;

describe('PyTorch on this machine', () => {
  it.runIf(isRequired)('is there, since ELMAN_REQUIRE_TORCH=1', () => {
    expect(python, 'no python3 with torch and numpy').toBeDefined();
  });

  it.skipIf(python === undefined)(
    'gives the same numbers for networks drawn just now',
    async () => {
      for (let k = 0; k < cases; k++) {
        const seed = inject('lawSeed') + k;
        const output = execFileSync(python ?? '', [script, '--one', String(seed)], { maxBuffer: 2 ** 28 });
        const fixture = unpackCase(JSON.parse(output.toString()) as PackedCase);
        for (const dtype of ['float64', 'float32'] as const) {
          try {
            await expectFixture(fixture, dtype, 0);
          } catch (cause) {
            const replay = `ELMAN_SEED=${seed} npx vitest run properties/pytorch-live.test.ts`;
            throw new Error(`${fixture.name}, ${dtype}: ${(cause as Error).message}\nReplay: ${replay}`, {
              cause,
            });
          }
        }
      }
    },
    300_000,
  );
});
