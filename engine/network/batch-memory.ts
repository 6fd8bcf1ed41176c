import type { CellBlock } from '../cells/elman-cell.ts';
import { layoutOf, PANEL_BYTES, type Panels } from '../kernels/kernels.ts';
import { blocksPerLane, laneCount, largestBlock } from '../parallel/lane-plan.ts';
import { MemoryMap, type Region } from '../parallel/memory-map.ts';
import type { Geometry } from './geometry.ts';

/** What a call needs memory for. Plain numbers: it travels to the workers, which plan the same memory from it. */
export interface BatchSpec {
  /** Where its memory begins. */
  readonly start: number;
  readonly rows: number;
  /** Steps of the longest sequence. */
  readonly steps: number;
  /** Steps a row of the caller's x has, padding included: dx comes back in the same shape. */
  readonly time: number;
  readonly threads: number;
  /** Whether every block keeps its activations for a later backward, or each thread has one place for all its blocks. */
  readonly keep: boolean;
  /** Whether the lanes have gradient buffers. */
  readonly gradients: boolean;
  /** Frames of input the caller copies in, all sequences together; 0 where the data lies elsewhere. */
  readonly inputFrames: number;
  /** Whether there is a place for results of a call: logits, dh0, the caller's delta and h0. */
  readonly results: boolean;
  readonly inputGradient: boolean;
}

/** The memory of one batch. */
export interface BatchMemory {
  readonly time: number;
  readonly lanes: number;
  readonly blocksPerLane: number;
  /** Rows of the largest block. */
  readonly blockRows: number;
  // What the caller gives: [frames, I] reals; first frame and length of each row; labels; h0 [L, B, H]; delta [B, O].
  readonly values: number;
  readonly starts: number;
  readonly lengths: number;
  readonly labels: number;
  readonly h0: number;
  readonly delta: number;
  // What it gets: [B, O], [L, B, H], [B, T, I].
  readonly logits: number;
  readonly dh0: number;
  readonly dx: number;
  /** Loss and correct rows of each lane, f64. */
  readonly laneResults: number;
  /** A gradient block for each lane. */
  readonly laneGradients: number;
  readonly gradientBytes: number;
  /** Workspaces, one a block (keep) or one a thread. */
  readonly workspaces: number;
  readonly workspaceBytes: number;
  readonly regions: readonly Region[];
  readonly end: number;
}

export function planBatch(g: Geometry, spec: BatchSpec): BatchMemory {
  const { rows, steps, time, threads, keep } = spec;
  const map = new MemoryMap(spec.start);
  const gradientBytes = g.blockSize * g.realBytes;
  const lanes = laneCount(rows, gradientBytes, g.maker);
  const blockRows = largestBlock(rows, lanes);
  const blocks = blocksPerLane(rows, lanes);
  const workspaceBytes = blockWorkspace(g, 0, blockRows, steps).end;
  const called = spec.results ? rows : 0;
  const states = g.numLayers * called * g.hiddenSize * g.realBytes;
  const logits = called * g.outputSize * g.realBytes;
  return {
    ...{ time, lanes, blockRows, blocksPerLane: blocks, gradientBytes, workspaceBytes },
    values: map.add('input frames', spec.inputFrames * g.inputSize * g.realBytes),
    starts: map.add('first frames', 4 * called),
    lengths: map.add('lengths', 4 * called),
    labels: map.add('labels', 4 * called),
    h0: map.add('h0', states),
    delta: map.add('delta', logits),
    logits: map.add('logits', logits),
    dh0: map.add('dh0', states),
    dx: map.add('dx', spec.inputGradient ? called * time * g.inputSize * g.realBytes : 0),
    laneResults: map.add('lane results', lanes * 16),
    laneGradients: map.add('lane gradients', spec.gradients ? lanes * gradientBytes : 0),
    workspaces: map.add('activations', (keep ? lanes * blocks : Math.max(1, threads)) * workspaceBytes),
    regions: map.regions,
    end: map.end,
  };
}

/** The activations of one block of rows. */
export interface BlockWorkspace {
  /** What each layer reads and the states it makes; layer l + 1's x is layer l's h from its second state on. */
  readonly layers: readonly CellBlock[];
  /** The gradients of two layers, by turns. */
  readonly d: readonly [Panels, Panels];
  /** dx of the input [steps · rows, I]. */
  readonly dx: Panels;
  /** The top layer's states at each row's last step, and their gradient [rows, H]. */
  readonly last: Panels;
  readonly dLast: Panels;
  readonly dh0: Panels;
  /** [rows, O], in panels and row by row with room up to a whole panel. */
  readonly logits: Panels;
  readonly logitRows: number;
  readonly logitRowBytes: number;
  /** One sequence as the caller has it [steps, I], with a register of slack. */
  readonly staging: number;
  /** Two f64. */
  readonly sums: number;
  readonly end: number;
}

/** Lays a block's activations out from an address on. */
export function blockWorkspace(g: Geometry, at: number, rows: number, steps: number): BlockWorkspace {
  const map = new MemoryMap(at);
  const panels = (name: string, count: number, matrixRows: number): Panels => {
    const { stride, pitch, bytes } = layoutOf(g.maker, matrixRows, count);
    return { at: map.add(name, bytes), stride, pitch };
  };
  const input = panels('x', g.inputPanels, steps * rows);
  const states = Array.from({ length: g.numLayers }, () => panels('h', g.hiddenPanels, (steps + 1) * rows));
  const after = (h: Panels): Panels => ({ ...h, at: h.at + rows * h.pitch });
  const logitRowBytes = g.outputPanels * PANEL_BYTES;
  return {
    layers: states.map((h, layer) => ({ rows, steps, h, x: layer === 0 ? input : after(states[layer - 1]) })),
    d: [panels('d', g.hiddenPanels, steps * rows), panels('d', g.hiddenPanels, steps * rows)],
    dx: panels('dx', g.inputPanels, steps * rows),
    last: panels('last', g.hiddenPanels, rows),
    dLast: panels('dLast', g.hiddenPanels, rows),
    dh0: panels('dh0', g.hiddenPanels, rows),
    logits: panels('logits', g.outputPanels, rows),
    logitRows: map.add('logit rows', rows * logitRowBytes),
    logitRowBytes,
    staging: map.add('staging', steps * g.inputSize * g.realBytes + PANEL_BYTES),
    sums: map.add('sums', 16),
    end: map.end,
  };
}
