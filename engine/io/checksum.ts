import { createHash } from 'node:crypto';
import type { StoredTensor } from './safetensors.ts';

/** SHA-256 of a text and of tensors: their names, data types, shapes and numbers. */
export function checksum(text: string, tensors: Readonly<Record<string, StoredTensor>>): string {
  const hash = createHash('sha256').update(text);
  for (const name of Object.keys(tensors).sort()) {
    const { dtype, shape, data } = tensors[name];
    hash
      .update(JSON.stringify([name, dtype, shape]))
      .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest('hex');
}
