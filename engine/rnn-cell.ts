import { type CellRun, type CellSizes, cellSizes, type PackedCell, statesAfter } from './cells/cell.ts';
import { elmanCell } from './cells/elman-cell.ts';
import { badArgument } from './errors.ts';
import { NONLINEARITIES, type Nonlinearity } from './kernels/kernels.ts';
import { tiledRows } from './kernels/layout.ts';
import type { LayerOptions } from './linear.ts';
import { Random } from './numeric/random.ts';
import { checkDtype, type Dtype, newReals, type RealArray } from './numeric/reals.ts';
import { uniformWeights } from './numeric/uniform-weights.ts';
import { readBias, readTensor } from './read-tensor.ts';
import { Scratchpad } from './scratchpad.ts';
import { Tensor, type TensorLike } from './tensor.ts';
import { checkFlag, checkInteger, checkKeys, checkOneOf } from './validation.ts';

/** Weights of one cell, [W_ih [H, I or D · H], W_hh [H, H], b_ih [H], b_hh [H]]; without biases only the first two. */
export type CellWeights =
  | readonly [TensorLike, TensorLike]
  | readonly [TensorLike, TensorLike, TensorLike, TensorLike];

/** Options of a cell that is not part of a model. */
export interface CellOptions extends LayerOptions {
  /** Activation function; default tanh. */
  nonlinearity?: Nonlinearity | undefined;
  /** Whether the cell has biases; default true. Without them b_ih and b_hh have the shape [0]. */
  bias?: boolean | undefined;
}

/** The arrays a cell works on: its own, or views into a model's. Without biases those of the biases are empty. */
export interface CellArrays {
  readonly W_ih: RealArray;
  readonly W_hh: RealArray;
  readonly b_ih: RealArray;
  readonly b_hh: RealArray;
  readonly dW_ih: RealArray;
  readonly dW_hh: RealArray;
  readonly db_ih: RealArray;
  readonly db_hh: RealArray;
}

/**
 * An Elman cell. It computes one time step at a time, synchronously, on the calling thread.
 *
 *     h_t = φ(x_t W_ihᵀ + b_ih + h_{t−1} W_hhᵀ + b_hh),     φ tanh or relu
 *
 * Source: J. L. Elman, "Finding Structure in Time", 1990;
 * https://pytorch.org/docs/stable/generated/torch.nn.RNNCell.html
 */
export class RNNCell {
  readonly inputSize: number;
  readonly hiddenSize: number;
  readonly dtype: Dtype;
  readonly nonlinearity: Nonlinearity;
  readonly bias: boolean;
  /** [H, I] */
  readonly W_ih: Tensor;
  /** [H, H] */
  readonly W_hh: Tensor;
  /** [H] */
  readonly b_ih: Tensor;
  /** [H] */
  readonly b_hh: Tensor;
  /** Gradients, averaged over the batch and accumulated until `zeroGrad`; each has its parameter's shape. */
  readonly dW_ih: Tensor;
  readonly dW_hh: Tensor;
  readonly db_ih: Tensor;
  readonly db_hh: Tensor;
  readonly #sizes: CellSizes;

