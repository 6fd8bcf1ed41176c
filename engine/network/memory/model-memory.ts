import {
  type CellAddresses,
  type CellSizes,
  cellSizes,
  EDGE_BYTES,
  type PackedCell,
} from '../../cells/cell.ts';
import { planPackedCell } from '../../cells/pack-cell.ts';
import { PANEL_BYTES, packedBytes } from '../../kernels/layout.ts';
import { MemoryMap, type Region } from '../../parallel/memory-map.ts';
import { OFFER_BYTES } from '../../parallel/shared-products.ts';
import { CONTROL_BYTES } from './control.ts';
import type { Geometry, Parameter } from './geometry.ts';

/** Parameters are reduced and updated in runs of this many, whatever the number of threads. */
export const RUN_PARAMETERS = 4_096;

/** Number of runs that all parameters are cut into. */
export const runCount = ({ paddedCount }: Geometry): number => Math.ceil(paddedCount / RUN_PARAMETERS);

/** Addresses of the two copies of an array of the parameters' size: the parity word says which is current. */
export type Copies = readonly [number, number];

/** Addresses that stay the same as long as the model lives. */
export interface ModelMemory {
  readonly control: number;
  readonly parameters: Copies;
  /** [0] holds the accumulated gradients, [1] those that a call is computing. */
  readonly gradients: Copies;
  /** The optimizer's moments. */
  readonly firstMoments: Copies;
  readonly secondMoments: Copies;
  /** Σ g² of each run of parameters, f64. */
  readonly norms: number;
  readonly packedCells: readonly PackedCell[];
  readonly packedOutput: PackedOutput;
  /** 32 bytes of zeros. */
  readonly zeros: number;
  readonly normalization: Normalization;
  /** 128 bytes for each thread. */
  readonly edges: number;
  /** What each thread offers to the others (see shared-products.ts). */
  readonly offers: number;
  /** Sizes of each layer's cells. */
  readonly cells: readonly CellSizes[];
  readonly regions: readonly Region[];
  /** Where a batch's memory may begin. */
  readonly end: number;
}

/** The output layer's weights as the matmuls read them, WT and W for each direction. */
export interface PackedOutput {
  readonly WT: readonly number[];
  readonly W: readonly number[];
  readonly bias: number;
}

/** Padded rows of the input's width: means, standard deviations, and zeros. */
export interface Normalization {
  readonly mean: number;
  readonly std: number;
  readonly zeros: number;
}

/** What an optimizer's step changes. */
export const stepCopies = ({ parameters, firstMoments, secondMoments }: ModelMemory): readonly Copies[] => [
  parameters,
  firstMoments,
  secondMoments,
];

/** Lays out a model's memory; throws MEMORY_TOO_LARGE where it does not fit into 4 GiB. */
export function planModel(g: Geometry, threads: number): ModelMemory {
  const map = new MemoryMap(0);
  const bytes = g.paddedCount * g.realBytes;
  const copies = (name: string): Copies => [map.add(name, bytes), map.add(`${name}, second copy`, bytes)];
  const control = map.add('control', CONTROL_BYTES);
  const parameters = copies('parameters');
  const gradients = copies('gradients');
  const firstMoments = copies('first moments');
  const secondMoments = copies('second moments');
  const norms = map.add('squared norms', 8 * runCount(g));
  const zeros = map.add('zeros', PANEL_BYTES);
  const edges = map.add('edges', Math.max(1, threads) * EDGE_BYTES);
  const offers = map.add('offered products', Math.max(1, threads) * OFFER_BYTES);
  const input = (name: string) => map.add(name, g.normalized ? g.inputPanels * PANEL_BYTES : 0);
  const normalization = { mean: input('means'), std: input('deviations'), zeros: input('zero means') };
  const cells = Array.from({ length: g.numLayers }, (_, layer) =>
    layer === 0
      ? cellSizes(g.inputSize, g.hiddenSize, g.dtype, g)
      : cellSizes(g.hiddenSize, g.hiddenSize, g.dtype, g, g.directions),
  );
  const packedCells = g.cells.map((_, cell) =>
    planPackedCell(g.kind, cells[Math.floor(cell / g.directions)], (name, size) =>
      map.add(`packed ${name} of cell ${cell}`, size),
    ),
  );
  const outputBytes = packedBytes(g.outputSize, g.hiddenSize, g.dtype);
  const eachDirection = (name: string) =>
    Array.from({ length: g.directions }, () => map.add(name, outputBytes));
  const packedOutput = {
    WT: eachDirection('packed output WT'),
    W: eachDirection('packed output W'),
    bias: map.add('packed output bias', g.outputPanels * PANEL_BYTES),
  };
  return {
    control,
    parameters,
    gradients,
    firstMoments,
    secondMoments,
    norms,
    packedCells,
    packedOutput,
    zeros,
    normalization,
    edges,
    offers,
    cells,
    regions: map.regions,
    end: map.end,
  };
}

/** The addresses of a cell's arrays in a block of parameters or gradients. */
export function cellAddresses(g: Geometry, cell: number, block: number): CellAddresses {
  const { W_ih, W_hh, b_ih, b_hh } = g.cells[cell];
  const at = (parameter: Parameter | null) => (parameter ? block + parameter.offset * g.realBytes : 0);
  return { W_ih: at(W_ih), W_hh: at(W_hh), b_ih: at(b_ih), b_hh: at(b_hh) };
}
