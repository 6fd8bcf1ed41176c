import { badArgument, parameterNotFinite, plain } from './errors.ts';
import type { Dtype } from './kernels/kernels.ts';
import { readBias } from './linear.ts';
import type { Parameter } from './network/geometry.ts';
import type { Network } from './network/network.ts';
import type { CellWeights } from './rnn-cell.ts';
import { type RealArray, readTensor, Tensor, type TensorLike } from './tensor.ts';
import { checkKeys } from './validation.ts';

/** A value that is to be given to a parameter; `label` is what the caller calls it. */
interface Given {
  readonly parameter: Parameter;
  readonly label: string;
  readonly value: TensorLike | undefined;
}

/** Copies of all parameters by name. */
export function stateDictOf(network: Network): Record<string, Tensor> {
  const entries = network.g.parameters.map((parameter): [string, Tensor] => [
    parameter.name,
    new Tensor(network.parameterView(parameter).slice(), parameter.shape),
  ]);
  return Object.fromEntries(entries);
}

/** Sets all parameters by name: all or, where one is wrong, none. Throws BAD_ARGUMENT. */
export function setStateDict(network: Network, stateDict: Readonly<Record<string, TensorLike>>): void {
  const { parameters } = network.g;
  const names = parameters.map(({ name }) => name);
  checkKeys('stateDict', stateDict, names);
  setParameters(
    network,
    parameters.map((parameter) => {
      const { name } = parameter;
      return { parameter, label: `stateDict.${name}`, value: stateDict[name] };
    }),
  );
}

/** Sets all parameters, cell by cell: all or, where one is wrong, none. Throws BAD_ARGUMENT. */
export function setWeights(
  network: Network,
  cells: readonly CellWeights[],
  output: readonly [TensorLike, TensorLike],
): void {
  const { g } = network;
  if (!Array.isArray(cells) || cells.length !== g.cells.length)
    throw badArgument('cells', `the weights of ${g.cells.length} cells`, cells?.length ?? cells);
  setParameters(network, [
    ...cells.flatMap((given, cell) => cellParameters(network, cell, given)),
    { parameter: g.W, label: 'output.W', value: output?.[0] },
    { parameter: g.b, label: 'output.b', value: output?.[1] },
  ]);
}

function cellParameters({ g }: Network, cell: number, given: CellWeights | undefined): Given[] {
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

/** −1 where all are finite. */
const notFiniteAt = (data: RealArray): number => data.findIndex((number) => !Number.isFinite(number));

/** Throws NOT_FINITE where a file of these could not be loaded again. */
export function checkFinite(method: string, parameters: Readonly<Record<string, Tensor>>): void {
  for (const [name, { data }] of Object.entries(parameters)) {
    const bad = notFiniteAt(data);
    if (bad >= 0) throw parameterNotFinite(method, name, bad, data[bad]);
  }
}

function setParameters(network: Network, given: readonly Given[]): void {
  const values = given.map((each) => readParameter(each, network.g.dtype));
  given.forEach(({ parameter }, i) => {
    network.parameterView(parameter).set(values[i].data);
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
