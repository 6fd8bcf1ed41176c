import { PbfReader } from 'pbf';
import { describe, expect, it } from 'vitest';
import { Tensor } from '../tensor.ts';
import { encodeOnnx, type OnnxSource } from './onnx.ts';
import { encodeModel } from './onnx-proto.ts';

/** How a field is read, or the schema of the message it holds. */
type Kind = 'integer' | 'text' | 'bytes' | Schema;
/** By field number: the field's name, its kind, and whether it may come many times. */
type Schema = { readonly [tag: number]: readonly [name: string, kind: Kind, many?: 'many'] };
type Message = Record<string, unknown>;

/** The fields of onnx.proto that may occur in our files; any other one is an error. */
const ATTRIBUTE: Schema = {
  1: ['name', 'text'],
  3: ['i', 'integer'],
  4: ['s', 'text'],
  8: ['ints', 'integer', 'many'],
  9: ['strings', 'text', 'many'],
  20: ['type', 'integer'],
};
const NODE: Schema = {
  1: ['input', 'text', 'many'],
  2: ['output', 'text', 'many'],
  3: ['name', 'text'],
  4: ['op_type', 'text'],
  5: ['attribute', ATTRIBUTE, 'many'],
};
const TENSOR: Schema = {
  1: ['dims', 'integer', 'many'],
  2: ['data_type', 'integer'],
  8: ['name', 'text'],
  9: ['raw_data', 'bytes'],
};
const DIMENSION: Schema = { 1: ['dim_value', 'integer'], 2: ['dim_param', 'text'] };
const TENSOR_TYPE: Schema = { 1: ['elem_type', 'integer'], 2: ['shape', { 1: ['dim', DIMENSION, 'many'] }] };
const VALUE_INFO: Schema = {
  1: ['name', 'text'],
  2: ['type', { 1: ['tensor_type', TENSOR_TYPE] }],
  3: ['doc_string', 'text'],
};
const GRAPH: Schema = {
  1: ['node', NODE, 'many'],
  2: ['name', 'text'],
  5: ['initializer', TENSOR, 'many'],
  11: ['input', VALUE_INFO, 'many'],
  12: ['output', VALUE_INFO, 'many'],
};
const MODEL: Schema = {
  1: ['ir_version', 'integer'],
  2: ['producer_name', 'text'],
  7: ['graph', GRAPH],
  8: ['opset_import', { 1: ['domain', 'text'], 2: ['version', 'integer'] }, 'many'],
  14: ['metadata_props', { 1: ['key', 'text'], 2: ['value', 'text'] }, 'many'],
};

function read(pbf: PbfReader, kind: Kind): unknown {
  if (kind === 'integer') return pbf.readVarint(true);
  if (kind === 'text') return pbf.readString();
  if (kind === 'bytes') return pbf.readBytes();
  return pbf.readMessage(readField(kind), {});
}

function readField(schema: Schema) {
  return (tag: number, message: Message, pbf: PbfReader): void => {
    if (!(tag in schema)) throw new Error(`no field has the number ${tag}`);
    const [name, kind, many] = schema[tag];
    const value = read(pbf, kind);
    if (many) message[name] = [...((message[name] as unknown[]) ?? []), value];
    else message[name] = value;
  };
}

interface Decoded {
  readonly graph: {
    readonly node: readonly { op_type: string; input: string[]; output: string[]; attribute?: Message[] }[];
    readonly initializer: readonly {
      name: string;
      dims?: number[];
      data_type: number;
      raw_data: Uint8Array;
    }[];
    readonly input: readonly Message[];
    readonly output: readonly Message[];
  };
  readonly [field: string]: unknown;
}

const decode = (bytes: Uint8Array): Decoded =>
  new PbfReader(bytes).readFields(readField(MODEL), {} as Message) as unknown as Decoded;

/** Parameters that count on through the model: no two numbers are the same. */
function source(changes: Partial<OnnxSource> = {}): OnnxSource {
  const shape = { inputSize: 3, hiddenSize: 2, outputSize: 4, numLayers: 2 };
  let next = 0;
  const tensor = (...dims: number[]) => {
    const size = dims.reduce((a, b) => a * b, 1);
    return new Tensor(
      Float32Array.from({ length: size }, () => next++),
      dims,
    );
  };
  const cells = ['l0', 'l0_reverse', 'l1', 'l1_reverse'].flatMap((cell) => [
    [`rnn.weight_ih_${cell}`, tensor(2, cell.startsWith('l0') ? 3 : 4)],
    [`rnn.weight_hh_${cell}`, tensor(2, 2)],
    [`rnn.bias_ih_${cell}`, tensor(2)],
    [`rnn.bias_hh_${cell}`, tensor(2)],
  ]);
  return {
    ...shape,
    nonlinearity: 'relu',
    bidirectional: true,
    bias: true,
    output: 'last',
    dtype: 'float32',
    normalization: null,
    classes: null,
    metadata: {},
    parameters: {
      ...Object.fromEntries(cells),
      'output.weight': tensor(4, 4),
      'output.bias': tensor(4),
    },
    ...changes,
  };
}

const typed = (name: string, elem_type: number, ...dim: (number | string)[]) =>
  expect.objectContaining({
    name,
    type: {
      tensor_type: {
        elem_type,
        shape: { dim: dim.map((d) => (typeof d === 'number' ? { dim_value: d } : { dim_param: d })) },
      },
    },
  });

