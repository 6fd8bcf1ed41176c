import {
  type CellArrays,
  type CellSizes,
  cellSizes,
  type PackedCell,
  packCellPieces,
  packedCellBytes,
} from '../cells/elman-cell.ts';
import { type Kernels, PANEL_BYTES } from '../kernels/kernels.ts';
import { CONTROL_BYTES } from '../parallel/control.ts';
import { MemoryMap, type Region } from '../parallel/memory-map.ts';
import type { Geometry } from './geometry.ts';

/** Parameters are reduced and updated in blocks of this many, whatever the number of threads. */
export const BLOCK_PARAMETERS = 4_096;

/** Two copies of an array of parameters' size: the parity word says which is current. */
export type Copies = readonly [number, number];

/** Addresses that stay the same as long as the model lives. */
export interface ModelMemory {
  readonly control: number;
  readonly parameters: Copies;
  /** [0] holds the accumulated gradients, [1] what a call is about to make of them. */
  readonly gradients: Copies;
  /** The optimizer's moments. */
  readonly first: Copies;
  readonly second: Copies;
  /** Σ g² of each block of parameters, f64. */
  readonly norms: number;
  readonly packedCells: readonly PackedCell[];
  readonly packedOutput: PackedOutput;
  /** 32 bytes of zeros. */
  readonly zeros: number;
  /** 128 bytes for each thread. */
  readonly edges: number;
  readonly cells: readonly CellSizes[];
  readonly regions: readonly Region[];
  /** Where a batch's memory may begin. */
  readonly end: number;
}

/** The output layer's weights as the matmuls read them. */
export interface PackedOutput {
  readonly WT: number;
  readonly W: number;
  readonly bias: number;
}

export const EDGE_BYTES = 128;

/** Lays a model out; throws MEMORY_TOO_LARGE where it does not fit into 4 GiB. */
export function planModel(g: Geometry, threads: number): ModelMemory {
  const map = new MemoryMap(0);
  const blockBytes = g.blockSize * g.realBytes;
  const copies = (name: string): Copies => [
    map.add(name, blockBytes),
    map.add(`${name}, second copy`, blockBytes),
  ];
  const control = map.add('control', CONTROL_BYTES);
  const parameters = copies('parameters');
  const gradients = copies('gradients');
  const first = copies('first moments');
  const second = copies('second moments');
  const norms = map.add('squared norms', 8 * Math.ceil(g.blockSize / BLOCK_PARAMETERS));
  const zeros = map.add('zeros', PANEL_BYTES);
  const edges = map.add('edges', Math.max(1, threads) * EDGE_BYTES);
  const cells = g.cells.map((_, layer) =>
    cellSizes(layer === 0 ? g.inputSize : g.hiddenSize, g.hiddenSize, g.dtype),
  );
  const packedCells = cells.map((sizes, layer) => {
    const bytes = packedCellBytes(sizes, g.dtype);
    const add = (name: keyof PackedCell) => map.add(`packed ${name} of layer ${layer}`, bytes[name]);
    return {
      W_ihT: add('W_ihT'),
      W_hhT: add('W_hhT'),
      W_ih: add('W_ih'),
      W_hh: add('W_hh'),
      bias: add('bias'),
    };
  });
  const { hiddenPanels, outputPanels, columns } = g;
  const outputBytes = hiddenPanels * columns * outputPanels * PANEL_BYTES;
  const packedOutput = {
    WT: map.add('packed output WT', outputBytes),
    W: map.add('packed output W', outputBytes),
    bias: map.add('packed output bias', outputPanels * PANEL_BYTES),
  };
  return {
    ...{
      control,
      parameters,
      gradients,
      first,
      second,
      norms,
      packedCells,
      packedOutput,
      zeros,
      edges,
      cells,
    },
    regions: map.regions,
    end: map.end,
  };
}

/** The addresses of cell `layer`'s arrays in a block of parameters or gradients. */
export function cellArrays(g: Geometry, layer: number, block: number): CellArrays {
  const { W_ih, W_hh, b_ih, b_hh } = g.cells[layer];
  const at = (offset: number) => block + offset * g.realBytes;
  return { W_ih: at(W_ih.offset), W_hh: at(W_hh.offset), b_ih: at(b_ih.offset), b_hh: at(b_hh.offset) };
}

/** Packing the weights of a block of parameters, in pieces that any thread may do in any order. */
export type ModelPackPiece = (kernels: Kernels, parameters: number) => void;

export function packPieces(g: Geometry, memory: ModelMemory): ModelPackPiece[] {
  const cells = memory.packedCells.flatMap((packed, layer) =>
    packCellPieces(memory.cells[layer], packed).map(
      (piece): ModelPackPiece =>
        (k, parameters) =>
          piece(k, cellArrays(g, layer, parameters)),
    ),
  );
  return [...cells, ...packOutputPieces(g, memory.packedOutput)];
}

function packOutputPieces(g: Geometry, packed: PackedOutput): ModelPackPiece[] {
  const { hiddenSize, outputSize, hiddenPanels, outputPanels } = g;
  const W = g.W.offset * g.realBytes;
  const b = g.b.offset * g.realBytes;
  const pieces: ModelPackPiece[] = [(k, from) => k.packBias(packed.bias, from + b, 0, outputSize)];
  for (let p = 0; p < outputPanels; p++) {
    pieces.push((k, from) => k.packTransposed(packed.WT, from + W, outputSize, hiddenSize, p));
  }
  for (let p = 0; p < hiddenPanels; p++) {
    pieces.push((k, from) => k.packPlain(packed.W, from + W, outputSize, hiddenSize, p));
  }
  return pieces;
}
