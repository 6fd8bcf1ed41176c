import { AsyncLocalStorage } from 'node:async_hooks';
import { type ClassifierOptions, readClassifierOptions } from './classifier-options.ts';
import type { LabelledSequences } from './data/labelled-sequences.ts';
import { readSequences, type SequencesLike, shareSequences } from './data/read-sequences.ts';
import type { Sequences } from './data/sequences.ts';
import { badArgument, badModelFile, busy, closed } from './errors.ts';
import { writeFileAtomically } from './io/atomic-file.ts';
import { readModelFile, writeModelFile } from './io/model-file.ts';
import { encodeOnnx, type OnnxOptions } from './io/onnx.ts';
import type { Dtype } from './kernels/kernels.ts';
import { type Linear, readBias } from './linear.ts';
import { cellOver, outputLayerOver } from './model-views.ts';
import { Calls, type Evaluation, type GradientResult } from './network/calls.ts';
import type { NetworkShape, Parameter } from './network/geometry.ts';
import { initialiseNetwork } from './network/initialise.ts';
import { type LossOptions, lossSpec } from './network/loss.ts';
import { Network } from './network/network.ts';
import { PredictionServer } from './network/prediction-server.ts';
import { networks } from './network/registry.ts';
import { Random } from './numeric/random.ts';
import { Optimizer } from './optimizer.ts';
import type { RNNCell } from './rnn-cell.ts';
import { ClassifierStream } from './stream.ts';
import { readTensor, Tensor, type TensorLike } from './tensor.ts';
import { train } from './training/fit.ts';
import {
  type Callbacks,
  type EpochLog,
  type FitOptions,
  type FitPlan,
  readFitOptions,
} from './training/fit-options.ts';
import { OptimizerSlot, takeOverStep } from './training/optimizer-slot.ts';
import { type OptimizerOptions, type OptimizerType, optimizerSpec } from './training/optimizers.ts';
import { type TrainingEvent, trainingEvents } from './training/training-events.ts';
import { checkKeys, readLabels } from './validation.ts';

/** What an open model consists of. */
interface Parts {
  readonly network: Network;
  readonly calls: Calls;
  readonly server: PredictionServer;
  readonly cells: readonly RNNCell[];
  readonly outputLayer: Linear;
}

