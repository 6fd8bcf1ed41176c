import { packCellPieces } from '../cells/elman-cell.ts';
import { type Kernels, rowGroups } from '../kernels/kernels.ts';
import type { Place } from '../parallel/program.ts';
import type { Geometry } from './geometry.ts';
import { cellArrays, type ModelMemory } from './model-memory.ts';
import type { ByteRange } from './reduce.ts';

/** Packs some consecutive parameters of a block: whole rows of a weight matrix, or biases. */
export interface ModelPackPiece {
  /** The first of its parameters, and how many they are. */
  readonly first: number;
  readonly count: number;
  readonly pack: (kernels: Kernels, parameters: number) => void;
}

/** All pieces, in the order of the parameter block: each parameter is packed by one of them. */
export function packPieces(g: Geometry, memory: ModelMemory): readonly ModelPackPiece[] {
  const cells = memory.packedCells.flatMap((packed, cell) =>
    packCellPieces(memory.cells[Math.floor(cell / g.directions)], packed, g.dtype).map(
      ({ count, pack }): Omit<ModelPackPiece, 'first'> => ({
        count,
        pack: (k, parameters) => pack(k, cellArrays(g, cell, parameters)),
      }),
    ),
  );
  let first = 0;
  return [...cells, ...packOutputPieces(g, memory)].map((piece) => {
    const placed = { first, ...piece };
    first += piece.count;
    return placed;
  });
}

function packOutputPieces(
  g: Geometry,
  { packedOutput: packed }: ModelMemory,
): Omit<ModelPackPiece, 'first'>[] {
  const { hiddenSize, outputSize, directions, realBytes } = g;
  const width = directions * hiddenSize;
  const weights = rowGroups(outputSize, g.dtype).map(({ group, rows }) => {
    const pack: ModelPackPiece['pack'] = (k, parameters) => {
      for (let direction = 0; direction < directions; direction++) {
        const W = parameters + (g.W.offset + direction * hiddenSize) * realBytes;
        k.packTransposed(packed.WT[direction], W, outputSize, hiddenSize, width, group);
        k.packPlain(packed.W[direction], W, outputSize, hiddenSize, width, group);
      }
    };
    return { count: rows * width, pack };
  });
  const bias: ModelPackPiece['pack'] = (k, parameters) =>
    k.packBias(packed.bias, parameters + g.b.offset * realBytes, 0, outputSize);
  return [...weights, { count: outputSize, pack: bias }];
}

/** The pieces that fall to a thread: a run of them, with about its share of the parameters. */
export const ownPieces = (
  g: Geometry,
  pieces: readonly ModelPackPiece[],
  { index, parties }: Place,
): readonly ModelPackPiece[] =>
  pieces.filter(({ first }) => Math.floor((first * parties) / g.parameterCount) === index);

/**
 * The bytes of the block in which the parameters of consecutive pieces lie, in whole registers. What two threads' pieces
 * share of a register at their border, both may compute: they compute the same.
 */
export function bytesOfPieces(g: Geometry, pieces: readonly ModelPackPiece[]): ByteRange {
  const [start] = pieces;
  const end = pieces.at(-1);
  if (!start || !end) return { offset: 0, bytes: 0 };
  const offset = REGISTER_BYTES * Math.floor((start.first * g.realBytes) / REGISTER_BYTES);
  const behind = REGISTER_BYTES * Math.ceil(((end.first + end.count) * g.realBytes) / REGISTER_BYTES);
  return { offset, bytes: behind - offset };
}

const REGISTER_BYTES = 16;
