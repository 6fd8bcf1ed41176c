import { orAborted } from './classifier/call-queue.ts';
import {
  type ClassifierOptions,
  type ClassifierSpec,
  classifierSpec,
  FOREIGN_OPTIONS,
  type LoadOptions,
} from './classifier/classifier-options.ts';
import { encodeModel, readMetadata, readModelFile } from './classifier/model-file.ts';
import {
  finiteParameters,
  readStateDict,
  readWeights,
  setParameters,
  stateDictOf,
} from './classifier/model-parameters.ts';
import { CellView, OutputLayerView } from './classifier/model-views.ts';
import { Turns } from './classifier/turns.ts';
import type { LabelledSequences } from './data/labelled-sequences.ts';
import type { NormalizationSpec } from './data/normalization.ts';
import { type LabelRule, type LabelsLike, readLabels } from './data/read-labels.ts';
import { readSequences, type SequencesLike, shareSequences, withOwnFrames } from './data/read-sequences.ts';
import type { Sequences } from './data/sequences.ts';
import { plain } from './describe.ts';
import { badArgument } from './errors.ts';
import { writeFileAtomically } from './io/atomic-file.ts';
import { encodeOnnx } from './io/onnx.ts';
import type { Nonlinearity } from './kernels/kernels.ts';
import type { Linear } from './linear.ts';
import { ROWS_PER_CALL } from './network/call-plan.ts';
import { Calls } from './network/calls.ts';
import { initializeNetwork } from './network/initialize.ts';
import { batchKey } from './network/lanes/dropout.ts';
import { type LossOptions, lossSpec } from './network/lanes/loss.ts';
import { logitsShape, type NetworkShape, type OutputMode } from './network/memory/geometry.ts';
import { Network } from './network/network.ts';
import { PredictionServer } from './network/prediction-server.ts';
import { networks } from './network/registry.ts';
import type { Evaluation, RequestedGradients } from './network/results.ts';
import { StreamWeights } from './network/stream-weights.ts';
import { Random } from './numeric/random.ts';
import type { Dtype } from './numeric/reals.ts';
import { type OptimizerOptions, type OptimizerType, optimizerSpec } from './optimization/optimizers.ts';
import { readTensor } from './read-tensor.ts';
import type { CellWeights, RNNCell } from './rnn-cell.ts';
import { ClassifierStream } from './stream.ts';
import { Tensor, type TensorLike } from './tensor.ts';
import { train } from './training/fit.ts';
import { type EpochLog, type FitOptions, fitSpec } from './training/fit-options.ts';
import { Optimizer } from './training/optimizer.ts';
import { readOptimizer, storeOptimizer } from './training/optimizer-file.ts';
import { OptimizerSlot } from './training/optimizer-slot.ts';
import { markCallbacks } from './training/running-callback.ts';
import { type TrainingEvent, trainingEvents } from './training/training-events.ts';
import { checkFlag, checkInteger, checkKeys, checkPath, checkSignal, checkSource } from './validation.ts';

/** Options of `gradients`; see LossOptions for `classWeights` and `labelSmoothing`. */
export interface GradientOptions extends LossOptions {
  /** Initial states [L · D, B, H]; zero by default. */
  h0?: TensorLike | undefined;
  /** Whether to return dx; default false. */
  inputGradient?: boolean | undefined;
  /** Whether to return hT, the states each sequence ends with [L · D, B, H]; default false. */
  finalStates?: boolean | undefined;
  /** With output 'steps', the label to ignore; default −100. */
  ignoreIndex?: number | undefined;
  /** Which dropout masks to use: those of this step, from the model's seed. Default: each call takes the next ones. */
  dropoutStep?: number | undefined;
}

