import { lengthOf } from './describe.ts';
import { badArgument, noForward } from './errors.ts';
import { PANEL_BYTES } from './kernels/layout.ts';
import type { WasmExports } from './kernels/wasm-kernels.ts';
import type { Geometry } from './network/memory/geometry.ts';
import type { StreamWeights } from './network/stream-weights.ts';
import { type RealArray, realArray } from './numeric/reals.ts';
import { MemoryMap } from './parallel/memory-map.ts';
import { readTensor } from './read-tensor.ts';
import type { TensorLike } from './tensor.ts';

/** A layer's state, and the buffer for the next one; the two are swapped at every step. */
interface LayerState {
  h: number;
  next: number;
}

/** Addresses of a stream's vectors. */
interface StatePlan {
  readonly states: readonly LayerState[];
  readonly x: number;
  /** Sum and mean of the top layer's states so far, for a model that reads their mean. */
  readonly sum: number;
  readonly average: number;
  readonly logits: number;
  readonly probabilities: number;
  /** Two f64 that `softmaxRow` returns. */
  readonly sums: number;
  readonly end: number;
}

function planState(g: Geometry, start: number): StatePlan {
  const map = new MemoryMap(start);
  const vector = (name: string, panels: number) => map.add(name, panels * PANEL_BYTES);
  return {
    states: g.cells.map((_, l) => ({
      h: vector(`state of layer ${l}`, g.hiddenPanels),
      next: vector(`next state of layer ${l}`, g.hiddenPanels),
    })),
    x: vector('x', g.inputPanels),
    sum: vector('sum of states', g.hiddenPanels),
    average: vector('mean of states', g.hiddenPanels),
    logits: vector('logits', g.outputPanels),
    probabilities: vector('probabilities', g.outputPanels),
    sums: map.add('sums', 16),
    end: map.end,
  };
}

/** Returns the slots of garbage-collected streams for reuse. */
const places = new FinalizationRegistry<{ weights: StreamWeights; at: number }>(({ weights, at }) =>
  weights.giveBack(at),
);

/** Keeps a stream, and with it its slot, for as long as somebody holds an array that it returned. */
const streamOf = new WeakMap<RealArray, ClassifierStream>();

/**
 * A classifier on live input, one frame at a time, on the calling thread: a step neither calls another
 * thread nor allocates memory.
 *
 * It works on a snapshot of the parameters, taken when it was opened; streams of the same parameters share it.
 * Streams may be open side by side, also while a training that began later runs. With WebAssembly kernels the
 * logits are those of `forward` on the frames so far, bit for bit (with output 'steps', those of the last step).
 */
export class ClassifierStream {
  readonly #g: Geometry;
  readonly #weights: StreamWeights;
  readonly #plan: StatePlan;
  readonly #wasm: WasmExports;
  readonly #reals: RealArray;
  readonly #logits: RealArray;
  readonly #probabilities: RealArray;
  #frames = 0;

