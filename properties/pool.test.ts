import type { Worker } from 'node:worker_threads';
import { fc } from '@fast-check/vitest';
import { describe } from 'vitest';
import { networks as openNetworks } from '../engine/network/registry.ts';
import { killWorker, teamOf } from '../engine/testing/models.ts';
import type { BatchRecipe, NetworkOptions, NetworkShape, Problem } from './arbitraries.ts';
import { batchRecipe, dtype, plain, problemFor } from './arbitraries.ts';
import type { Dtype, TensorLike } from './compare.ts';
import { expectSameBits } from './compare.ts';
import type { Model, Named } from './engine-model.ts';
import {
  copyOf,
  createModel,
  dataOf,
  deltaOf,
  expectAllSameBits,
  ignoring,
  inputOf,
  labelsOf,
  lossOptions,
  parametersOf,
  problemRows,
  weightGradients,
} from './engine-model.ts';
import { law } from './profile.ts';

/** Wide enough for a batch of some rows to engage three threads. */
const networks: Array<Pick<Kind, 'shape' | 'options'>> = [
  { shape: { inputSize: 3, hiddenSize: 31, outputSize: 3, numLayers: 2 }, options: plain },
  { shape: { inputSize: 5, hiddenSize: 64, outputSize: 4, numLayers: 1 }, options: plain },
  {
    shape: { inputSize: 3, hiddenSize: 19, outputSize: 3, numLayers: 2 },
    options: { ...plain, isBidirectional: true, features: 'steps', dropout: 0.5 },
  },
];

interface Kind {
  shape: NetworkShape;
  options: NetworkOptions;
  dtype: Dtype;
  threads: number;
}

/** What happens while a call is in flight, so many turns of the event loop after it was made. */
interface Meanwhile {
  event: 'nothing' | 'kill' | 'close' | 'abort' | 'zeroGrad';
  turns: number;
}

type Outcome<T> = { ok: true; value: T } | { ok: false; code: unknown };

function sameBits(actual: Named, expected: Named): boolean {
  try {
    expectAllSameBits(actual, expected);
    return true;
  } catch {
    return false;
  }
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise(setImmediate);
}

/** An error's code, or, for what a signal gave, its reason. */
function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : error;
}

const lost: unknown[] = ['WORKER_LOST', 'WORKER_FAILED'];
const reason = new Error('aborted by the law');

/** What a model should be like. */
interface Expected {
  open: boolean;
  /** What the last forward was given. */
  kept: Problem | null;
}

/**
 * A model with threads, and its twin that computes the same on the calling thread. After every call both hold the
 * same bits.
 */
class Pair {
  kind: Kind = { ...networks[0], dtype: 'float32', threads: 1 };
  #model: Model | null = null;
  #twin: Model | null = null;
  readonly #workers = new Set<Worker>();

  async create(kind: Kind): Promise<void> {
    await this.close();
    this.kind = kind;
    const { shape, options, dtype: dtypeOf, threads } = kind;
    const settings = problemFor(shape, firstRecipe, dtypeOf, options);
    this.#model = await createModel(settings, threads);
    this.#twin = await createModel(settings, 0);
    this.#seeWorkers();
  }

  get model(): Model {
    if (!this.#model) throw new Error('there is no model yet');
    return this.#model;
  }

  get twin(): Model {
    if (!this.#twin) throw new Error('there is no model yet');
    return this.#twin;
  }

  /** What the models' dropout masks are made from. */
  get seed(): number {
    return this.problem(firstRecipe).network.dropout.seed;
  }

  problem(recipe: BatchRecipe): Problem {
    return problemFor(this.kind.shape, recipe, this.kind.dtype, this.kind.options);
  }

  #seeWorkers(): void {
    const open = this.#model && openNetworks.has(this.#model);
    if (!open || this.kind.threads === 0) return;
    for (const worker of teamOf(this.model).pool?.threads ?? []) this.#workers.add(worker);
  }

  async kill(which: number): Promise<void> {
    if (this.kind.threads === 0 || !openNetworks.has(this.model)) return;
    this.#seeWorkers();
    const alive = teamOf(this.model).pool?.threads.length ?? 0;
    if (alive > 0) await killWorker(this.model, which % alive);
    this.#seeWorkers();
  }

  /** Makes a call, lets something happen meanwhile, and tells what became of the call. */
  async attempt<T>(
    call: () => Promise<T>,
    { event, turns: count }: Meanwhile,
    abort?: () => void,
  ): Promise<Outcome<T>> {
    const outcome = call().then(
      (value): Outcome<T> => ({ ok: true, value }),
      (error): Outcome<T> => ({ ok: false, code: codeOf(error) }),
    );
    let done = false;
    void outcome.then(() => {
      done = true;
    });
    await turns(count);
    if (event === 'kill') await this.kill(count);
    if (event === 'close') await this.model.close();
    if (event === 'abort') abort?.();
    if (event === 'zeroGrad' && !done) this.#expectBusy();
    const result = await outcome;
    this.#seeWorkers();
    return result;
  }

  #expectBusy(): void {
    try {
      this.model.zeroGrad();
    } catch (error) {
      if (codeOf(error) === 'BUSY') return;
      throw error;
    }
    throw new Error('zeroGrad: expected BUSY while a call is in flight');
  }

