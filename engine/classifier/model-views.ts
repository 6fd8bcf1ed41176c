import { Linear } from '../linear.ts';
import type { Parameter } from '../network/memory/geometry.ts';
import type { Network } from '../network/network.ts';
import { RNNCell } from '../rnn-cell.ts';
import { newReals } from '../tensor.ts';

/** A cell that is a view of a model's parameters and gradients. */
export function cellOver(network: Network, cell: number): RNNCell {
  const { g } = network;
  const { W_ih, W_hh, b_ih, b_hh } = g.cells[cell];
  const p = (parameter: Parameter | null) =>
    parameter ? network.parameterView(parameter) : newReals(g.dtype, 0);
  const d = (parameter: Parameter | null) =>
    parameter ? network.gradientView(parameter) : newReals(g.dtype, 0);
  const parameters = { W_ih: p(W_ih), W_hh: p(W_hh), b_ih: p(b_ih), b_hh: p(b_hh) };
  const gradients = { dW_ih: d(W_ih), dW_hh: d(W_hh), db_ih: d(b_ih), db_hh: d(b_hh) };
  const { dtype, nonlinearity, bias } = g;
  const arrays = { ...parameters, ...gradients };
  return new RNNCell(W_ih.shape[1], g.hiddenSize, { dtype, nonlinearity, bias }, arrays);
}

/** The output layer as a view of a model's parameters and gradients. */
export function outputLayerOver(network: Network): Linear {
  const { g } = network;
  const [W, b] = [network.parameterView(g.W), network.parameterView(g.b)];
  const [dW, db] = [network.gradientView(g.W), network.gradientView(g.b)];
  return new Linear(g.directions * g.hiddenSize, g.outputSize, { dtype: g.dtype }, { W, b, dW, db });
}
