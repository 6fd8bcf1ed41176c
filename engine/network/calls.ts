import type { Labels } from '../data/read-labels.ts';
import { type SequenceInput, total } from '../data/read-sequences.ts';
import { firstNotFinite, type Sequences } from '../data/sequences.ts';
import { lossNotFinite, noForward } from '../errors.ts';
import { readTensor } from '../read-tensor.ts';
import { largest, sizeOf, Tensor, type TensorLike } from '../tensor.ts';
import { extentOf, partsOf, planCall, planPart } from './call-plan.ts';
import { Confusion } from './confusion.ts';
import { type KeptForward, readHiddens } from './hiddens.ts';
import type { LossSpec } from './lanes/loss.ts';
import type { BatchMemory } from './memory/batch-memory.ts';
import { Real } from './memory/control.ts';
import { logitsShape, outputRowSize } from './memory/geometry.ts';
import type { Network } from './network.ts';
import type { Evaluation, GradientResult } from './results.ts';

/** The checked arguments of `gradients`. */
export interface GradientRequest {
  readonly input: SequenceInput;
  readonly states: Tensor | null;
  readonly labels: Labels;
  readonly loss: LossSpec;
  readonly inputGradient: boolean;
  readonly finalStates: boolean;
}

/** What the last forward left for backward and hiddens. */
interface Kept extends KeptForward {
  hiddens: readonly Tensor[] | null;
}

/**
 * Runs the calls of a model on its memory and threads, one at a time: plans the batch, copies the input
 * in, runs the job, and copies the results out. Keeps what forward leaves for backward.
 */
export class Calls {
  readonly #network: Network;
  #kept: Kept | null = null;

  constructor(network: Network) {
    this.#network = network;
  }

  /** Where a call's memory may begin if it is to leave what forward has kept. */
  get scratchStart(): number {
    return this.#kept?.plan.end ?? this.#network.model.end;
  }

