/**
 * The part of ONNX's protobuf schema that a classifier needs, and its writer. Names and field numbers are those of
 * https://github.com/onnx/onnx/blob/main/onnx/onnx.proto: a schema of proto2, so lists of integers are not packed.
 *
 * Data is little-endian, as are all machines that run Node.js with WebAssembly threads. A protobuf message holds 2 GiB
 * at most; the parameters of a model, of which its memory of 4 GiB holds several copies, cannot come near that.
 */
import { PbfWriter } from 'pbf';

export interface ModelProto {
  readonly ir_version: number;
  readonly producer_name: string;
  readonly graph: GraphProto;
  /** Version of the operators of the domain "", ONNX's own. */
  readonly opset: number;
  readonly metadata_props: readonly (readonly [key: string, value: string])[];
}

export interface GraphProto {
  readonly name: string;
  /** In topological order. */
  readonly node: readonly NodeProto[];
  readonly initializer: readonly TensorProto[];
  readonly input: readonly ValueInfoProto[];
  readonly output: readonly ValueInfoProto[];
}

export interface NodeProto {
  readonly op_type: string;
  /** Names of values; an empty one where an optional input is left out. */
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly attribute: Attributes;
}

export type Attributes = Readonly<Record<string, number | string | readonly number[] | readonly string[]>>;

export interface TensorProto {
  readonly name: string;
  readonly dims: readonly number[];
  readonly data: Float32Array | Int32Array | BigInt64Array;
}

/** An input or output of the graph: a number for a fixed dimension, a name for one that may be anything. */
export interface ValueInfoProto {
  readonly name: string;
  readonly elem_type: number;
  readonly shape: readonly (number | string)[];
  readonly doc_string: string;
}

/** TensorProto.DataType */
export const FLOAT = 1;
export const INT32 = 6;
const INT64 = 7;

/** AttributeProto.AttributeType */
const INT = 2;
const STRING = 3;
const INTS = 7;
const STRINGS = 8;

/** The bytes of an .onnx file. */
export function encodeModel(model: ModelProto): Uint8Array {
  const pbf = new PbfWriter();
  pbf.writeVarintField(1, model.ir_version);
  pbf.writeStringField(2, model.producer_name);
  pbf.writeMessage(7, writeGraph, model.graph);
  pbf.writeMessage(8, writeOpset, model.opset);
  for (const entry of model.metadata_props) pbf.writeMessage(14, writeEntry, entry);
  return pbf.finish();
}

function writeOpset(version: number, pbf: PbfWriter): void {
  pbf.writeStringField(1, '');
  pbf.writeVarintField(2, version);
}

function writeEntry([key, value]: readonly [string, string], pbf: PbfWriter): void {
  pbf.writeStringField(1, key);
  pbf.writeStringField(2, value);
}

function writeGraph(graph: GraphProto, pbf: PbfWriter): void {
  for (const node of graph.node) pbf.writeMessage(1, writeNode, node);
  pbf.writeStringField(2, graph.name);
  for (const tensor of graph.initializer) pbf.writeMessage(5, writeTensor, tensor);
  for (const value of graph.input) pbf.writeMessage(11, writeValueInfo, value);
  for (const value of graph.output) pbf.writeMessage(12, writeValueInfo, value);
}

function writeNode(node: NodeProto, pbf: PbfWriter): void {
  for (const name of node.input) pbf.writeStringField(1, name);
  for (const name of node.output) pbf.writeStringField(2, name);
  // Nodes need no names, but runtimes and viewers show them.
  pbf.writeStringField(3, node.output[0]);
  pbf.writeStringField(4, node.op_type);
  for (const attribute of Object.entries(node.attribute)) pbf.writeMessage(5, writeAttribute, attribute);
}

function writeAttribute([name, value]: [string, Attributes[string]], pbf: PbfWriter): void {
  pbf.writeStringField(1, name);
  if (typeof value === 'number') pbf.writeVarintField(3, value);
  else if (typeof value === 'string') pbf.writeStringField(4, value);
  else for (const item of value) writeItem(item, pbf);
  pbf.writeVarintField(20, attributeType(value));
}

function writeItem(item: number | string, pbf: PbfWriter): void {
  if (typeof item === 'number') pbf.writeVarintField(8, item);
  else pbf.writeStringField(9, item);
}

function attributeType(value: Attributes[string]): number {
  if (typeof value === 'number') return INT;
  if (typeof value === 'string') return STRING;
  return typeof value[0] === 'number' ? INTS : STRINGS;
}

function writeTensor({ name, dims, data }: TensorProto, pbf: PbfWriter): void {
  for (const size of dims) pbf.writeVarintField(1, size);
  pbf.writeVarintField(2, dataType(data));
  pbf.writeStringField(8, name);
  pbf.writeBytesField(9, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
}

function dataType(data: TensorProto['data']): number {
  if (data instanceof Float32Array) return FLOAT;
  return data instanceof Int32Array ? INT32 : INT64;
}

function writeValueInfo(value: ValueInfoProto, pbf: PbfWriter): void {
  pbf.writeStringField(1, value.name);
  pbf.writeMessage(2, writeType, value);
  pbf.writeStringField(3, value.doc_string);
}

/** TypeProto: a tensor. */
function writeType(value: ValueInfoProto, pbf: PbfWriter): void {
  pbf.writeMessage(1, writeTensorType, value);
}

function writeTensorType({ elem_type, shape }: ValueInfoProto, pbf: PbfWriter): void {
  pbf.writeVarintField(1, elem_type);
  pbf.writeMessage(2, writeShape, shape);
}

function writeShape(shape: ValueInfoProto['shape'], pbf: PbfWriter): void {
  for (const dimension of shape) pbf.writeMessage(1, writeDimension, dimension);
}

function writeDimension(dimension: number | string, pbf: PbfWriter): void {
  if (typeof dimension === 'number') pbf.writeVarintField(1, dimension);
  else pbf.writeStringField(2, dimension);
}
