import type { CellKind } from '../../cells/cell.ts';
import { cellKinds } from '../../cells/cell-kinds.ts';
import type { Nonlinearity } from '../../kernels/kernels.ts';
import { panelColumns, panelsFor } from '../../kernels/layout.ts';
import type { KernelMaker } from '../../kernels/makers.ts';
import { type Dtype, realBytes } from '../../numeric/reals.ts';

/** What the output layer reads: each sequence's last state, the mean of its states, or every state. */
export const OUTPUT_MODES = ['last', 'mean', 'steps'] as const;
export type OutputMode = (typeof OUTPUT_MODES)[number];

/** What a classifier computes: its sizes and the variant of its cells. */
export interface NetworkShape {
  readonly inputSize: number;
  readonly hiddenSize: number;
  readonly outputSize: number;
  readonly numLayers: number;
  readonly nonlinearity: Nonlinearity;
  /** Whether each layer has a second cell that reads in reverse. */
  readonly bidirectional: boolean;
  /** Whether the cells have biases. */
  readonly bias: boolean;
  /** Share of the outputs of every layer but the last that training leaves out. */
  readonly dropout: number;
  readonly output: OutputMode;
  /** Whether frames are normalized; mean and deviation lie in the model's memory. */
  readonly normalized: boolean;
}

/** One trained array and its place among all parameters. */
export interface Parameter {
  /** PyTorch's name, as in the state dict: rnn.weight_ih_l0, output.weight, … */
  readonly name: string;
  readonly shape: readonly number[];
  /** Elements before it. */
  readonly offset: number;
  readonly size: number;
}

/** The parameters of one cell, see CellKind for their shapes; biases only where it has them. */
export interface CellParameters {
  readonly W_ih: Parameter;
  readonly W_hh: Parameter;
  readonly b_ih: Parameter | null;
  readonly b_hh: Parameter | null;
}

/** A network in numbers: its sizes in elements and panels, and its one table of parameters. */
export interface Geometry extends NetworkShape {
  readonly kind: CellKind;
  readonly dtype: Dtype;
  readonly maker: KernelMaker;
  readonly realBytes: number;
  /** Columns of a panel. */
  readonly columns: number;
  readonly inputPanels: number;
  readonly hiddenPanels: number;
  readonly outputPanels: number;
  /** 2 where the network is bidirectional. */
  readonly directions: number;
  /** Layer by layer, forward before reverse: cell `layer · directions + direction`. */
  readonly cells: readonly CellParameters[];
  /** States of all cells together: cell `c` has those from `c · kind.states` on. */
  readonly stateCount: number;
  readonly W: Parameter;
  readonly b: Parameter;
  /** All parameters, in the order they lie in. */
  readonly parameters: readonly Parameter[];
  /** Elements of all parameters together. */
  readonly parameterCount: number;
  /** Elements of an array of all parameters, one after the other, with zeros up to a whole number of registers. */
  readonly paddedCount: number;
}

/** The shape of the caller's logits: [B, O], or [B, T, O] where there are logits at every step. */
export const logitsShape = (g: Geometry, { rows, time }: { rows: number; time: number }): number[] =>
  g.output === 'steps' ? [rows, time, g.outputSize] : [rows, g.outputSize];

/** How many logits a row of theirs has. */
export const outputRowSize = (g: Geometry, time: number): number =>
  (g.output === 'steps' ? time : 1) * g.outputSize;

/** Elements that are whole registers in either data type. */
const PADDING = 8;

export function geometryOf(
  shape: NetworkShape,
  dtype: Dtype,
  maker: KernelMaker = 'wasm',
  kind: CellKind = cellKinds.elman,
): Geometry {
  const { inputSize, hiddenSize, outputSize, numLayers, bidirectional, bias } = shape;
  const directions = bidirectional ? 2 : 1;
  const height = kind.gates * hiddenSize;
  const parameters: Parameter[] = [];
  let offset = 0;
  const place = (name: string, ...dimensions: number[]): Parameter => {
    const size = dimensions.reduce((a, b) => a * b, 1);
    const parameter = { name, shape: dimensions, offset, size };
    parameters.push(parameter);
    offset += size;
    return parameter;
  };
  const cells = Array.from({ length: numLayers * directions }, (_, cell) => {
    const layer = Math.floor(cell / directions);
    const suffix = `l${layer}${cell % directions === 1 ? '_reverse' : ''}`;
    return {
      W_ih: place(`rnn.weight_ih_${suffix}`, height, layer === 0 ? inputSize : directions * hiddenSize),
      W_hh: place(`rnn.weight_hh_${suffix}`, height, hiddenSize),
      b_ih: bias ? place(`rnn.bias_ih_${suffix}`, height) : null,
      b_hh: bias ? place(`rnn.bias_hh_${suffix}`, height) : null,
    };
  });
  const W = place('output.weight', outputSize, directions * hiddenSize);
  const b = place('output.bias', outputSize);
  return {
    ...shape,
    kind,
    directions,
    dtype,
    maker,
    realBytes: realBytes(dtype),
    columns: panelColumns(dtype),
    inputPanels: panelsFor(inputSize, dtype),
    hiddenPanels: panelsFor(hiddenSize, dtype),
    outputPanels: panelsFor(outputSize, dtype),
    cells,
    stateCount: cells.length * kind.states,
    W,
    b,
    parameters,
    parameterCount: offset,
    paddedCount: Math.ceil(offset / PADDING) * PADDING,
  };
}
