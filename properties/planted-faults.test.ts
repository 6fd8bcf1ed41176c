import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

interface Fault {
  readonly name: string;
  readonly file: string;
  readonly find: string;
}

test('every planted fault finds the text it replaces, once', async () => {
  const list = '../scripts/planted-faults.list.mjs';
  const { faults } = (await import(list)) as { faults: readonly Fault[] };
  const lost = faults.filter(({ file, find }) => readFileSync(file, 'utf8').split(find).length !== 2);
  expect(lost.map(({ name }) => name)).toEqual([]);
});