/** What is saved besides the model. */
export interface SaveOptions {
  /** Further strings, under names that do not begin with `elman.`; a model that is saved with them keeps them. */
  metadata?: Readonly<Record<string, string>> | undefined;
  /** One of this model's optimizers, whose state is saved too, for its `load`. */
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

/** The label that is ignored by default; PyTorch's. */
const IGNORE_INDEX = -100;

/** What an open model consists of. */
interface Parts {
  readonly network: Network;
  readonly calls: Calls;
  readonly server: PredictionServer;
  readonly cells: readonly RNNCell[];
  readonly outputLayer: Linear;
}

/** Ends the threads of models that were dropped without being closed: they would live as long as the process. */
const dropped = new FinalizationRegistry<Network>((network) => {
  network.close().catch(() => {});
});

/**
 * A stack of Elman cells, in one direction or both, with a linear layer on the top layer's states. Worker threads
 * that share the model's memory compute the batches; the results are the same bits for any number of threads.
 *
 * In shapes, B is the number of sequences and T the number of time steps, padding included; I, H, O and
 * L are inputSize, hiddenSize, outputSize and numLayers; D is 2 for a bidirectional model, else 1.
 *
 * Asynchronous calls are queued in the order they are made. What they are given must not change until they
 * have ended; `predict`, `evaluate` and `fit` take it at the call, unless it is a SharedArrayBuffer.
 *
 * The synchronous writers `initWeights`, `loadStateDict` and `zeroGrad`, those of `rnn` and `outputLayer`, and also
 * `hiddens`, throw BUSY while a call is in flight; `stateDict` and `stream` throw it only during an optimizer's `step`
 * or `load`, and during `fit` read the parameters of its last complete step. An `onEpochEnd` callback may use all of
 * these, `predict` and `save`; calls that would have to wait for the `fit` that awaits the callback throw BUSY. A call
 * that has to replace lost threads may throw WORKER_FAILED.
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
  /** How frames are normalized; null if they are not. */
  readonly normalization: NormalizationSpec | null;
  /** Names of the classes; null if they have none. */
  readonly classes: readonly string[] | null;
  readonly #shape: NetworkShape;
  readonly #seed: number;
  /** Holds everything that keeps the model's memory alive, until `close` is called. */
  readonly #turns: Turns<Parts>;
  #metadata: Readonly<Record<string, string>> = Object.freeze({});
  /** The weights that the most recent streams share. */
  #streamWeights: StreamWeights | null = null;
  #gradientCalls = 0;
  readonly #optimizers = new WeakMap<Optimizer, OptimizerSlot>();

