import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { RNNPhonemeClassifier } from '../engine/index.ts';
import type { BatchRecipe, NetworkOptions } from './arbitraries.ts';
import { plain, problemFor } from './arbitraries.ts';
import { expectClose } from './compare.ts';
import { expectFixture, expectPyTorchs } from './engine-fixture.ts';
import { expectedDelta, inputOf, inShapeOfLogits, times, withModel } from './engine-model.ts';
import type { PackedCase } from './fixtures.ts';
import { packedCases, unpackCase } from './fixtures.ts';

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
const cases = process.env.ELMAN_PROFILE === 'deep' ? 200 : 20;

/** Runs a script of properties/fixtures on what it is given. */
function run(script: string, args: string[], input: unknown = null): string {
  const path = fileURLToPath(new URL(`fixtures/${script}`, import.meta.url));
  const options = { input: JSON.stringify(input), maxBuffer: 2 ** 28 };
  return execFileSync(python ?? '', [path, ...args], options).toString();
}

describe('PyTorch on this machine', () => {
  it.runIf(isRequired)('is there, since ELMAN_REQUIRE_TORCH=1', () => {
    expect(python, 'no python3 with torch and numpy').toBeDefined();
  });

  it.skipIf(python === undefined)(
    'gives the same numbers for networks of all kinds drawn just now',
    async () => {
      const seed = inject('lawSeed');
      const drawn: PackedCase[] = JSON.parse(run('make-fixtures.py', ['--random', `${seed}`, `${cases}`]));
      for (const packed of drawn) {
        const fixture = unpackCase(packed);
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

/** Of the committed cases one of the plainest and one with most options, none of them with dropout. */
const written = packedCases().filter(({ name }) =>
  [
    'B=9 T=6 I=13 H=7 O=3 L=3, varied lengths, h0 given',
    'nonlinearity: relu, bidirectional: True, bias: False',
  ].some((part) => name.includes(part)),
);

it('the committed cases have both', () => expect(written).toHaveLength(2));

const saved: Array<[string, NetworkOptions, 'float32' | 'float64']> = [
  ['a plain model in float32', plain, 'float32'],
  ['a bidirectional model in float64', { ...plain, isBidirectional: true, features: 'steps' }, 'float64'],
  [
    'a bidirectional model of relu without biases in float32',
    {
      ...plain,
      nonlinearity: 'relu',
      isBidirectional: true,
      hasBias: false,
      features: 'mean',
      isNormalized: true,
    },
    'float32',
  ],
];

describe.skipIf(python === undefined)("a model's file", () => {
  let folder: string;
  let path: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'elman-'));
    path = join(folder, 'model.safetensors');
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it.each(saved)('read in Python gives PyTorch the logits of %s', async (_, options, dtype) => {
    const shape = { inputSize: 3, hiddenSize: 5, outputSize: 4, numLayers: 2 };
    const recipe: BatchRecipe = {
      batch: 5,
      time: 7,
      lengths: 'varied',
      form: 'list',
      givesH0: false,
      seed: 3,
    };
    const p = problemFor(shape, recipe, dtype, options);
    const ours = await withModel(p, async (model) => {
      await model.save(path);
      return model.forward(inputOf(p));
    });
    const logits: number[][][] = JSON.parse(run('model-file.py', ['read', path], p.x));
    // PyTorch computes in float64, whatever the file holds.
    const [theirs, own] = [expectedDelta({ ...p, dtype: 'float64' }), expectedDelta(p)];
    expectClose('logits of PyTorch', inShapeOfLogits(logits, p), theirs.logits, { atol: theirs.logitBounds });
    expectClose('logits', ours, inShapeOfLogits(logits, p), { atol: times(own.logitBounds, 2) });
  });

  it.each(written)('written in Python makes the model that PyTorch has: $name', async (packed) => {
    run('model-file.py', ['write', path], packed);
    const fixture = unpackCase(packed);
    const { nonlinearity, features: output, normalization } = fixture.point.network;
    const unsaid = { nonlinearity, output, ...(normalization && { normalization }) };
    const model = await RNNPhonemeClassifier.load(path, { threads: 0, ...unsaid });
    try {
      await expectPyTorchs(model, fixture);
    } finally {
      await model.close();
    }
  });
});
