import { writeFile } from 'node:fs/promises';
import { encodeSafetensors, type StoredTensor } from '../engine/io/safetensors.ts';
import type { Corpus, Split } from './speech/corpus.ts';

/**
 * Writes the corpus as one safetensors file, so that another framework can train on the very same numbers:
 * train.frames [sum of lengths, F], train.lengths [N], train.labels [N], train.speakers [N], and so on.
 */
export async function exportCorpus(path: string, corpus: Corpus): Promise<void> {
  const tensors: Record<string, StoredTensor> = {};
  for (const name of ['train', 'validation', 'test'] as const) {
    const split: Split = corpus[name];
    const { frames } = split;
    const shape = [frames.length / corpus.featureSize, corpus.featureSize];
    tensors[`${name}.frames`] = { dtype: 'float32', shape, data: frames };
    for (const field of ['lengths', 'labels', 'speakers'] as const) {
      // Small integers are exact in float32, and the writer needs no third type.
      const data = Float32Array.from(split[field]);
      tensors[`${name}.${field}`] = { dtype: 'float32', shape: [data.length], data };
    }
  }
  await writeFile(
    path,
    encodeSafetensors(tensors, { classes: JSON.stringify(corpus.classes), corpus: corpus.hash }),
  );
}
