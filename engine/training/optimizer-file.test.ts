import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OptimizerOptions } from '../optimization/optimizers.ts';
import type { Optimizer } from '../optimizer.ts';
import { RNNPhonemeClassifier } from '../rnn-classifier.ts';
import { bitsOf, labelled, withModel } from '../test-models.ts';

const data = labelled(20, 6);
const threads = 0;

describe("an optimizer's file", () => {
  let folder = '';
  const at = (name: string) => join(folder, `${name}.safetensors`);
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'elman-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  async function takeSteps(model: RNNPhonemeClassifier, optimizer: Optimizer, steps: number): Promise<void> {
    for (let step = 0; step < steps; step++) {
      model.zeroGrad();
      await model.gradients(data.x, data.labels);
      await optimizer.step({ clipNorm: 1 });
    }
  }

  const kinds: OptimizerOptions[] = [
    { type: 'sgd', learningRate: 0.1, momentum: 0.9 },
    { type: 'adam', learningRate: 0.01 },
    { type: 'adamw', learningRate: 0.01, weightDecay: 0.1 },
    { type: 'rmsprop', learningRate: 0.01, momentum: 0.5 },
  ];
  it.each(
    kinds.flatMap((kind) =>
      (['float32', 'float64'] as const).map((dtype) => [kind.type, dtype, kind] as const),
    ),
  )('lets a loop with %s in %s go on in another process, to the same bits', async (_type, dtype, kind) => {
    const uninterrupted = await withModel({ threads, dtype }, async (model) => {
      await takeSteps(model, model.optimizer(kind), 6);
      return bitsOf(model);
    });
    await withModel({ threads, dtype }, async (model) => {
      const optimizer = model.optimizer(kind);
      await takeSteps(model, optimizer, 3);
      await model.save(at('model'));
      await optimizer.save(at('optimizer'));
    });
    await using model = await RNNPhonemeClassifier.load(at('model'), { threads });
    const optimizer = model.optimizer(kind);
    await optimizer.load(at('optimizer'));
    await takeSteps(model, optimizer, 3);
    expect(bitsOf(model)).toBe(uninterrupted);
  });

  it('has what an optimizer was put aside with while another was at work', async () => {
    await withModel({ threads }, async (model) => {
      const [first, second] = [model.optimizer('adam'), model.optimizer('adam')];
      await takeSteps(model, first, 2);
      await first.save(at('resident'));
      await takeSteps(model, second, 1);
      await first.save(at('aside'));
      expect(await readFile(at('aside'))).toEqual(await readFile(at('resident')));
      await second.save(at('second'));
      expect(await readFile(at('second'))).not.toEqual(await readFile(at('aside')));
      await first.load(at('second'));
      await first.save(at('loaded'));
      expect(await readFile(at('loaded'))).toEqual(await readFile(at('second')));
    });
  });

  it('waits for the fit that is at work, and in its callback has the state of the moment', async () => {
    await withModel({ threads: 2 }, async (model) => {
      const optimizer = model.optimizer('adam');
      let refused: unknown;
      const onEpochEnd = async (epoch: number) => {
        await optimizer.save(at(`epoch ${epoch}`));
        refused = await optimizer.load(at('epoch 0')).catch((error) => error.code);
      };
      const fit = model.fit(data, { epochs: 2, batchSize: 10, optimizer, callbacks: { onEpochEnd } });
      await optimizer.save(at('after'));
      expect(await readFile(at('after'))).toEqual(await readFile(at('epoch 1')));
      expect(await readFile(at('after'))).not.toEqual(await readFile(at('epoch 0')));
      expect(refused).toBe('BUSY');
      await fit;
    });
  });

  describe('that is wrong is refused, and nothing changes:', () => {
    const refusals: [string, (made: string) => Promise<string>, object][] = [
      [
        'of another type',
        async () => {
          await withModel({ threads }, (model) => model.optimizer('sgd').save(at('sgd')));
          return at('sgd');
        },
        { code: 'BAD_ARGUMENT', message: 'path: expected the file of an optimizer of type adam, got sgd' },
      ],
      [
        'of a wider model',
        async () => {
          const options = { threads, hiddenSize: 12 };
          await withModel(options, (model) => model.optimizer('adam').save(at('wider')));
          return at('wider');
        },
        {
          code: 'BAD_ARGUMENT',
          message:
            'path: expected the file of an optimizer of such a model, with first.rnn.weight_ih_l0 float32 [11, 5], got float32 [12, 5]',
        },
      ],
      [
        'of a model in float64',
        async () => {
          const options = { threads, dtype: 'float64' } as const;
          await withModel(options, (model) => model.optimizer('adam').save(at('float64')));
          return at('float64');
        },
        { code: 'BAD_ARGUMENT', message: expect.stringContaining('float32 [11, 5], got float64 [11, 5]') },
      ],
      [
        'with a flipped bit',
        async (made) => {
          const bytes = await readFile(made);
          bytes[bytes.length - 50] ^= 1;
          await writeFile(at('flipped'), bytes);
          return at('flipped');
        },
        { code: 'BAD_CHECKPOINT', message: expect.stringContaining('its contents are not those') },
      ],
      [
        'cut short',
        async (made) => {
          await writeFile(at('short'), (await readFile(made)).subarray(0, -9));
          return at('short');
        },
        {
          code: 'BAD_FILE_TRUNCATED',
          message: expect.stringContaining("short.safetensors is no whole optimizer's file: "),
        },
      ],
      [
        "a model's",
        async () => {
          await withModel({ threads }, (model) => model.save(at('model')));
          return at('model');
        },
        { code: 'BAD_CHECKPOINT', message: expect.stringContaining('it says nothing of an optimizer') },
      ],
      ['none there', async () => at('nowhere'), { code: 'ENOENT' }],
      ['no path', async () => '', { code: 'BAD_ARGUMENT' }],
    ];
    it.each(refusals)('%s', async (_what, wrongPath, refusal) => {
      await withModel({ threads }, async (model) => {
        const optimizer = model.optimizer('adam');
        await takeSteps(model, optimizer, 1);
        await optimizer.save(at('made'));
        await expect(optimizer.load(await wrongPath(at('made')))).rejects.toMatchObject(refusal);
        await optimizer.save(at('again'));
        expect(await readFile(at('again'))).toEqual(await readFile(at('made')));
      });
    });

    it('any, once the model is closed', async () => {
      const optimizer = await withModel({ threads }, async (model) => model.optimizer('adam'));
      for (const call of [optimizer.save(at('made')), optimizer.load(at('made'))])
        await expect(call).rejects.toMatchObject({ code: 'CLOSED' });
    });
  });
});
