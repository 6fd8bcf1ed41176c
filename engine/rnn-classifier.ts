import { CallQueue, orAborted } from './call-queue.ts';
import {
  type ClassifierOptions,
  type ClassifierPlan,
  FOREIGN_OPTIONS,
  type LoadOptions,
  readClassifierOptions,
} from './classifier-options.ts';
import type { LabelledSequences } from './data/labelled-sequences.ts';
import type { NormalizationSpec } from './data/normalization.ts';
import { type LabelRule, type LabelsLike, readLabels } from './data/read-labels.ts';
import { readSequences, type SequencesLike, shareSequences } from './data/read-sequences.ts';
import type { Sequences } from './data/sequences.ts';
import { badArgument, busy, closed, plain } from './errors.ts';
import { writeFileAtomically } from './io/atomic-file.ts';
import { encodeOnnx } from './io/onnx.ts';
import type { Dtype, Nonlinearity } from './kernels/kernels.ts';
import type { Linear } from './linear.ts';
import { checkMetadata, encodeModel, readModelFile } from './model-file.ts';
import {
  finiteParameters,
  readStateDict,
  readWeights,
  setParameters,
  stateDictOf,
} from './model-parameters.ts';
import { cellOver, outputLayerOver } from './model-views.ts';
import { Calls, logitsShape, ROWS_PER_CALL } from './network/calls.ts';
import { batchKey } from './network/dropout.ts';
import type { NetworkShape, OutputMode } from './network/geometry.ts';
import { initialiseNetwork } from './network/initialise.ts';
import { type LossOptions, lossSpec } from './network/loss.ts';
import { Network } from './network/network.ts';
import { PredictionServer } from './network/prediction-server.ts';
import { networks } from './network/registry.ts';
import { Random } from './numeric/random.ts';
import { type OptimizerOptions, type OptimizerType, optimizerSpec } from './optimization/optimizers.ts';
import { Optimizer } from './optimizer.ts';
import type { Evaluation, RequestedGradients } from './results.ts';
import type { CellWeights, RNNCell } from './rnn-cell.ts';
import { ClassifierStream } from './stream.ts';
import { StreamWeights } from './stream-weights.ts';
import { readTensor, Tensor, type TensorLike } from './tensor.ts';
import { train } from './training/fit.ts';
import { type EpochLog, type FitOptions, readFitOptions } from './training/fit-options.ts';
import { readOptimizer, storeOptimizer } from './training/optimizer-file.ts';
import { OptimizerSlot } from './training/optimizer-slot.ts';
import { isInCallbackOf, markCallbacks } from './training/running-callback.ts';
import { type TrainingEvent, trainingEvents } from './training/training-events.ts';
import { checkFlag, checkInteger, checkKeys, checkPath, checkSignal, checkSource } from './validation.ts';

/** What `gradients` may be asked for; `classWeights` and `labelSmoothing` change the loss, see LossOptions. */
export interface GradientOptions extends LossOptions {
  /** Initial states [L · D, B, H]; zero by default. */
  h0?: TensorLike | undefined;
  /** Whether dx is returned. */
  inputGradient?: boolean | undefined;
  /** Whether the states each sequence ends with are returned, hT [L · D, B, H]. */
  finalStates?: boolean | undefined;
  /** With output 'steps', the label that does not count; default −100. */
  ignoreIndex?: number | undefined;
  /** Which dropout masks: those of this step from the model's seed. Default: each call takes the next ones. */
  dropoutStep?: number | undefined;
}

/** What is saved besides the model. */
export interface SaveOptions {
  /** Further strings, under names that do not begin with `elman.`. */
  metadata?: Readonly<Record<string, string>> | undefined;
  /** One of the model's, whose state is saved too, for an optimizer's `load`. */
  optimizer?: Optimizer | undefined;
}

const GRADIENT_OPTIONS = [
  'h0',
  'inputGradient',
  'finalStates',
  'classWeights',
  'labelSmoothing',
  'ignoreIndex',
  'dropoutStep',
];

/** The label that does not count unless another is named; PyTorch's. */
const IGNORE_INDEX = -100;

/** What an open model consists of. */
interface Parts {
  readonly network: Network;
  readonly calls: Calls;
  readonly server: PredictionServer;
  readonly cells: readonly RNNCell[];
  readonly outputLayer: Linear;
}

