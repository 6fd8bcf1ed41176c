import { createHash } from 'node:crypto';
import { framesOf, type Sequences } from './sequences.ts';

/** The event loop has its turn after so many bytes: some ten milliseconds. */
const BREATH_BYTES = 2 ** 23;

/** SHA-256 of lengths, labels and frames, in whatever form they came: padding is no part of it. */
export async function fingerprint(data: Sequences, inputSize: number): Promise<string> {
  const { lengths, labels, counted } = data;
  const hash = createHash('sha256').update(lengths).update(labels).update(counted);
  let bytes = 0;
  for (let row = 0; row < lengths.length; row++) {
    const frames = framesOf(data, row, inputSize);
    hash.update(frames);
    bytes += frames.byteLength;
    if (bytes < BREATH_BYTES) continue;
    bytes = 0;
    await new Promise(setImmediate);
  }
  return hash.digest('hex');
}
