import { fc } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { law } from '../../properties/profile.ts';
import { decodeSafetensors, encodeSafetensors, type StoredTensor } from './safetensors.ts';

/** A file with this header text (or bytes) and data; `claimed` is the header size it states. */
function file(header: string | Uint8Array, dataBytes = 0, claimed?: bigint): Uint8Array {
  const text = typeof header === 'string' ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + text.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, claimed ?? BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

/** The JSON of one F32 entry of two numbers, with some of its values changed. */
function entry(changes: Record<string, unknown> = {}): string {
  return JSON.stringify({ dtype: 'F32', shape: [2], data_offsets: [0, 8], ...changes });
}

const float32 = (shape: number[], ...values: number[]): StoredTensor => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from(values),
});
const float64 = (shape: number[], ...values: number[]): StoredTensor => ({
  dtype: 'float64',
  shape,
  data: Float64Array.from(values),
});

describe('encodeSafetensors', () => {
  it('writes the bytes that the format describes', () => {
    const header = '{"__metadata__":{"a":"b"},"w":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}       ';
    const expected = file(header, 8);
    new DataView(expected.buffer).setFloat32(8 + header.length, 1.5, true);
    new DataView(expected.buffer).setFloat32(12 + header.length, -2, true);
    expect(encodeSafetensors({ w: float32([1, 2], 1.5, -2) }, { a: 'b' })).toEqual(expected);
  });

  it('writes the same bytes whatever the order, wide numbers first', () => {
    const [a, b, c] = [float32([1], 1), float64([1], 2), float32([1], 3)];
    const bytes = encodeSafetensors({ a, b, c }, { 2: 'x', 10: 'y', z: '' });
    const reordered = encodeSafetensors(
      new Map([
        ['c', c],
        ['b', b],
        ['a', a],
      ]),
      { z: '', 10: 'y', 2: 'x' },
    );
    expect(reordered).toEqual(bytes);
    expect([...decodeSafetensors(bytes).tensors.keys()]).toEqual(['b', 'a', 'c']);
  });

  it('starts the data at a multiple of 8 bytes', () => {
    for (let length = 1; length <= 8; length++) {
      const bytes = encodeSafetensors({ ['n'.repeat(length)]: float32([1], 1) });
      expect((bytes.length - 4) % 8).toBe(0);
    }
  });

  it.each([
    ['name: expected a name other than __metadata__', { __metadata__: float32([1], 1) }],
    ['name: expected a string of well-formed Unicode', { 'a\ud800': float32([1], 1) }],
    ['w.shape: expected dimensions whose product is 1, got [2]', { w: float32([2], 1) }],
    ['w.shape: expected dimensions whose product is 1, got [-1, -1]', { w: float32([-1, -1], 1) }],
    ['w.shape: expected dimensions whose product is 1, got [0.5, 2]', { w: float32([0.5, 2], 1) }],
    ['w.data: expected a Float64Array', { w: { ...float32([1], 1), dtype: 'float64' as const } }],
    [
      'w.dtype: expected float32 or float64, got "int8"',
      { w: { ...float32([1], 1), dtype: 'int8' as 'float32' } },
    ],
  ])('refuses: %s', (message, tensors) => {
    const encode = () => encodeSafetensors(tensors as Record<string, StoredTensor>);
    expect(encode).toThrow(expect.objectContaining({ code: 'BAD_ARGUMENT' }));
    expect(encode).toThrow(message);
  });

  it('refuses metadata that is no text', () => {
    expect(() => encodeSafetensors({}, { a: 1 as unknown as string })).toThrow('metadata: expected a string');
  });

  it('refuses a header that no reader would take', () => {
    const metadata = { text: 'x'.repeat(100_000_000) };
    expect(() => encodeSafetensors({}, metadata)).toThrow('metadata: expected 100000000 bytes at most');
  });
});

