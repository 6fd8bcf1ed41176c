import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ClassifierOptions } from '../classifier/classifier-options.ts';
import { checksum } from '../io/checksum.ts';
import { decodeSafetensors, encodeSafetensors } from '../io/safetensors.ts';
import type { OptimizerOptions, OptimizerType } from '../optimization/optimizers.ts';
import { RNNPhonemeClassifier } from '../rnn-classifier.ts';
import { bitsOf, labelled, withModel } from '../testing/models.ts';
import type { Optimizer } from './optimizer.ts';
import { splitOptimizer } from './optimizer-file.ts';

const data = labelled(20, 6);
const threads = 0;
const NO_TYPE = '{"type":{"toString":1},"counts":{"steps":1,"beta1Power":1,"beta2Power":1}}';

describe("an optimizer's state in the file of its model", () => {
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
      await model.save(at('model'), { optimizer });
      expect(Buffer.compare(await model.toSafetensors({ optimizer }), await readFile(at('model')))).toBe(0);
    });
    for (const source of [at('model'), new Uint8Array(await readFile(at('model')))]) {
      await using model = await RNNPhonemeClassifier.load(source, { threads });
      const optimizer = model.optimizer(kind);
      await optimizer.load(source);
      await takeSteps(model, optimizer, 3);
      expect(bitsOf(model)).toBe(uninterrupted);
    }
  });

  it('goes on with the same dropout masks, from the model’s seed and the step', async () => {
    const options = { threads, dropout: 0.5, seed: 3 };
    const takeStep = async (model: RNNPhonemeClassifier, optimizer: Optimizer, dropoutStep: number) => {
      model.zeroGrad();
      await model.gradients(data.x, data.labels, { dropoutStep });
      await optimizer.step();
    };
    const uninterrupted = await withModel(options, async (model) => {
      const optimizer = model.optimizer('adam');
      await takeStep(model, optimizer, 0);
      await model.save(at('model'), { optimizer });
      await takeStep(model, optimizer, 1);
      return bitsOf(model);
    });
    for (const seed of [3, 4]) {
      await using model = await RNNPhonemeClassifier.load(at('model'), { threads, seed });
      const optimizer = model.optimizer('adam');
      await optimizer.load(at('model'));
      await takeStep(model, optimizer, 1);
      expect(bitsOf(model) === uninterrupted).toBe(seed === 3);
    }
  });

  /** An optimizer's state, as text. */
  async function stateOf(model: RNNPhonemeClassifier, optimizer: Optimizer): Promise<string> {
    await model.save(at('state'), { optimizer });
    return stateIn(at('state'));
  }

  async function stateIn(path: string): Promise<string> {
    const { tensors, metadata } = decodeSafetensors(await readFile(path));
    const moments = [...tensors].filter(([name]) => name.startsWith('optimizer.'));
    return JSON.stringify([moments, metadata['elman.optimizer']]);
  }

  it('is what an optimizer was put aside with while another was at work', async () => {
    await withModel({ threads }, async (model) => {
      const [first, second] = [model.optimizer('adam'), model.optimizer('adam')];
      await takeSteps(model, first, 2);
      const resident = await stateOf(model, first);
      await takeSteps(model, second, 1);
      expect(await stateOf(model, first)).toBe(resident);
      const other = await stateOf(model, second);
      expect(other).not.toBe(resident);
      await first.load(at('state'));
      expect(await stateOf(model, first)).toBe(other);
      // Also into one whose state is in the model's memory.
      await takeSteps(model, first, 1);
      await first.load(at('state'));
      expect(await stateOf(model, first)).toBe(other);
    });
  });

  it('holds nothing of an optimizer that was at work before', async () => {
    const stateAfter = (before: OptimizerType[]) =>
      withModel({ threads }, async (model) => {
        const initial = model.stateDict();
        for (const optimizer of before) await model.fit(data, { optimizer, epochs: 2 });
        model.loadStateDict(initial);
        const optimizer = model.optimizer({ type: 'sgd', momentum: 0.9 });
        await model.fit(data, { optimizer, batchSize: 7 });
        return stateOf(model, optimizer);
      });
    expect(await stateAfter(['adam'])).toBe(await stateAfter([]));
  });

  it('is no matter to the model, which loads as it was, and is saved without it', async () => {
    await withModel({ threads }, async (model) => {
      const optimizer = model.optimizer('adam');
      await takeSteps(model, optimizer, 1);
      await model.save(at('with'), { optimizer });
      await model.save(at('without'));
      await using loaded = await RNNPhonemeClassifier.load(at('with'), { threads });
      expect(bitsOf(loaded)).toBe(bitsOf(model));
      await loaded.save(at('again'));
      expect(await readFile(at('again'))).toEqual(await readFile(at('without')));
    });
  });

  it('waits for the fit that is at work, and in its callback is that of the moment', async () => {
    await withModel({ threads: 2 }, async (model) => {
      const optimizer = model.optimizer('adam');
      let refused: unknown;
      const onEpochEnd = async (epoch: number) => {
        await model.save(at(`epoch ${epoch}`), { optimizer });
        refused = await optimizer.load(at('epoch 0')).catch((error) => error.code);
      };
      const fit = model.fit(data, { epochs: 2, batchSize: 10, optimizer, callbacks: { onEpochEnd } });
      await model.save(at('after'), { optimizer });
      expect(await readFile(at('after'))).toEqual(await readFile(at('epoch 1')));
      expect(await stateIn(at('after'))).not.toBe(await stateIn(at('epoch 0')));
      expect(refused).toBe('BUSY');
      await fit;
    });
  });

  it('of another model’s optimizer cannot be asked for', async () => {
    await withModel({ threads }, async (model) => {
      const optimizer = await withModel({ threads }, async (other) => other.optimizer('adam'));
      const message = 'optimizer: expected an optimizer of this model, got one of another model';
      await expect(model.save(at('model'), { optimizer })).rejects.toThrow(message);
      const adam = 'adam' as never;
      await expect(model.save(at('model'), { optimizer: adam })).rejects.toThrow('model, got "adam"');
    });
  });

  describe('that is wrong is refused, and nothing changes:', () => {
    const savedBy = (options: Partial<ClassifierOptions>, type: OptimizerType = 'adam') =>
      withModel({ threads, ...options }, async (model) => {
        await model.save(at('wrong'), { optimizer: model.optimizer(type) });
        return at('wrong');
      });
    const refusals: [string, (made: string) => Promise<string>, string, string][] = [
      [
        'of another type',
        () => savedBy({}, 'sgd'),
        'BAD_ARGUMENT',
        'source: expected the state of an optimizer of type adam, got sgd in /',
      ],
      [
        'of a wider model',
        () => savedBy({ hiddenSize: 12 }),
        'BAD_ARGUMENT',
        'this model, optimizer.first.rnn.weight_ih_l0: float32 [11, 5], got float32 [12, 5] in /',
      ],
      [
        'of a deeper model',
        () => savedBy({ numLayers: 3 }),
        'BAD_ARGUMENT',
        'this model, optimizer.first.rnn.bias_hh_l2: none, got float32 [11] in /',
      ],
      [
        'of a model without biases',
        () => savedBy({ bias: false }),
        'BAD_ARGUMENT',
        'this model, optimizer.first.rnn.bias_ih_l0: float32 [11], got none in /',
      ],
      [
        'of a model in float64',
        () => savedBy({ dtype: 'float64' }),
        'BAD_ARGUMENT',
        'float32 [11, 5], got float64 [11, 5]',
      ],
      [
        'with a flipped bit',
        async (made) => {
          const bytes = await readFile(made);
          bytes[bytes.indexOf('"optimizer.first') > 0 ? 8 + Number(bytes.readBigUInt64LE()) + 40 : 0] ^= 1;
          await writeFile(at('wrong'), bytes);
          return at('wrong');
        },
        'BAD_MODEL_FILE',
        "the optimizer's state is not that of its checksum",
      ],
      ...['null', '{', '{"type":"adam"}', '{"type":"adam","counts":{"steps":"x"}}', NO_TYPE].map(
        (text): [string, (made: string) => Promise<string>, string, string] => [
          `of which a program of somebody else's says ${text}`,
          async (made) => {
            const { tensors, metadata } = decodeSafetensors(await readFile(made));
            const { optimizer } = splitOptimizer(tensors, metadata);
            const said = {
              'elman.optimizer': text,
              'elman.optimizer.sha256': checksum(text, optimizer),
            };
            await writeFile(at('wrong'), encodeSafetensors(tensors, { ...metadata, ...said }));
            return at('wrong');
          },
          'BAD_MODEL_FILE',
          'elman.optimizer in its metadata cannot be read',
        ],
      ),
      [
        'cut short',
        async (made) => {
          await writeFile(at('wrong'), (await readFile(made)).subarray(0, -9));
          return at('wrong');
        },
        'BAD_FILE_TRUNCATED',
        'wrong.safetensors cannot be read as the file of a model: safetensors: the file ends early',
      ],
      [
        'without one',
        async () => {
          await withModel({ threads }, (model) => model.save(at('wrong')));
          return at('wrong');
        },
        'BAD_MODEL_FILE',
        'it holds no state of an optimizer',
      ],
      ['none there', async () => at('nowhere'), 'ENOENT', 'no such file'],
      [
        'no path',
        async () => '',
        'BAD_ARGUMENT',
        'source: expected the path of a file, or its bytes in a Uint8Array, got ""',
      ],
      [
        'a path that cannot be',
        async () => 'a\0b',
        'BAD_ARGUMENT',
        'source: expected the path of a file, or its bytes in a Uint8Array, got "a\\u0000b"',
      ],
    ];
    it.each(refusals)('%s', async (_what, wrongPath, code, message) => {
      await withModel({ threads }, async (model) => {
        const optimizer = model.optimizer('adam');
        await takeSteps(model, optimizer, 1);
        await model.save(at('made'), { optimizer });
        const refusal = { code, message: expect.stringContaining(message) };
        await expect(optimizer.load(await wrongPath(at('made')))).rejects.toMatchObject(refusal);
        await model.save(at('again'), { optimizer });
        expect(await readFile(at('again'))).toEqual(await readFile(at('made')));
      });
    });

    it('any, once the model is closed', async () => {
      const optimizer = await withModel({ threads }, async (model) => model.optimizer('adam'));
      await expect(optimizer.load(at('made'))).rejects.toMatchObject({ code: 'CLOSED' });
    });
  });
});
