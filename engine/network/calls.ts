import { longest, type SequenceInput, total } from '../data/read-sequences.ts';
import type { Sequences } from '../data/sequences.ts';
import { noForward } from '../errors.ts';
import { Real } from '../parallel/control.ts';
import { laneCount } from '../parallel/lane-plan.ts';
import { readTensor, Tensor, type TensorLike } from '../tensor.ts';
import type { BatchMemory, BatchSpec } from './batch-memory.ts';
import { readHiddens } from './hiddens.ts';
import { argmax } from './lane.ts';
import type { LossSpec } from './loss.ts';
import type { Network } from './network.ts';

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

export interface Evaluation {
  readonly loss: number;
  readonly accuracy: number;
  /** Rows of each class (first index) that were given each class (second index). */
  readonly confusion: number[][];
  /** Share of each class's rows that were given their class; NaN for a class without rows. */
  readonly recall: number[];
}

/** What the last forward left for backward and hiddens. */
interface Kept {
  readonly spec: BatchSpec;
  readonly plan: BatchMemory;
  readonly lengths: Int32Array;
  hiddens: Tensor[] | null;
}

/** Rows of one call of predict or evaluate; more are computed one such call after the other. */
export const ROWS_PER_CALL = 1_024;

/**
 * The calls of a model on its memory and threads, one at a time: plans a batch, copies what it needs in, runs it, and
 * copies the results out. Keeps what forward leaves for backward.
 */
export class Calls {
  readonly #network: Network;
  #kept: Kept | null = null;

  constructor(network: Network) {
    this.#network = network;
  }

  /** Where the memory of a call may begin that is to leave alone what forward has kept. */
  get scratchStart(): number {
    return this.#kept?.plan.end ?? this.#network.model.end;
  }

  /** The states of the last forward, T + 1 times [L, B, H]; copied out on first access. Throws NO_FORWARD. */
  get hiddens(): readonly Tensor[] {
    if (!this.#kept) throw noForward('hiddens');
    this.#kept.hiddens ??= readHiddens(this.#network, this.#kept);
    return this.#kept.hiddens;
  }

  async forward(input: SequenceInput, states: Tensor | null): Promise<Tensor> {
    const network = this.#network;
    const { spec, parties } = planCall(network, input, network.model.end, { keep: true, passes: 1 });
    const plan = network.reserve(spec);
    this.#kept = null;
    const rows = this.#writeCall(plan, input, states);
    const flags = { h0: states !== null, probabilities: false, score: false };
    await network.run({ kind: 'forward', spec, rows, ...flags }, parties);
    this.#kept = { spec, plan, lengths: input.lengths.slice(), hiddens: null };
    return this.#readLogits(plan, input.rows);
  }

  async backward(delta: TensorLike, inputGradient: boolean): Promise<Tensor | { dh0: Tensor; dx: Tensor }> {
    const network = this.#network;
    const { g } = network;
    const kept = this.#kept;
    if (!kept) throw noForward('backward');
    const { rows, steps, time } = kept.spec;
    const given = readTensor('delta', delta, [rows, g.outputSize], g.dtype);
    // The frames are where forward has put them.
    const input = { rows, steps, time, frames: total(kept.lengths), shared: true };
    const kind = { gradients: true, inputGradient, passes: 2 } as const;
    const { spec, parties } = planCall(network, input, kept.plan.end, kind);
    const plan = network.reserve(spec);
    network.reals(plan.delta, given.data.length).set(given.data);
    const job = { kind: 'backward', spec, kept: kept.spec, inputGradient } as const;
    await network.run(job, parties);
    network.takeOver(network.model.gradients);
    const dh0 = this.#readStates(plan, rows);
    return inputGradient ? { dh0, dx: this.#readInputGradient(plan, rows, time) } : dh0;
  }

  async gradients(
    input: SequenceInput,
    states: Tensor | null,
    labels: Int32Array,
    inputGradient: boolean,
    loss: LossSpec,
  ): Promise<GradientResult> {
    const network = this.#network;
    const { spec, parties } = planCall(network, input, this.scratchStart, {
      ...{ gradients: true, inputGradient, passes: 3 },
    });
    const plan = network.reserve(spec);
    const rows = this.#writeCall(plan, input, states);
    network.integers(plan.labels, input.rows).set(labels);
    await network.run({ kind: 'gradients', spec, rows, h0: states !== null, inputGradient, loss }, parties);
    network.takeOver(network.model.gradients);
    const result = {
      loss: network.control.reals[Real.lossSum] / input.rows,
      logits: this.#readLogits(plan, input.rows),
      dh0: this.#readStates(plan, input.rows),
    };
    return inputGradient ? { ...result, dx: this.#readInputGradient(plan, input.rows, input.time) } : result;
  }

  async evaluate(data: Sequences): Promise<Evaluation> {
    const { outputSize } = this.#network.g;
    const confusion = Array.from({ length: outputSize }, () => new Array<number>(outputSize).fill(0));
    const rows = data.lengths.length;
    let loss = 0;
    for (let first = 0; first < rows; first += ROWS_PER_CALL) {
      const lengths = data.lengths.subarray(first, Math.min(rows, first + ROWS_PER_CALL));
      loss += await this.#scoreRows(data, first, lengths, confusion);
    }
    const correct = confusion.reduce((sum, row, label) => sum + row[label], 0);
    const recall = confusion.map((row, label) => row[label] / row.reduce((a, b) => a + b, 0));
    return { loss: loss / rows, accuracy: correct / rows, confusion, recall };
  }

  /** Scores the rows `first` …, counts them in `confusion`, and returns the sum of their losses. */
  async #scoreRows(
    data: Sequences,
    first: number,
    lengths: Int32Array,
    confusion: number[][],
  ): Promise<number> {
    const network = this.#network;
    const { g } = network;
    const rows = lengths.length;
    const steps = longest(lengths);
    const input = { rows, steps, time: steps, frames: total(lengths), shared: true };
    const { spec, parties } = planCall(network, input, this.scratchStart, { passes: 1 });
    const plan = network.reserve(spec);
    const flags = { h0: false, probabilities: false, score: true };
    await network.run({ kind: 'forward', spec, rows: { first, data, values: null }, ...flags }, parties);
    const logits = network.reals(plan.logits, rows * g.outputSize);
    for (let i = 0; i < rows; i++) {
      const given = argmax(logits, i * g.outputSize, g.outputSize);
      confusion[data.labels[first + i]][given]++;
    }
    return network.control.reals[Real.lossSum];
  }

  #writeCall(plan: BatchMemory, input: SequenceInput, states: Tensor | null) {
    const network = this.#network;
    if (states) network.reals(plan.h0, states.data.length).set(states.data);
    return network.writeInput(plan, input);
  }

  #readLogits(plan: BatchMemory, rows: number): Tensor {
    const network = this.#network;
    const { g } = network;
    return new Tensor(network.copy(plan.logits, rows * g.outputSize), [rows, g.outputSize]);
  }

  #readStates(plan: BatchMemory, rows: number): Tensor {
    const network = this.#network;
    const { g } = network;
    const shape = [g.numLayers, rows, g.hiddenSize];
    return new Tensor(network.copy(plan.dh0, g.numLayers * rows * g.hiddenSize), shape);
  }

  #readInputGradient(plan: BatchMemory, rows: number, time: number): Tensor {
    const network = this.#network;
    const { g } = network;
    return new Tensor(network.copy(plan.dx, rows * time * g.inputSize), [rows, time, g.inputSize]);
  }
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