describe('decodeSafetensors', () => {
  it('reads an empty file', () => {
    expect(decodeSafetensors(file('{}'))).toEqual({ tensors: new Map(), metadata: {} });
  });

  it('reads a scalar and tensors without elements', () => {
    const tensors = new Map([
      ['none', float32([0, 3])],
      ['scalar', float32([], 7)],
      ['void', float32([0])],
    ]);
    expect(decodeSafetensors(encodeSafetensors(tensors)).tensors).toEqual(tensors);
  });

  it('reads a tensor without elements that is listed behind the one it begins with', () => {
    const none = entry({ shape: [0], data_offsets: [0, 0] });
    const { tensors } = decodeSafetensors(file(`{"a":${entry()},"none":${none}}`, 8));
    expect([...tensors.keys()].sort()).toEqual(['a', 'none']);
  });

  it('reads from any offset, from a Buffer and from shared memory, and copies', () => {
    const bytes = encodeSafetensors({ w: float64([2], 1, 2) });
    const shifted = new Uint8Array(bytes.length + 3).subarray(3);
    const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
    for (const place of [shifted, shared, Buffer.alloc(bytes.length)]) {
      place.set(bytes);
      const { tensors } = decodeSafetensors(place);
      place.fill(0);
      expect(tensors.get('w')).toEqual(float64([2], 1, 2));
    }
  });

  it('takes names of objects’ own properties for names', () => {
    const tensors = new Map([
      ['__proto__', float32([1], 1)],
      ['constructor', float32([1], 2)],
    ]);
    const { tensors: read, metadata } = decodeSafetensors(encodeSafetensors(tensors, { constructor: 'x' }));
    expect(read).toEqual(tensors);
    expect(metadata).toEqual({ constructor: 'x' });
  });

  it('finds the end of names with quotes, backslashes and colons', () => {
    const names = ['x":"y', '\\', '\\"', '{', ']:', '\u2028'];
    const tensors = new Map(names.map((name) => [name, float32([1], 1)]));
    expect(new Set(decodeSafetensors(encodeSafetensors(tensors)).tensors.keys())).toEqual(new Set(names));
  });

  const two = (first: string, second: string) => `{"a":${first},"b":${second}}`;
  const faults: [code: string, fault: string, bytes: Uint8Array][] = [
    ['TRUNCATED', 'an empty file', new Uint8Array(0)],
    ['TRUNCATED', 'a file of 7 bytes', new Uint8Array(7)],
    ['TRUNCATED', 'data that ends early', file(`{"a":${entry()}}`, 7)],
    [
      'TRUNCATED',
      'a tensor larger than the file',
      file(`{"a":${entry({ shape: [2 ** 48], data_offsets: [0, 2 ** 50] })}}`, 8),
    ],
    ['TRAILING', 'data after the last tensor', file(`{"a":${entry()}}`, 9)],
    ['TRAILING', 'data without tensors', file('{}', 1)],
    ['HEADER_SIZE', 'a header longer than the file', file('{}', 0, 3n)],
    ['HEADER_SIZE', 'a header of 2^64 − 1 bytes', file('{}', 0, 2n ** 64n - 1n)],
    ['HEADER_SIZE', 'a header of more than 100 MB', file('{}', 100_000_001, 100_000_001n)],
    ['HEADER', 'a header that is not UTF-8', file(Buffer.from(`{"\xff":${entry()}}`, 'latin1'), 8)],
    ['HEADER', 'a header with a byte order mark', file('\ufeff{}')],
    ['HEADER', 'a header that begins with a space', file(' {}')],
    ['HEADER', 'an empty header', file('')],
    ['HEADER', 'a header that is not JSON', file('{"a":}')],
    ['HEADER', 'a header padded with zeros', file('{}\0\0')],
    ['HEADER', 'a header that is an array', file('[]')],
    ['HEADER', 'a header nested without end', file('{"a":'.repeat(100_000))],
    ['HEADER', 'a header of brackets', file(`{"a":${'['.repeat(3_000_000)}${']'.repeat(3_000_000)}}`)],
    [
      'DTYPE',
      'a dtype with a class of its own',
      file('{"a":{"dtype":{"constructor":{"name":{"toString":1}}}}}'),
    ],
    ['HEADER', 'an entry that is no object', file('{"a":[1]}')],
    ['HEADER', 'an entry that is null', file('{"a":null}')],
    ['HEADER', 'an entry with unknown keys', file(`{"a":${entry({ stride: 1 })}}`, 8)],
    ['DUPLICATE', 'a name twice', file(`{"a":${entry()},"a":${entry()}}`, 8)],
    ['DUPLICATE', 'a name twice, once escaped', file(`{"a":${entry()},"\\u0061" :${entry()}}`, 8)],
    [
      'DUPLICATE',
      'a key of an entry twice',
      file('{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}', 8),
    ],
    ['DUPLICATE', 'a key of the metadata twice', file('{"__metadata__":{"k":"1","k":"2"}}')],
    ['METADATA', 'metadata that is no object', file('{"__metadata__":"text"}')],
    ['METADATA', 'metadata that is null', file('{"__metadata__":null}')],
    ['METADATA', 'metadata that is no string', file('{"__metadata__":{"a":1}}')],
    ['DTYPE', 'F16', file(`{"a":${entry({ dtype: 'F16', data_offsets: [0, 4] })}}`, 4)],
    ['DTYPE', 'a dtype that is no string', file(`{"a":${entry({ dtype: 32 })}}`, 8)],
    ['DTYPE', 'no dtype', file('{"a":{}}')],
    ['SHAPE', 'no shape', file(`{"a":${entry({ shape: undefined })}}`, 8)],
    ['SHAPE', 'a shape that is no array', file(`{"a":${entry({ shape: 2 })}}`, 8)],
    ['SHAPE', 'negative sizes', file(`{"a":${entry({ shape: [-1, -2] })}}`, 8)],
    ['SHAPE', 'a fractional size', file(`{"a":${entry({ shape: [0.5, 4] })}}`, 8)],
    ['SHAPE', 'a size that is text', file(`{"a":${entry({ shape: ['2'] })}}`, 8)],
    ['SHAPE', 'a size past the safe integers', file(`{"a":${entry({ shape: [2 ** 53] })}}`, 8)],
    ['SHAPE', 'a product past the safe integers', file(`{"a":${entry({ shape: [2 ** 27, 2 ** 27] })}}`, 8)],
    [
      'SHAPE',
      'a product that overflows before a zero',
      file(`{"a":${entry({ shape: [2 ** 52, 2 ** 52, 0], data_offsets: [0, 0] })}}`),
    ],
    ['OFFSETS', 'no offsets', file(`{"a":${entry({ data_offsets: undefined })}}`, 8)],
    ['OFFSETS', 'three offsets', file(`{"a":${entry({ data_offsets: [0, 8, 8] })}}`, 8)],
    ['OFFSETS', 'offsets in the wrong order', file(`{"a":${entry({ data_offsets: [8, 0] })}}`, 8)],
    ['OFFSETS', 'negative offsets', file(`{"a":${entry({ data_offsets: [-8, 0] })}}`, 8)],
    ['OFFSETS', 'fractional offsets', file(`{"a":${entry({ data_offsets: [0.5, 8.5] })}}`, 9)],
    ['SIZE_MISMATCH', 'a shape smaller than its range', file(`{"a":${entry({ shape: [1] })}}`, 8)],
    ['SIZE_MISMATCH', 'a shape larger than its range', file(`{"a":${entry({ shape: [3] })}}`, 8)],
    ['SIZE_MISMATCH', 'a range that fits the other dtype', file(`{"a":${entry({ dtype: 'F64' })}}`, 8)],
    ['OVERLAP', 'two tensors in one place', file(two(entry(), entry()), 8)],
    ['OVERLAP', 'two tensors that share bytes', file(two(entry(), entry({ data_offsets: [4, 12] })), 12)],
    ['HOLE', 'a gap between tensors', file(two(entry(), entry({ data_offsets: [12, 20] })), 20)],
    ['HOLE', 'a gap before the first tensor', file(`{"a":${entry({ data_offsets: [4, 12] })}}`, 12)],
  ];

  it.each(faults)('answers BAD_FILE_%s to %s', (code, _, bytes) => {
    expect(() => decodeSafetensors(bytes)).toThrow(
      expect.objectContaining({ name: 'ElmanError', code: `BAD_FILE_${code}` }),
    );
  });

  it('shows only the beginning of a long name', () => {
    const bytes = file(`{"${'n'.repeat(10_000)}":${entry({ dtype: 'I8' })}}`, 8);
    const message = /^safetensors: "n{80}…" has dtype "I8", only F32 and F64 can be read$/;
    expect(() => decodeSafetensors(bytes)).toThrow(message);
  });
});

