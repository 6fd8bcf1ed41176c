// Compiles the AssemblyScript kernels (once for each data type) and the TypeScript sources into dist/.
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
process.chdir(root);
mkdirSync('dist/kernels', { recursive: true });

for (const [name, real] of [
  ['f32', 'f32'],
  ['f64', 'f64'],
]) {
  const { error, stderr } = await asc.main([
    'engine/kernels/wasm/assembly/index.ts',
    ...['--outFile', `dist/kernels/${name}.wasm`],
    ...['--use', `real=${real}`],
    ...['--runtime', 'stub', '-O3', '--converge', '--noAssert'],
    ...['--enable', 'simd,threads', '--importMemory', '--sharedMemory', '--maximumMemory', '65536'],
    // Nothing of the module's own lies in the memory: the first page is left alone by the layout anyway.
    ...['--initialMemory', '1'],
  ]);
  if (error) {
    console.error(stderr.toString());
    process.exit(1);
  }
}

const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc');
execFileSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { stdio: 'inherit' });
