import { type NormalizationSpec, writeNormalization } from '../data/normalization.ts';
import { PANEL_BYTES, packedBytes, panelsFor } from '../kernels/layout.ts';
import { type WasmExports, wasmExports, wasmKernels, wasmModule } from '../kernels/wasm-kernels.ts';
import { type RealArray, realArray } from '../numeric/reals.ts';
import { MemoryMap, roundUp } from '../parallel/memory-map.ts';
import { growTo, newMemory } from '../parallel/shared-memory.ts';
import type { Geometry, Parameter } from './memory/geometry.ts';

/** Addresses of one layer's packed weights. */
interface LayerWeights {
  readonly inputPanels: number;
  readonly W_ihT: number;
  readonly W_hhT: number;
  readonly bias: number;
}

interface WeightsPlan {
  readonly layers: readonly LayerWeights[];
  readonly output: { readonly WT: number; readonly bias: number };
  /** Mean and deviation of the input, where it is normalized. */
  readonly mean: number;
  readonly std: number;
  /** Room for two of the largest parameter: what is to be packed is copied here first. */
  readonly staging: readonly [number, number];
  readonly end: number;
}

function planWeights(g: Geometry): WeightsPlan {
  const map = new MemoryMap(0);
  const vector = (name: string, panels: number) => map.add(name, panels * PANEL_BYTES);
  const matrix = (name: string, k: number, n: number) => map.add(name, packedBytes(n, k, g.dtype));
  const largest = g.parameters.reduce((most, { size }) => Math.max(most, size), 0) * g.realBytes;
  const layers = g.cells.map(({ W_ih }, l) => ({
    inputPanels: panelsFor(W_ih.shape[1], g.dtype),
    W_ihT: matrix(`W_ih of layer ${l}`, W_ih.shape[1], g.hiddenSize),
    W_hhT: matrix(`W_hh of layer ${l}`, g.hiddenSize, g.hiddenSize),
    bias: vector(`bias of layer ${l}`, g.hiddenPanels),
  }));
  return {
    layers,
    output: { WT: matrix('W', g.hiddenSize, g.outputSize), bias: vector('b', g.outputPanels) },
    mean: vector('mean', g.inputPanels),
    std: vector('deviation', g.inputPanels),
    staging: [map.add('staging', largest), map.add('staging', largest)],
    end: map.end,
  };
}

/**
 * A packed snapshot of a model's parameters, in a memory that all streams of these parameters share. Behind
 * the weights each stream has a slot of its own, which is reused once the stream has been garbage-collected.
 */
export class StreamWeights {
  readonly g: Geometry;
  readonly plan: WeightsPlan;
  readonly wasm: WasmExports;
  readonly #memory: WebAssembly.Memory;
  /**
   * The parameters as given. V8 does not count shared memory, but does count this copy: so it collects
   * both when nobody holds the streams any more.
   */
  readonly #parameters: RealArray;
  readonly #free: number[] = [];
  #end: number;

  /** @param parameters all of them, in the order of the block; they are copied */
  constructor(g: Geometry, parameters: RealArray, normalization: NormalizationSpec | null) {
    this.g = g;
    this.plan = planWeights(g);
    this.#end = this.plan.end;
    this.#memory = newMemory(this.plan.end);
    // A BLAS gains nothing on a single row, so streams use the WebAssembly kernels.
    const module = wasmModule(g.dtype, g.maker === 'blas' ? 'wasm' : g.maker);
    this.wasm = wasmExports(module, this.#memory);
    this.#parameters = parameters.slice();
    this.#pack(module);
    const at = { mean: this.plan.mean / g.realBytes, std: this.plan.std / g.realBytes };
    if (normalization) writeNormalization(this.reals, normalization, at, g.inputPanels * g.columns);
  }

  /** The whole memory, as large as it is now. */
  get reals(): RealArray {
    const { buffer } = this.#memory;
    return realArray(this.g.dtype, buffer, 0, Math.floor(buffer.byteLength / this.g.realBytes));
  }

  /**
   * Whether the snapshot still equals these parameters, to the bit: they may have been written to
   * through the model's views.
   */
  areOf(parameters: RealArray): boolean {
    const [mine, theirs] = [this.#parameters, parameters].map(
      ({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength),
    );
    return Buffer.compare(mine, theirs) === 0;
  }

  /** Takes a slot of `bytes` bytes, the same number in every call, filled with zeros. */
  take(bytes: number): number {
    const at = this.#free.pop() ?? this.#add(bytes);
    this.reals.fill(0, at / this.g.realBytes, (at + bytes) / this.g.realBytes);
    return at;
  }

  giveBack(at: number): void {
    this.#free.push(at);
  }

  #add(bytes: number): number {
    const at = this.#end;
    const end = roundUp(at + bytes, PANEL_BYTES);
    growTo(this.#memory, end);
    this.#end = end;
    return at;
  }

  #pack(module: WebAssembly.Module): void {
    const { g, plan, reals } = this;
    const kernels = wasmKernels(module, this.#memory, g.dtype);
    const stage = ({ offset, size }: Parameter, place: 0 | 1 = 0): number => {
      reals.set(this.#parameters.subarray(offset, offset + size), plan.staging[place] / g.realBytes);
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
}
