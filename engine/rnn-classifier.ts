import { availableParallelism } from 'node:os';
import {
  readSequences,
  type SequenceInput,
  type SequencesLike,
  shareSequences,
  sliceRows,
} from './data/read-sequences.ts';
import type { Sequences } from './data/sequences.ts';
import { badArgument, busy, closed, noForward } from './errors.ts';
import { readModelFile, writeModelFile } from './io/model-file.ts';
import type { Dtype, KernelMaker } from './kernels/kernels.ts';
import type { KernelOptions } from './kernels/make-kernels.ts';
import { Linear } from './linear.ts';
import type { BatchMemory, BatchSpec } from './network/batch-memory.ts';
import type { Geometry, NetworkShape, Parameter } from './network/geometry.ts';
import { initialiseNetwork, type RecurrentInit } from './network/initialise.ts';
import { argmax, type Block } from './network/lane.ts';
import { type LossOptions, type LossSpec, lossSpec } from './network/loss.ts';
import { Network } from './network/network.ts';
import { PredictionServer } from './network/prediction-server.ts';
import { networks } from './network/registry.ts';
import { SortedBatch } from './network/sorted-batch.ts';
import { Random } from './numeric/random.ts';
import { Real } from './parallel/control.ts';
import { laneCount } from './parallel/lane-plan.ts';
import { RNNCell } from './rnn-cell.ts';
import { ClassifierStream } from './stream.ts';
import { checkDtype, newReals, type RealArray, readTensor, Tensor, type TensorLike } from './tensor.ts';
import { train } from './training/fit.ts';
import {
  type EpochLog,
  type FitOptions,
  type OptimizerHandle,
  readFitOptions,
} from './training/fit-options.ts';
import { OptimizerSlot, takeOverStep } from './training/optimizer.ts';
import { type OptimizerOptions, type OptimizerType, optimizerSpec } from './training/optimizers.ts';
import { type TrainingEvent, trainingEvents } from './training/training-events.ts';
import { checkInteger, checkKeys, checkPositive, readLabels } from './validation.ts';

export interface ClassifierOptions {
  /** Values of a frame. */
  inputSize: number;
  /** Units of each layer. */
  hiddenSize: number;
  /** Classes. */
  outputSize: number;
  /** Stacked cells; default 2. */
  numLayers?: number;
  /** Worker threads; default: the cores this process may use; 0 computes on the calling thread. */
  threads?: number;
  /** Default float32. */
  dtype?: Dtype;
  /** Of the initial weights; default 0. */
  seed?: number;
  /** How W_hh begins; default uniform, as PyTorch. */
  recurrentInit?: RecurrentInit;
  /**
   * What computes the matmuls. wasm (default): WebAssembly, the same bits on every machine. wasm-relaxed: the same with
   * fused multiplication and addition where Node.js and the machine have it. blas: the system's OpenBLAS,
   * MKL or Accelerate, found by its usual names or at a path, faster on wide layers; needs the package koffi. All give the
   * same bits for any number of threads on one machine.
   */
  kernels?: KernelMaker | { blas: string };
}

/** What `gradients` returns. */
export interface GradientResult {
  /** Mean softmax cross-entropy of the batch. */
  readonly loss: number;
  /** [B, O] */
  readonly logits: Tensor;
  /** [L, B, H], divided by the batch's rows */
  readonly dh0: Tensor;
  /** [B, T, I], not averaged; where it was asked for */
  readonly dx?: Tensor;
}

/** Labelled sequences. */
export interface LabelledSequences {
  /** [B, T, I], an array of [Tᵢ, I], or `{ data, shape, lengths }` */
  x: SequencesLike;
  /** Class of each row, from 0. */
  labels: ArrayLike<number> | TensorLike;
}

export interface Evaluation {
  readonly loss: number;
  readonly accuracy: number;
  /** Rows of each class (first index) that were given each class (second index). */
  readonly confusion: number[][];
  /** Share of each class's rows that were given their class; NaN for a class without rows. */
  readonly recall: number[];
}

/** An optimizer of one model, with its moments; for `fit`, or for a training loop of one's own. */
export class Optimizer implements OptimizerHandle {
  readonly #step: (clipNorm: number | null, learningRate: number | undefined) => Promise<void>;

