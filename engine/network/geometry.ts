import { type Dtype, type KernelMaker, panelColumns, panelsFor, realBytes } from '../kernels/kernels.ts';

/** The sizes of a classifier: inputs, hidden units and classes, and how many cells are stacked. */
export interface NetworkShape {
  readonly inputSize: number;
  readonly hiddenSize: number;
  readonly outputSize: number;
  readonly numLayers: number;
}

/** One trained array and its place in the parameter block. */
export interface Parameter {
  /** PyTorch's name, as in the state dict: rnn.weight_ih_l0, output.weight, … */
  readonly name: string;
  readonly shape: readonly number[];
  /** Elements before it in the block. */
  readonly offset: number;
  readonly size: number;
}

/** The parameters of one cell. */
export interface CellParameters {
  readonly W_ih: Parameter;
  readonly W_hh: Parameter;
  readonly b_ih: Parameter;
  readonly b_hh: Parameter;
}

/** A network in numbers: its sizes in elements and panels, and its one table of parameters. */
export interface Geometry extends NetworkShape {
  readonly dtype: Dtype;
  readonly maker: KernelMaker;
  readonly realBytes: number;
  /** Columns of a panel. */
  readonly columns: number;
  readonly inputPanels: number;
  readonly hiddenPanels: number;
  readonly outputPanels: number;
  readonly cells: readonly CellParameters[];
  readonly W: Parameter;
  readonly b: Parameter;
  /** All parameters in the order of the block. */
  readonly parameters: readonly Parameter[];
  /** Elements of all parameters together. */
  readonly parameterCount: number;
  /** Elements of the block: the parameters, one after the other, and zeros up to a whole number of registers. */
  readonly blockSize: number;
}

/** The block's size is a multiple of this, in elements: whole registers in either data type. */
const BLOCK_ALIGNMENT = 8;

export function geometryOf(shape: NetworkShape, dtype: Dtype, maker: KernelMaker = 'wasm'): Geometry {
  const { inputSize, hiddenSize, outputSize, numLayers } = shape;
  const parameters: Parameter[] = [];
  let offset = 0;
  const place = (name: string, ...dimensions: number[]): Parameter => {
    const size = dimensions.reduce((a, b) => a * b, 1);
    const parameter = { name, shape: dimensions, offset, size };
    parameters.push(parameter);
    offset += size;
    return parameter;
  };
  const cells = Array.from({ length: numLayers }, (_, layer) => ({
    W_ih: place(`rnn.weight_ih_l${layer}`, hiddenSize, layer === 0 ? inputSize : hiddenSize),
    W_hh: place(`rnn.weight_hh_l${layer}`, hiddenSize, hiddenSize),
    b_ih: place(`rnn.bias_ih_l${layer}`, hiddenSize),
    b_hh: place(`rnn.bias_hh_l${layer}`, hiddenSize),
  }));
  const W = place('output.weight', outputSize, hiddenSize);
  const b = place('output.bias', outputSize);
  return {
    ...{ inputSize, hiddenSize, outputSize, numLayers },
    ...{ dtype, maker },
    realBytes: realBytes(dtype),
    columns: panelColumns(dtype),
    inputPanels: panelsFor(inputSize, dtype),
    hiddenPanels: panelsFor(hiddenSize, dtype),
    outputPanels: panelsFor(outputSize, dtype),
    ...{ cells, W, b, parameters, parameterCount: offset },
    blockSize: Math.ceil(offset / BLOCK_ALIGNMENT) * BLOCK_ALIGNMENT,
  };
}
