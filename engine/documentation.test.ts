import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const run = promisify(execFile);
const root = join(import.meta.dirname, '..');

/** All JavaScript of a document, in order, as one module. */
async function snippetsOf(document: string): Promise<string> {
  const text = await readFile(join(root, document), 'utf8');
  return [...text.matchAll(/^```js\n(.*?)^```/gms)].map(([, code]) => code).join('\n');
}

/** The output of a command on a user's file, which imports the built package by its name, in a folder of its own. */
async function withFile(name: string, code: string, command: readonly string[]): Promise<string> {
  // Inside the project, where the package may refer to itself.
  await mkdir(join(root, '.cache'), { recursive: true });
  const folder = await mkdtemp(join(root, '.cache', 'snippet-'));
  try {
    await writeFile(join(folder, name), code);
    const { stdout } = await run(process.execPath, [...command, name], {
      cwd: folder,
      timeout: 60_000,
      // Without colours, which no pattern expects.
      env: { ...process.env, FORCE_COLOR: '0' },
    });
    return stdout;
  } finally {
    await rm(folder, { recursive: true });
  }
}

const runModule = (code: string): Promise<string> => withFile('example.mjs', code, []);

describe('the documents', () => {
  it('README.md: the ten lines run, learn their task, and end by themselves', async () => {
    const code = await snippetsOf('README.md');
    const lines = code.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('//'));
    expect(lines.length).toBeLessThanOrEqual(10);
    const [, accuracy] = (await runModule(code)).match(/^([\d.]+)/) ?? [];
    expect(Number(accuracy)).toBeGreaterThan(0.95);
  });

  it('docs/guide.md: every snippet runs, one after the other', async () => {
    const output = await runModule(await snippetsOf('docs/guide.md'));
    expect(output).toMatch(/^\[ '[abc]', .* the guide$/ms);
  });
});

describe('the types', () => {
  it('are whole for a strict user who has no browser’s types, and refuse what is refused', async () => {
    const code = `
      import { RNNPhonemeClassifier, type Evaluation, type GradientOptions, type GradientResult } from 'elman';
      const model = await RNNPhonemeClassifier.create({ inputSize: 2, hiddenSize: 3, outputSize: 2 });
      const data = { x: [[[1, 2]]], labels: [0] };
      const evaluation: Evaluation = await model.evaluate(data);
      const result: GradientResult = await model.gradients(data.x, data.labels);
      const asked = await model.gradients(data.x, data.labels, { inputGradient: true, h0: result.dh0 });
      const shapes = [asked.dx.shape, asked.hT?.shape];
      // @ts-expect-error: what was not asked for need not be there
      asked.hT.shape;
      const options: GradientOptions = { finalStates: true };
      (await model.gradients(data.x, data.labels, options)).hT?.shape;
      // @ts-expect-error: there is no such option
      await model.gradients(data.x, data.labels, { finalState: true });
      await model.fit(data, { everySteps: 1, callbacks: { onSteps: async ({ loss }) => void loss } });
      const flag: boolean = asked.loss > 1;
      await model.forward(data.x, undefined, { finalStates: flag });
      // What may be missing may be undefined, and what a model says of itself makes another one.
      const { inputSize, hiddenSize, outputSize, normalization, classes } = model;
      await RNNPhonemeClassifier.create({ inputSize, hiddenSize, outputSize, normalization, classes });
      await model.fit(data, { clipNorm: undefined, signal: undefined, callbacks: { onEpochEnd: undefined } });
      // @ts-expect-error: a step schedule has no default for its epochs
      await model.fit(data, { schedule: 'step' });
      export { evaluation, result, shapes };
    `;
    const strict = ['--strict', '--exactOptionalPropertyTypes', '--skipLibCheck', 'false', '--noEmit'];
    const plain = [
      '--lib',
      'es2023,esnext.disposable',
      '--target',
      'es2023',
      '--types',
      'node',
      '--ignoreConfig',
    ];
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    await withFile('example.mts', code, [tsc, ...strict, ...plain, '--module', 'nodenext']);
  });
});
