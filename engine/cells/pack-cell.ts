import type { Kernels } from '../kernels/kernels.ts';
import { PANEL_BYTES, packedBytes, rowGroups } from '../kernels/layout.ts';
import { realBytes } from '../numeric/reals.ts';
import type { CellAddresses, CellKind, CellSizes, PackedCell } from './cell.ts';

/** Packing of a cell's weights: the layout in which the matmuls read them, and the work of bringing them into it. */

/** Lays out a cell's packed weights; `add` reserves memory and returns its address. */
export function planPackedCell(
  kind: CellKind,
  { parts, partSize, hiddenSize, hiddenPanels, dtype }: CellSizes,
  add: (name: string, bytes: number) => number,
): PackedCell {
  const input = (name: string) =>
    Array.from({ length: parts }, () => add(name, packedBytes(hiddenSize, partSize, dtype)));
  const hidden = (name: string) => add(name, packedBytes(hiddenSize, hiddenSize, dtype));
  const gates = Array.from({ length: kind.gates }, () => ({
    W_ihT: input('W_ihT'),
    W_hhT: hidden('W_hhT'),
    W_ih: input('W_ih'),
    W_hh: hidden('W_hh'),
  }));
  return {
    gates,
    biases: Array.from({ length: kind.biasRows }, () => add('bias', hiddenPanels * PANEL_BYTES)),
  };
}

/** The passes that read the weights, as bits. */
export type Passes = 0 | 1 | 2 | 3;
export const NEITHER = 0;
export const FORWARD = 1;
export const BACKWARD = 2;
export const BOTH = 3;

/** Packs `count` consecutive parameters for the passes that need them; `from` says where they are. */
export interface PackPiece<From> {
  readonly count: number;
  readonly pack: (kernels: Kernels, from: From, passes: Passes) => void;
}

/**
 * The work of packing a cell's parameters, in pieces that any thread may do, in any order. They are
 * listed in the order of `CellAddresses`, which is that of memory: rows of W_ih, rows of W_hh, the biases.
 */
export function packCellPieces(
  kind: CellKind,
  sizes: CellSizes,
  packed: PackedCell,
): readonly PackPiece<CellAddresses>[] {
  const { parts, partSize, hiddenSize, dtype, bias } = sizes;
  const bytes = realBytes(dtype);
  const width = parts * partSize;
  const groups = packed.gates.flatMap((gate, number) =>
    rowGroups(hiddenSize, dtype).map(({ group, rows }) => ({
      gate,
      first: number * hiddenSize,
      group,
      rows,
    })),
  );
  const input = groups.map(({ gate, first, group, rows }): PackPiece<CellAddresses> => {
    const pack = (k: Kernels, { W_ih }: CellAddresses, passes: Passes): void => {
      for (let part = 0; part < parts; part++) {
        const from = W_ih + (first * width + part * partSize) * bytes;
        if (passes & FORWARD) k.packTransposed(gate.W_ihT[part], from, hiddenSize, partSize, width, group);
        if (passes & BACKWARD) k.packPlain(gate.W_ih[part], from, hiddenSize, partSize, width, group);
      }
    };
    return { count: rows * width, pack };
  });
  const hidden = groups.map(({ gate, first, group, rows }): PackPiece<CellAddresses> => {
    const pack = (k: Kernels, { W_hh }: CellAddresses, passes: Passes): void => {
      const from = W_hh + first * hiddenSize * bytes;
      if (passes & FORWARD) k.packTransposed(gate.W_hhT, from, hiddenSize, hiddenSize, hiddenSize, group);
      if (passes & BACKWARD) k.packPlain(gate.W_hh, from, hiddenSize, hiddenSize, hiddenSize, group);
    };
    return { count: rows * hiddenSize, pack };
  });
  const biases: PackPiece<CellAddresses> = {
    count: 2 * kind.gates * hiddenSize,
    pack: (k, from) => kind.packBiases(k, sizes, packed, from),
  };
  return bias ? [...input, ...hidden, biases] : [...input, ...hidden];
}