  /** The model has the twin's bits in parameters and gradients. */
  expectTwins(): void {
    expectAllSameBits(parametersOf(this.model), parametersOf(this.twin));
    expectAllSameBits(weightGradients(this.model), weightGradients(this.twin));
  }

  /** Ends both, and sees to it that no thread is left of all there ever were. */
  async close(): Promise<void> {
    this.#seeWorkers();
    await this.#model?.close();
    await this.#model?.close();
    await this.#twin?.close();
    const left = [...this.#workers].filter(({ threadId }) => threadId !== -1);
    if (left.length > 0)
      throw new Error(`after close ${left.length} of ${this.#workers.size} threads are left`);
  }
}

const firstRecipe: BatchRecipe = {
  batch: 1,
  time: 1,
  lengths: 'equal',
  form: 'list',
  givesH0: false,
  seed: 1,
};

/** A call is refused with the code that the model's state asks for, or it is not; every call is allowed at any time. */
function expectCode(outcome: Outcome<unknown>, code: string): void {
  if (outcome.ok) throw new Error(`expected ${code}, but the call went well`);
  if (outcome.code !== code) throw unexpected(outcome.code, code);
}

function unexpected(code: unknown, expected: string): Error {
  return new Error(`expected ${expected}, got ${code}`, { cause: code });
}

/** A call may fail only because a thread was killed in it, or while it started. Says whether it went well. */
function wentWell<T>(
  outcome: Outcome<T>,
  { event }: Meanwhile,
  pair: Pair,
): outcome is { ok: true; value: T } {
  if (outcome.ok) return true;
  const killed = event === 'kill' && pair.kind.threads > 0;
  if (killed && lost.includes(outcome.code)) return false;
  throw unexpected(outcome.code, killed ? `the right numbers, or ${lost.join(' or ')}` : 'the right numbers');
}

/** A command that may be given at any time: no counterexample depends on which were left out. */
class Command implements fc.AsyncCommand<Expected, Pair> {
  readonly #name: string;
  readonly #run: (expected: Expected, pair: Pair) => Promise<void>;

  constructor(name: string, run: (expected: Expected, pair: Pair) => Promise<void>) {
    this.#name = name;
    this.#run = run;
  }

  check(): boolean {
    return true;
  }

  async run(expected: Expected, pair: Pair): Promise<void> {
    await this.#run(expected, pair);
    if (expected.open) pair.expectTwins();
  }

