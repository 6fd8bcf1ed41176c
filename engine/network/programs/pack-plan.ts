import { BACKWARD, FORWARD, type PackPiece, packCellPieces } from '../../cells/pack-cell.ts';
import { rowGroups } from '../../kernels/layout.ts';
import { type Place, share } from '../../parallel/program.ts';
import type { Geometry } from '../memory/geometry.ts';
import { cellAddresses, type ModelMemory } from '../memory/model-memory.ts';
import type { ByteRange } from './reduce.ts';

/** A piece of the packing: whole rows of a weight matrix, or biases, of the block of parameters at an address. */
export interface ModelPackPiece extends PackPiece<number> {
  /** Parameters before it in the block. */
  readonly first: number;
}

/** All pieces, in the order of the parameters: each parameter is packed by one of them. */
export function packPieces(g: Geometry, memory: ModelMemory): readonly ModelPackPiece[] {
  const cells = memory.packedCells.flatMap((packed, cell) =>
    packCellPieces(g.kind, memory.cells[Math.floor(cell / g.directions)], packed).map(
      ({ count, pack }): PackPiece<number> => ({
        count,
        pack: (k, parameters, passes) => pack(k, cellAddresses(g, cell, parameters), passes),
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

function packOutputPieces(g: Geometry, { packedOutput }: ModelMemory): PackPiece<number>[] {
  const { hiddenSize, outputSize, directions, realBytes } = g;
  const width = directions * hiddenSize;
  const weights = rowGroups(outputSize, g.dtype).map(
    ({ group, rows }): PackPiece<number> => ({
      count: rows * width,
      pack: (k, parameters, passes) => {
        for (let direction = 0; direction < directions; direction++) {
          const W = parameters + (g.W.offset + direction * hiddenSize) * realBytes;
          if (passes & FORWARD)
            k.packTransposed(packedOutput.WT[direction], W, outputSize, hiddenSize, width, group);
          if (passes & BACKWARD)
            k.packPlain(packedOutput.W[direction], W, outputSize, hiddenSize, width, group);
        }
      },
    }),
  );
  const bias: PackPiece<number> = {
    count: outputSize,
    pack: (k, parameters) =>
      k.packBias(packedOutput.bias, parameters + g.b.offset * realBytes, 0, outputSize),
  };
  return [...weights, bias];
}

/** What the optimizers' kernels process at a time. */
const REGISTER_BYTES = 16;

/** The pieces that fall to a thread: a run of them, with about its share of the parameters. */
export const ownPieces = (
  g: Geometry,
  pieces: readonly ModelPackPiece[],
  place: Place,
): readonly ModelPackPiece[] => {
  const { from, to } = share(g.parameterCount, place);
  return pieces.filter(({ first }) => first >= from && first < to);
};

/**
 * The bytes of the block that hold the parameters of consecutive pieces, in whole registers. A register
 * at the border of two threads' pieces is computed by both, with the same result.
 */
export function bytesOfPieces(g: Geometry, pieces: readonly ModelPackPiece[]): ByteRange {
  const [start] = pieces;
  const end = pieces.at(-1);
  // With more threads than pieces, some have none.
  if (!start || !end) return { offset: 0, bytes: 0 };
  const offset = REGISTER_BYTES * Math.floor((start.first * g.realBytes) / REGISTER_BYTES);
  const behind = REGISTER_BYTES * Math.ceil(((end.first + end.count) * g.realBytes) / REGISTER_BYTES);
  return { offset, bytes: behind - offset };
}