  /** @internal */
  constructor(step: (clipNorm: number | null, learningRate: number | undefined) => Promise<void>) {
    this.#step = step;
  }

  /**
   * Updates the model's parameters from its accumulated gradients, which stay as they are.
   * @param options `clipNorm`: scales the gradient of all parameters down to this global norm;
   * `learningRate`: for this step, instead of the optimizer's own
   * @throws BAD_ARGUMENT, CLOSED, WORKER_LOST (nothing has changed)
   */
  async step(options: { clipNorm?: number; learningRate?: number } = {}): Promise<void> {
    checkKeys('options', options, ['clipNorm', 'learningRate']);
    const { clipNorm, learningRate } = options;
    if (learningRate !== undefined) checkPositive('learningRate', learningRate);
    await this.#step(clipNorm === undefined ? null : checkPositive('clipNorm', clipNorm), learningRate);
  }
}

/** What the last forward left for backward and hiddens. */
interface Kept {
  readonly spec: BatchSpec;
  readonly plan: BatchMemory;
  readonly lengths: Int32Array;
  hiddens: Tensor[] | null;
}

const OPTIONS = [
  'inputSize',
  'hiddenSize',
  'outputSize',
  'numLayers',
  'threads',
  'dtype',
  'seed',
  'recurrentInit',
  'kernels',
];

/** Rows of one call of predict or evaluate; more are computed one such call after the other. */
const ROWS_PER_CALL = 1_024;

const slots = new WeakMap<object, OptimizerSlot>();

/**
 * A stack of Elman cells and a linear layer on the last layer's last state. Batches are computed by worker threads
 * that share the model's memory; the results are the same bits for any number of threads.
 *
 * Asynchronous calls queue up in the order they were made; what they are given must not change until they have
 * ended. Synchronous writers (initWeights, loadStateDict, zeroGrad) throw BUSY while a call is in flight.
 */