  private constructor(plan: ClassifierSpec, network: Network) {
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
    const checkIdle = (method: string): void => {
      this.#turns.idle(method);
    };
    this.#turns = new Turns(this, {
      network,
      calls: new Calls(network),
      server: new PredictionServer(network),
      cells: Object.freeze(network.g.cells.map((_, number) => new CellView(network, number, checkIdle))),
      outputLayer: new OutputLayerView(network, checkIdle),
    });
    networks.set(this, network);
    dropped.register(this, network, this);
  }

  /**
   * Creates a model with random parameters and starts its threads.
   * @throws BAD_ARGUMENT; MEMORY_TOO_LARGE, before anything is allocated; BLAS_MISSING;
   * RELAXED_SIMD_MISSING; NOT_BUILT; WORKER_FAILED
   */
  static async create(options: ClassifierOptions): Promise<RNNPhonemeClassifier> {
    const plan = classifierSpec(options);
    const network = new Network({ ...plan, cell: 'elman' }, plan.normalization);
    await network.ready();
    initializeNetwork(network, plan.recurrentInit, new Random(plan.seed));
    return new RNNPhonemeClassifier(plan, network);
  }

  /**
   * Loads a model from a file that `save` wrote, in the file's data type, or from one that PyTorch's
   * `save_file` wrote for a module with an nn.RNN called `rnn` and an nn.Linear called `output`.
   * @param source the path of the file, or its bytes as `toSafetensors` gives them
   * @param options `threads`, `kernels`: as for `create`; `seed`: of the dropout masks of `gradients`,
   * which no file contains; `nonlinearity`, `output`, `dropout`, `normalization`, `classes`: for a
   * PyTorch file, which tells only the sizes
   * @throws BAD_FILE_… and BAD_MODEL_FILE where the file is damaged or of another kind; the file
   * system's errors; what `create` throws
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
      dtype,
      threads,
      kernels,
      seed,
    });
    setParameters(model.#turns.open('load').network, parameters);
    model.#metadata = Object.freeze(metadata);
    return model;
  }

  /** The user's metadata: those of the file the model was loaded from, and those it was saved with since. */
  get metadata(): Readonly<Record<string, string>> {
    return this.#metadata;
  }

  /**
   * Number of worker threads; 0 where the calling thread computes.
   * @throws CLOSED
   */
  get threads(): number {
    return this.#turns.open('threads').network.threads;
  }

  /**
   * The cells, layer by layer and, in a bidirectional model, forward before reverse. They are views of
   * the model's parameters and gradients, up to date whenever no call is in flight.
   * @throws CLOSED
   */
  get rnn(): readonly RNNCell[] {
    return this.#turns.open('rnn').cells;
  }

  /**
   * The output layer, a view of the model's parameters and gradients like the cells in `rnn`.
   * @throws CLOSED
   */
  get outputLayer(): Linear {
    return this.#turns.open('outputLayer').outputLayer;
  }

  /**
   * Sets all weights and biases.
   * @param cells for each cell, ordered as in `rnn`, [W_ih [H, I or D · H], W_hh [H, H], b_ih [H], b_hh [H]]
   * @param output [W [O, D · H], b [O] or [O, 1]]
   * @throws BAD_ARGUMENT, with nothing set; BUSY, CLOSED
   */
  initWeights(cells: readonly CellWeights[], output: readonly [TensorLike, TensorLike]): void {
    const { network } = this.#turns.idle('initWeights');
    setParameters(network, readWeights(network.g, cells, output));
  }

  /**
   * Computes the logits of a batch. Keeps what `backward` and `hiddens` need until the next forward.
   * @param x [B, T, I], an array of [Tᵢ, I], or `{ data, shape: [B, T, I], lengths }`, whose padding is never read
   * @param h0 initial states [L · D, B, H], ordered as `rnn`; zero by default
   * @param options `finalStates`: also return hT [L · D, B, H], the states each sequence ends with;
   * pass them as h0 to continue the sequences
   * @returns logits [B, O]; with output 'steps' [B, T, O], zero past a sequence's end
   * @throws BAD_ARGUMENT, CLOSED, MEMORY_TOO_LARGE, WORKER_LOST
   */
  forward(x: SequencesLike, h0?: TensorLike, options?: { finalStates?: false | undefined }): Promise<Tensor>;
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
    const { calls } = this.#turns.queued('forward');
    checkKeys('options', options, ['finalStates']);
    const { finalStates = false } = options;
    checkFlag('finalStates', finalStates);
    const { input, states } = this.#readCall(x, h0);
    const result = await this.#turns.run(() => calls.forward(input, states, finalStates));
    return finalStates ? result : result.logits;
  }

  /**
   * Backward pass through the last forward, with the parameters as they are now. Adds the averaged
   * gradients to those of `rnn` and `outputLayer`; may be called again.
   * @param delta ∂L/∂logits of each sample, not averaged, in the logits' shape: [B, O] or [B, T, O]
   * @returns dh0 [L · D, B, H], divided by B, since initial states count as parameters; with
   * `inputGradient` also dx [B, T, I], not averaged
   * @throws BAD_ARGUMENT, CLOSED, NO_FORWARD, MEMORY_TOO_LARGE, WORKER_LOST
   */
  backward(delta: TensorLike, options?: { inputGradient?: false | undefined }): Promise<Tensor>;
  backward(delta: TensorLike, options: { inputGradient: true }): Promise<{ dh0: Tensor; dx: Tensor }>;
  backward(
    delta: TensorLike,
    options: { inputGradient?: boolean | undefined },
  ): Promise<Tensor | { dh0: Tensor; dx: Tensor }>;
  async backward(
    delta: TensorLike,
    options: { inputGradient?: boolean | undefined } = {},
  ): Promise<Tensor | { dh0: Tensor; dx: Tensor }> {
    const { calls } = this.#turns.queued('backward');
    checkKeys('options', options, ['inputGradient']);
    const { inputGradient = false } = options;
    checkFlag('inputGradient', inputGradient);
    return this.#turns.run(() => calls.backward(delta, inputGradient));
  }

  /**
   * Computes forward pass, mean softmax cross-entropy and backward pass in one call. Adds the averaged
   * gradients to those of `rnn` and `outputLayer`; leaves what the last forward has kept.
   * @param x as in `forward`
   * @param labels class of each sequence [B]; with output 'steps' of each step, [B, T] or an array of [Tᵢ]
   * @throws BAD_ARGUMENT, CLOSED, MEMORY_TOO_LARGE, WORKER_LOST (nothing has changed)
   */
  async gradients<Dx extends boolean = false, HT extends boolean = false>(
    x: SequencesLike,
    labels: LabelsLike,
    options: GradientOptions & { inputGradient?: Dx | undefined; finalStates?: HT | undefined } = {},
  ): Promise<RequestedGradients<Dx, HT>> {
    const { calls } = this.#turns.queued('gradients');
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
    return this.#turns.run(async () => {
      const step = dropoutStep ?? this.#gradientCalls;
      const dropoutKey = this.dropout > 0 ? batchKey(this.#seed, step) : null;
      const result = await calls.gradients(request, dropoutKey);
      // Not before: a call that failed is to be repeated with the same masks.
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
   * The states of the last forward: T + 1 tensors [L · D, B, H], the initial states first, zero past a
   * sequence's end. For a reverse cell, tensor t holds the state after a row's frames Tᵢ − 1 … t: its
   * initial state is in tensor Tᵢ. Copied out on first access.
   * @throws BUSY, CLOSED, NO_FORWARD
   */
  get hiddens(): readonly Tensor[] {
    return this.#turns.idle('hiddens').calls.hiddens;
  }

  /**
   * Sets the accumulated gradients to zero.
   * @throws BUSY, CLOSED
   */
  zeroGrad(): void {
    const { network } = this.#turns.idle('zeroGrad');
    network.parameterArray(network.model.gradients[0]).fill(0);
  }

  /**
   * Copies of all parameters, by PyTorch's names: rnn.weight_ih_l0 … output.weight, output.bias. During
   * `fit` they are those of its last complete step.
   * @throws BUSY, CLOSED
   */
  stateDict(): Record<string, Tensor> {
    return stateDictOf(this.#turns.settled('stateDict').network);
  }

  /**
   * Sets all parameters, given by PyTorch's names; if anything is wrong, none is set.
   * @throws BAD_ARGUMENT where a name is missing or unknown, a shape is wrong, or a value is not finite; BUSY, CLOSED
   */
  loadStateDict(stateDict: Readonly<Record<string, TensorLike>>): void {
    const { network } = this.#turns.idle('loadStateDict');
    setParameters(network, readStateDict('stateDict', network.g, stateDict));
  }

  /**
   * Saves the model to a safetensors file, with PyTorch's names for the parameters. The file also holds
   * the model's options, normalization, class names and metadata. It is replaced atomically: a crash
   * leaves the old file or the new one, whole. Waits for calls that write to the parameters.
   * @throws BAD_ARGUMENT; NOT_FINITE where a parameter is not finite, with nothing written; CLOSED; the
   * file system's errors
   */
  async save(path: string | URL, options: SaveOptions = {}): Promise<void> {
    const file = checkPath(path);
    const { bytes, metadata } = await this.#encode('save', options);
    await writeFileAtomically(file, bytes);
    // Onto those of now: another save may have ended meanwhile.
    this.#metadata = Object.freeze({ ...this.#metadata, ...metadata });
  }

  /**
   * Gives the bytes of the file that `save` would write, for an object store or a database; waits as `save` does.
   * `load` takes them.
   * @throws BAD_ARGUMENT; NOT_FINITE where a parameter is not finite; CLOSED
   */
  async toSafetensors(options: SaveOptions = {}): Promise<Uint8Array> {
    return (await this.#encode('toSafetensors', options)).bytes;
  }

  async #encode(method: string, options: SaveOptions) {
    this.#turns.open(method);
    checkKeys('options', options, ['metadata', 'optimizer']);
    const { metadata: given = {}, optimizer: its } = options;
    // A copy, since saving may have to wait.
    const metadata = readMetadata(given);
    const slot = its === undefined ? null : this.#ownSlot(its);
    const { parameters, optimizer } = await this.#turns.whenSettled(method, ({ network }) => ({
      parameters: finiteParameters(method, network),
      optimizer: slot && storeOptimizer(network.g, slot.spec, slot.state(network)),
    }));
    const header = { shape: this.#shape, normalization: this.normalization, classes: this.classes };
    const all = { ...this.#metadata, ...metadata };
    return { bytes: encodeModel(header, parameters, all, optimizer), metadata };
  }

  /**
   * Writes the model to an ONNX file, for inference elsewhere. The file is replaced atomically, as by `save`.
   *
   * The graph maps x [batch, time, I], padded sequences, and lengths [batch] (int32, 1 to time) to logits and their
   * softmax, probabilities, both [batch, O] or, with output 'steps', [batch, time, O]; it takes no initial states. Each
   * layer is an RNN operator, see https://onnx.ai/onnx/operators/onnx__RNN.html. The model's metadata are included.
   * @throws NOT_EXPORTABLE for a float64 model; BAD_ARGUMENT, NOT_FINITE, CLOSED; the file system's errors
   */
  async exportOnnx(path: string | URL): Promise<void> {
    const file = checkPath(path);
    const { dtype, normalization, classes } = this;
    const read = ({ network }: Parts) => finiteParameters('exportOnnx', network);
    const parameters = await this.#turns.whenSettled('exportOnnx', read);
    const source = { ...this.#shape, dtype, normalization, classes, parameters, metadata: this.#metadata };
    await writeFileAtomically(file, encodeOnnx(source));
  }

  /**
   * Creates an optimizer of this model, with fresh state.
   * @throws BAD_ARGUMENT, CLOSED
   */
  optimizer(options: OptimizerType | OptimizerOptions): Optimizer {
    this.#turns.open('optimizer');
    const slot = new OptimizerSlot(optimizerSpec(options));
    const optimizer = new Optimizer({
      step: (clipNorm, learningRate) => {
        const { network } = this.#turns.queued('step');
        return this.#turns.runWriting(() => slot.step(network, clipNorm, learningRate));
      },
      load: (path) => {
        const { network } = this.#turns.queued('load');
        const restore = async () => slot.restore(network, await readOptimizer(path, network.g, slot.spec));
        return this.#turns.runWriting(restore);
      },
    });
    this.#optimizers.set(optimizer, slot);
    return optimizer;
  }

  /**
   * Trains the model. The worker threads run whole epochs (gathering, forward, backward, reduction, clipping and the
   * optimizer) without returning to this thread between steps, so that it stays free. Leaves the gradients at zero.
   * @param data sequences as in `forward` and their labels as in `gradients`
   * @returns the log of each epoch
   * @throws BAD_ARGUMENT; MEMORY_TOO_LARGE; NOT_FINITE (parameters as before the step); WORKER_LOST
   * (parameters as after the last complete step); the signal's reason; the error of a callback; with `checkpoint`
   * the file system's errors; CLOSED
   */
  async fit(data: LabelledSequences, options: FitOptions = {}): Promise<EpochLog[]> {
    const parts = this.#turns.queued('fit');
    // First: whoever gives x and labels as two arguments is to be told of these, not of options.
    checkKeys('data', data, ['x', 'labels']);
    const read = fitSpec(options, this.outputSize);
    const plan = { ...read, callbacks: markCallbacks(this, read.callbacks) };
    const slot = this.#slotOf(options.optimizer === undefined ? 'adam' : options.optimizer);
    const { ignoreIndex } = options;
    const training = this.#readData('data', data, ignoreIndex);
    const validation =
      options.validation === undefined ? null : this.#readData('validation', options.validation, ignoreIndex);
    plan.signal?.throwIfAborted();
    const work = () => train(parts, { training, validation }, slot, plan);
    return this.#turns.runInParts('training', work, () => this.#answer(parts), plan.signal);
  }

  /**
   * Trains like `fit`, and yields events to a loop:
   *
   *     for await (const event of model.training(data, options)) if (event.type === 'epoch') console.log(event.loss);
   *
   * Leaving the loop ends training after the current step. Throws what `fit` rejects with.
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
   * Computes loss, accuracy, confusion matrix and recall on labelled sequences.
   * @param options `ignoreIndex`: with output 'steps', the label to ignore; default −100; `signal`:
   * ends the call, at most some thousand rows later
   * @throws BAD_ARGUMENT, CLOSED, MEMORY_TOO_LARGE, WORKER_LOST; NOT_FINITE where the loss is not; the signal's reason
   */
  async evaluate(
    data: LabelledSequences,
    options: { ignoreIndex?: number | undefined; signal?: AbortSignal | undefined } = {},
  ): Promise<Evaluation> {
    const parts = this.#turns.queued('evaluate');
    checkKeys('options', options, ['ignoreIndex', 'signal']);
    const signal = checkSignal(options.signal);
    const sequences = this.#readData('data', data, options.ignoreIndex);
    const between = () => this.#answer(parts);
    const evaluate = () => parts.calls.evaluate('data', sequences, { signal, between });
    return this.#runReading(parts, sequences.lengths.length, evaluate, signal);
  }

  /**
   * Computes class probabilities. During `fit` they are computed between two of its steps, 1,024 rows at a time, each
   * part with the parameters of that moment; during an `evaluate` or `predict` of more rows, between two of its parts.
   * @param x as in `forward`; taken at once, so that its buffer may be reused, unless that is a SharedArrayBuffer
   * @param options `signal`: ends the call, at most some thousand rows later
   * @returns [B, O], each row's sum 1; with output 'steps' [B, T, O], zero past a sequence's end
   * @throws BAD_ARGUMENT, CLOSED, MEMORY_TOO_LARGE, WORKER_LOST; the signal's reason
   */
  async predict(x: SequencesLike, options: { signal?: AbortSignal | undefined } = {}): Promise<Tensor> {
    const parts = this.#turns.open('predict');
    const { network, calls, server } = parts;
    checkKeys('options', options, ['signal']);
    const signal = checkSignal(options.signal);
    signal?.throwIfAborted();
    const read = readSequences('x', x, this.inputSize, this.dtype);
    const input = withOwnFrames(read, this.inputSize, this.dtype);
    const compute = () => server.compute(input, calls.scratchStart, signal);
    const probabilities = this.#turns.letsIn(input.rows <= ROWS_PER_CALL)
      ? await orAborted(server.ask(input, signal), signal)
      : await this.#runReading(parts, input.rows, compute, signal);
    return new Tensor(probabilities, logitsShape(network.g, input));
  }

  /** Queues a call on many rows or few, which only reads the parameters; one on many has several parts. */
  #runReading<T>(
    parts: Parts,
    rows: number,
    work: () => Promise<T>,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    if (rows <= ROWS_PER_CALL) return this.#turns.run(work, signal);
    return this.#turns.runInParts('reading', work, () => this.#answer(parts), signal);
  }

  /** Answers the predictions that wait. */
  #answer({ calls, server }: Parts): Promise<void> {
    return server.between(calls.scratchStart);
  }

  /**
   * Opens a stream: the model on live input, one frame at a time. It uses the parameters as they are
   * now or, during `fit`, those of its last complete step.
   * @throws BAD_ARGUMENT where the model is bidirectional; BUSY, CLOSED, MEMORY_TOO_LARGE
   */
  stream(): ClassifierStream {
    const { network } = this.#turns.settled('stream');
    if (this.bidirectional) {
      const got = plain('a bidirectional one, which needs the end');
      throw badArgument('stream', 'a model that reads forward only', got);
    }
    // Copied only while training changes them: thousands of streams may be opened.
    const parameters = this.#turns.isTraining
      ? network.parametersNow()
      : network.parameterArray(network.model.parameters[0]);
    if (!this.#streamWeights?.areOf(parameters))
      this.#streamWeights = new StreamWeights(network.g, parameters, this.normalization);
    return new ClassifierStream(this.#streamWeights);
  }

  /**
   * Ends the threads and releases the memory, once all earlier calls have ended. May be called again.
   * @throws BUSY in an `onEpochEnd` callback of this model's `fit`
   */
  async close(): Promise<void> {
    await this.#turns.close(async ({ network }) => {
      networks.delete(this);
      dropped.unregister(this);
      this.#streamWeights = null;
      await network.close();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
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
