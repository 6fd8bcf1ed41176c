// Compiles the AssemblyScript kernels (for each data type, with and without relaxed SIMD) and the
// TypeScript sources into dist/.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';
import { keepConstants } from './keep-constants.mjs';
import { unroll } from './unroll.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
process.chdir(root);
mkdirSync('dist/kernels', { recursive: true });

/** One module for each data type, and for each a twin that may fuse multiplication and addition. */
const modules = ['f32', 'f64'].flatMap((real) => [
  { name: real, real, features: 'simd,threads' },
  { name: `${real}-relaxed`, real, features: 'simd,threads,relaxed-simd' },
]);

/** A digest of what the kernels are made from: if it is unchanged, they need not be compiled again. */
function digestOfSources() {
  const hash = createHash('sha256').update(asc.version);
  const folder = 'engine/kernels/wasm/assembly';
  const sources = readdirSync(folder).filter((name) => name.endsWith('.ts'));
  const steps = ['build', 'keep-constants', 'unroll'].map((name) => `scripts/${name}.mjs`);
  for (const path of [...sources.sort().map((name) => join(folder, name)), ...steps])
    hash.update(path).update(readFileSync(path));
  return hash.digest('hex');
}

async function compile({ name, real, features }) {
  // Eight rounds of the inner sum are unrolled: one panel of f32, two of f64.
  const constants = real === 'f32' ? { COLUMNS: 8, PANELS_A_ROUND: 1 } : { COLUMNS: 4, PANELS_A_ROUND: 2 };
  /** The compiler asks for files that may not exist. */
  const readFile = (path, folder) => {
    const file = resolve(folder, path);
    return existsSync(file) ? unroll(readFileSync(file, 'utf8'), constants) : null;
  };
  const writeFile = (path, binary) => writeFileSync(path, keepConstants(binary));
  const options = [
    'engine/kernels/wasm/assembly/index.ts',
    ...['--outFile', `dist/kernels/${name}.wasm`],
    ...['--use', `real=${real}`],
    ...['--runtime', 'stub', '-O3', '--converge', '--noAssert'],
    ...['--enable', features, '--importMemory', '--sharedMemory', '--maximumMemory', '65536'],
    // The module has no static data, and declares the smallest memory it can.
    ...['--initialMemory', '1'],
  ];
  const { error, stderr } = await asc.main(options, { readFile, writeFile });
  if (error) {
    console.error(stderr.toString());
    process.exit(1);
  }
}

const STAMP = 'dist/kernels.sha256';
const digest = digestOfSources();
const areThere =
  existsSync(STAMP) &&
  readFileSync(STAMP, 'utf8') === digest &&
  modules.every(({ name }) => existsSync(`dist/kernels/${name}.wasm`));
console.error(areThere ? 'Building …' : 'Building, first the kernels …');
if (!areThere) {
  rmSync(STAMP, { force: true });
  for (const module of modules) await compile(module);
  writeFileSync(STAMP, digest);
}

// Otherwise the output of deleted sources would be packed with the rest.
for (const folder of ['engine', 'workers', 'cli', 'benchmarks'])
  rmSync(join('dist', folder), { recursive: true, force: true });
const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc');
execFileSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { stdio: 'inherit' });
