import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers';
import { framesOf, type Sequences } from './sequences.ts';

/** The event loop gets a turn after hashing this many bytes: some ten milliseconds. */
const BREATH_BYTES = 2 ** 23;

/** SHA-256 of lengths, labels and frames. It does not depend on the form they were given in: padding is left out. */
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