export class RNNPhonemeClassifier {
  readonly inputSize: number;
  readonly hiddenSize: number;
  readonly outputSize: number;
  readonly numLayers: number;
  readonly dtype: Dtype;
  #network: Network | null;
  #cells: readonly RNNCell[];
  #outputLayer: Linear;
  readonly #server: PredictionServer;
  #metadata: Readonly<Record<string, string>> = {};
  #kept: Kept | null = null;
  #inFlight = 0;
  #training = 0;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(shape: NetworkShape, dtype: Dtype, network: Network) {
    this.inputSize = shape.inputSize;
    this.hiddenSize = shape.hiddenSize;
    this.outputSize = shape.outputSize;
    this.numLayers = shape.numLayers;
    this.dtype = dtype;
    this.#network = network;
    this.#server = new PredictionServer(network);
    this.#cells = network.g.cells.map((_, layer) => cellOver(network, layer));
    this.#outputLayer = outputLayerOver(network);
    networks.set(this, network);
  }

  /**
   * Makes a model and its threads.
   * @throws BAD_ARGUMENT; MEMORY_TOO_LARGE, before anything is allocated; BLAS_MISSING; WORKER_FAILED
   */
  static async create(options: ClassifierOptions): Promise<RNNPhonemeClassifier> {
    checkKeys('options', options, OPTIONS);
    const { numLayers = 2, threads = availableParallelism(), dtype = 'float32', seed = 0 } = options;
    const { recurrentInit = 'uniform', kernels = 'wasm' } = options;
    const shape = {
      inputSize: checkInteger('inputSize', options.inputSize, 1),
      hiddenSize: checkInteger('hiddenSize', options.hiddenSize, 1),
      outputSize: checkInteger('outputSize', options.outputSize, 1),
      numLayers: checkInteger('numLayers', numLayers, 1),
    };
    checkInteger('threads', threads, 0);
    checkInteger('seed', seed, 0);
    checkDtype(dtype);
    if (recurrentInit !== 'uniform' && recurrentInit !== 'orthogonal') {
      throw badArgument('recurrentInit', "'uniform' or 'orthogonal'", recurrentInit);
    }
    const network = new Network(shape, dtype, threads, readKernels(kernels));
    await network.ready();
    initialiseNetwork(network, recurrentInit, new Random(seed));
    return new RNNPhonemeClassifier(shape, dtype, network);
  }

  /**
   * Makes a model from a file that `save` wrote, in the file's data type.
   * @throws BAD_FILE_… and BAD_MODEL_FILE where the file is damaged or something else; what create throws
   */
  static async load(
    path: string,
    options: Pick<ClassifierOptions, 'threads' | 'kernels'> = {},
  ): Promise<RNNPhonemeClassifier> {
    checkKeys('options', options, ['threads', 'kernels']);
    const { shape, dtype, parameters, metadata } = await readModelFile(path);
    const model = await RNNPhonemeClassifier.create({ ...shape, dtype, ...options });
    try {
      model.loadStateDict(parameters);
    } catch (error) {
      await model.close();
      throw error;
    }
    model.#metadata = metadata;
    return model;
  }

  /** What the model was saved with, besides its parameters. */
  get metadata(): Readonly<Record<string, string>> {
    return this.#metadata;
  }

  /** Worker threads of this model; 0 where the calling thread computes. */
  get threads(): number {
    return this.#open('threads').threads;
  }

  /** The cells, over views of the model's parameters and gradients: current whenever no call is in flight. */
  get rnn(): readonly RNNCell[] {
    this.#open('rnn');
    return this.#cells;
  }

  /** The output layer, over views of the model's parameters and gradients. */
  get outputLayer(): Linear {
    this.#open('outputLayer');
    return this.#outputLayer;
  }

  /**
   * Sets all weights.
   * @param cells for each layer [W_ih [H, I or H], W_hh [H, H], b_ih [H], b_hh [H]]
   * @param output [W [O, H], b [O] or [O, 1]]
   * @throws BAD_ARGUMENT, BUSY, CLOSED
   */
  initWeights(
    cells: readonly (readonly [TensorLike, TensorLike, TensorLike, TensorLike])[],
    output: readonly [TensorLike, TensorLike],
  ): void {
    this.#idle('initWeights');
    if (!Array.isArray(cells) || cells.length !== this.numLayers) {
      throw badArgument('cells', `${this.numLayers} layers' weights`, cells?.length ?? cells);
    }
    cells.forEach(([W_ih, W_hh, b_ih, b_hh], layer) => {
      this.rnn[layer].initWeights(W_ih, W_hh, b_ih, b_hh);
    });
    this.outputLayer.initWeights(output[0], output[1]);
  }

  /**
   * Logits of a batch. What backward needs, and `hiddens`, is kept until the next forward.
   * @param x [B, T, I], an array of [Tᵢ, I], or `{ data, shape: [B, T, I], lengths }`, whose padding is never read
   * @param h0 initial states [L, B, H]; zero by default
   * @returns [B, O], from each sequence's own last step
   * @throws BAD_ARGUMENT, CLOSED, MEMORY_TOO_LARGE, WORKER_LOST
   */
  async forward(x: SequencesLike, h0?: TensorLike): Promise<Tensor> {
    const { network, input, states } = this.#readCall('forward', x, h0);
    return this.#call(() => this.#forward(network, input, states));
  }

  async #forward(network: Network, input: SequenceInput, states: Tensor | null): Promise<Tensor> {
    const { spec, parties } = planCall(network, input, network.model.end, { keep: true, passes: 1 });
    const plan = network.reserve(spec);
    this.#kept = null;
    const rows = this.#writeCall(network, plan, input, states);
    const flags = { h0: states !== null, probabilities: false, score: false };
    await network.run({ kind: 'forward', spec, rows, ...flags }, parties);
    this.#kept = { spec, plan, lengths: input.lengths.slice(), hiddens: null };
    return this.#readLogits(network, plan, input.rows);
  }

  /**
   * Backward through the last forward, with the parameters as they are now. Accumulates the averaged gradients onto
   * those of `rnn` and `outputLayer`; may be called again.
   * @param delta ∂L/∂logits, per sample [B, O]
   * @returns dh0 [L, B, H], divided by B, since initial states count as parameters; with `inputGradient` also
   * dx [B, T, I], not averaged
   * @throws BAD_ARGUMENT, CLOSED, NO_FORWARD, WORKER_LOST
   */
  backward(delta: TensorLike): Promise<Tensor>;
  backward(delta: TensorLike, options: { inputGradient: true }): Promise<{ dh0: Tensor; dx: Tensor }>;
  backward(
    delta: TensorLike,
    options: { inputGradient?: boolean },
  ): Promise<Tensor | { dh0: Tensor; dx: Tensor }>;
  async backward(
    delta: TensorLike,
    options: { inputGradient?: boolean } = {},
  ): Promise<Tensor | { dh0: Tensor; dx: Tensor }> {
    const network = this.#open('backward');
    checkKeys('options', options, ['inputGradient']);
    const inputGradient = readFlag('inputGradient', options.inputGradient);
    return this.#call(() => this.#backward(network, delta, inputGradient));
  }

  async #backward(
    network: Network,
    delta: TensorLike,
    inputGradient: boolean,
  ): Promise<Tensor | { dh0: Tensor; dx: Tensor }> {
    const kept = this.#kept;
    if (!kept) throw noForward();
    const { rows, steps, time } = kept.spec;
    const given = readTensor('delta', delta, [rows, this.outputSize], this.dtype);
    const input = { rows, steps, time, frames: kept.lengths.reduce((a, b) => a + b, 0), shared: null };
    const { spec, parties } = planCall(network, { ...input, frames: input.frames }, kept.plan.end, {
      ...{ gradients: true, inputGradient, passes: 2 },
    });
    const plan = network.reserve({ ...spec, inputFrames: 0 });
    network.reals(plan.delta, given.data.length).set(given.data);
    const job = {
      kind: 'backward',
      spec: { ...spec, inputFrames: 0 },
      kept: kept.spec,
      inputGradient,
    } as const;
    await network.run(job, parties);
    network.takeOver(network.model.gradients);
    const dh0 = this.#readStates(network, plan, rows);
    return inputGradient ? { dh0, dx: this.#readInputGradient(network, plan, rows, time) } : dh0;
  }

  /**
   * Forward, mean softmax cross-entropy and backward in one call: the averaged gradients are accumulated onto those
   * of `rnn` and `outputLayer`. Leaves alone what the last forward has kept.
   * @param x as in forward  @param labels class of each row
   * @param options `classWeights` and `labelSmoothing` change the loss, see LossOptions
   * @throws BAD_ARGUMENT, CLOSED, MEMORY_TOO_LARGE, WORKER_LOST (nothing has changed)
   */
  async gradients(
    x: SequencesLike,
    labels: ArrayLike<number> | TensorLike,
    options: { h0?: TensorLike; inputGradient?: boolean } & LossOptions = {},
  ): Promise<GradientResult> {
    this.#open('gradients');
    checkKeys('options', options, ['h0', 'inputGradient', 'classWeights', 'labelSmoothing']);
    const loss = lossSpec(options, this.outputSize);
    const inputGradient = readFlag('inputGradient', options.inputGradient);
    const { network, input, states } = this.#readCall('gradients', x, options.h0);
    const classes = new Int32Array(input.rows);
    readLabels('labels', labels, input.rows, this.outputSize, classes);
    return this.#call(() => this.#gradients(network, input, states, classes, inputGradient, loss));
  }

  async #gradients(
    network: Network,
    input: SequenceInput,
    states: Tensor | null,
    labels: Int32Array,
    inputGradient: boolean,
    loss: LossSpec,
  ): Promise<GradientResult> {
    const { spec, parties } = planCall(network, input, this.#scratchStart(network), {
      ...{ gradients: true, inputGradient, passes: 3 },
    });
    const plan = network.reserve(spec);
    const rows = this.#writeCall(network, plan, input, states);
    network.integers(plan.labels, input.rows).set(labels);
    await network.run({ kind: 'gradients', spec, rows, h0: states !== null, inputGradient, loss }, parties);
    network.takeOver(network.model.gradients);
    const result = {
      loss: network.control.reals[Real.lossSum] / input.rows,
      logits: this.#readLogits(network, plan, input.rows),
      dh0: this.#readStates(network, plan, input.rows),
    };
    return inputGradient
      ? { ...result, dx: this.#readInputGradient(network, plan, input.rows, input.time) }
      : result;
  }

  /**
   * The states of the last forward: T + 1 tensors [L, B, H], the initial one first, zero past a sequence's end.
   * Copied out on first access.
   * @throws BUSY, CLOSED, NO_FORWARD
   */
  get hiddens(): readonly Tensor[] {
    const network = this.#idle('hiddens');
    if (!this.#kept) throw noForward();
    this.#kept.hiddens ??= readHiddens(network, this.#kept);
    return this.#kept.hiddens;
  }

  /** Sets the accumulated gradients to zero. Throws BUSY, CLOSED. */
  zeroGrad(): void {
    const network = this.#idle('zeroGrad');
    network.block(network.model.gradients[0]).fill(0);
  }

  /** Copies of all parameters, by PyTorch's names: rnn.weight_ih_l0 … output.weight, output.bias. Throws BUSY, CLOSED. */
  stateDict(): Record<string, Tensor> {
    const network = this.#idle('stateDict');
    const entries = network.g.parameters.map((parameter): [string, Tensor] => [
      parameter.name,
      new Tensor(network.parameterView(parameter).slice(), parameter.shape),
    ]);
    return Object.fromEntries(entries);
  }

  /**
   * Sets all parameters, by PyTorch's names; all or, where one is wrong, none.
   * @throws BAD_ARGUMENT where a name is missing or unknown, a shape is wrong, or a value is not finite; BUSY, CLOSED
   */
  loadStateDict(stateDict: Readonly<Record<string, TensorLike>>): void {
    const network = this.#idle('loadStateDict');
    const { parameters } = network.g;
    checkKeys(
      'stateDict',
      stateDict,
      parameters.map(({ name }) => name),
    );
    const values = parameters.map((parameter) =>
      readParameter(parameter, stateDict[parameter.name], this.dtype),
    );
    parameters.forEach((parameter, i) => {
      network.parameterView(parameter).set(values[i].data);
    });
  }

  /**
   * Writes the model to a safetensors file, with PyTorch's names; a crash leaves the old file or the new one, whole.
   * @param options `metadata`: strings that travel with the model, such as its classes
   * @throws BUSY, CLOSED; the file system's errors
   */
  async save(path: string, options: { metadata?: Readonly<Record<string, string>> } = {}): Promise<void> {
    checkKeys('options', options, ['metadata']);
    this.#metadata = { ...this.#metadata, ...options.metadata };
    const { inputSize, hiddenSize, outputSize, numLayers } = this;
    const shape = { inputSize, hiddenSize, outputSize, numLayers };
    await writeModelFile(path, shape, this.stateDict(), this.#metadata);
  }

  /** An optimizer with fresh moments. Throws BAD_ARGUMENT, CLOSED. */
  optimizer(options: OptimizerType | OptimizerOptions): Optimizer {
    const network = this.#open('optimizer');
    const slot = new OptimizerSlot(network, optimizerSpec(options));
    const optimizer = new Optimizer((clipNorm, learningRate) => {
      this.#open('step');
      return this.#call(async () => {
        slot.moveIn();
        const parties =
          network.threads === 0 ? 1 : Math.min(network.threads, Math.ceil(network.g.blockSize / 1e5));
        const rate = learningRate ?? slot.spec.learningRate;
        await network.run({ kind: 'update', optimizer: slot.spec, learningRate: rate, clipNorm }, parties);
        takeOverStep(network);
      });
    });
    slots.set(optimizer, slot);
    return optimizer;
  }

  /**
   * Trains. Whole epochs run in the threads: shuffling, gathering, forward, backward, reduction, clipping and the
   * optimizer, with no way back to this thread between steps, which stays free. Leaves the gradients at zero.
   * @returns what each epoch came to
   * @throws BAD_ARGUMENT; NOT_FINITE (parameters as before the step); WORKER_LOST (parameters as after the last whole
   * step); the signal's reason; CLOSED
   */
  async fit(
    data: LabelledSequences,
    options: FitOptions & { validation?: LabelledSequences } = {},
  ): Promise<EpochLog[]> {
    const network = this.#open('fit');
    const plan = readFitOptions(options, this.outputSize);
    const slot = this.#slotOf(network, options.optimizer ?? 'adam');
    const training = this.#readData('data', data);
    const validation =
      options.validation === undefined ? null : this.#readData('validation', options.validation);
    plan.signal?.throwIfAborted();
    this.#training++;
    return this.#call(async () => {
      const start = this.#scratchStart(network);
      try {
        return await train(network, training, slot, plan, {
          start,
          validate: validation && (() => this.#evaluate(network, validation)),
          serve: {
            attend: (end) => this.#server.attend(end),
            leave: () => this.#server.leave(),
            between: () => this.#server.between(start),
          },
        });
      } finally {
        this.#training--;
        await this.#server.between(start);
      }
    });
  }

  /**
   * Trains like `fit`, and gives what happens to a loop:
   *
   *     for await (const event of model.training(data, options)) if (event.type === 'epoch') console.log(event.loss);
   *
   * Leaving the loop ends training after the current step. Throws what fit rejects with.
   */
  training(
    data: LabelledSequences,
    options: FitOptions & { validation?: LabelledSequences } = {},
  ): AsyncGenerator<TrainingEvent, EpochLog[], void> {
    return trainingEvents(
      (all) => this.fit(data, { ...options, ...all, validation: options.validation }),
      options,
    );
  }

  #slotOf(network: Network, given: NonNullable<FitOptions['optimizer']>): OptimizerSlot {
    if (!(given instanceof Optimizer)) {
      return new OptimizerSlot(network, optimizerSpec(given as OptimizerType | OptimizerOptions));
    }
    const slot = slots.get(given);
    if (!slot?.belongsTo(network))
      throw badArgument('optimizer', 'an optimizer of this model', 'one of another model');
    return slot;
  }

  /**
   * Loss, accuracy, confusion matrix and recall of labelled sequences.
   * @throws BAD_ARGUMENT, CLOSED, WORKER_LOST
   */
  async evaluate(data: LabelledSequences): Promise<Evaluation> {
    const network = this.#open('evaluate');
    const sequences = this.#readData('data', data);
    return this.#call(() => this.#evaluate(network, sequences));
  }

  async #evaluate(network: Network, data: Sequences): Promise<Evaluation> {
    const { outputSize } = this;
    const confusion = Array.from({ length: outputSize }, () => new Array<number>(outputSize).fill(0));
    const rows = data.lengths.length;
    let loss = 0;
    for (let first = 0; first < rows; first += ROWS_PER_CALL) {
      const lengths = data.lengths.subarray(first, Math.min(rows, first + ROWS_PER_CALL));
      loss += await this.#scoreRows(network, data, first, lengths, confusion);
    }
    const correct = confusion.reduce((sum, row, label) => sum + row[label], 0);
    const recall = confusion.map((row, label) => row[label] / row.reduce((a, b) => a + b, 0));
    return { loss: loss / rows, accuracy: correct / rows, confusion, recall };
  }

  /** Scores the rows `first` …, counts them in `confusion`, and returns the sum of their losses. */
  async #scoreRows(
    network: Network,
    data: Sequences,
    first: number,
    lengths: Int32Array,
    confusion: number[][],
  ): Promise<number> {
    const rows = lengths.length;
    const steps = lengths.reduce((a, b) => Math.max(a, b), 0);
    const frames = lengths.reduce((a, b) => a + b, 0);
    const input = { rows, steps, time: steps, frames, shared: true };
    const { spec, parties } = planCall(network, input, this.#scratchStart(network), { passes: 1 });
    const plan = network.reserve(spec);
    const flags = { h0: false, probabilities: false, score: true };
    await network.run({ kind: 'forward', spec, rows: { first, data, values: null }, ...flags }, parties);
    const logits = network.reals(plan.logits, rows * this.outputSize);
    for (let i = 0; i < rows; i++) {
      const given = argmax(logits, i * this.outputSize, this.outputSize);
      confusion[data.labels[first + i]][given]++;
    }
    return network.control.reals[Real.lossSum];
  }

  /**
   * Class probabilities. While `fit` runs, it is served between two of its steps, with the parameters of that moment.
   * @param x as in forward  @returns [B, O], each row's sum 1
   * @throws BAD_ARGUMENT, CLOSED, WORKER_LOST
   */
  async predict(x: SequencesLike): Promise<Tensor> {
    const network = this.#open('predict');
    const input = readSequences('x', x, this.inputSize, this.dtype);
    const result = newReals(this.dtype, input.rows * this.outputSize);
    for (let from = 0; from < input.rows; from += ROWS_PER_CALL) {
      const rows = sliceRows(input, from, Math.min(input.rows, from + ROWS_PER_CALL));
      const probabilities =
        this.#training > 0
          ? await this.#server.ask(rows)
          : await this.#call(() => this.#server.compute(rows, this.#scratchStart(network)));
      result.set(probabilities, from * this.outputSize);
    }
    return new Tensor(result, [input.rows, this.outputSize]);
  }

  /**
   * The model on live input, one frame at a time, with the parameters as they are now.
   * @throws BUSY, CLOSED
   */
  stream(): ClassifierStream {
    const network = this.#idle('stream');
    return new ClassifierStream(network.g, (parameter) => network.parameterView(parameter));
  }

  /** Ends the threads and lets go of the memory, once the calls made before have ended. May be called again. */
  async close(): Promise<void> {
    const network = this.#network;
    if (!network) return;
    this.#network = null;
    await this.#turn;
    await network.close();
    this.#kept = null;
    this.#cells = [];
    networks.delete(this);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #open(method: string): Network {
    if (!this.#network) throw closed(method);
    return this.#network;
  }

  #idle(method: string): Network {
    const network = this.#open(method);
    if (this.#inFlight > 0) throw busy(method);
    return network;
  }

  /** Runs when all calls made before have ended. */
  async #call<T>(work: () => Promise<T>): Promise<T> {
    this.#inFlight++;
    const before = this.#turn;
    let end = (): void => {};
    this.#turn = new Promise<void>((resolve) => {
      end = resolve;
    });
    try {
      await before;
      return await work();
    } finally {
      this.#inFlight--;
      end();
    }
  }

  #scratchStart(network: Network): number {
    return this.#kept?.plan.end ?? network.model.end;
  }

  #readCall(method: string, x: SequencesLike, h0: TensorLike | undefined) {
    const network = this.#open(method);
    const input = readSequences('x', x, this.inputSize, this.dtype);
    const shape = [this.numLayers, input.rows, this.hiddenSize];
    return { network, input, states: h0 === undefined ? null : readTensor('h0', h0, shape, this.dtype) };
  }

  #readData(name: string, data: LabelledSequences): Sequences {
    checkKeys(name, data, ['x', 'labels']);
    const input = readSequences(`${name}.x`, data.x, this.inputSize, this.dtype);
    const sequences = shareSequences(input, this.inputSize, this.dtype);
    readLabels(`${name}.labels`, data.labels, input.rows, this.outputSize, sequences.labels);
    return sequences;
  }

  #writeCall(network: Network, plan: BatchMemory, input: SequenceInput, states: Tensor | null) {
    if (states) network.reals(plan.h0, states.data.length).set(states.data);
    return network.writeInput(plan, input);
  }

  #readLogits(network: Network, plan: BatchMemory, rows: number): Tensor {
    return new Tensor(network.copy(plan.logits, rows * this.outputSize), [rows, this.outputSize]);
  }

  #readStates(network: Network, plan: BatchMemory, rows: number): Tensor {
    const shape = [this.numLayers, rows, this.hiddenSize];
    return new Tensor(network.copy(plan.dh0, this.numLayers * rows * this.hiddenSize), shape);
  }

  #readInputGradient(network: Network, plan: BatchMemory, rows: number, time: number): Tensor {
    return new Tensor(network.copy(plan.dx, rows * time * this.inputSize), [rows, time, this.inputSize]);
  }
}

