import { lengthOf, plain } from '../describe.ts';
import { badArgument, parameterNotFinite } from '../errors.ts';
import type { Geometry, Parameter } from '../network/memory/geometry.ts';
import type { Network } from '../network/network.ts';
import type { Dtype, RealArray } from '../numeric/reals.ts';
import { readBias, readTensor } from '../read-tensor.ts';
import type { CellWeights } from '../rnn-cell.ts';
import { Tensor, type TensorLike } from '../tensor.ts';
import { checkKeys } from '../validation.ts';

/** A value for a parameter; `label` is what the caller calls it. */
interface Given {
  readonly parameter: Parameter;
  readonly label: string;
  readonly value: TensorLike | undefined;
}

/** Copies of all parameters by name; during training all are of the same step. */
export function stateDictOf(network: Network): Record<string, Tensor> {
  const all = network.parametersNow();
  const entries = network.g.parameters.map(({ name, shape, offset, size }): [string, Tensor] => [
    name,
    new Tensor(all.slice(offset, offset + size), shape),
  ]);
  return Object.fromEntries(entries);
}

/**
 * Reads the values of all parameters, given by name.
 * @param name what the caller calls the dictionary
 * @throws BAD_ARGUMENT
 */
export function readStateDict(
  name: string,
  g: Geometry,
  stateDict: Readonly<Record<string, TensorLike>>,
): Tensor[] {
  const names = g.parameters.map((parameter) => parameter.name);
  checkKeys(name, stateDict, names, 'names');
  return g.parameters.map((parameter) => {
    const value = stateDict[parameter.name];
    return readParameter({ parameter, label: `${name}.${parameter.name}`, value }, g.dtype);
  });
}

/** Reads the values of all parameters, given cell by cell. Throws BAD_ARGUMENT. */
export function readWeights(
  g: Geometry,
  cells: readonly CellWeights[],
  output: readonly [TensorLike, TensorLike],
): Tensor[] {
  if (!Array.isArray(cells) || cells.length !== g.cells.length)
    throw badArgument('cells', `the weights of ${g.cells.length} cells`, lengthOf(cells));
  const given = [
    ...cells.flatMap((weights, cell) => cellParameters(g, cell, weights)),
    { parameter: g.W, label: 'output.W', value: output?.[0] },
    { parameter: g.b, label: 'output.b', value: output?.[1] },
  ];
  return given.map((each) => readParameter(each, g.dtype));
}

function cellParameters(g: Geometry, cell: number, given: CellWeights | undefined): Given[] {
  const { W_ih, W_hh, b_ih, b_hh } = g.cells[cell];
  const all = Object.entries({ W_ih, W_hh, b_ih, b_hh });
  return all.flatMap(([name, parameter], i) => {
    const label = `cells[${cell}].${name}`;
    const value = given?.[i];
    if (parameter) return [{ parameter, label, value }];
    if (value !== undefined) throw badArgument(label, 'nothing, the cells have no biases', value);
    return [];
  });
}

/** Index of the first number that is not finite; −1 where all are. */
const notFiniteAt = (data: RealArray): number => data.findIndex((number) => !Number.isFinite(number));

/** Copies of all parameters, for a file. Throws NOT_FINITE where one is not: such a file could not be loaded again. */
export function finiteParameters(method: string, network: Network): Record<string, Tensor> {
  const parameters = stateDictOf(network);
  for (const [name, { data }] of Object.entries(parameters)) {
    const bad = notFiniteAt(data);
    if (bad >= 0) throw parameterNotFinite(method, name, bad, data[bad]);
  }
  return parameters;
}

/** Sets all parameters; the values come in the model's order. */
export function setParameters(network: Network, values: readonly Tensor[]): void {
  // Copied before any is set: a value may be a view of another parameter.
  const copies = values.map(({ data }) => data.slice());
  network.g.parameters.forEach((parameter, i) => {
    network.parameterView(parameter).set(copies[i]);
  });
}

function readParameter({ parameter: { shape }, label, value }: Given, dtype: Dtype): Tensor {
  if (value === undefined || value === null)
    throw badArgument(label, `[${shape.join(', ')}]`, value ?? plain('nothing'));
  const read =
    shape.length === 1 ? readBias(label, value, shape[0], dtype) : readTensor(label, value, shape, dtype);
  const bad = notFiniteAt(read.data);
  if (bad >= 0) throw badArgument(label, 'finite numbers', plain(`${read.data[bad]} at ${bad}`));
  return read;
}
