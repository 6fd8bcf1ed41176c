import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { profileOf } from './profile.ts';

// What a run that was killed has left behind would be taken for a test.
for (const name of readdirSync(import.meta.dirname))
  if (name.startsWith('profile-probe-')) rmSync(join(import.meta.dirname, name), { recursive: true });
// Inside properties/ so that vitest takes it for a test file and the imports resolve.
const folder = mkdtempSync(join(import.meta.dirname, 'profile-probe-'));
afterAll(() => rmSync(folder, { recursive: true }));

const execute = promisify(execFile);

function writeLaws(name: string, laws: string): string {
  const file = join(folder, `${name}.test.ts`);
  const imports = `import { fc } from '@fast-check/vitest';\nimport { law } from '../profile.ts';\n`;
  writeFileSync(file, imports + laws);
  return file;
}

/** Runs vitest on one file in a process of its own, without what this run was started with. */
async function runFile(file: string, settings: Record<string, string>, ...extra: string[]) {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(VITEST|ELMAN_)/.test(name));
  const env = { ...Object.fromEntries(inherited), ...settings, NO_COLOR: '1' };
  const args = ['node_modules/vitest/vitest.mjs', 'run', file, ...extra];
  try {
    const { stdout, stderr } = await execute(process.execPath, args, { env });
    return { passed: true, output: stdout + stderr };
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    return { passed: false, output: stdout + stderr };
  }
}

const failing = `
  law('fails (from 1000 on)', { n: fc.nat({ max: 100000 }) }, { cases: 100 }, ({ n }) => {
    console.log('tried ' + n);
    if (n >= 1000) throw new Error('n is ' + n);
  });
  law('hangs', { n: fc.constant(0) }, { cases: 1, caseMs: 200 }, () => new Promise(() => {}));`;

const counting = `
  let count = 0;
  law('counts', { n: fc.nat() }, { cases: 3 }, () => {
    console.log('case ' + ++count);
  });`;

type Run = Awaited<ReturnType<typeof runFile>>;

describe('a law', () => {
  let failed: Run;
  let deep: Run;

  beforeAll(async () => {
    [failed, deep] = await Promise.all([
      runFile(writeLaws('failing', failing), {}),
      runFile(writeLaws('deep', counting), { ELMAN_PROFILE: 'deep' }),
    ]);
  }, 60_000);

  it('prints the seed that was drawn, another one in each run', () => {
    const seeds = [failed, deep].map(
      ({ output }) => /laws: ELMAN_SEED=(\d+) ELMAN_PROFILE/.exec(output)?.[1],
    );
    expect(seeds[0]).toBeDefined();
    expect(seeds[1]).toBeDefined();
    expect(seeds[0]).not.toBe(seeds[1]);
  });

  it('fails with the smallest counterexample and a command that runs into it at once', async () => {
    expect(failed.passed).toBe(false);
    expect(failed.output).toContain('n is 1000');
    const command = /ELMAN_SEED=(\d+) ELMAN_PATH=(\S+) npx vitest run (\S+) -t '(fails.+)'/.exec(
      failed.output,
    );
    expect(command).not.toBeNull();
    const [, seed, path, file, pattern] = command ?? [];
    const replayed = await runFile(file, { ELMAN_SEED: seed, ELMAN_PATH: path }, '-t', pattern);
    expect(replayed.passed).toBe(false);
    expect(/tried \d+/.exec(replayed.output)?.[0]).toBe('tried 1000');
  });

  it('fails when a case hangs, long before the suite would time out', () => {
    expect(failed.output).toMatch(/timeout.*200/);
    expect(failed.output).toMatch(/ELMAN_PATH=\S+ npx vitest run \S+ -t 'hangs'/);
  });

  it('runs at least twenty times the cases in the deep profile', () => {
    expect(deep.passed).toBe(true);
    expect(deep.output).toContain('case 60');
  });

  it('refuses an unknown profile', () => {
    expect(() => profileOf('slow')).toThrow('ELMAN_PROFILE: expected quick, deep, mutation, got slow');
  });
});