function readKernels(kernels: unknown): KernelOptions {
  if (kernels === 'wasm' || kernels === 'wasm-relaxed' || kernels === 'blas') return { maker: kernels };
  const path =
    typeof kernels === 'object' && kernels !== null && 'blas' in kernels ? kernels.blas : undefined;
  if (typeof path !== 'string')
    throw badArgument('kernels', "'wasm', 'wasm-relaxed', 'blas' or { blas: path }", kernels);
  return { maker: 'blas', blasPath: path };
}

function readFlag(name: string, value: unknown): boolean {
  if (value !== undefined && typeof value !== 'boolean') throw badArgument(name, 'true or false', value);
  return value ?? false;
}

function readParameter({ name, shape }: Parameter, value: TensorLike | undefined, dtype: Dtype): Tensor {
  if (value === undefined) throw badArgument(`stateDict.${name}`, `[${shape.join(', ')}]`, 'nothing');
  const read = readTensor(`stateDict.${name}`, value, shape, dtype);
  const bad = read.data.findIndex((number) => !Number.isFinite(number));
  if (bad >= 0) throw badArgument(`stateDict.${name}`, 'finite numbers', `${read.data[bad]} at ${bad}`);
  return read;
}

interface CallKind {
  keep?: boolean;
  gradients?: boolean;
  inputGradient?: boolean;
  /** Passes over the weights: 1 forward, 2 backward, 3 both. */
  passes: 1 | 2 | 3;
}

