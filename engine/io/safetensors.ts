/**
 * The safetensors format (https://huggingface.co/docs/safetensors), written and read.
 *
 *     8 bytes          N, the size of the header, an unsigned little-endian integer
 *     N bytes          the header: a JSON object in UTF-8 that begins with {, padded with spaces at its end
 *     the rest         the data: the tensors' numbers, little-endian, row by row, without gap or overlap
 *
 * The header maps each tensor's name to { "dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end] }, the offsets
 * counted from the start of the data; under "__metadata__" it may hold an object of strings.
 *
 * Limits. Of the format: the header has at most 100 000 000 bytes, names are unique, every byte of the data belongs
 * to exactly one tensor. Of this module: F32 and F64 only, no further keys in an entry, little-endian machines (all
 * that run Node.js with WebAssembly threads). What is written is the same for the same tensors in any order: F64
 * before F32, then by name, the header padded to a multiple of 8 bytes, so that the data can be mapped in place.
 *
 * The reader trusts nothing: it checks the whole header against the file's length before it allocates for a tensor.
 */

import { plain } from '../describe.ts';
import {
  badArgument,
  fileDtype,
  fileDuplicate,
  fileHeader,
  fileHeaderSize,
  fileHole,
  fileMetadata,
  fileOffsets,
  fileOverlap,
  fileShape,
  fileSizeMismatch,
  fileTrailing,
  fileTruncated,
} from '../errors.ts';
import { endOfString, parseJson } from './json.ts';

/** One tensor of a file: `data` holds the product of `shape` numbers, row by row, of the kind `dtype` says. */
export interface StoredTensor {
  readonly dtype: 'float32' | 'float64';
  readonly shape: readonly number[];
  readonly data: Float32Array | Float64Array;
}

const METADATA = '__metadata__';
const LENGTH_BYTES = 8;
const MAX_HEADER_BYTES = 100_000_000;

/** Each dtype that can be stored. Wider ones come first in a file, so that all data is aligned. */
const FORMATS = [
  { label: 'F64', dtype: 'float64', Data: Float64Array },
  { label: 'F32', dtype: 'float32', Data: Float32Array },
] as const;
type Format = (typeof FORMATS)[number];

// ---- Writing -------------------------------------------------------------------------------------------------------

/**
 * The bytes of a safetensors file with these tensors, in the order described above, and metadata.
 *
 * @throws BAD_ARGUMENT for a name or text that is not well-formed Unicode, the name "__metadata__", a
 * dtype or shape that does not fit the data, more metadata and names than a header holds
 */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, StoredTensor> | Readonly<Record<string, StoredTensor>>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const named =
    tensors instanceof Map ? [...tensors] : Object.entries(tensors as Record<string, StoredTensor>);
  const entries = named.map(([name, tensor]) => ({ name, tensor, format: checkedFormat(name, tensor) }));
  entries.sort((a, b) => FORMATS.indexOf(a.format) - FORMATS.indexOf(b.format) || compare(a.name, b.name));

  const header = encodeHeader(entries, metadata);
  const bytes = new Uint8Array(
    LENGTH_BYTES + header.length + entries.reduce((sum, { tensor }) => sum + tensor.data.byteLength, 0),
  );
  new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true);
  bytes.set(header, LENGTH_BYTES);
  let offset = LENGTH_BYTES + header.length;
  for (const { tensor } of entries) {
    bytes.set(new Uint8Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength), offset);
    offset += tensor.data.byteLength;
  }
  return bytes;
}

interface Entry {
  readonly name: string;
  readonly tensor: StoredTensor;
  readonly format: Format;
}

function checkedFormat(name: string, { dtype, shape, data }: StoredTensor): Format {
  checkText('name', name);
  if (name === METADATA) throw badArgument('name', 'a name other than __metadata__', name);
  const format = FORMATS.find((candidate) => candidate.dtype === dtype);
  if (!format) throw badArgument(`${name}.dtype`, 'float32 or float64', dtype);
  if (!(data instanceof format.Data)) throw badArgument(`${name}.data`, `a ${format.Data.name}`, data);
  if (countOf(shape) !== data.length) {
    throw badArgument(`${name}.shape`, `dimensions whose product is ${data.length}`, [...shape]);
  }
  return format;
}

