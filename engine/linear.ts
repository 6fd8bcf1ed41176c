import { noForward } from './errors.ts';
import { panelsFor, tiledRows } from './kernels/layout.ts';
import { Random } from './numeric/random.ts';
import { checkDtype, type Dtype, newReals, type RealArray, realBytes } from './numeric/reals.ts';
import { uniformWeights } from './numeric/uniform-weights.ts';
import { readBias, readTensor } from './read-tensor.ts';
import { Scratchpad } from './scratchpad.ts';
import { Tensor, type TensorLike } from './tensor.ts';
import { checkInteger, checkKeys } from './validation.ts';

/** Options of a cell or layer that is not part of a model. */
export interface LayerOptions {
  /** Data type; default float32. */
  dtype?: Dtype | undefined;
  /** Seed of the initial weights; default 0. */
  seed?: number | undefined;
}

/** The arrays a layer works on: its own, or views into a model's. */
export interface LinearArrays {
  readonly W: RealArray;
  readonly b: RealArray;
  readonly dW: RealArray;
  readonly db: RealArray;
}

/**
 * A linear layer, y = h Wᵀ + b. It computes synchronously, on the calling thread. Source:
 * https://pytorch.org/docs/stable/generated/torch.nn.Linear.html
 */
export class Linear {
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly dtype: Dtype;
  /** Weights [out, in]. */
  readonly W: Tensor;
  /** Bias [out]. */
  readonly b: Tensor;
  /** ∂L/∂W [out, in], averaged over the batch and accumulated until `zeroGrad`. */
  readonly dW: Tensor;
  /** ∂L/∂b [out], likewise. */
  readonly db: Tensor;
  #h: Tensor | null = null;

  /**
   * Draws weights and bias uniformly from ±1/√inFeatures.
   * @throws BAD_ARGUMENT
   */
  constructor(inFeatures: number, outFeatures: number, options?: LayerOptions);
  /**
   * The output layer of a model, whose arrays it shares.
   * @internal
   */
  constructor(inFeatures: number, outFeatures: number, options: LayerOptions, arrays: LinearArrays);
  constructor(inFeatures: number, outFeatures: number, options: LayerOptions = {}, arrays?: LinearArrays) {
    checkKeys('options', options, ['dtype', 'seed']);
    const { dtype = 'float32', seed = 0 } = options;
    checkDtype(dtype);
    this.inFeatures = checkInteger('inFeatures', inFeatures, 1);
    this.outFeatures = checkInteger('outFeatures', outFeatures, 1);
    this.dtype = dtype;
    const { W, b, dW, db } = arrays ?? ownArrays(inFeatures, outFeatures, dtype);
    this.W = new Tensor(W, [outFeatures, inFeatures]);
    this.b = new Tensor(b, [outFeatures]);
    this.dW = new Tensor(dW, [outFeatures, inFeatures]);
    this.db = new Tensor(db, [outFeatures]);
    if (!arrays) {
      const random = new Random(checkInteger('seed', seed, 0));
      for (const array of [W, b]) uniformWeights(array, inFeatures, random);
    }
  }

  /**
   * Sets weights and bias.
   * @param W [out, in]
   * @param b [out] or [out, 1]
   * @throws BAD_ARGUMENT, with nothing set
   */
  initWeights(W: TensorLike, b: TensorLike): void {
    const given = readTensor('W', W, [this.outFeatures, this.inFeatures], this.dtype);
    // A copy, since it may be a view of W.
    const bias = readBias('b', b, this.outFeatures, this.dtype).data.slice();
    this.W.data.set(given.data);
    this.b.data.set(bias);
  }

  /**
   * Computes y = h Wᵀ + b.
   * @param h [batch, in], kept for `backward`
   * @returns [batch, out]
   * @throws BAD_ARGUMENT, MEMORY_TOO_LARGE
   */
  forward(h: TensorLike): Tensor {
    const { inFeatures, outFeatures, dtype } = this;
    const x = readTensor('h', h, ['batch', inFeatures], dtype);
    const batch = x.shape[0];
    const pad = new Scratchpad(dtype);
    const input = pad.panels(x.data, batch, inFeatures);
    const W = pad.packTransposed(this.W.data, outFeatures, inFeatures);
    const bias = pad.bias(this.b.data, null);
    const y = pad.emptyPanels(batch, outFeatures);
    pad.kernels.project(
      y.at,
      y.stride,
      tiledRows(batch),
      panelsFor(outFeatures, dtype),
      input.at,
      input.stride,
      panelsFor(inFeatures, dtype),
      W,
      bias,
    );
    this.#h = new Tensor(x.data.slice(), x.shape);
    return new Tensor(pad.read(y, 0, batch, outFeatures), [batch, outFeatures]);
  }

  /**
   * Backward pass through the last `forward`: dW += deltaᵀ h / B, db += Σ_B delta / B.
   * @param delta ∂L/∂y of each sample, not averaged [batch, out]
   * @returns ∂L/∂h = delta W, not averaged [batch, in]
   * @throws NO_FORWARD, BAD_ARGUMENT, MEMORY_TOO_LARGE
   */
  backward(delta: TensorLike): Tensor {
    const { inFeatures, outFeatures, dtype } = this;
    const h = this.#h;
    if (!h) throw noForward('backward');
    const batch = h.shape[0];
    const d = readTensor('delta', delta, [batch, outFeatures], dtype);
    const pad = new Scratchpad(dtype);
    const k = pad.kernels;
    const rows = tiledRows(batch);
    const input = pad.panels(h.data, batch, inFeatures);
    const dy = pad.panels(d.data, batch, outFeatures);
    const W = pad.packPlain(this.W.data, outFeatures, inFeatures);
    const dW = pad.reserve(this.dW.data.byteLength);
    const db = pad.reserve(this.db.data.byteLength);
    const dh = pad.emptyPanels(batch, inFeatures);
    const { edge, zeros } = pad.scratch;
    const row = inFeatures * realBytes(dtype);
    k.outerProduct(dW, row, outFeatures, inFeatures, dy.at, dy.stride, input.at, input.stride, rows, edge, 0);
    k.sumRows(db, db, outFeatures, dy.at, dy.stride, dy.pitch, rows, edge, 0);
    k.multiply(
      dh.at,
      dh.stride,
      rows,
      panelsFor(inFeatures, dtype),
      dy.at,
      dy.stride,
      panelsFor(outFeatures, dtype),
      W,
      zeros,
    );
    pad.addAverage(this.dW.data, dW, batch);
    pad.addAverage(this.db.data, db, batch);
    return new Tensor(pad.read(dh, 0, batch, inFeatures), [batch, inFeatures]);
  }

  /** Sets the accumulated gradients to zero. */
  zeroGrad(): void {
    this.dW.data.fill(0);
    this.db.data.fill(0);
  }
}

function ownArrays(inFeatures: number, outFeatures: number, dtype: Dtype): LinearArrays {
  const weights = () => newReals(dtype, outFeatures * inFeatures);
  const biases = () => newReals(dtype, outFeatures);
  return { W: weights(), b: biases(), dW: weights(), db: biases() };
}