/** The memory and the number of threads for a call. */
function planCall(
  network: Network,
  input: { rows: number; steps: number; time: number; frames: number; shared: unknown },
  start: number,
  kind: CallKind,
): { spec: BatchSpec; parties: number } {
  const { g } = network;
  const { rows, steps, time, frames } = input;
  const { keep = false, gradients = false, inputGradient = false, passes } = kind;
  const parties = network.engaged(rows, frames, laneCount(rows, g.blockSize * g.realBytes, g.maker), passes);
  const inputFrames = input.shared ? 0 : frames;
  return {
    spec: {
      start,
      rows,
      steps,
      time,
      threads: parties,
      keep,
      gradients,
      inputFrames,
      results: true,
      inputGradient,
    },
    parties,
  };
}

function cellOver(network: Network, layer: number): RNNCell {
  const { g } = network;
  const { W_ih, W_hh, b_ih, b_hh } = g.cells[layer];
  const p = (parameter: Parameter) => network.parameterView(parameter);
  const d = (parameter: Parameter) => network.gradientView(parameter);
  const parameters = { W_ih: p(W_ih), W_hh: p(W_hh), b_ih: p(b_ih), b_hh: p(b_hh) };
  const gradients = { dW_ih: d(W_ih), dW_hh: d(W_hh), db_ih: d(b_ih), db_hh: d(b_hh) };
  const inputSize = layer === 0 ? g.inputSize : g.hiddenSize;
  return new RNNCell(inputSize, g.hiddenSize, { dtype: g.dtype }, { ...parameters, ...gradients });
}