/** Whose onEpochEnd callback the code that runs belongs to, if it belongs to one. */
const inCallbackOf = new AsyncLocalStorage<RNNPhonemeClassifier>();

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
  /** Everything that holds the memory: let go of by close. */
  #parts: Parts | null;
  #closing: Promise<void> | null = null;
  #metadata: Readonly<Record<string, string>> = {};
  #inFlight = 0;
  #training = 0;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(shape: NetworkShape, dtype: Dtype, network: Network) {
    this.inputSize = shape.inputSize;
    this.hiddenSize = shape.hiddenSize;
    this.outputSize = shape.outputSize;
    this.numLayers = shape.numLayers;
    this.dtype = dtype;
    this.#parts = {
      network,
      calls: new Calls(network),
      server: new PredictionServer(network),
      cells: network.g.cells.map((_, layer) => cellOver(network, layer)),
      outputLayer: outputLayerOver(network),
    };
    networks.set(this, network);
  }

  /**
   * Makes a model and its threads.
   * @throws BAD_ARGUMENT; MEMORY_TOO_LARGE, before anything is allocated; BLAS_MISSING; WORKER_FAILED
   */
  static async create(options: ClassifierOptions): Promise<RNNPhonemeClassifier> {
    const { shape, threads, dtype, seed, recurrentInit, kernels } = readClassifierOptions(options);
    const network = new Network(shape, dtype, threads, kernels);
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
      throw badModelFile(path, error instanceof Error ? error.message : String(error), error);
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
    return this.#open('threads').network.threads;
  }

  /** The cells, over views of the model's parameters and gradients: current whenever no call is in flight. */
  get rnn(): readonly RNNCell[] {
    return this.#open('rnn').cells;
  }

  /** The output layer, over views of the model's parameters and gradients. */
  get outputLayer(): Linear {
    return this.#open('outputLayer').outputLayer;
  }

  /**
   * Sets all weights.
   * @param cells for each layer [W_ih [H, I or H], W_hh [H, H], b_ih [H], b_hh [H]]
   * @param output [W [O, H], b [O] or [O, 1]]
   * @throws BAD_ARGUMENT, and nothing is set; BUSY, CLOSED
   */
  initWeights(
    cells: readonly (readonly [TensorLike, TensorLike, TensorLike, TensorLike])[],
    output: readonly [TensorLike, TensorLike],
  ): void {
    const { network } = this.#idle('initWeights');
    if (!Array.isArray(cells) || cells.length !== this.numLayers) {
      throw badArgument('cells', `${this.numLayers} layers' weights`, cells?.length ?? cells);
    }
    setParameters(network, [
      ...cells.flatMap((given, layer) => {
        const { W_ih, W_hh, b_ih, b_hh } = network.g.cells[layer];
        const at = (name: string) => `cells[${layer}].${name}`;
        return [
          { parameter: W_ih, label: at('W_ih'), value: given?.[0] },
          { parameter: W_hh, label: at('W_hh'), value: given?.[1] },
          { parameter: b_ih, label: at('b_ih'), value: given?.[2] },
          { parameter: b_hh, label: at('b_hh'), value: given?.[3] },
        ];
      }),
      { parameter: network.g.W, label: 'output.W', value: output?.[0] },
      { parameter: network.g.b, label: 'output.b', value: output?.[1] },
    ]);
  }

  /**
   * Logits of a batch. What backward needs, and `hiddens`, is kept until the next forward.
   * @param x [B, T, I], an array of [Tᵢ, I], or `{ data, shape: [B, T, I], lengths }`, whose padding is never read
   * @param h0 initial states [L, B, H]; zero by default
   * @returns [B, O], from each sequence's own last step
   * @throws BAD_ARGUMENT, CLOSED, MEMORY_TOO_LARGE, WORKER_LOST
   */
  async forward(x: SequencesLike, h0?: TensorLike): Promise<Tensor> {
    const { calls } = this.#open('forward');
    const { input, states } = this.#readCall(x, h0);
    return this.#call('forward', () => calls.forward(input, states));
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
    const { calls } = this.#open('backward');
    checkKeys('options', options, ['inputGradient']);
    const inputGradient = readFlag('inputGradient', options.inputGradient);
    return this.#call('backward', () => calls.backward(delta, inputGradient));
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
    const { calls } = this.#open('gradients');
    checkKeys('options', options, ['h0', 'inputGradient', 'classWeights', 'labelSmoothing']);
    const loss = lossSpec(options, this.outputSize);
    const inputGradient = readFlag('inputGradient', options.inputGradient);
    const { input, states } = this.#readCall(x, options.h0);
    const classes = new Int32Array(input.rows);
    readLabels('labels', labels, input.rows, this.outputSize, classes);
    return this.#call('gradients', () => calls.gradients(input, states, classes, inputGradient, loss));
  }

  /**
   * The states of the last forward: T + 1 tensors [L, B, H], the initial one first, zero past a sequence's end.
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

  /** Copies of all parameters, by PyTorch's names: rnn.weight_ih_l0 … output.weight, output.bias. Throws BUSY, CLOSED. */
  stateDict(): Record<string, Tensor> {
    return this.#stateDict(this.#idle('stateDict').network);
  }

  #stateDict(network: Network): Record<string, Tensor> {
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
    const { network } = this.#idle('loadStateDict');
    const { parameters } = network.g;
    const names = parameters.map(({ name }) => name);
    checkKeys('stateDict', stateDict, names);
    setParameters(
      network,
      parameters.map((parameter) => {
        const { name } = parameter;
        return { parameter, label: `stateDict.${name}`, value: stateDict[name] };
      }),
    );
  }

  /**
   * Writes the model to a safetensors file, with PyTorch's names; a crash leaves the old file or the new one, whole.
   * @param options `metadata`: strings that travel with the model, such as its classes
   * @throws BUSY, CLOSED; the file system's errors
   */
  async save(path: string, options: { metadata?: Readonly<Record<string, string>> } = {}): Promise<void> {
    checkKeys('options', options, ['metadata']);
    const { network } = this.#idle('save');
    const metadata = { ...this.#metadata, ...checkMetadata(options.metadata ?? {}) };
    const { inputSize, hiddenSize, outputSize, numLayers } = this;
    const shape = { inputSize, hiddenSize, outputSize, numLayers };
    await writeModelFile(path, shape, this.#stateDict(network), metadata);
    this.#metadata = metadata;
  }

  /**
   * Writes the model to an ONNX file, for inference in other places; a crash leaves the old file or the new one, whole.
   * The graph: x [batch, time, I], rows padded, and lengths [batch] (int32, 1 to time) → logits and their softmax,
   * probabilities, both [batch, O]; no initial states. In it each layer is an RNN operator, see
   * https://onnx.ai/onnx/operators/onnx__RNN.html. The model's metadata go along.
   * @throws NOT_EXPORTABLE for a float64 model; BUSY, CLOSED; the file system's errors
   */
  async exportOnnx(path: string): Promise<void> {
    const { network } = this.#idle('exportOnnx');
    const { inputSize, hiddenSize, outputSize, numLayers, dtype } = this;
    const shape = { inputSize, hiddenSize, outputSize, numLayers };
    const options: OnnxOptions = {
      ...{ nonlinearity: 'tanh', bidirectional: false, bias: true, output: 'last' },
      ...{ normalization: null, classes: null },
    };
    const parameters = this.#stateDict(network);
    await writeFileAtomically(
      path,
      encodeOnnx({ ...shape, ...options, dtype, parameters, metadata: this.#metadata }),
    );
  }

  /** An optimizer with fresh moments. Throws BAD_ARGUMENT, CLOSED. */
  optimizer(options: OptimizerType | OptimizerOptions): Optimizer {
    const { network } = this.#open('optimizer');
    const slot = new OptimizerSlot(network, optimizerSpec(options));
    const optimizer = new Optimizer((clipNorm, learningRate) => {
      this.#open('step');
      return this.#call('step', async () => {
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
  async fit(data: LabelledSequences, options: FitOptions = {}): Promise<EpochLog[]> {
    const { network, calls, server } = this.#open('fit');
    const plan = readFitOptions(options, this.outputSize);
    const slot = this.#slotOf(network, options.optimizer === undefined ? 'adam' : options.optimizer);
    const training = this.#readData('data', data);
    const validation =
      options.validation === undefined ? null : this.#readData('validation', options.validation);
    plan.signal?.throwIfAborted();
    this.#training++;
    return this.#call('fit', async () => {
      const start = calls.scratchStart;
      try {
        return await train(network, training, slot, this.#withCallbacks(plan), {
          start,
          validate: validation && (() => calls.evaluate(validation)),
          serve: {
            attend: (end) => server.attend(end),
            leave: () => server.leave(),
            during: (work) => server.during(start, work),
          },
        });
      } finally {
        this.#training--;
        await server.between(start);
      }
    });
  }

  /** A callback is told apart from other callers: what it may ask of this model is not what they may. */
  #withCallbacks(plan: FitPlan): FitPlan {
    const { onEpochEnd } = plan.callbacks;
    if (!onEpochEnd) return plan;
    const marked: Callbacks = {
      ...plan.callbacks,
      onEpochEnd: (epoch, log) => inCallbackOf.run(this, () => onEpochEnd(epoch, log)),
    };
    return { ...plan, callbacks: marked };
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
    const { calls } = this.#open('evaluate');
    const sequences = this.#readData('data', data);
    return this.#call('evaluate', () => calls.evaluate(sequences));
  }

  /**
   * Class probabilities. While `fit` runs, it is served between two of its steps, with the parameters of that moment.
   * @param x as in forward  @returns [B, O], each row's sum 1
   * @throws BAD_ARGUMENT, CLOSED, WORKER_LOST
   */
  async predict(x: SequencesLike): Promise<Tensor> {
    const { calls, server } = this.#open('predict');
    const input = readSequences('x', x, this.inputSize, this.dtype);
    const probabilities =
      this.#training > 0
        ? await server.ask(input)
        : await this.#call('predict', () => server.compute(input, calls.scratchStart));
    return new Tensor(probabilities, [input.rows, this.outputSize]);
  }

  /**
   * The model on live input, one frame at a time, with the parameters as they are now.
   * @throws BUSY, CLOSED
   */
  stream(): ClassifierStream {
    const { network } = this.#idle('stream');
    return new ClassifierStream(network.g, (parameter) => network.parameterView(parameter));
  }

  /** Ends the threads and lets go of the memory, once the calls made before have ended. May be called again. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (inCallbackOf.getStore() === this) throw busy('close');
    const parts = this.#parts;
    this.#parts = null;
    await this.#turn;
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

  /** While fit waits for its callback no thread runs: what the callback reads and writes is as between two calls. */
  #idle(method: string): Parts {
    const parts = this.#open(method);
    if (this.#inFlight > 0 && inCallbackOf.getStore() !== this) throw busy(method);
    return parts;
  }

  /** Runs when all calls made before have ended. */
  async #call<T>(method: string, work: () => Promise<T>): Promise<T> {
    // It would wait for the fit that waits for it.
    if (inCallbackOf.getStore() === this) throw busy(method);
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

  #readCall(x: SequencesLike, h0: TensorLike | undefined) {
    const input = readSequences('x', x, this.inputSize, this.dtype);
    const shape = [this.numLayers, input.rows, this.hiddenSize];
    return { input, states: h0 === undefined ? null : readTensor('h0', h0, shape, this.dtype) };
  }

  #readData(name: string, data: LabelledSequences): Sequences {
    checkKeys(name, data, ['x', 'labels']);
    const input = readSequences(`${name}.x`, data.x, this.inputSize, this.dtype);
    const sequences = shareSequences(input, this.inputSize, this.dtype);
    readLabels(`${name}.labels`, data.labels, input.rows, this.outputSize, sequences.labels);
    return sequences;
  }
}

