import { createHash } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomically } from '../../engine/io/atomic-file.ts';
import type { Split, StoredCorpus } from './corpus.ts';

/**
 * The format of a file: this line, the hash of all that follows (64 hexadecimal digits), a line of JSON, the arrays.
 */
const magic = 'elman speech corpus 1\n';
const headerBytes = magic.length + 64;

const parts = ['train', 'validation', 'test'] as const;

/** Sizes of a split's arrays, in the order frames, lengths, labels, speakers. */
type SplitSizes = [number, number, number, number];

type Description = Omit<StoredCorpus, (typeof parts)[number]> & {
  sizes: Record<(typeof parts)[number], SplitSizes>;
};

const arraysOf = ({ frames, lengths, labels, speakers }: Split) => [frames, lengths, labels, speakers];

/** The JSON line (padded so that the arrays after it are aligned to four bytes) and the arrays themselves. */
function serialize(corpus: StoredCorpus): Uint8Array[] {
  const { train, validation, test, ...rest } = corpus;
  const sizesOf = (split: Split) => arraysOf(split).map((array) => array.length) as SplitSizes;
  const description: Description = {
    ...rest,
    sizes: { train: sizesOf(train), validation: sizesOf(validation), test: sizesOf(test) },
  };
  const json = Buffer.from(JSON.stringify(description));
  const padding = 4 - ((headerBytes + json.length) % 4);
  const line = Buffer.concat([json, Buffer.from(`${' '.repeat(padding - 1)}\n`)]);
  const arrays = [train, validation, test].flatMap(arraysOf);
  return [
    line,
    ...arrays.map(({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength)),
  ];
}

function hashOf(pieces: Uint8Array[]): string {
  const hash = createHash('sha256');
  for (const piece of pieces) hash.update(piece);
  return hash.digest('hex');
}

/** SHA-256 over everything in a corpus, in hexadecimal. */
export function hashCorpus(corpus: StoredCorpus): string {
  return hashOf(serialize(corpus));
}

const fileName = (key: string) => `speech-${key}.bin`;

/** Writes a corpus to its place, so that no reader ever sees half of it. */
export async function writeCachedCorpus(directory: string, key: string, corpus: StoredCorpus): Promise<void> {
  await mkdir(directory, { recursive: true });
  const pieces = serialize(corpus);
  const file = Buffer.concat([Buffer.from(magic + hashOf(pieces)), ...pieces]);
  await writeFileAtomically(join(directory, fileName(key)), file);
}

/**
 * Reads a corpus from the cache.
 *
 * @returns the corpus and its hash, or undefined if there is none under this key or it is damaged:
 * whatever passes the hash was written by `writeCachedCorpus`
 * @throws Error if a file is there but cannot be read
 */
export async function readCachedCorpus(
  directory: string,
  key: string,
): Promise<{ corpus: StoredCorpus; hash: string } | undefined> {
  const bytes = await readIfThere(join(directory, fileName(key)));
  if (bytes === undefined || bytes.subarray(0, magic.length).toString('latin1') !== magic) return undefined;
  const hash = bytes.subarray(magic.length, headerBytes).toString('latin1');
  const body = bytes.subarray(headerBytes);
  return hashOf([body]) === hash ? { corpus: parse(body), hash } : undefined;
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw new Error(`The cached corpus ${path} cannot be read.`, { cause: error });
  }
}

function parse(body: Buffer): StoredCorpus {
  const lineEnd = body.indexOf('\n') + 1;
  const { sizes, ...rest }: Description = JSON.parse(body.toString('utf8', 0, lineEnd));
  let offset = lineEnd;
  const take = (elements: number): ArrayBuffer => {
    const copy = Uint8Array.from(body.subarray(offset, offset + 4 * elements));
    offset += copy.length;
    return copy.buffer;
  };
  const takeSplit = ([frames, lengths, labels, speakers]: SplitSizes): Split => ({
    frames: new Float32Array(take(frames)),
    lengths: new Int32Array(take(lengths)),
    labels: new Int32Array(take(labels)),
    speakers: new Int32Array(take(speakers)),
  });
  return {
    ...rest,
    train: takeSplit(sizes.train),
    validation: takeSplit(sizes.validation),
    test: takeSplit(sizes.test),
  };
}