/** Ends the threads of models that nobody holds any more and nobody has closed: they would live as long as the process. */
const dropped = new FinalizationRegistry<Network>((network) => {
  network.close().catch(() => {});
});

/**
 * A stack of Elman cells, in one direction or both, and a linear layer on the last layer's states. Batches are computed by worker threads
 * that share the model's memory; the results are the same bits for any number of threads.
 *
 * Asynchronous calls queue up in the order they were made; what they are given must not change until they have
 * ended. What writes at once (initWeights, loadStateDict, zeroGrad), and hiddens, throw BUSY while a call is in flight;
 * stateDict and stream while an optimizer's step or load is. While fit runs, they read the parameters of its last whole step. An
 * onEpochEnd callback may do all that, predict and save; what would wait for the fit that waits for the callback throws
 * BUSY. Calls that start threads anew, after a lost one, may throw WORKER_FAILED.
 */
export class RNNPhonemeClassifier {
  readonly inputSize: number;
  readonly hiddenSize: number;
  readonly outputSize: number;
  readonly numLayers: number;
  readonly nonlinearity: Nonlinearity;
  readonly bidirectional: boolean;
  readonly bias: boolean;
  readonly dropout: number;
  readonly output: OutputMode;
  readonly dtype: Dtype;
  /** How frames are normalized; null where they are not. */
  readonly normalization: NormalizationSpec | null;
  /** Names of the classes; null where they have none. */
  readonly classes: readonly string[] | null;
  readonly #shape: Required<NetworkShape>;
  readonly #seed: number;
  /** Everything that holds the memory: let go of by close. */
  #parts: Parts | null;
  #closing: Promise<void> | null = null;
  #metadata: Readonly<Record<string, string>> = {};
  /** Calls of fit that have not ended. */
  #training = 0;
  /** Of the streams opened last. */
  #streamWeights: StreamWeights | null = null;
  /** Calls of several parts that only read the parameters, and have not ended. */
  #reading = 0;
  #gradientCalls = 0;
  readonly #queue = new CallQueue();
  readonly #optimizers = new WeakMap<Optimizer, OptimizerSlot>();

