import { orthogonal } from '../numeric/orthogonal.ts';
import type { Random } from '../numeric/random.ts';
import type { RealArray } from '../numeric/reals.ts';
import { uniformWeights } from '../numeric/uniform-weights.ts';
import type { Geometry, Parameter } from './memory/geometry.ts';

/** Initial values of W_hh: uniform, or a random orthogonal matrix. */
export const RECURRENT_INITS = ['uniform', 'orthogonal'] as const;
export type RecurrentInit = (typeof RECURRENT_INITS)[number];

/**
 * Draws a network's initial parameters: everything uniformly from ±1/√H, the output layer from ±1/√(its
 * inputs). With 'orthogonal', every gate's W_hh is a random orthogonal matrix (A. Saxe et al.,
 * https://arxiv.org/abs/1312.6120), which neither shrinks nor stretches a state.
 */
export function initializeNetwork(
  network: { readonly g: Geometry; parameterView(parameter: Parameter): RealArray },
  recurrent: RecurrentInit,
  random: Random,
): void {
  const { g } = network;
  const recurrentWeights = new Set(g.cells.map(({ W_hh }) => W_hh));
  for (const parameter of g.parameters) {
    const view = network.parameterView(parameter);
    if (recurrentWeights.has(parameter) && recurrent === 'orthogonal') {
      for (let gate = 0; gate < g.kind.gates; gate++)
        view.set(orthogonal(g.hiddenSize, random), gate * g.hiddenSize ** 2);
    } else uniformWeights(view, isOutput(g, parameter) ? g.W.shape[1] : g.hiddenSize, random);
  }
}

const isOutput = (g: Geometry, parameter: Parameter): boolean => parameter === g.W || parameter === g.b;