  /**
   * Draws weights and biases uniformly from ±1/√hiddenSize.
   * @throws BAD_ARGUMENT
   */
  constructor(inputSize: number, hiddenSize: number, options?: CellOptions);
  /**
   * A cell of a model, whose arrays it shares.
   * @internal
   */
  constructor(inputSize: number, hiddenSize: number, options: CellOptions, arrays: CellArrays);
  constructor(inputSize: number, hiddenSize: number, options: CellOptions = {}, arrays?: CellArrays) {
    checkKeys('options', options, ['dtype', 'seed', 'nonlinearity', 'bias']);
    const { dtype = 'float32', seed = 0, nonlinearity = 'tanh', bias = true } = options;
    checkDtype(dtype);
    this.nonlinearity = checkOneOf('nonlinearity', nonlinearity, NONLINEARITIES);
    this.bias = checkFlag('bias', bias);
    this.inputSize = checkInteger('inputSize', inputSize, 1);
    this.hiddenSize = checkInteger('hiddenSize', hiddenSize, 1);
    this.dtype = dtype;
    this.#sizes = cellSizes(inputSize, hiddenSize, dtype, { nonlinearity, bias });
    const biases = bias ? hiddenSize : 0;
    const its = arrays ?? ownArrays(inputSize, hiddenSize, biases, dtype);
    const input = [hiddenSize, inputSize];
    const square = [hiddenSize, hiddenSize];
    this.W_ih = new Tensor(its.W_ih, input);
    this.W_hh = new Tensor(its.W_hh, square);
    this.b_ih = new Tensor(its.b_ih, [biases]);
    this.b_hh = new Tensor(its.b_hh, [biases]);
    this.dW_ih = new Tensor(its.dW_ih, input);
    this.dW_hh = new Tensor(its.dW_hh, square);
    this.db_ih = new Tensor(its.db_ih, [biases]);
    this.db_hh = new Tensor(its.db_hh, [biases]);
    if (arrays) return;
    const random = new Random(checkInteger('seed', seed, 0));
    for (const array of [its.W_ih, its.W_hh, its.b_ih, its.b_hh]) uniformWeights(array, hiddenSize, random);
  }

  /**
   * Sets weights and biases.
   * @param W_ih [H, I]
   * @param W_hh [H, H]
   * @param b_ih [H] or [H, 1]; omitted where the cell has no biases
   * @param b_hh the same
   * @throws BAD_ARGUMENT, with nothing set
   */
  initWeights(W_ih: TensorLike, W_hh: TensorLike, b_ih?: TensorLike, b_hh?: TensorLike): void {
    const { inputSize, hiddenSize, dtype } = this;
    const given = [
      readTensor('W_ih', W_ih, [hiddenSize, inputSize], dtype),
      readTensor('W_hh', W_hh, [hiddenSize, hiddenSize], dtype),
      this.#readBias('b_ih', b_ih),
      this.#readBias('b_hh', b_hh),
    ];
    // Copied before any is set: one may be a view of another.
    const copies = given.map(({ data }) => data.slice());
    [this.W_ih, this.W_hh, this.b_ih, this.b_hh].forEach((own, i) => {
      own.data.set(copies[i]);
    });
  }

