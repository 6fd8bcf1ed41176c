// Compiles the AssemblyScript kernels (once for each data type) and the TypeScript sources into dist/.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
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

for (const { name, real, features } of modules) {
  /** The compiler asks for files that may not exist. */
  const readFile = (path, folder) => {
    const file = resolve(folder, path);
    return existsSync(file) ? unroll(readFileSync(file, 'utf8'), { LANES: real === 'f32' ? 8 : 4 }) : null;
  };
  const writeFile = (path, binary) => writeFileSync(path, keepConstants(binary));
  const options = [
    'engine/kernels/wasm/assembly/index.ts',
    ...['--outFile', `dist/kernels/${name}.wasm`],
    ...['--use', `real=${real}`],
    ...['--runtime', 'stub', '-O3', '--converge', '--noAssert'],
    ...['--enable', features, '--importMemory', '--sharedMemory', '--maximumMemory', '65536'],
    // Nothing of the module's own lies in the memory: the first page is left alone by the layout anyway.
    ...['--initialMemory', '1'],
  ];
  const { error, stderr } = await asc.main(options, { readFile, writeFile });
  if (error) {
    console.error(stderr.toString());
    process.exit(1);
  }
}

const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc');
execFileSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { stdio: 'inherit' });
