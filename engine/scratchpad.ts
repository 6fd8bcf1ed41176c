import { EDGE_BYTES, type Scratch } from './cells/cell.ts';
import type { Kernels } from './kernels/kernels.ts';
import { layoutOf, PANEL_BYTES, type Panels, packedBytes, panelsFor, tiledRows } from './kernels/layout.ts';
import { wasmKernels, wasmModule } from './kernels/wasm-kernels.ts';
import { type Dtype, newReals, type RealArray, realArray, realBytes } from './numeric/reals.ts';
import { MemoryMap, PAGE_BYTES } from './parallel/memory-map.ts';
import { growTo, newMemory } from './parallel/shared-memory.ts';

interface Pad {
  readonly memory: WebAssembly.Memory;
  readonly kernels: Kernels;
}

const pads = new Map<Dtype, Pad>();

/** The scratch memory of a data type, one for the whole process, for cells and layers that are not part of a model. */
function padOf(dtype: Dtype): Pad {
  let pad = pads.get(dtype);
  if (!pad) {
    const memory = newMemory(PAGE_BYTES);
    pad = { memory, kernels: wasmKernels(wasmModule(dtype), memory, dtype) };
    pads.set(dtype, pad);
  }
  return pad;
}

/** A synchronous computation on the scratch memory: put arrays in, run kernels, read results. */
export class Scratchpad {
  readonly kernels: Kernels;
  readonly scratch: Scratch;
  readonly #dtype: Dtype;
  readonly #memory: WebAssembly.Memory;
  readonly #map = new MemoryMap(0);

  constructor(dtype: Dtype) {
    const { memory, kernels } = padOf(dtype);
    this.#dtype = dtype;
    this.#memory = memory;
    this.kernels = kernels;
    this.scratch = { edge: this.reserve(EDGE_BYTES), zeros: this.reserve(PANEL_BYTES) };
    this.view(this.scratch.zeros, PANEL_BYTES / realBytes(dtype)).fill(0);
  }

  /** Reserves `bytes` bytes and a panel's row of slack, which kernels may read. Throws MEMORY_TOO_LARGE. */
  reserve(bytes: number): number {
    const at = this.#map.add('scratch', bytes + PANEL_BYTES);
    growTo(this.#memory, this.#map.end);
    return at;
  }

  view(at: number, size: number): RealArray {
    return realArray(this.#dtype, this.#memory.buffer, at, size);
  }

  /** Copies an array in as it is. */
  put(data: RealArray): number {
    const at = this.reserve(data.byteLength);
    this.view(at, data.length).set(data);
    return at;
  }

  /** Panels of zeros for `rows` rows, rounded up to whole tiles. */
  emptyPanels(rows: number, width: number): Panels {
    const { stride, pitch, bytes } = layoutOf('wasm', tiledRows(rows), panelsFor(width, this.#dtype));
    const at = this.reserve(bytes);
    this.view(at, bytes / realBytes(this.#dtype)).fill(0);
    return { at, stride, pitch };
  }

  /** Writes an array [rows, width] into panels, from row `first` on. */
  fill(panels: Panels, first: number, data: RealArray, rows: number, width: number): Panels {
    const at = panels.at + first * panels.pitch;
    this.kernels.gatherRows(at, panels.stride, panels.pitch, this.put(data), rows, width);
    return panels;
  }

  panels(data: RealArray, rows: number, width: number): Panels {
    return this.fill(this.emptyPanels(rows, width), 0, data, rows, width);
  }

  /** Reads rows `first` … of panels back into an array [rows, width]. */
  read(panels: Panels, first: number, rows: number, width: number): RealArray {
    const at = this.reserve(rows * width * realBytes(this.#dtype));
    const from = panels.at + first * panels.pitch;
    this.kernels.scatterRows(at, from, panels.stride, panels.pitch, rows, width, 1);
    const result = newReals(this.#dtype, rows * width);
    result.set(this.view(at, rows * width));
    return result;
  }

  /** W [n, k] packed for x Wᵀ. */
  packTransposed(W: RealArray, n: number, k: number): number {
    const from = this.put(W);
    const at = this.reserve(packedBytes(n, k, this.#dtype));
    for (let p = 0; p < panelsFor(n, this.#dtype); p++) this.kernels.packTransposed(at, from, n, k, k, p);
    return at;
  }

  /** W [k, n] packed for dz W. */
  packPlain(W: RealArray, k: number, n: number): number {
    const from = this.put(W);
    const at = this.reserve(packedBytes(n, k, this.#dtype));
    for (let p = 0; p < panelsFor(k, this.#dtype); p++) this.kernels.packPlain(at, from, k, n, n, p);
    return at;
  }

  /** Zeros for `width` columns, padded to whole panels. */
  noBias(width: number): number {
    const bytes = panelsFor(width, this.#dtype) * PANEL_BYTES;
    const at = this.reserve(bytes);
    this.view(at, bytes / realBytes(this.#dtype)).fill(0);
    return at;
  }

  /** a + b, or a alone, padded to whole panels. */
  bias(a: RealArray, b: RealArray | null): number {
    const at = this.reserve(panelsFor(a.length, this.#dtype) * PANEL_BYTES);
    this.kernels.packBias(at, this.put(a), b ? this.put(b) : 0, a.length);
    return at;
  }

  /** Adds sum / batch to a gradient array. */
  addAverage(gradient: RealArray, sum: number, batch: number): void {
    const sums = this.view(sum, gradient.length);
    const scaled = newReals(this.#dtype, 1);
    for (let i = 0; i < gradient.length; i++) {
      // Rounded to the data type before it is added, as the engine's reduction does.
      scaled[0] = sums[i] / batch;
      gradient[i] += scaled[0];
    }
  }
}