describe('both together', () => {
  const shape = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 });
  const text = fc.string({ unit: 'binary' });
  /** Any numbers, NaN, −0 and denormals included: their bits must come back. */
  const tensor = fc.tuple(shape, fc.boolean(), fc.noShrink(fc.integer())).map(([sizes, isWide, seed]) => {
    const count = sizes.reduce((product, size) => product * size, 1);
    const bits = Uint32Array.from(
      { length: 2 * count },
      (_, i) => Math.imul(seed + i, 0x9e3779b9) ^ (i << 7),
    );
    return isWide
      ? { dtype: 'float64' as const, shape: sizes, data: new Float64Array(bits.buffer) }
      : { dtype: 'float32' as const, shape: sizes, data: new Float32Array(bits.buffer, 0, count) };
  });
  const name = text.filter((candidate) => candidate !== '__metadata__');
  const tensorMap = fc.array(fc.tuple(name, tensor)).map((entries) => new Map<string, StoredTensor>(entries));
  const bitsOf = (tensors: ReadonlyMap<string, StoredTensor>) =>
    new Map(
      [...tensors].map(([key, { dtype, shape: sizes, data }]) => [
        key,
        { dtype, sizes, bits: [...new Uint8Array(data.buffer, data.byteOffset, data.byteLength)] },
      ]),
    );

  law(
    'read what was written',
    { tensors: tensorMap, metadata: fc.dictionary(text, text) },
    { cases: 100 },
    ({ tensors, metadata }) => {
      const read = decodeSafetensors(encodeSafetensors(tensors, metadata));
      expect(bitsOf(read.tensors)).toEqual(bitsOf(tensors));
      expect(Object.entries(read.metadata).sort()).toEqual(Object.entries(metadata).sort());
    },
  );

  law(
    'answer a flipped byte with tensors or with an ElmanError, never with anything else',
    { tensors: tensorMap, position: fc.nat(), flip: fc.integer({ min: 1, max: 255 }) },
    { cases: 100 },
    ({ tensors, position, flip }) => {
      const bytes = encodeSafetensors(tensors);
      const at = position % bytes.length;
      bytes[at] = (bytes[at] as number) ^ flip;
      try {
        decodeSafetensors(bytes);
      } catch (error) {
        expect(error).toMatchObject({ name: 'ElmanError', code: expect.stringMatching(/^BAD_FILE_/) });
      }
    },
  );

  law(
    'refuse every shortened file',
    { tensors: tensorMap, cut: fc.nat() },
    { cases: 100 },
    ({ tensors, cut }) => {
      const bytes = encodeSafetensors(tensors);
      expect(() => decodeSafetensors(bytes.subarray(0, cut % bytes.length))).toThrow(/^safetensors: /);
    },
  );
});