function encodeHeader(entries: readonly Entry[], metadata: Readonly<Record<string, string>>): Uint8Array {
  const parts: string[] = [];
  const texts = Object.entries(metadata).sort(([a], [b]) => compare(a, b));
  for (const text of texts.flat()) checkText('metadata', text);
  if (texts.length > 0) parts.push(`"${METADATA}":${encodeObject(texts)}`);
  let offset = 0;
  for (const { name, tensor, format } of entries) {
    const end = offset + tensor.data.byteLength;
    const entry = { dtype: format.label, shape: tensor.shape, data_offsets: [offset, end] };
    parts.push(`${JSON.stringify(name)}:${JSON.stringify(entry)}`);
    offset = end;
  }
  const json = new TextEncoder().encode(`{${parts.join(',')}}`);
  if (json.length > MAX_HEADER_BYTES - 8)
    throw badArgument(
      'metadata',
      `${MAX_HEADER_BYTES} bytes at most, with all names`,
      plain(`${json.length}`),
    );
  const header = new Uint8Array(Math.ceil(json.length / 8) * 8).fill(0x20);
  header.set(json);
  return header;
}

/** JSON.stringify would put names that look like integers first; here the order is the one given. */
function encodeObject(texts: readonly (readonly [string, string])[]): string {
  return `{${texts.map(([key, text]) => `${JSON.stringify(key)}:${JSON.stringify(text)}`).join(',')}}`;
}

/** A lone surrogate has no UTF-8: other readers would refuse the file. */
function checkText(argument: string, text: unknown): void {
  if (typeof text !== 'string' || /\p{Surrogate}/u.test(text)) {
    throw badArgument(argument, 'a string of well-formed Unicode', text);
  }
}

/** By UTF-16 code units, the same in every locale. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

// ---- Reading -------------------------------------------------------------------------------------------------------

interface Placed {
  readonly name: string;
  readonly format: Format;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/**
 * The tensors (copies, in the order of the data) and the metadata of a safetensors file.
 *
 * @throws BAD_FILE_… with a code for each fault: HEADER_SIZE, HEADER, DUPLICATE, METADATA, DTYPE, SHAPE, OFFSETS,
 * SIZE_MISMATCH, OVERLAP, HOLE, TRUNCATED, TRAILING
 */
export function decodeSafetensors(bytes: Uint8Array): {
  tensors: Map<string, StoredTensor>;
  metadata: Record<string, string>;
} {
  const headerBytes = headerSize(bytes);
  const header = parseHeader(bytes.subarray(LENGTH_BYTES, LENGTH_BYTES + headerBytes));
  const data = bytes.subarray(LENGTH_BYTES + headerBytes);

  const metadata = checkedMetadata(header.get(METADATA));
  header.delete(METADATA);
  const placed = [...header].map(([name, entry]) => checkedEntry(name, entry));
  placed.sort((a, b) => a.begin - b.begin || a.end - b.end);
  checkTiling(placed, bytes.length, data.length);

  return { tensors: new Map(placed.map((place) => [place.name, copyTensor(place, data)])), metadata };
}

function headerSize(bytes: Uint8Array): number {
  if (bytes.length < LENGTH_BYTES) throw fileTruncated(LENGTH_BYTES, bytes.length);
  const size = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  const limit = Math.min(MAX_HEADER_BYTES, bytes.length - LENGTH_BYTES);
  if (size > BigInt(limit)) throw fileHeaderSize(size, limit);
  return Number(size);
}

function parseHeader(bytes: Uint8Array): Map<string, unknown> {
  let text: string;
  try {
    // A copy, since shared memory cannot be decoded; a byte order mark is kept and then refused as no JSON.
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(new Uint8Array(bytes));
  } catch (cause) {
    throw fileHeader('is not UTF-8', cause);
  }
  if (text[0] !== '{') throw fileHeader('does not begin with {');
  let header: unknown;
  try {
    header = parseJson(text);
  } catch (cause) {
    throw fileHeader('is not JSON', cause);
  }
  checkUniqueKeys(text);
  return new Map(Object.entries(header as Record<string, unknown>));
}

