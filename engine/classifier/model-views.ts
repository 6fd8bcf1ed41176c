import { Linear } from '../linear.ts';
import type { Parameter } from '../network/memory/geometry.ts';
import type { Network } from '../network/network.ts';
import { newReals } from '../numeric/reals.ts';
import { RNNCell } from '../rnn-cell.ts';
import type { TensorLike } from '../tensor.ts';

/** Throws where a writer of that name would meet a call of the model, whose threads would lose what it writes. */
type CheckIdle = (method: string) => void;

/** A cell that is a view of a model's parameters and gradients. */
export class CellView extends RNNCell {
  readonly #name: string;
  readonly #checkIdle: CheckIdle;

  constructor(network: Network, number: number, checkIdle: CheckIdle) {
    const { g } = network;
    const { W_ih, W_hh, b_ih, b_hh } = g.cells[number];
    const p = (parameter: Parameter | null) =>
      parameter ? network.parameterView(parameter) : newReals(g.dtype, 0);
    const d = (parameter: Parameter | null) =>
      parameter ? network.gradientView(parameter) : newReals(g.dtype, 0);
    const parameters = { W_ih: p(W_ih), W_hh: p(W_hh), b_ih: p(b_ih), b_hh: p(b_hh) };
    const gradients = { dW_ih: d(W_ih), dW_hh: d(W_hh), db_ih: d(b_ih), db_hh: d(b_hh) };
    const { dtype, nonlinearity, bias } = g;
    super(W_ih.shape[1], g.hiddenSize, { dtype, nonlinearity, bias }, { ...parameters, ...gradients });
    this.#name = `rnn[${number}]`;
    this.#checkIdle = checkIdle;
  }

  override initWeights(...weights: Parameters<RNNCell['initWeights']>): void {
    this.#checkIdle(`${this.#name}.initWeights`);
    super.initWeights(...weights);
  }

  override backward(...step: Parameters<RNNCell['backward']>): ReturnType<RNNCell['backward']> {
    this.#checkIdle(`${this.#name}.backward`);
    return super.backward(...step);
  }

  override zeroGrad(): void {
    this.#checkIdle(`${this.#name}.zeroGrad`);
    super.zeroGrad();
  }
}

/** The output layer as a view of a model's parameters and gradients. */
export class OutputLayerView extends Linear {
  readonly #checkIdle: CheckIdle;

  constructor(network: Network, checkIdle: CheckIdle) {
    const { g } = network;
    const [W, b] = [network.parameterView(g.W), network.parameterView(g.b)];
    const [dW, db] = [network.gradientView(g.W), network.gradientView(g.b)];
    super(g.directions * g.hiddenSize, g.outputSize, { dtype: g.dtype }, { W, b, dW, db });
    this.#checkIdle = checkIdle;
  }

  override initWeights(W: TensorLike, b: TensorLike): void {
    this.#checkIdle('outputLayer.initWeights');
    super.initWeights(W, b);
  }

  override backward(delta: TensorLike): ReturnType<Linear['backward']> {
    this.#checkIdle('outputLayer.backward');
    return super.backward(delta);
  }

  override zeroGrad(): void {
    this.#checkIdle('outputLayer.zeroGrad');
    super.zeroGrad();
  }
}
