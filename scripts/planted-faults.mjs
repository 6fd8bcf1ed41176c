// Plants one fault after the other in a copy of the project, and demands that a law catches each of them.
//
//     npm run faults               all; the table goes into docs/testing.md
//     npm run faults -- barrier    those whose name or file contains the word; the table is printed only
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { faults } from './planted-faults.list.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const copy = mkdtempSync(join(tmpdir(), 'elman-faults-'));
process.on('exit', () => rmSync(copy, { recursive: true, force: true }));

/** Suites of the quick profile in the order in which they fail soonest. */
const suites = [
  ...['kernels', 'gradients', 'training', 'optimizers', 'structure', 'batch-split'],
  ...['memory-plan', 'pool', 'barrier', 'pytorch'],
];
/** A run that takes longer is taken for a hang that no law has seen. */
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
  execFileSync(process.execPath, ['scripts/build.mjs'], inCopy);
}

/** The first law that fails in some suites, or null. */
function firstFailure(names) {
  const report = join(copy, 'report.json');
  rmSync(report, { force: true });
  const paths = names.map((name) => `properties/${name}.test.ts`);
  const flags = ['--bail=1', '--maxWorkers=1', '--reporter=json', `--outputFile=${report}`];
  const run = spawnSync(
    process.execPath,
    ['node_modules/vitest/vitest.mjs', 'run', ...paths, ...flags],
    // Shrinking makes a failure readable; here it would only take time.
    { ...inCopy, timeout: limitMs, env: { ...process.env, ELMAN_SEED: seed, ELMAN_SHRINK: 'no' } },
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

/** Runs the suites one after the other, those named first first. */
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

const words = process.argv.slice(2);
const chosen = faults.filter(({ name, file }) =>
  words.every((word) => name.includes(word) || file.includes(word)),
);
// All texts are looked up before anything is built: a list that is out of date fails at once.
for (const fault of chosen) plant(fault)();

console.log(`${chosen.length} faults, ELMAN_SEED=${seed}`);
build();
const before = words.length > 0 ? null : firstFailure(suites);
if (before) throw new Error(`without any fault, ${before.suite} fails: ${before.law}`);

const rows = [];
for (const fault of chosen) {
  const heal = plant(fault);
  build();
  const started = performance.now();
  const failure = caught(fault.first);
  const seconds = (performance.now() - started) / 1000;
  heal();
  rows.push({ ...fault, failure, seconds });
  const verdict = failure ? `${failure.suite}: ${failure.law}` : 'NOT CAUGHT';
  console.log(`${failure ? '✓' : '✗'} ${fault.name} (${seconds.toFixed(1)} s)\n    ${verdict}`);
}

const cells = rows.map(({ name, file, failure, seconds }) => [
  name,
  `\`${file.replace('engine/', '').replace('kernels/wasm/assembly', 'kernels')}\``,
  failure ? `\`${failure.suite}\`: ${failure.law.replaceAll('|', '\\|')}` : '**not caught**',
  seconds.toFixed(0),
]);
const table = [['fault', 'file', 'law', 'seconds'], ['---', '---', '---', '--:'], ...cells]
  .map((row) => `| ${row.join(' | ')} |`)
  .join('\n');
const begin = '<!-- made by npm run faults -->';
const end = '<!-- end of what npm run faults makes -->';
if (words.length === 0) {
  const path = join(root, 'docs/testing.md');
  const text = readFileSync(path, 'utf8');
  const [head, tail] = [text.indexOf(begin), text.indexOf(end)];
  if (head < 0 || tail < head) throw new Error(`docs/testing.md: ${begin} … ${end} is missing`);
  const summary = `${rows.filter(({ failure }) => failure).length} of ${rows.length} faults caught, ELMAN_SEED=${seed}.`;
  writeFileSync(path, `${text.slice(0, head)}${begin}\n\n${summary}\n\n${table}\n\n${text.slice(tail)}`);
}
const escaped = rows.filter(({ failure }) => !failure);
if (escaped.length > 0) {
  console.error(`not caught: ${escaped.map(({ name }) => name).join('; ')}`);
  process.exit(1);
}
