import { type NormalizationSpec, writeNormalization } from './data/normalization.ts';
import { badArgument, noForward, plain } from './errors.ts';
import { type Kernels, PANEL_BYTES, panelsFor } from './kernels/kernels.ts';
import { type WasmExports, wasmExports, wasmKernels, wasmModule } from './kernels/wasm-kernels.ts';
import type { Geometry, Parameter } from './network/geometry.ts';
import { MemoryMap } from './parallel/memory-map.ts';
import { countAsGarbage, newMemory } from './parallel/shared-memory.ts';
import { type RealArray, readTensor, realArray, type TensorLike } from './tensor.ts';

/** One layer as a stream computes it: addresses of its packed weights and of its state. */
interface StreamLayer {
  readonly inputPanels: number;
  readonly W_ihT: number;
  readonly W_hhT: number;
  readonly bias: number;
  /** The state, and the place where the next one is made; they change places at every step. */
  h: number;
  next: number;
}

/** Where a stream's weights and vectors lie in a memory of its own. */
interface StreamPlan {
  readonly layers: StreamLayer[];
  readonly output: { readonly WT: number; readonly bias: number };
  readonly x: number;
  /** Mean and deviation of the input, where it is normalized. */
  readonly mean: number;
  readonly std: number;
  /** Sum and mean of the top layer's states so far, for a model that reads their mean. */
  readonly sum: number;
  readonly average: number;
  readonly logits: number;
  readonly probabilities: number;
  /** Two f64. */
  readonly sums: number;
  /** Room for the largest parameter, twice: what is packed passes through here. */
  readonly staging: readonly [number, number];
  readonly end: number;
}

function planStream(g: Geometry): StreamPlan {
  const map = new MemoryMap(0);
  const vector = (name: string, panels: number) => map.add(name, panels * PANEL_BYTES);
  const matrix = (name: string, k: number, n: number) =>
    map.add(name, panelsFor(k, g.dtype) * g.columns * panelsFor(n, g.dtype) * PANEL_BYTES);
  const largest = g.parameters.reduce((most, { size }) => Math.max(most, size), 0) * g.realBytes;
  const layers = g.cells.map(({ W_ih }, l) => ({
    inputPanels: panelsFor(W_ih.shape[1], g.dtype),
    W_ihT: matrix(`W_ih of layer ${l}`, W_ih.shape[1], g.hiddenSize),
    W_hhT: matrix(`W_hh of layer ${l}`, g.hiddenSize, g.hiddenSize),
    bias: vector(`bias of layer ${l}`, g.hiddenPanels),
    h: vector(`state of layer ${l}`, g.hiddenPanels),
    next: vector(`next state of layer ${l}`, g.hiddenPanels),
  }));
  return {
    layers,
    output: { WT: matrix('W', g.hiddenSize, g.outputSize), bias: vector('b', g.outputPanels) },
    x: vector('x', g.inputPanels),
    mean: vector('mean', g.inputPanels),
    std: vector('deviation', g.inputPanels),
    sum: vector('sum of states', g.hiddenPanels),
    average: vector('mean of states', g.hiddenPanels),
    logits: vector('logits', g.outputPanels),
    probabilities: vector('probabilities', g.outputPanels),
    sums: map.add('sums', 16),
    staging: [map.add('staging', largest), map.add('staging', largest)],
    end: map.end,
  };
}

/** Packs a snapshot of the parameters into a stream's memory. */
function packSnapshot(
  g: Geometry,
  plan: StreamPlan,
  kernels: Kernels,
  reals: RealArray,
  parameters: (parameter: Parameter) => RealArray,
): void {
  const stage = (parameter: Parameter, place: 0 | 1 = 0): number => {
    reals.set(parameters(parameter), plan.staging[place] / g.realBytes);
    return plan.staging[place];
  };
  const pack = (to: number, W: Parameter) => {
    const [n, k] = W.shape;
    const from = stage(W);
    for (let p = 0; p < panelsFor(n, g.dtype); p++) kernels.packTransposed(to, from, n, k, k, p);
  };
  g.cells.forEach((cell, l) => {
    pack(plan.layers[l].W_ihT, cell.W_ih);
    pack(plan.layers[l].W_hhT, cell.W_hh);
    // Without biases the place keeps the zeros that memory begins with.
    if (!cell.b_ih || !cell.b_hh) return;
    kernels.packBias(plan.layers[l].bias, stage(cell.b_ih), stage(cell.b_hh, 1), g.hiddenSize);
  });
  pack(plan.output.WT, g.W);
  kernels.packBias(plan.output.bias, stage(g.b), 0, g.outputSize);
}