  #readBias(name: string, value: TensorLike | undefined): Tensor {
    if (this.bias) return readBias(name, value, this.hiddenSize, this.dtype);
    if (value !== undefined) throw badArgument(name, 'nothing, the cell has no biases', value);
    return new Tensor(newReals(this.dtype, 0), [0]);
  }

  /**
   * Computes one time step.
   * @param x [B, I]
   * @param hPrevT the previous state h_{t−1} [B, H]
   * @returns h_t [B, H]
   * @throws BAD_ARGUMENT, MEMORY_TOO_LARGE
   */
  forward(x: TensorLike, hPrevT: TensorLike): Tensor {
    const { inputSize, hiddenSize, dtype } = this;
    const input = readTensor('x', x, ['batch', inputSize], dtype);
    const batch = input.shape[0];
    const before = readTensor('hPrevT', hPrevT, [batch, hiddenSize], dtype);
    const pad = new Scratchpad(dtype);
    const run = this.#run(pad, input, before);
    elmanCell.forward(run, false);
    return new Tensor(pad.read(statesAfter(run.block), 0, batch, hiddenSize), [batch, hiddenSize]);
  }

  /**
   * Backward pass through one time step:
   *
   *     dz = delta ∘ φ′(z)           dx = dz W_ih        dh_{t−1} = dz W_hh
   *     dW_ih += dzᵀ h_{l−1} / B     dW_hh += dzᵀ h_{t−1} / B     db_ih, db_hh += Σ_B dz / B
   *
   * @param delta ∂L/∂h_t of each sample, not averaged [B, H]
   * @param h what `forward` returned [B, H]
   * @param hPrevL the step's input, h_{l−1}: x, or the state of the layer below [B, I]
   * @param hPrevT the previous state h_{t−1} [B, H]
   * @returns dx [B, I] and dh_{t−1} [B, H], neither averaged
   * @throws BAD_ARGUMENT, MEMORY_TOO_LARGE
   */
  backward(
    delta: TensorLike,
    h: TensorLike,
    hPrevL: TensorLike,
    hPrevT: TensorLike,
  ): [dx: Tensor, dhPrevT: Tensor] {
    const { inputSize, hiddenSize, dtype } = this;
    const d = readTensor('delta', delta, ['batch', hiddenSize], dtype);
    const batch = d.shape[0];
    const state = readTensor('h', h, [batch, hiddenSize], dtype);
    const input = readTensor('hPrevL', hPrevL, [batch, inputSize], dtype);
    const before = readTensor('hPrevT', hPrevT, [batch, hiddenSize], dtype);
    const pad = new Scratchpad(dtype);
    const run = this.#run(pad, input, before);
    pad.fill(statesAfter(run.block), 0, state.data, batch, hiddenSize);
    const dh_t = pad.panels(d.data, batch, hiddenSize);
    const dz = [dh_t];
    elmanCell.backward(run, dh_t, dz);
    const gradients = [this.dW_ih, this.dW_hh, this.db_ih, this.db_hh];
    const [dW_ih, dW_hh, db_ih, db_hh] = gradients.map(({ data }) => pad.reserve(data.byteLength));
    const sums = { W_ih: dW_ih, W_hh: dW_hh, b_ih: db_ih, b_hh: db_hh };
    elmanCell.weightGradients(run, dz, sums, { add: false, fromRest: false });
    const dx = pad.emptyPanels(batch, inputSize);
    const dh = pad.emptyPanels(batch, hiddenSize);
    elmanCell.inputGradient(run, dz, 0, dx, false);
    elmanCell.initialGradients(run, dh_t, dz, dz, [dh]);
    [dW_ih, dW_hh, db_ih, db_hh].forEach((sum, i) => {
      pad.addAverage(gradients[i].data, sum, batch);
    });
    return [
      new Tensor(pad.read(dx, 0, batch, inputSize), [batch, inputSize]),
      new Tensor(pad.read(dh, 0, batch, hiddenSize), [batch, hiddenSize]),
    ];
  }

  /** Sets the accumulated gradients to zero. */
  zeroGrad(): void {
    for (const { data } of [this.dW_ih, this.dW_hh, this.db_ih, this.db_hh]) data.fill(0);
  }

  /** A run of the cell over a batch of single frames. */
  #run(pad: Scratchpad, x: Tensor, before: Tensor): CellRun {
    const batch = x.shape[0];
    const rows = tiledRows(batch);
    const h = pad.emptyPanels(2 * rows, this.hiddenSize);
    pad.fill(h, 0, before.data, batch, this.hiddenSize);
    const { kernels, scratch } = pad;
    return {
      kernels,
      scratch,
      sizes: this.#sizes,
      packed: this.#pack(pad),
      block: {
        rows,
        steps: 1,
        reverse: false,
        states: [h],
        saved: [],
        x: [pad.panels(x.data, batch, this.inputSize)],
      },
      lengths: new Int32Array(batch).fill(1),
    };
  }

  #pack(pad: Scratchpad): PackedCell {
    const { inputSize, hiddenSize } = this;
    const gate = {
      W_ihT: [pad.packTransposed(this.W_ih.data, hiddenSize, inputSize)],
      W_hhT: pad.packTransposed(this.W_hh.data, hiddenSize, hiddenSize),
      W_ih: [pad.packPlain(this.W_ih.data, hiddenSize, inputSize)],
      W_hh: pad.packPlain(this.W_hh.data, hiddenSize, hiddenSize),
    };
    const bias = this.bias ? pad.bias(this.b_ih.data, this.b_hh.data) : pad.noBias(hiddenSize);
    return { gates: [gate], biases: [bias] };
  }
}

function ownArrays(inputSize: number, hiddenSize: number, biases: number, dtype: Dtype): CellArrays {
  const input = () => newReals(dtype, hiddenSize * inputSize);
  const square = () => newReals(dtype, hiddenSize * hiddenSize);
  const bias = () => newReals(dtype, biases);
  return {
    W_ih: input(),
    W_hh: square(),
    b_ih: bias(),
    b_hh: bias(),
    dW_ih: input(),
    dW_hh: square(),
    db_ih: bias(),
    db_hh: bias(),
  };
}
