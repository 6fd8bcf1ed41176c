import { Linear } from './linear.ts';
import type { Parameter } from './network/geometry.ts';
import type { Network } from './network/network.ts';
import { RNNCell } from './rnn-cell.ts';

/** A model's cell, over views of its parameters and gradients. */
export function cellOver(network: Network, layer: number): RNNCell {
  const { g } = network;
  const { W_ih, W_hh, b_ih, b_hh } = g.cells[layer];
  const p = (parameter: Parameter) => network.parameterView(parameter);
  const d = (parameter: Parameter) => network.gradientView(parameter);
  const parameters = { W_ih: p(W_ih), W_hh: p(W_hh), b_ih: p(b_ih), b_hh: p(b_hh) };
  const gradients = { dW_ih: d(W_ih), dW_hh: d(W_hh), db_ih: d(b_ih), db_hh: d(b_hh) };
  const inputSize = layer === 0 ? g.inputSize : g.hiddenSize;
  return new RNNCell(inputSize, g.hiddenSize, { dtype: g.dtype }, { ...parameters, ...gradients });
}

/** A model's output layer, over views of its parameters and gradients. */
export function outputLayerOver(network: Network): Linear {
  const { g } = network;
  const [W, b] = [network.parameterView(g.W), network.parameterView(g.b)];
  const [dW, db] = [network.gradientView(g.W), network.gradientView(g.b)];
  return new Linear(g.hiddenSize, g.outputSize, { dtype: g.dtype }, { W, b, dW, db });
}
