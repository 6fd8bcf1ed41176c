import { fc } from '@fast-check/vitest';
import { describe, expect } from 'vitest';
import { law } from '../../../properties/profile.ts';
import { shapeOf } from '../../testing/shapes.ts';
import { geometryOf } from '../memory/geometry.ts';
import { planModel } from '../memory/model-memory.ts';
import { bytesOfPieces, ownPieces, packPieces } from './pack-plan.ts';

const size = fc.integer({ min: 1, max: 40 });
const shape = fc.record({
  inputSize: size,
  hiddenSize: size,
  outputSize: size,
  numLayers: fc.integer({ min: 1, max: 3 }),
  bidirectional: fc.boolean(),
  bias: fc.boolean(),
});
const dtype = fc.constantFrom('float32' as const, 'float64' as const);

describe('the plan of packing', () => {
  law(
    'goes through all parameters, one piece behind the other',
    { network: shape, type: dtype },
    { cases: 100 },
    ({ network, type }) => {
      const g = geometryOf(shapeOf(network), type);
      const end = packPieces(g, planModel(g, 1)).reduce((at, { first, count }) => {
        expect(first).toBe(at);
        return at + count;
      }, 0);
      expect(end).toBe(g.parameterCount);
    },
  );

  law(
    'shares the pieces out, and with them the registers of the block',
    { network: shape, type: dtype, parties: fc.integer({ min: 1, max: 64 }) },
    { cases: 100 },
    ({ network, type, parties }) => {
      const g = geometryOf(shapeOf(network), type);
      const pieces = packPieces(g, planModel(g, 1));
      const shares = Array.from({ length: parties }, (_, index) => ownPieces(g, pieces, { index, parties }));
      expect(shares.flat()).toEqual(pieces);
      expect(bytesOfPieces(g, [])).toEqual({ offset: 0, bytes: 0 });
      let covered = 0;
      for (const share of shares.filter(({ length }) => length > 0)) {
        const { offset, bytes } = bytesOfPieces(g, share);
        expect([offset % 16, bytes % 16]).toEqual([0, 0]);
        expect(offset).toBeLessThanOrEqual(covered);
        expect(offset).toBeGreaterThanOrEqual(covered - 16);
        covered = offset + bytes;
      }
      expect(covered).toBeGreaterThanOrEqual(g.parameterCount * g.realBytes);
      expect(covered).toBeLessThanOrEqual(g.paddedCount * g.realBytes);
    },
  );
});