  toString(): string {
    return this.#name;
  }
}

/** A call, with what happens meanwhile. On a closed model it is refused, and there is a new model afterwards. */
function call(
  name: string,
  meanwhile: Meanwhile,
  onClosed: (pair: Pair) => Promise<unknown>,
  run: (expected: Expected, pair: Pair) => Promise<void>,
): Command {
  const suffix = meanwhile.event === 'nothing' ? '' : `, ${meanwhile.event} after ${meanwhile.turns} turns`;
  return new Command(`${name}${suffix}`, async (expected, pair) => {
    if (!expected.open) {
      expectCode(await pair.attempt(() => onClosed(pair), { event: 'nothing', turns: 0 }), 'CLOSED');
      await pair.create(pair.kind);
      Object.assign(expected, { open: true, kept: null });
      return;
    }
    await run(expected, pair);
    if (meanwhile.event === 'close') expected.open = false;
  });
}

const x = (p: Problem) => inputOf(p);

function forwardCommand(recipe: BatchRecipe, meanwhile: Meanwhile): Command {
  const forward = (p: Problem) => (model: Model) => model.forward(x(p), p.h0);
  return call(
    `forward(${fc.stringify(recipe)})`,
    meanwhile,
    (pair) => forward(pair.problem(recipe))(pair.model),
    async (expected, pair) => {
      const p = pair.problem(recipe);
      const outcome = await pair.attempt(() => forward(p)(pair.model), meanwhile);
      expected.kept = null;
      if (!wentWell(outcome, meanwhile, pair)) return;
      expectSameBits('logits', copyOf(outcome.value), copyOf(await forward(p)(pair.twin)));
      expected.kept = p;
    },
  );
}

function backwardCommand(meanwhile: Meanwhile): Command {
  const backward = (p: Problem | null) => (model: Model) =>
    model.backward(p ? deltaOf(p) : [[1]], { inputGradient: true });
  return call(
    'backward()',
    meanwhile,
    (pair) => backward(null)(pair.model),
    async ({ kept }, pair) => {
      const outcome = await pair.attempt(() => backward(kept)(pair.model), meanwhile);
      if (kept === null) return expectCode(outcome, 'NO_FORWARD');
      if (!wentWell(outcome, meanwhile, pair)) return;
      const { dh0, dx } = await backward(kept)(pair.twin);
      expectSameBits('dh0', copyOf(outcome.value.dh0), copyOf(dh0));
      expectSameBits('dx', copyOf(outcome.value.dx), copyOf(dx));
    },
  );
}

function gradientsCommand(recipe: BatchRecipe, meanwhile: Meanwhile): Command {
  const gradients = (p: Problem) => (model: Model) => model.gradients(x(p), labelsOf(p), lossOptions(p));
  return call(
    `gradients(${fc.stringify(recipe)})`,
    meanwhile,
    (pair) => gradients(pair.problem(recipe))(pair.model),
    async (_, pair) => {
      const p = pair.problem(recipe);
      const outcome = await pair.attempt(() => gradients(p)(pair.model), meanwhile);
      if (!wentWell(outcome, meanwhile, pair)) return;
      const { loss, logits, dh0 } = await gradients(p)(pair.twin);
      expectSameBits('loss', outcome.value.loss, loss);
      expectSameBits('logits', copyOf(outcome.value.logits), copyOf(logits));
      expectSameBits('dh0', copyOf(outcome.value.dh0), copyOf(dh0));
    },
  );
}

function predictCommand(recipe: BatchRecipe, meanwhile: Meanwhile): Command {
  const predict = (p: Problem) => (model: Model) => model.predict(x(p));
  return call(
    `predict(${fc.stringify(recipe)})`,
    meanwhile,
    (pair) => predict(pair.problem(recipe))(pair.model),
    async (_, pair) => {
      const p = pair.problem(recipe);
      const outcome = await pair.attempt(() => predict(p)(pair.model), meanwhile);
      if (!wentWell(outcome, meanwhile, pair)) return;
      expectSameBits('probabilities', copyOf(outcome.value), copyOf(await predict(p)(pair.twin)));
    },
  );
}

function stepCommand(type: 'sgd' | 'adam', clipNorm: number, meanwhile: Meanwhile): Command {
  const step = async (model: Model) => model.optimizer({ type, learningRate: 0.125 }).step({ clipNorm });
  return call(
    `${type}.step({ clipNorm: ${clipNorm} })`,
    meanwhile,
    (pair) => step(pair.model),
    async (_, pair) => {
      const outcome = await pair.attempt(() => step(pair.model), meanwhile);
      if (wentWell(outcome, meanwhile, pair)) await step(pair.twin);
    },
  );
}

interface Training {
  recipe: BatchRecipe;
  /** Rows of a step, as a share of the batch in tenths. */
  tenths: number;
  epochs: number;
  type: 'sgd' | 'adam';
  /** Turns after which each of the predictions is asked for. */
  predictions: number[];
}

/** The parameters and the probabilities of a batch before, between and after training's steps, taken by hand. */
interface States {
  parameters: Named[];
  probabilities: TensorLike[];
}

const learningRate = 1 / 64;

async function trainTwin(twin: Model, p: Problem, size: number, training: Training): Promise<States> {
  const states: States = { parameters: [], probabilities: [] };
  const remember = async () => {
    states.parameters.push(parametersOf(twin));
    states.probabilities.push(copyOf(await twin.predict(x(p))));
  };
  const optimizer = twin.optimizer({ type: training.type, learningRate });
  let step = 0;
  await remember();
  for (let epoch = 0; epoch < training.epochs; epoch++) {
    for (let first = 0; first < p.x.length; first += size) {
      const rows = p.x.map((_, b) => b).slice(first, first + size);
      const started = { ...p, h0: undefined, ...(p.step !== undefined && { step }) };
      const part = problemRows(started, rows);
      step++;
      twin.zeroGrad();
      await twin.gradients(inputOf(part), labelsOf(part), lossOptions(part));
      await optimizer.step();
      await remember();
    }
  }
  twin.zeroGrad();
  return states;
}

function fitCommand(training: Training, meanwhile: Meanwhile): Command {
  const { recipe, tenths, epochs, type } = training;
  const sizeOf = (p: Problem) => Math.max(1, Math.ceil((p.x.length * tenths) / 10));
  const train = (p: Problem, seed: number, signal?: AbortSignal) => (model: Model) =>
    model.fit(dataOf(p), {
      epochs,
      batchSize: sizeOf(p),
      shuffle: false,
      optimizer: { type, learningRate },
      seed,
      ...ignoring(p),
      ...(signal ? { signal } : {}),
    });
  return call(
    `fit(${fc.stringify(training)})`,
    meanwhile,
    (pair) => train(pair.problem(recipe), pair.seed)(pair.model),
    async (_, pair) => {
      const p = pair.problem(recipe);
      const controller = new AbortController();
      const asked: Array<Promise<Outcome<TensorLike>>> = [];
      const running = pair.attempt(
        () => train(p, pair.seed, controller.signal)(pair.model),
        meanwhile,
        () => controller.abort(reason),
      );
      for (const wait of training.predictions) {
        await turns(wait);
        asked.push(pair.attempt(() => pair.model.predict(x(p)), { event: 'nothing', turns: 0 }));
      }
      const [outcome, ...predictions] = await Promise.all([running, ...asked]);
      const states = await trainTwin(pair.twin, p, sizeOf(p), training);
      const aborted = meanwhile.event === 'abort' && !outcome.ok && outcome.code === reason;
      if (!aborted) wentWell(outcome, meanwhile, pair);
      predictions.forEach((prediction) => {
        expectPrediction(prediction, states, meanwhile);
      });
      if (meanwhile.event === 'close') return;
      const end = parametersOf(pair.model);
      if (!outcome.ok && states.parameters.some((state) => sameBits(end, state))) {
        pair.twin.loadStateDict(pair.model.stateDict());
      }
    },
  );
}

/** The numbers of one whole step; or, once the model is closed or has lost a thread, the word for it. */
function expectPrediction(
  prediction: Outcome<TensorLike>,
  { probabilities }: States,
  { event }: Meanwhile,
): void {
  if (prediction.ok) {
    const given = copyOf(prediction.value);
    const found = probabilities.some((state) => sameBits([['probabilities', given]], [['', state]]));
    if (!found) throw new Error('predict: not the probabilities of any whole step of training');
    return;
  }
  if (event === 'kill' && lost.includes(prediction.code)) return;
  if (event === 'close' && prediction.code === 'CLOSED') return;
  throw unexpected(prediction.code, 'probabilities');
}

function writeCommand(name: 'zeroGrad' | 'stateDict'): Command {
  return new Command(name, async ({ open }, pair) => {
    const outcome = await pair.attempt(async () => pair.model[name](), { event: 'nothing', turns: 0 });
    if (!open) return expectCode(outcome, 'CLOSED');
    wentWell(outcome, { event: 'nothing', turns: 0 }, pair);
    pair.twin[name]();
  });
}

/** Calls that are made at once are carried out in their order. */
function queueCommand(recipe: BatchRecipe): Command {
  return new Command(`queue(${fc.stringify(recipe)})`, async (expected, pair) => {
    if (!expected.open) return;
    const p = pair.problem(recipe);
    const all = async (model: Model) => {
      const optimizer = model.optimizer({ type: 'sgd', learningRate });
      const calls = [
        model.forward(x(p), p.h0),
        model.backward(deltaOf(p)),
        model.gradients(x(p), labelsOf(p), { ...lossOptions(p), h0: undefined }).then(({ logits }) => logits),
        optimizer.step().then(() => model.outputLayer.W),
        model.forward(x(p)),
        model.backward(deltaOf(p)),
        model.predict(x(p)),
      ];
      return (await Promise.all(calls)).map((tensor, k): Named[number] => [`call ${k}`, copyOf(tensor)]);
    };
    const actual = await all(pair.model);
    const twin = await all(pair.twin);
    expectAllSameBits(
      actual.filter((_, k) => k !== 3),
      twin.filter((_, k) => k !== 3),
    );
    expected.kept = { ...p, h0: undefined };
  });
}

const kinds = fc
  .record({
    network: fc.constantFrom(...networks),
    dtype: dtype(),
    threads: fc.constantFrom(2, 3, 1, 0),
  })
  .map(({ network, ...rest }): Kind => ({ ...network, ...rest }));

const createCommand = (kind: Kind) =>
  new Command(`create(${fc.stringify(kind)})`, async (expected, pair) => {
    await pair.create(kind);
    Object.assign(expected, { open: true, kept: null });
  });

const closeCommand = () =>
  new Command('close', async (expected, pair) => {
    await pair.close();
    expected.open = false;
  });

const killCommand = (which: number) =>
  new Command(`kill thread ${which}`, async ({ open }, pair) => {
    if (open) await pair.kill(which);
  });

function meanwhiles(...events: Meanwhile['event'][]): fc.Arbitrary<Meanwhile> {
  const event = fc.constantFrom<Meanwhile['event']>('nothing', ...events);
  return fc.record({ event, turns: fc.constantFrom(0, 0, 1, 2, 5) });
}

const recipes = batchRecipe({ time: 9, batch: 65 });
const trainings = fc.record({
  recipe: recipes,
  tenths: fc.constantFrom(10, 7, 4, 2),
  epochs: fc.constantFrom(1, 2, 4, 16),
  type: fc.constantFrom('sgd' as const, 'adam' as const),
  predictions: fc.array(fc.constantFrom(0, 1, 5), { maxLength: 3 }),
});
const inCall = meanwhiles('nothing', 'kill', 'kill', 'close', 'zeroGrad');

const forwards = fc.tuple(recipes, inCall).map(([recipe, event]) => forwardCommand(recipe, event));
const fits = fc
  .tuple(trainings, meanwhiles('kill', 'kill', 'close', 'abort', 'zeroGrad'))
  .map(([training, event]) => fitCommand(training, event));

const commands = fc.commands(
  [
    kinds.map(createCommand),
    // Twice, so that they come twice as often.
    forwards,
    forwards,
    fits,
    fits,
    inCall.map(backwardCommand),
    fc.tuple(recipes, inCall).map(([recipe, event]) => gradientsCommand(recipe, event)),
    fc.tuple(recipes, inCall).map(([recipe, event]) => predictCommand(recipe, event)),
    fc
      .tuple(fc.constantFrom('sgd' as const, 'adam' as const), fc.constantFrom(0.25, 1e6), inCall)
      .map(([type, clipNorm, event]) => stepCommand(type, clipNorm, event)),
    fc.constantFrom('zeroGrad' as const, 'stateDict' as const).map(writeCommand),
    recipes.map(queueCommand),
    fc.nat({ max: 2 }).map(killCommand),
    fc.constant(null).map(closeCommand),
  ],
  { maxCommands: 24, size: 'max' },
);

describe('a model with threads', () => {
  law(
    'gives the right numbers or the right error, whatever is called, killed, aborted or closed, and leaves no thread',
    { kind: kinds, commands },
    { cases: 20, caseMs: 60_000 },
    async ({ kind, commands: given }) => {
      const pair = new Pair();
      try {
        await fc.asyncModelRun(
          () => ({ model: { open: true, kept: null }, real: pair }),
          [createCommand(kind), ...given],
        );
      } finally {
        await pair.close();
      }
    },
  );
});