function outputLayerOver(network: Network): Linear {
  const { g } = network;
  const [W, b] = [network.parameterView(g.W), network.parameterView(g.b)];
  const [dW, db] = [network.gradientView(g.W), network.gradientView(g.b)];
  return new Linear(g.hiddenSize, g.outputSize, { dtype: g.dtype }, { W, b, dW, db });
}

/** Reads the states out of the lanes' workspaces. */
function readHiddens(network: Network, kept: Kept): Tensor[] {
  const { g, thread } = network;
  const { rows, time } = kept.spec;
  const states = Array.from({ length: time + 1 }, () => newReals(g.dtype, g.numLayers * rows * g.hiddenSize));
  const data = {
    values: newReals(g.dtype, 0),
    starts: new Uint32Array(0),
    lengths: kept.lengths,
    labels: kept.lengths,
  };
  const batch = new SortedBatch(rows).fill(data, 0, null);
  const { reals } = thread.tools({ index: 0, parties: 1 });
  for (let lane = 0; lane < kept.plan.lanes; lane++) {
    for (const block of thread.blocksOf(lane, batch, kept.plan, true, { index: 0, parties: 1 })) {
      copyStates(g, block, reals, states);
    }
  }
  return states.map((state) => new Tensor(state, [g.numLayers, rows, g.hiddenSize]));
}

function copyStates(g: Geometry, block: Block, reals: RealArray, states: RealArray[]): void {
  block.workspace.layers.forEach(({ h, rows }, layer) => {
    for (let i = 0; i < block.count; i++) {
      const to = (layer * block.batch.rows + block.batch.positions[block.firstRank + i]) * g.hiddenSize;
      for (let t = 0; t <= block.batch.lengths[block.firstRank + i]; t++) {
        const row = h.at + (t * rows + i) * h.pitch;
        for (let j = 0; j < g.hiddenSize; j++) {
          const at = row + Math.floor(j / g.columns) * h.stride;
          states[t][to + j] = reals[at / g.realBytes + (j % g.columns)];
        }
      }
    }
  });
}
