import type { NetworkShape } from '../network/memory/geometry.ts';

type Sizes = 'inputSize' | 'hiddenSize' | 'outputSize' | 'numLayers';

/** A shape with a classifier's defaults for everything but the sizes. */
export const shapeOf = (given: Pick<NetworkShape, Sizes> & Partial<NetworkShape>): NetworkShape => ({
  nonlinearity: 'tanh',
  bidirectional: false,
  bias: true,
  dropout: 0,
  output: 'last',
  normalized: false,
  ...given,
});