  private constructor(plan: ClassifierPlan, network: Network) {
    if (!(network instanceof Network)) throw badArgument('new', 'a call of create or load', plain('new'));
    const { shape } = plan;
    this.inputSize = shape.inputSize;
    this.hiddenSize = shape.hiddenSize;
    this.outputSize = shape.outputSize;
    this.numLayers = shape.numLayers;
    this.nonlinearity = shape.nonlinearity;
    this.bidirectional = shape.bidirectional;
    this.bias = shape.bias;
    this.dropout = shape.dropout;
    this.output = shape.output;
    this.dtype = plan.dtype;
    this.normalization = plan.normalization;
    this.classes = plan.classes;
    this.#shape = shape;
    this.#seed = plan.seed;
    this.#parts = {
      network,
      calls: new Calls(network),
      server: new PredictionServer(network),
      cells: network.g.cells.map((_, cell) => cellOver(network, cell)),
      outputLayer: outputLayerOver(network),
    };
    networks.set(this, network);
    dropped.register(this, network, this);
  }

  /**
   * Makes a model and its threads.
   * @throws BAD_ARGUMENT; MEMORY_TOO_LARGE, before anything is allocated; BLAS_MISSING; RELAXED_SIMD_MISSING; NOT_BUILT;
   * WORKER_FAILED
   */
  static async create(options: ClassifierOptions): Promise<RNNPhonemeClassifier> {
    const plan = readClassifierOptions(options);
    const { shape, dtype, threads, kernels, normalization } = plan;
    const network = new Network(shape, dtype, threads, kernels, normalization);
    await network.ready();
    initialiseNetwork(network, plan.recurrentInit, new Random(plan.seed));
    return new RNNPhonemeClassifier(plan, network);
  }

  /**
   * Makes a model from a file that `save` wrote, in the file's data type; or from one that PyTorch's `save_file` wrote for a
   * module with an nn.RNN called `rnn` and an nn.Linear called `output`.
   * @param source the file's path, or its bytes, such as `toSafetensors` gives
   * @param options `seed`: of the dropout masks of `gradients`, which no file knows; `nonlinearity`, `output`, `dropout`,
   * `normalization`, `classes`: of a PyTorch file, which has the sizes only
   * @throws BAD_FILE_… and BAD_MODEL_FILE where the file is damaged or something else; the file system's errors; what create
   * throws
   */
  static async load(
    source: string | URL | Uint8Array,
    options: LoadOptions = {},
  ): Promise<RNNPhonemeClassifier> {
    checkKeys('options', options, ['threads', 'kernels', 'seed', ...FOREIGN_OPTIONS]);
    const { threads, kernels, seed, ...foreign } = options;
    const file = await readModelFile(checkSource(source), foreign);
    const { shape, dtype, normalization, classes, parameters, metadata } = file;
    const { normalized, ...sizes } = shape;
    const model = await RNNPhonemeClassifier.create({
      ...sizes,
      ...(normalization && { normalization }),
      ...(classes && { classes }),
      ...{ dtype, threads, kernels, seed },
    });
    setParameters(model.#open('load').network, parameters);
    model.#metadata = metadata;
    return model;
  }

  /** What the model was saved with, besides its parameters. */
  get metadata(): Readonly<Record<string, string>> {
    return this.#metadata;
  }

  /** Worker threads of this model; 0 where the calling thread computes. */
  get threads(): number {
    return this.#open('threads').network.threads;
  }

  /**
   * The cells, layer by layer, of a bidirectional model forward before reverse; over views of the model's parameters and
   * gradients: current whenever no call is in flight.
   */
  get rnn(): readonly RNNCell[] {
    return this.#open('rnn').cells;
  }

  /** The output layer, over views of the model's parameters and gradients. */
  get outputLayer(): Linear {
    return this.#open('outputLayer').outputLayer;
  }

  /**
   * Sets all weights.
   * @param cells for each cell, ordered as in `rnn`, [W_ih [H, I or D · H], W_hh [H, H], b_ih [H], b_hh [H]]
   * @param output [W [O, D · H], b [O] or [O, 1]]
   * @throws BAD_ARGUMENT, and nothing is set; BUSY, CLOSED
   */
  initWeights(cells: readonly CellWeights[], output: readonly [TensorLike, TensorLike]): void {
    const { network } = this.#idle('initWeights');
    setParameters(network, readWeights(network.g, cells, output));
  }

  /**
   * Logits of a batch. What backward needs, and `hiddens`, is kept until the next forward.
   * @param x [B, T, I], an array of [Tᵢ, I], or `{ data, shape: [B, T, I], lengths }`, whose padding is never read
   * @param h0 initial states [L · D, B, H], ordered as `rnn`; zero by default
   * @param options `finalStates` asks for the states each sequence ends with, hT [L · D, B, H]: the h0 of its next part
   * @returns logits [B, O]; of a model with output 'steps' [B, T, O], zero past a sequence's end
   * @throws BAD_ARGUMENT, CLOSED, MEMORY_TOO_LARGE, WORKER_LOST
   */
  forward(x: SequencesLike, h0?: TensorLike): Promise<Tensor>;
  forward(
    x: SequencesLike,
    h0: TensorLike | undefined,
    options: { finalStates: true },
  ): Promise<{ logits: Tensor; hT: Tensor }>;
  forward(
    x: SequencesLike,
    h0: TensorLike | undefined,
    options: { finalStates?: boolean | undefined },
  ): Promise<Tensor | { logits: Tensor; hT: Tensor }>;
  async forward(
    x: SequencesLike,
    h0?: TensorLike,
    options: { finalStates?: boolean | undefined } = {},
  ): Promise<Tensor | { logits: Tensor; hT: Tensor }> {
    const { calls } = this.#joinQueue('forward');
    checkKeys('options', options, ['finalStates']);
    const { finalStates = false } = options;
    checkFlag('finalStates', finalStates);
    const { input, states } = this.#readCall(x, h0);
    const result = await this.#queue.run(() => calls.forward(input, states, finalStates));
    return finalStates ? result : result.logits;
  }

  /**
   * Backward through the last forward, with the parameters as they are now. Accumulates the averaged gradients onto
   * those of `rnn` and `outputLayer`; may be called again.
   * @param delta ∂L/∂logits, per sample [B, O], or [B, T, O] as the logits are
   * @returns dh0 [L · D, B, H], divided by B, since initial states count as parameters; with `inputGradient` also
   * dx [B, T, I], not averaged
   * @throws BAD_ARGUMENT, CLOSED, NO_FORWARD, MEMORY_TOO_LARGE, WORKER_LOST
   */
  backward(delta: TensorLike): Promise<Tensor>;
  backward(delta: TensorLike, options: { inputGradient: true }): Promise<{ dh0: Tensor; dx: Tensor }>;
  backward(
    delta: TensorLike,
    options: { inputGradient?: boolean | undefined },
  ): Promise<Tensor | { dh0: Tensor; dx: Tensor }>;
  async backward(
    delta: TensorLike,
    options: { inputGradient?: boolean | undefined } = {},
  ): Promise<Tensor | { dh0: Tensor; dx: Tensor }> {
    const { calls } = this.#joinQueue('backward');
    checkKeys('options', options, ['inputGradient']);
    const { inputGradient = false } = options;
    checkFlag('inputGradient', inputGradient);
    return this.#queue.run(() => calls.backward(delta, inputGradient));
  }

  /**
   * Forward, mean softmax cross-entropy and backward in one call: the averaged gradients are accumulated onto those
   * of `rnn` and `outputLayer`. Leaves alone what the last forward has kept.
   * @param x as in forward
   * @param labels class of each row [B]; with output 'steps' of each step [B, T] or [Tᵢ] each
   * @throws BAD_ARGUMENT, CLOSED, MEMORY_TOO_LARGE, WORKER_LOST (nothing has changed)
   */
  async gradients<Dx extends boolean = false, HT extends boolean = false>(
    x: SequencesLike,
    labels: LabelsLike,
    options: GradientOptions & { inputGradient?: Dx | undefined; finalStates?: HT | undefined } = {},
  ): Promise<RequestedGradients<Dx, HT>> {
    const { calls } = this.#joinQueue('gradients');
    checkKeys('options', options, GRADIENT_OPTIONS);
    const { h0, dropoutStep, inputGradient = false, finalStates = false } = options;
    const { input, states } = this.#readCall(x, h0);
    const request = {
      input,
      states,
      labels: readLabels('labels', labels, input, this.#labelRule(options.ignoreIndex)),
      loss: lossSpec(options, this.outputSize),
      inputGradient: checkFlag('inputGradient', inputGradient),
      finalStates: checkFlag('finalStates', finalStates),
    };
    if (dropoutStep !== undefined) checkInteger('dropoutStep', dropoutStep, 0);
    return this.#queue.run(async () => {
      const step = dropoutStep ?? this.#gradientCalls;
      const dropoutKey = this.dropout > 0 ? batchKey(this.#seed, step) : null;
      const result = await calls.gradients(request, dropoutKey);
      // Only now: a call that failed is repeated with the same masks.
      if (dropoutStep === undefined) this.#gradientCalls++;
      return result as RequestedGradients<Dx, HT>;
    });
  }

  #labelRule(ignoreIndex: number | undefined): LabelRule {
    const perStep = this.output === 'steps';
    if (ignoreIndex !== undefined && (!perStep || !Number.isInteger(ignoreIndex)))
      throw badArgument('ignoreIndex', "an integer, where output is 'steps'", ignoreIndex);
    return { classes: this.outputSize, perStep, ignored: perStep ? (ignoreIndex ?? IGNORE_INDEX) : null };
  }

  /**
   * The states of the last forward: T + 1 tensors [L · D, B, H], the initial one first, zero past a sequence's end. Of a
   * cell that reads in reverse, tensor t holds the state after the frames T − 1 … t: its initial state is the last one.
   * Copied out on first access.
   * @throws BUSY, CLOSED, NO_FORWARD
   */
  get hiddens(): readonly Tensor[] {
    return this.#idle('hiddens').calls.hiddens;
  }

  /** Sets the accumulated gradients to zero. Throws BUSY, CLOSED. */
  zeroGrad(): void {
    const { network } = this.#idle('zeroGrad');
    network.block(network.model.gradients[0]).fill(0);
  }

  /**
   * Copies of all parameters, by PyTorch's names: rnn.weight_ih_l0 … output.weight, output.bias; while fit runs, as its last
   * whole step has left them. Throws BUSY, CLOSED.
   */
  stateDict(): Record<string, Tensor> {
    return stateDictOf(this.#settled('stateDict').network);
  }

  /**
   * Sets all parameters, by PyTorch's names; all or, where one is wrong, none.
   * @throws BAD_ARGUMENT where a name is missing or unknown, a shape is wrong, or a value is not finite; BUSY, CLOSED
   */
  loadStateDict(stateDict: Readonly<Record<string, TensorLike>>): void {
    const { network } = this.#idle('loadStateDict');
    setParameters(network, readStateDict('stateDict', network.g, stateDict));
  }

  /**
   * Writes the model to a safetensors file, with PyTorch's names; a crash leaves the old file or the new one, whole. Waits
   * for calls that write to the parameters. The model's options, normalization and class names are saved with it, and the
   * metadata it was loaded with.
   * @throws BAD_ARGUMENT; NOT_FINITE where a parameter is not, and nothing is written; CLOSED; the file system's errors
   */
  async save(path: string | URL, options: SaveOptions = {}): Promise<void> {
    const file = checkPath(path);
    const { bytes, metadata } = await this.#encode('save', options);
    await writeFileAtomically(file, bytes);
    this.#metadata = metadata;
  }

  /**
   * The bytes that `save` writes, for a store that is no file system; `load` takes them.
   * @throws BAD_ARGUMENT; NOT_FINITE where a parameter is not; CLOSED
   */
  async toSafetensors(options: SaveOptions = {}): Promise<Uint8Array> {
    const { bytes, metadata } = await this.#encode('toSafetensors', options);
    this.#metadata = metadata;
    return bytes;
  }

  async #encode(method: string, options: SaveOptions) {
    checkKeys('options', options, ['metadata', 'optimizer']);
    const { metadata: own = {}, optimizer: given } = options;
    checkMetadata(own);
    const slot = given === undefined ? null : this.#ownSlot(given);
    const { parameters, optimizer } = await this.#whenSettled(method, (network) => ({
      parameters: finiteParameters(method, network),
      optimizer: slot && storeOptimizer(network.g, slot.spec, slot.state(network)),
    }));
    const metadata = { ...this.#metadata, ...own };
    const header = { shape: this.#shape, normalization: this.normalization, classes: this.classes };
    return { bytes: encodeModel(header, parameters, metadata, optimizer), metadata };
  }

  /**
   * Writes the model to an ONNX file, for inference in other places; a crash leaves the old file or the new one, whole.
   * The graph: x [batch, time, I], rows padded, and lengths [batch] (int32, 1 to time) → logits and their softmax,
   * probabilities, both [batch, O], or [batch, time, O] as the logits are; no initial states. In it each layer is an RNN operator, see
   * https://onnx.ai/onnx/operators/onnx__RNN.html. The model's metadata go along.
   * @throws NOT_EXPORTABLE for a float64 model; BAD_ARGUMENT, NOT_FINITE, CLOSED; the file system's errors
   */
  async exportOnnx(path: string | URL): Promise<void> {
    const file = checkPath(path);
    const { dtype, normalization, classes } = this;
    const read = (network: Network) => finiteParameters('exportOnnx', network);
    const parameters = await this.#whenSettled('exportOnnx', read);
    const source = { ...this.#shape, dtype, normalization, classes, parameters, metadata: this.#metadata };
    await writeFileAtomically(file, encodeOnnx(source));
  }

  /** Reads what calls may write to: at once, unless one does, which is waited for. */
  async #whenSettled<T>(method: string, read: (network: Network) => T): Promise<T> {
    const { network } = this.#open(method);
    const work = async () => read(network);
    const isWriting = this.#queue.isWriting || this.#training > 0;
    return isWriting && !this.#isInCallback ? this.#queue.run(work) : work();
  }

  /** An optimizer with fresh moments. Throws BAD_ARGUMENT, CLOSED. */
  optimizer(options: OptimizerType | OptimizerOptions): Optimizer {
    this.#open('optimizer');
    const slot = new OptimizerSlot(optimizerSpec(options));
    const optimizer = new Optimizer({
      step: (clipNorm, learningRate) => {
        const { network } = this.#joinQueue('step');
        return this.#queue.runWriting(() => slot.step(network, clipNorm, learningRate));
      },
      load: (path) => {
        const { network } = this.#joinQueue('load');
        const restore = async () => slot.restore(network, await readOptimizer(path, network.g, slot.spec));
        return this.#queue.runWriting(restore);
      },
    });
    this.#optimizers.set(optimizer, slot);
    return optimizer;
  }

  /**
   * Trains. Whole epochs run in the threads: shuffling, gathering, forward, backward, reduction, clipping and the
   * optimizer, with no way back to this thread between steps, which stays free. Leaves the gradients at zero.
   * @returns what each epoch came to
   * @throws BAD_ARGUMENT; MEMORY_TOO_LARGE; NOT_FINITE (parameters as before the step); WORKER_LOST (parameters as after the last whole
   * step); the signal's reason; CLOSED
   */
  async fit(data: LabelledSequences, options: FitOptions = {}): Promise<EpochLog[]> {
    const parts = this.#joinQueue('fit');
    const read = readFitOptions(options, this.outputSize);
    const plan = { ...read, callbacks: markCallbacks(this, read.callbacks) };
    const slot = this.#slotOf(options.optimizer === undefined ? 'adam' : options.optimizer);
    const { ignoreIndex } = options;
    const training = this.#readData('data', data, ignoreIndex);
    const validation =
      options.validation === undefined ? null : this.#readData('validation', options.validation, ignoreIndex);
    plan.signal?.throwIfAborted();
    this.#training++;
    const work = async () => {
      try {
        return await train(parts, { training, validation }, slot, plan);
      } finally {
        this.#training--;
        await parts.server.between(parts.calls.scratchStart);
      }
    };
    return this.#queue.run(work, plan.signal);
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
    options: FitOptions = {},
  ): AsyncGenerator<TrainingEvent, EpochLog[], void> {
    return trainingEvents((all) => this.fit(data, all), options, this.outputSize);
  }

  #slotOf(given: NonNullable<FitOptions['optimizer']>): OptimizerSlot {
    return given instanceof Optimizer ? this.#ownSlot(given) : new OptimizerSlot(optimizerSpec(given));
  }

  #ownSlot(optimizer: Optimizer): OptimizerSlot {
    const slot = this.#optimizers.get(optimizer);
    if (slot) return slot;
    const got = optimizer instanceof Optimizer ? plain('one of another model') : optimizer;
    throw badArgument('optimizer', 'an optimizer of this model', got);
  }

  /**
   * Loss, accuracy, confusion matrix and recall of labelled sequences.
   * @param options `ignoreIndex`: with output 'steps', the label that does not count; default −100
   * `signal`: ends it after some thousand rows more
   * @throws BAD_ARGUMENT, CLOSED, MEMORY_TOO_LARGE, WORKER_LOST; NOT_FINITE where the loss is not; the signal's reason
   */
  async evaluate(
    data: LabelledSequences,
    options: { ignoreIndex?: number | undefined; signal?: AbortSignal | undefined } = {},
  ): Promise<Evaluation> {
    const parts = this.#joinQueue('evaluate');
    const { calls, server } = parts;
    checkKeys('options', options, ['ignoreIndex', 'signal']);
    const signal = checkSignal(options.signal);
    const sequences = this.#readData('data', data, options.ignoreIndex);
    const between = () => server.between(calls.scratchStart);
    const evaluate = () => calls.evaluate('data', sequences, { signal, between });
    return this.#queueReading(parts, sequences.lengths.length, evaluate, signal);
  }

  /**
   * Class probabilities. While `fit` runs, they are served between two of its steps, 1,024 rows at a time, each part with
   * the parameters of its moment; while an `evaluate` or `predict` of more rows runs, between two of its parts.
   * @param x as in forward
   * @param options `signal`: ends it after some thousand rows more
   * @returns [B, O], each row's sum 1; with output 'steps' [B, T, O], zero past a sequence's end
   * @throws BAD_ARGUMENT, CLOSED, MEMORY_TOO_LARGE, WORKER_LOST; the signal's reason
   */
  async predict(x: SequencesLike, options: { signal?: AbortSignal | undefined } = {}): Promise<Tensor> {
    const parts = this.#open('predict');
    const { network, calls, server } = parts;
    checkKeys('options', options, ['signal']);
    const signal = checkSignal(options.signal);
    signal?.throwIfAborted();
    const input = readSequences('x', x, this.inputSize, this.dtype);
    const compute = () => server.compute(input, calls.scratchStart, signal);
    // What comes in parts lets small predictions in between, unless a call that may write comes before them.
    const isLetIn =
      this.#reading > 0 && this.#reading === this.#queue.inFlight && input.rows <= ROWS_PER_CALL;
    const probabilities =
      this.#training > 0 || isLetIn
        ? await orAborted(server.ask(input, signal), signal)
        : await this.#queueReading(parts, input.rows, compute, signal);
    return new Tensor(probabilities, logitsShape(network, input));
  }

  /** For a call that reads the parameters, of so many rows: one of several parts answers predictions between them. */
  #queueReading<T>(
    { calls, server }: Parts,
    rows: number,
    work: () => Promise<T>,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    if (rows <= ROWS_PER_CALL) return this.#queue.run(work, signal);
    this.#reading++;
    const counted = async () => {
      try {
        return await work();
      } finally {
        this.#reading--;
        await server.between(calls.scratchStart);
      }
    };
    return this.#queue.run(counted, signal);
  }

  /**
   * The model on live input, one frame at a time, with the parameters as they are now; while fit runs, as its last whole step
   * has left them.
   * @throws BAD_ARGUMENT where the model is bidirectional; BUSY, CLOSED
   */
  stream(): ClassifierStream {
    const { network } = this.#settled('stream');
    if (this.bidirectional) {
      const got = plain('a bidirectional one, which needs the end');
      throw badArgument('stream', 'a model that reads forward only', got);
    }
    // Where nothing changes them, none is copied: thousands of streams may be opened.
    const parameters =
      this.#training > 0 ? network.parametersNow() : network.block(network.model.parameters[0]);
    if (!this.#streamWeights?.areOf(parameters))
      this.#streamWeights = new StreamWeights(network.g, parameters, this.normalization);
    return new ClassifierStream(this.#streamWeights);
  }

  /** Ends the threads and lets go of the memory, once the calls made before have ended. May be called again. */
  async close(): Promise<void> {
    // Refused, not remembered: it may be called again when the callback has ended.
    if (this.#isInCallback) throw busy('close');
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const parts = this.#parts;
    this.#parts = null;
    this.#streamWeights = null;
    dropped.unregister(this);
    await this.#queue.ended;
    networks.delete(this);
    await parts?.network.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #open(method: string): Parts {
    if (!this.#parts) throw closed(method);
    return this.#parts;
  }

  /**
   * While fit waits for its callback, threads compute at most predictions, with weights of their own: what the callback
   * reads and writes is as between two calls.
   */
  #idle(method: string): Parts {
    const parts = this.#open(method);
    if (this.#queue.inFlight > 0 && !this.#isInCallback) throw busy(method);
    return parts;
  }

  /** For what only reads the parameters: fit leaves those of its last whole step alone. */
  #settled(method: string): Parts {
    const parts = this.#open(method);
    if (this.#queue.isWriting && !this.#isInCallback) throw busy(method);
    return parts;
  }

  /** For a call that queues up: from fit's callback it would wait for the fit that waits for it. */
  #joinQueue(method: string): Parts {
    const parts = this.#open(method);
    if (this.#isInCallback) throw busy(method);
    return parts;
  }

  get #isInCallback(): boolean {
    return isInCallbackOf(this);
  }

  #readCall(x: SequencesLike, h0: TensorLike | undefined) {
    const input = readSequences('x', x, this.inputSize, this.dtype);
    const shape = [this.numLayers * (this.bidirectional ? 2 : 1), input.rows, this.hiddenSize];
    return { input, states: h0 === undefined ? null : readTensor('h0', h0, shape, this.dtype) };
  }

  #readData(name: string, data: LabelledSequences, ignoreIndex: number | undefined): Sequences {
    checkKeys(name, data, ['x', 'labels']);
    const input = readSequences(`${name}.x`, data.x, this.inputSize, this.dtype);
    const labels = readLabels(`${name}.labels`, data.labels, input, this.#labelRule(ignoreIndex));
    return shareSequences(input, labels, this.inputSize, this.dtype);
  }
}