function readFlag(name: string, value: unknown): boolean {
  if (value !== undefined && typeof value !== 'boolean') throw badArgument(name, 'true or false', value);
  return value ?? false;
}

/** Sets parameters: all or, where one is wrong, none. */
function setParameters(
  network: Network,
  given: readonly { parameter: Parameter; label: string; value: TensorLike | undefined }[],
): void {
  const values = given.map(({ parameter, label, value }) =>
    readParameter(label, parameter, value, network.g.dtype),
  );
  given.forEach(({ parameter }, i) => {
    network.parameterView(parameter).set(values[i].data);
  });
}

function readParameter(
  label: string,
  { shape }: Parameter,
  value: TensorLike | undefined,
  dtype: Dtype,
): Tensor {
  if (value === undefined || value === null)
    throw badArgument(label, `[${shape.join(', ')}]`, value ?? 'nothing');
  const read =
    shape.length === 1 ? readBias(label, value, shape[0], dtype) : readTensor(label, value, shape, dtype);
  const bad = read.data.findIndex((number) => !Number.isFinite(number));
  if (bad >= 0) throw badArgument(label, 'finite numbers', `${read.data[bad]} at ${bad}`);
  return read;
}

function checkMetadata(metadata: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  for (const [key, value] of Object.entries(metadata)) {
    if (typeof value !== 'string') throw badArgument(`metadata.${key}`, 'a string', value);
  }
  return metadata;
}