/**
 * A classifier on live input, one frame at a time, on the calling thread: no call to another thread, no memory
 * allocated in a step. It works on a snapshot of the parameters, taken when it was made, in a memory of its own; streams may
 * be open beside each other, and beside a training that begins later. With WebAssembly kernels the logits are those of
 * `forward` on the frames so far, bit for bit (of its last step, where a model has logits at every step).
 */
export class ClassifierStream {
  readonly #g: Geometry;
  readonly #plan: StreamPlan;
  readonly #wasm: WasmExports;
  readonly #reals: RealArray;
  readonly #logits: RealArray;
  readonly #probabilities: RealArray;
  #frames = 0;

  /** @internal */
  constructor(
    g: Geometry,
    parameters: (parameter: Parameter) => RealArray,
    normalization: NormalizationSpec | null,
  ) {
    if (g.bidirectional)
      throw badArgument(
        'stream',
        'a model that reads forward only',
        plain('a bidirectional one, which needs the end'),
      );
    const plan = planStream(g);
    // Nobody closes a stream: as much as there are of them may be garbage by now.
    countAsGarbage(plan.end);
    const memory = newMemory(plan.end);
    // A BLAS is of no use to one row: what is left are the kernels every machine has.
    const module = wasmModule(g.dtype, g.maker === 'blas' ? 'wasm' : g.maker);
    this.#g = g;
    this.#plan = plan;
    this.#wasm = wasmExports(module, memory);
    this.#reals = realArray(g.dtype, memory.buffer, 0, Math.floor(memory.buffer.byteLength / g.realBytes));
    this.#logits = realArray(g.dtype, memory.buffer, plan.logits, g.outputSize);
    this.#probabilities = realArray(g.dtype, memory.buffer, plan.probabilities, g.outputSize);
    packSnapshot(g, plan, wasmKernels(module, memory, g.dtype), this.#reals, parameters);
    const at = { mean: plan.mean / g.realBytes, std: plan.std / g.realBytes };
    if (normalization) writeNormalization(this.#reals, normalization, at, g.inputPanels * g.columns);
  }

  /**
   * Takes the next frame.
   * @param frame [I]
   * @returns logits [O]: the same array every time, overwritten by the next step
   * @throws BAD_ARGUMENT
   */
  step(frame: ArrayLike<number>): RealArray {
    const { inputSize, hiddenPanels, outputPanels, realBytes } = this.#g;
    if (frame?.length !== inputSize)
      throw badArgument('frame', `${inputSize} numbers`, frame?.length ?? frame);
    const plan = this.#plan;
    const first = plan.x / realBytes;
    for (let j = 0; j < inputSize; j++) {
      if (typeof frame[j] !== 'number') throw badArgument(`frame[${j}]`, 'a number', frame[j]);
      this.#reals[first + j] = frame[j];
    }
    const wasm = this.#wasm;
    if (this.#g.normalized)
      wasm.normalizeRows(plan.x, PANEL_BYTES, 0, 1, this.#g.inputPanels, plan.mean, plan.std);
    this.#frames++;
    const top = this.#average(this.#advance());
    wasm.projectRow(plan.logits, outputPanels, top, hiddenPanels, plan.output.WT, plan.output.bias);
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

  /** Every layer's next state; the address of the top one's. */
  #advance(): number {
    const wasm = this.#wasm;
    const { hiddenPanels, nonlinearity } = this.#g;
    const plan = this.#plan;
    let { x } = plan;
    for (const layer of plan.layers) {
      const { h, next } = layer;
      wasm.projectRow(next, hiddenPanels, x, layer.inputPanels, layer.W_ihT, layer.bias);
      if (nonlinearity === 'tanh') wasm.tanhStepRow(next, hiddenPanels, h, hiddenPanels, layer.W_hhT);
      else wasm.reluStepRow(next, hiddenPanels, h, hiddenPanels, layer.W_hhT);
      layer.h = next;
      layer.next = h;
      x = next;
    }
    return x;
  }

  /** The mean of the states so far, as forward computes it; for other models the state itself. */
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
    this.#plan.layers.forEach(({ h }, layer) => {
      const state = this.#reals.subarray(h / realBytes, h / realBytes + hiddenSize);
      if (given) state.set(given.data.subarray(layer * hiddenSize, (layer + 1) * hiddenSize));
      else state.fill(0);
    });
  }
}