describe('an ONNX file', () => {
  it('says who made it and what it takes to read it', () => {
    const { graph, ...model } = decode(encodeOnnx(source()));
    expect(model).toEqual({
      ir_version: 7,
      producer_name: 'elman',
      opset_import: [{ domain: '', version: 14 }],
    });
  });

  it('holds metadata and class names, in one order whatever the order given', () => {
    const metadata = { speaker: 'Ω', added: '1' };
    const bytes = encodeOnnx(source({ classes: ['a', '"b"', '', 'ü'], metadata }));
    expect(decode(bytes).metadata_props).toEqual([
      { key: 'added', value: '1' },
      { key: 'classes', value: '["a","\\"b\\"","","ü"]' },
      { key: 'speaker', value: 'Ω' },
    ]);
    const reordered = { added: '1', speaker: 'Ω' };
    expect(encodeOnnx(source({ classes: ['a', '"b"', '', 'ü'], metadata: reordered }))).toEqual(bytes);
    const hidden = { ...metadata, classes: '[]' };
    expect(encodeOnnx(source({ classes: ['a', '"b"', '', 'ü'], metadata: hidden }))).toEqual(bytes);
  });

  it('has inputs and outputs with names for what may be any size', () => {
    const { graph } = decode(encodeOnnx(source()));
    expect(graph.input).toEqual([typed('x', 1, 'batch', 'time', 3), typed('lengths', 6, 'batch')]);
    expect(graph.output).toEqual([typed('logits', 1, 'batch', 4), typed('probabilities', 1, 'batch', 4)]);
    expect(decode(encodeOnnx(source({ output: 'steps' }))).graph.output).toEqual([
      typed('logits', 1, 'batch', 'time', 4),
      typed('probabilities', 1, 'batch', 'time', 4),
    ]);
  });

  it('has one RNN operator a layer, with the attributes the operator wants', () => {
    const { graph } = decode(encodeOnnx(source()));
    const layers = graph.node.filter(({ op_type }) => op_type === 'RNN');
    expect(layers.map(({ input }) => input)).toEqual([
      ['frames', 'W_l0', 'R_l0', 'B_l0', 'lengths'],
      ['X_l1', 'W_l1', 'R_l1', 'B_l1', 'lengths'],
    ]);
    for (const { attribute } of layers) {
      expect(attribute).toEqual([
        { name: 'hidden_size', i: 2, type: 2 },
        { name: 'direction', s: 'bidirectional', type: 3 },
        { name: 'activations', strings: ['Relu', 'Relu'], type: 8 },
      ]);
    }
  });

  it('stacks the directions of weights, and for each direction the two biases', () => {
    const given = source();
    const { graph } = decode(encodeOnnx(given));
    const numbers = (name: string) => [...given.parameters[name].data];
    const stored = (name: string) => {
      const tensor = graph.initializer.find((one) => one.name === name);
      const bytes = Buffer.from(tensor?.raw_data ?? []);
      const values = Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i));
      return { dims: tensor?.dims, data_type: tensor?.data_type, values };
    };
    const float = (dims: number[], ...names: string[]) => ({
      dims,
      data_type: 1,
      values: names.flatMap(numbers),
    });
    expect(stored('W_l1')).toEqual(float([2, 2, 4], 'rnn.weight_ih_l1', 'rnn.weight_ih_l1_reverse'));
    expect(stored('R_l0')).toEqual(float([2, 2, 2], 'rnn.weight_hh_l0', 'rnn.weight_hh_l0_reverse'));
    expect(stored('B_l0')).toEqual(
      float([2, 4], 'rnn.bias_ih_l0', 'rnn.bias_hh_l0', 'rnn.bias_ih_l0_reverse', 'rnn.bias_hh_l0_reverse'),
    );
    expect(stored('W')).toEqual(float([4, 4], 'output.weight'));
    expect(stored('b')).toEqual(float([4], 'output.bias'));
  });

  it('holds of a view just what the view shows', () => {
    const data = Int32Array.of(1, 2, 3, 4).subarray(1, 3);
    const initializer = [{ name: 'view', dims: [2], data }];
    const graph = { name: '', node: [], initializer, input: [], output: [] };
    const model = { ir_version: 7, producer_name: '', graph, opset: 14, metadata_props: [] };
    const [tensor] = decode(encodeModel(model)).graph.initializer;
    expect(tensor).toEqual({
      name: 'view',
      dims: [2],
      data_type: 6,
      raw_data: Uint8Array.of(2, 0, 0, 0, 3, 0, 0, 0),
    });
  });

  it.each(['last', 'mean', 'steps'] as const)(
    'names every value once, and before it is used: %s',
    (output) => {
      const normalization = { mean: [0, 0, 0], std: [1, 1, 1] };
      const { graph } = decode(encodeOnnx(source({ output, normalization })));
      const known = ['x', 'lengths', ...graph.initializer.map(({ name }) => name)];
      for (const { input, output: made } of graph.node) {
        for (const name of input) expect(known).toContain(name);
        known.push(...made);
      }
      expect(new Set(known).size).toBe(known.length);
      expect(known).toEqual(expect.arrayContaining(['logits', 'probabilities']));
    },
  );

  it('leaves the biases out where there are none', () => {
    const { graph } = decode(encodeOnnx(source({ bias: false })));
    expect(graph.node.find(({ op_type }) => op_type === 'RNN')?.input[3]).toBe('');
    expect(graph.initializer.map(({ name }) => name)).not.toContain('B_l0');
  });
});