  /** The states of the last forward, T + 1 times [L · D, B, H]; copied out on first access. Throws NO_FORWARD. */
  get hiddens(): readonly Tensor[] {
    if (!this.#kept) throw noForward('hiddens');
    this.#kept.hiddens ??= Object.freeze(readHiddens(this.#network, this.#kept));
    return this.#kept.hiddens;
  }

  async forward(
    input: SequenceInput,
    states: Tensor | null,
    finalStates: boolean,
  ): Promise<{ logits: Tensor; hT: Tensor }> {
    const network = this.#network;
    const kind = { keep: true, finalStates };
    const { plan, engagement } = planCall(network, 'forward', extentOf(input), network.model.end, kind);
    this.#kept = null;
    const rows = this.#writeCall(plan, input, states);
    const fromRest = states === null;
    const job = { kind: 'forward', spec: plan.spec, rows, fromRest, result: 'logits' } as const;
    await network.run(job, engagement);
    this.#kept = { plan, fromRest, lengths: input.lengths.slice(), hiddens: null };
    const hT = this.#readStates(plan.finalStates, finalStates ? input.rows : 0);
    return { logits: this.#readLogits(plan, input), hT };
  }

  async backward(delta: TensorLike, inputGradient: boolean): Promise<Tensor | { dh0: Tensor; dx: Tensor }> {
    const network = this.#network;
    const { g } = network;
    const kept = this.#kept;
    if (!kept) throw noForward('backward');
    const { rows, steps, time } = kept.plan.spec;
    const given = readTensor('delta', delta, logitsShape(g, { rows, time }), g.dtype);
    // The frames are where forward has put them.
    const extent = { rows, steps, time, frames: total(kept.lengths), inputFrames: 0 };
    const kind = { gradients: true, inputGradient };
    const { plan, engagement } = planCall(network, 'backward', extent, kept.plan.end, kind);
    network.reals(plan.delta, given.data.length).set(given.data);
    const job = { kind: 'backward', spec: plan.spec, kept: kept.plan.spec, fromRest: kept.fromRest } as const;
    await network.runAndTakeOver(job, engagement, [network.model.gradients]);
    const dh0 = this.#readStates(plan.dh0, rows);
    return inputGradient ? { dh0, dx: this.#readInputGradient(plan, rows, time) } : dh0;
  }

  async gradients(request: GradientRequest, dropoutKey: number | null): Promise<GradientResult> {
    const network = this.#network;
    const { input, states, labels, loss, inputGradient, finalStates } = request;
    const { plan, engagement } = planCall(network, 'gradients', extentOf(input), this.scratchStart, {
      gradients: true,
      inputGradient,
      finalStates,
      labels: labels.labels.length,
      dropout: dropoutKey !== null,
    });
    const rows = this.#writeCall(plan, input, states);
    network.writeLabels(plan, labels);
    const fromRest = states === null;
    const job = { kind: 'gradients', spec: plan.spec, rows, fromRest, loss, dropoutKey } as const;
    await network.runAndTakeOver(job, engagement, [network.model.gradients]);
    return {
      loss: network.control.reals[Real.lossSum] / total(labels.counted),
      logits: this.#readLogits(plan, input),
      dh0: this.#readStates(plan.dh0, input.rows),
      ...(inputGradient && { dx: this.#readInputGradient(plan, input.rows, input.time) }),
      ...(finalStates && { hT: this.#readStates(plan.finalStates, input.rows) }),
    };
  }

  /**
   * Scores sequences, in parts. `between` is awaited before each part: meanwhile others may use the
   * threads and the memory.
   * @param name what the caller calls the data
   * @throws NOT_FINITE where the loss is not
   */
  async evaluate(
    name: string,
    data: Sequences,
    { signal, between }: { signal?: AbortSignal | undefined; between?: () => Promise<void> },
  ): Promise<Evaluation> {
    const confusion = new Confusion(this.#network.g.outputSize);
    let loss = 0;
    for (const { first, lengths } of partsOf(data)) {
      await between?.();
      signal?.throwIfAborted();
      loss += await this.#scoreRows(data, first, lengths, confusion);
    }
    if (!Number.isFinite(loss))
      throw lossNotFinite(name, loss, firstNotFinite(data, this.#network.g.inputSize));
    const counted = total(data.counted);
    const scores = { loss: loss / counted, accuracy: confusion.correct / counted, recall: confusion.recall };
    if (confusion.isSmall) return { ...scores, confusion: confusion.matrix };
    return {
      ...scores,
      get confusion() {
        return confusion.matrix;
      },
    };
  }

  /** Scores the rows `first` …, counts them in `confusion`, and returns the sum of their losses. */
  async #scoreRows(
    data: Sequences,
    first: number,
    lengths: Int32Array,
    confusion: Confusion,
  ): Promise<number> {
    const network = this.#network;
    const { g } = network;
    const rows = lengths.length;
    const { plan, engagement } = planPart(network, lengths, this.scratchStart);
    const job = { kind: 'forward', spec: plan.spec, rows: { first, data, values: null } } as const;
    await network.run({ ...job, fromRest: true, result: 'logits and loss' }, engagement);
    const rowSize = outputRowSize(g, plan.spec.steps);
    const logits = network.reals(plan.logits, rows * rowSize);
    const { labels, labelStarts } = data;
    for (let i = 0; i < rows; i++) {
      const count = g.output === 'steps' ? lengths[i] : 1;
      for (let t = 0; t < count; t++) {
        const label = labels[labelStarts[first + i] + t];
        if (label >= 0) confusion.add(label, largest(logits, i * rowSize + t * g.outputSize, g.outputSize));
      }
    }
    return network.control.reals[Real.lossSum];
  }

  #writeCall(plan: BatchMemory, input: SequenceInput, states: Tensor | null) {
    const network = this.#network;
    if (states) network.reals(plan.h0, states.data.length).set(states.data);
    return network.writeInput(plan, input);
  }

  #readLogits(plan: BatchMemory, input: SequenceInput): Tensor {
    const shape = logitsShape(this.#network.g, input);
    return new Tensor(this.#network.copy(plan.logits, sizeOf(shape)), shape);
  }

  #readStates(at: number, rows: number): Tensor {
    const { g } = this.#network;
    const shape = [g.stateCount, rows, g.hiddenSize];
    return new Tensor(this.#network.copy(at, sizeOf(shape)), shape);
  }

  #readInputGradient(plan: BatchMemory, rows: number, time: number): Tensor {
    const network = this.#network;
    const { g } = network;
    return new Tensor(network.copy(plan.dx, rows * time * g.inputSize), [rows, time, g.inputSize]);
  }
}
