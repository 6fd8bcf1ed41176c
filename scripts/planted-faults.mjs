// Plants one fault after the other in a copy of the project, and demands that a law catches each of them.
//
//     npm run faults               all; the table goes into docs/testing.md
//     npm run faults -- barrier    those whose name or file contains the word: their rows of the table are renewed
//     npm run faults -- --missing  those that have no row yet
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { faults } from './planted-faults.list.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const copy = mkdtempSync(join(tmpdir(), 'elman-faults-'));
process.on('exit', () => rmSync(copy, { recursive: true, force: true }));
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

/** Suites of the quick profile in the order in which they fail soonest. */
const suites = [
  ...['kernels', 'gradients', 'training', 'optimizers', 'structure', 'between-steps', 'batch-split'],
  ...['options', 'dropout', 'memory-plan', 'fit-memory', 'pool', 'barrier', 'mailbox', 'pytorch'],
];
/** A run that takes longer counts as a hang that no law has seen. */
const limitMs = 300_000;
const seed = process.env.ELMAN_SEED ?? String(Math.floor(Math.random() * 0x7fffffff));

/** What the copy is built and tested from. */
const parts = ['engine', 'workers', 'properties', 'scripts', 'cli', 'benchmarks', 'dist'];
const files = ['package.json', 'tsconfig.json', 'tsconfig.build.json', 'vitest.config.ts'];
for (const part of [...parts, ...files]) {
  if (existsSync(join(root, part))) cpSync(join(root, part), join(copy, part), { recursive: true });
}
symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));

const inCopy = { cwd: copy, stdio: 'pipe' };

function build() {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['scripts/build.mjs'], inCopy);
  if (status !== 0) throw new Error(`it does not build: ${stdout}${stderr}`);
}

/** The first law that fails in some suites, or null. */
function firstFailure(names, timeout = limitMs) {
  const report = join(copy, 'report.json');
  rmSync(report, { force: true });
  const paths = names.map((name) => `properties/${name}.test.ts`);
  const flags = ['--bail=1', '--maxWorkers=1', '--reporter=json', `--outputFile=${report}`];
  const run = spawnSync(
    process.execPath,
    ['node_modules/vitest/vitest.mjs', 'run', ...paths, ...flags],
    // Shrinking makes a failure readable; here it would only take time.
    { ...inCopy, timeout, env: { ...process.env, ELMAN_SEED: seed, ELMAN_SHRINK: 'no' } },
  );
  if (run.status === 0) return null;
  if (!existsSync(report)) throw new Error(`no law failed, but the run did: ${run.error ?? run.stderr}`);
  for (const { name, message, assertionResults } of JSON.parse(readFileSync(report, 'utf8')).testResults) {
    const suite = relative('properties', relative(copy, name)).replace('.test.ts', '');
    const failed = assertionResults.find(({ status }) => status === 'failed');
    if (failed) return { suite, law: failed.fullName.replace(/ \(with seed=.*\)$/, '') };
    if (message) return { suite, law: message.split('\n')[0] };
  }
  throw new Error(`the run failed without a failure: ${run.stderr}`);
}

/** Runs the suites one after the other, those in `first` before the others. */
function caught(first) {
  for (const name of [...first, ...suites.filter((suite) => !first.includes(suite))]) {
    const failure = firstFailure([name]);
    if (failure) return failure;
  }
  return null;
}

function plant({ name, file, find, replace }) {
  const path = join(copy, file);
  const text = readFileSync(path, 'utf8');
  const places = text.split(find).length - 1;
  if (places !== 1) throw new Error(`${name}: ${file} has the text ${places} times: ${find}`);
  writeFileSync(
    path,
    text.replace(find, () => replace),
  );
  return () => writeFileSync(path, text);
}

const docs = join(root, 'docs/testing.md');
const begin = '<!-- made by npm run faults -->';
const end = '<!-- end of what npm run faults makes -->';

/** docs/testing.md in three parts: the second is the table's. */
function readDocs() {
  const text = readFileSync(docs, 'utf8');
  const [head, tail] = [text.indexOf(begin), text.indexOf(end)];
  if (head < 0 || tail < head) throw new Error(`docs/testing.md: ${begin} … ${end} is missing`);
  return [text.slice(0, head), text.slice(head + begin.length, tail), text.slice(tail)];
}

/** The table's rows by the name of their fault. */
function readRows() {
  const lines = readDocs()[1]
    .split('\n')
    .filter((line) => line.startsWith('| '));
  return new Map(lines.slice(2).map((line) => [line.split(' | ')[0].slice(2), line]));
}

function rowOf({ name, file }, failure, seconds) {
  const short = file.replace('engine/', '').replace('kernels/wasm/assembly', 'kernels');
  const law = failure ? `\`${failure.suite}\`: ${failure.law.replaceAll('|', '\\|')}` : NOT_CAUGHT;
  return `| ${name} | \`${short}\` | ${law} | ${seconds.toFixed(0)} |`;
}

function writeRow(name, row) {
  const [head, , tail] = readDocs();
  const known = readRows().set(name, row);
  const rows = faults.map((fault) => known.get(fault.name)).filter((line) => line !== undefined);
  const table = ['| fault | file | law | seconds |', '| --- | --- | --- | --: |', ...rows].join('\n');
  writeFileSync(docs, `${head}${begin}\n\n${table}\n\n${tail}`);
}

const NOT_CAUGHT = '**not caught**';

const words = process.argv.slice(2).filter((word) => word !== '--missing');
const there = process.argv.includes('--missing') ? readRows() : new Map();
const chosen = faults.filter(
  ({ name, file }) => !there.has(name) && words.every((word) => name.includes(word) || file.includes(word)),
);
// All texts are looked up before anything is built: a list that is out of date fails at once.
for (const fault of chosen) plant(fault)();

console.log(`${chosen.length} faults, ELMAN_SEED=${seed}`);
build();
const before = chosen.length === 0 ? null : firstFailure(suites, 6 * limitMs);
if (before) throw new Error(`without any fault, ${before.suite} fails: ${before.law}`);

const escaped = [];
for (const fault of chosen) {
  const heal = plant(fault);
  build();
  const started = performance.now();
  const failure = caught(fault.first);
  const seconds = (performance.now() - started) / 1000;
  heal();
  writeRow(fault.name, rowOf(fault, failure, seconds));
  if (!failure) escaped.push(fault.name);
  const verdict = failure ? `${failure.suite}: ${failure.law}` : 'NOT CAUGHT';
  console.log(`${failure ? '✓' : '✗'} ${fault.name} (${seconds.toFixed(1)} s)\n    ${verdict}`);
}

if (escaped.length > 0) {
  console.error(`not caught: ${escaped.join('; ')}`);
  process.exit(1);
}