  /** @internal */
  constructor(weights: StreamWeights) {
    const { g } = weights;
    const at = weights.take(planState(g, 0).end);
    places.register(this, { weights, at });
    const plan = planState(g, at);
    this.#g = g;
    this.#weights = weights;
    this.#plan = plan;
    this.#wasm = weights.wasm;
    this.#reals = weights.reals;
    this.#logits = realArray(g.dtype, this.#reals.buffer, plan.logits, g.outputSize);
    this.#probabilities = realArray(g.dtype, this.#reals.buffer, plan.probabilities, g.outputSize);
    for (const array of [this.#logits, this.#probabilities]) streamOf.set(array, this);
  }

  /**
   * Processes the next frame.
   * @param frame [I]
   * @returns logits [O]: the same array every time, overwritten by the next step
   * @throws BAD_ARGUMENT
   */
  step(frame: ArrayLike<number>): RealArray {
    const { inputSize, hiddenPanels, outputPanels, realBytes } = this.#g;
    if (frame?.length !== inputSize) throw badArgument('frame', `${inputSize} numbers`, lengthOf(frame));
    const plan = this.#plan;
    let at = plan.x / realBytes;
    for (let j = 0; j < inputSize; j++, at++) {
      if (typeof frame[j] !== 'number') throw badArgument(`frame[${j}]`, 'a number', frame[j]);
      this.#reals[at] = frame[j];
      // As gatherRows does, also with what is too large for float32: tanh would make a number like any other of it.
      if (!Number.isFinite(this.#reals[at])) this.#reals[at] = Number.NaN;
    }
    const wasm = this.#wasm;
    const { mean, std, output } = this.#weights.plan;
    if (this.#g.normalized) wasm.normalizeRows(plan.x, PANEL_BYTES, 0, 1, this.#g.inputPanels, mean, std);
    this.#frames++;
    const top = this.#average(this.#advance());
    wasm.projectRow(plan.logits, outputPanels, top, hiddenPanels, output.WT, output.bias);
    return this.#logits;
  }

  /**
   * Class probabilities after the last step, the softmax of its logits.
   * @returns [O]: the same array every time
   * @throws NO_FORWARD where there has been no step
   */
  probabilities(): RealArray {
    if (this.#frames === 0) throw noForward('probabilities', 'step');
    const { probabilities, sums } = this.#plan;
    this.#probabilities.set(this.#logits);
    this.#wasm.softmaxRow(probabilities, PANEL_BYTES, this.#g.outputSize, sums);
    return this.#probabilities;
  }

  /** Advances every layer by one step; returns the address of the top layer's state. */
  #advance(): number {
    const wasm = this.#wasm;
    const { hiddenPanels, nonlinearity } = this.#g;
    const { layers } = this.#weights.plan;
    const { states } = this.#plan;
    let { x } = this.#plan;
    for (let l = 0; l < layers.length; l++) {
      const { W_ihT, W_hhT, bias, inputPanels } = layers[l];
      const state = states[l];
      const { h, next } = state;
      wasm.projectRow(next, hiddenPanels, x, inputPanels, W_ihT, bias);
      if (nonlinearity === 'tanh') wasm.tanhStepRow(next, hiddenPanels, h, hiddenPanels, W_hhT);
      else wasm.reluStepRow(next, hiddenPanels, h, hiddenPanels, W_hhT);
      state.h = next;
      state.next = h;
      x = next;
    }
    return x;
  }

  /** What the output layer reads: the state, or the mean of the states so far, computed as in `forward`. */
  #average(state: number): number {
    const { output, hiddenPanels } = this.#g;
    if (output !== 'mean') return state;
    const { sum, average } = this.#plan;
    this.#wasm.addRows(sum, PANEL_BYTES, 0, state, PANEL_BYTES, 0, 1, hiddenPanels, 1);
    this.#wasm.zeroRows(average, PANEL_BYTES, 0, 1, hiddenPanels);
    this.#wasm.addRows(average, PANEL_BYTES, 0, sum, PANEL_BYTES, 0, 1, hiddenPanels, 1 / this.#frames);
    return average;
  }

  /**
   * Begins a new sequence.
   * @param h0 initial states [L, H]; zero by default
   * @throws BAD_ARGUMENT
   */
  reset(h0?: TensorLike): void {
    const { numLayers, hiddenSize, hiddenPanels, dtype, realBytes } = this.#g;
    const given = h0 === undefined ? null : readTensor('h0', h0, [numLayers, hiddenSize], dtype);
    this.#frames = 0;
    this.#wasm.zeroRows(this.#plan.sum, PANEL_BYTES, 0, 1, hiddenPanels);
    this.#plan.states.forEach(({ h }, layer) => {
      // With the padding, which a frame that is not finite has made NaN.
      this.#wasm.zeroRows(h, PANEL_BYTES, 0, 1, hiddenPanels);
      if (given)
        this.#reals.set(given.data.subarray(layer * hiddenSize, (layer + 1) * hiddenSize), h / realBytes);
    });
  }
}