/** JSON.parse keeps the last of two equal keys; another reader may keep the first. `json` is valid JSON. */
function checkUniqueKeys(json: string): void {
  const open: Set<string>[] = []; // the keys of each object or array around the current place
  for (let at = 0; at < json.length; at++) {
    const character = json[at];
    if (character === '{' || character === '[') open.push(new Set());
    else if (character === '}' || character === ']') open.pop();
    else if (character === '"') {
      const start = at;
      at = endOfString(json, start);
      if (!isFollowedByColon(json, at)) continue;
      const key = JSON.parse(json.slice(start, at + 1)) as string;
      const keys = open.at(-1) as Set<string>;
      if (keys.has(key)) throw fileDuplicate(key);
      keys.add(key);
    }
  }
}

function isFollowedByColon(json: string, quote: number): boolean {
  let at = quote + 1;
  while (' \t\n\r'.includes(json[at] as string)) at++;
  return json[at] === ':';
}

function checkedMetadata(metadata: unknown): Record<string, string> {
  if (metadata === undefined) return {};
  if (!isObject(metadata)) throw fileMetadata('is not an object');
  const texts = Object.entries(metadata).map(([key, text]): [string, string] => {
    if (typeof text !== 'string') throw fileMetadata('holds something else than strings');
    return [key, text];
  });
  return Object.fromEntries(texts);
}

function checkedEntry(name: string, entry: unknown): Placed {
  if (!isObject(entry)) throw fileHeader('has an entry that is not an object');
  const { dtype, shape, data_offsets: offsets, ...rest } = entry;
  if (Object.keys(rest).length > 0) throw fileHeader('has an entry with keys that the format does not know');
  const format = FORMATS.find(({ label }) => label === dtype);
  if (!format) throw fileDtype(name, dtype);
  if (!isSizes(shape)) throw fileShape(name, shape);
  const needed = countOf(shape) * format.Data.BYTES_PER_ELEMENT;
  if (!Number.isSafeInteger(needed)) throw fileShape(name, shape);
  if (!isSizes(offsets) || offsets.length !== 2) throw fileOffsets(name, offsets);
  const [begin, end] = offsets as [number, number];
  if (begin > end) throw fileOffsets(name, offsets);
  if (end - begin !== needed) throw fileSizeMismatch(name, needed, end - begin);
  return { name, format, shape, begin, end };
}

/** Checks that the ranges, sorted, cover the data from its first byte to its last without gap or overlap. */
function checkTiling(placed: readonly Placed[], fileBytes: number, dataBytes: number): void {
  let covered = 0;
  for (const { name, begin, end } of placed) {
    if (begin < covered) throw fileOverlap(name);
    if (begin > covered) throw fileHole(name, begin - covered);
    covered = end;
  }
  if (covered > dataBytes) throw fileTruncated(fileBytes - dataBytes + covered, fileBytes);
  if (covered < dataBytes) throw fileTrailing(dataBytes - covered);
}

function copyTensor({ format, shape, begin, end }: Placed, data: Uint8Array): StoredTensor {
  const copy = new Uint8Array(end - begin);
  copy.set(data.subarray(begin, end));
  return { dtype: format.dtype, shape, data: new format.Data(copy.buffer) };
}

// ---- Both ----------------------------------------------------------------------------------------------------------

/** Number of elements of a shape: NaN if an entry is not a size, an unsafe integer if there are too many to count. */
function countOf(shape: readonly number[]): number {
  if (!isSizes(shape)) return NaN;
  // A zero makes the product 0 however large the others are, but these must not overflow on the way.
  const product = shape.reduce((count, size) => count * Math.max(size, 1), 1);
  return shape.includes(0) && Number.isSafeInteger(product) ? 0 : product;
}

function isSizes(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
