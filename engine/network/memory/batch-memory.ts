import { type CellBlock, finalStates, statesAfter } from '../../cells/cell.ts';
import { layoutOf, PANEL_BYTES, type Panels, rowLayout } from '../../kernels/layout.ts';
import { MemoryMap, type Region } from '../../parallel/memory-map.ts';
import type { Geometry } from './geometry.ts';
import { blocksPerLane, laneCount, largestBlock, smallestLane } from './lane-plan.ts';

/** What a call needs memory for. Plain numbers: it is sent to the workers, which derive the same plan from it. */
export interface BatchSpec {
  /** Where its memory begins. */
  readonly start: number;
  readonly rows: number;
  /** Steps of the longest sequence. */
  readonly steps: number;
  /** Steps per row of the caller's x, padding included: dx is returned in the same shape. */
  readonly time: number;
  readonly threads: number;
  /**
   * Whether every block keeps its activations for a later backward; else each thread has one workspace
   * for all its blocks.
   */
  readonly keep: boolean;
  /** Whether the lanes have gradient buffers. */
  readonly gradients: boolean;
  /** Frames of input the caller copies in, all sequences together; 0 where the data lies elsewhere. */
  readonly inputFrames: number;
  /** Labels the caller copies in. */
  readonly labels: number;
  /** Whether there is room for what a call is given and returns by row: lengths, labels, h0, delta, logits, dh0. */
  readonly results: boolean;
  readonly inputGradient: boolean;
  readonly finalStates: boolean;
  /** Whether units are dropped. */
  readonly dropout: boolean;
}

/** What every call specifies; a BatchKind is what it may specify besides. */
type BatchSizes = Pick<BatchSpec, 'start' | 'rows' | 'steps' | 'time' | 'threads' | 'inputFrames'>;
export type BatchKind = Partial<Omit<BatchSpec, keyof BatchSizes>>;

/**
 * The spec of a call; by default of one that only computes logits. Written out, since every call makes
 * one: spreading two objects takes V8 4 µs, and several times that where matmuls have emptied the caches.
 */
export function batchSpec(sizes: BatchSizes, kind: BatchKind = {}): BatchSpec {
  const { keep = false, gradients = false, labels = 0, results = true } = kind;
  const { inputGradient = false, finalStates = false, dropout = false } = kind;
  return {
    start: sizes.start,
    rows: sizes.rows,
    steps: sizes.steps,
    time: sizes.time,
    threads: sizes.threads,
    keep,
    gradients,
    inputFrames: sizes.inputFrames,
    labels,
    results,
    inputGradient,
    finalStates,
    dropout,
  };
}

/** Whether two calls need the same memory. */
export const isSameBatch = (a: BatchSpec, b: BatchSpec): boolean =>
  a.rows === b.rows &&
  a.steps === b.steps &&
  a.start === b.start &&
  a.time === b.time &&
  a.threads === b.threads &&
  a.keep === b.keep &&
  a.gradients === b.gradients &&
  a.inputFrames === b.inputFrames &&
  a.labels === b.labels &&
  a.results === b.results &&
  a.inputGradient === b.inputGradient &&
  a.finalStates === b.finalStates &&
  a.dropout === b.dropout;

/** The memory of one batch. */
export interface BatchMemory {
  readonly spec: BatchSpec;
  readonly lanes: number;
  readonly blocksPerLane: number;
  // What the caller gives: [frames, I] reals; first frame and length of each row; labels, the first of
  // each row, and how many of a row count; h0 [L · D, B, H]; delta [B, O] or [B, T, O].
  readonly values: number;
  readonly starts: number;
  readonly lengths: number;
  readonly labels: number;
  readonly labelStarts: number;
  readonly counted: number;
  readonly h0: number;
  readonly delta: number;
  // What it gets: logits in the shape and the place of delta, since no call has both; dh0 and the final
  // states in the shape of h0; dx [B, T, I].
  readonly logits: number;
  readonly dh0: number;
  readonly finalStates: number;
  readonly dx: number;
  /** Loss and correct rows of each lane, f64. */
  readonly laneResults: number;
  /** A gradient block for each lane. */
  readonly laneGradients: number;
  readonly gradientBytes: number;
  /** Workspaces, one for each block (keep) or each thread. */
  readonly workspaces: number;
  readonly workspaceBytes: number;
  readonly regions: readonly Region[];
  readonly end: number;
}

/**
 * Number of lanes of a batch, limited by the memory that their gradient buffers take. A forward whose
 * activations are kept is cut like the backward that is to follow it.
 */
export function lanesOf(
  g: Geometry,
  { rows, gradients = false, keep = false }: { rows: number; gradients?: boolean; keep?: boolean },
): number {
  const gradientBytes = gradients || keep ? g.paddedCount * g.realBytes : 0;
  const [{ W_ih, W_hh }] = g.cells;
  return laneCount(rows, gradientBytes, smallestLane(g.maker, rows, W_ih.size + W_hh.size));
}

export function planBatch(g: Geometry, spec: BatchSpec): BatchMemory {
  const { rows, steps, time, threads, keep, dropout } = spec;
  const map = new MemoryMap(spec.start);
  const gradientBytes = g.paddedCount * g.realBytes;
  const lanes = lanesOf(g, spec);
  const blockRows = largestBlock(rows, lanes);
  const blocks = blocksPerLane(rows, lanes);
  const workspaceBytes = blockWorkspace(g, 0, { rows: blockRows, steps, dropout }).end;
  const called = spec.results ? rows : 0;
  const states = g.stateCount * called * g.hiddenSize * g.realBytes;
  const logits = map.add('logits', called * (g.output === 'steps' ? time : 1) * g.outputSize * g.realBytes);
  return {
    spec,
    lanes,
    blocksPerLane: blocks,
    gradientBytes,
    workspaceBytes,
    logits,
    delta: logits,
    values: map.add('input frames', spec.inputFrames * g.inputSize * g.realBytes),
    starts: map.add('first frames', 4 * called),
    lengths: map.add('lengths', 4 * called),
    labels: map.add('labels', 4 * spec.labels),
    labelStarts: map.add('first labels', 4 * called),
    counted: map.add('labels that count', 4 * called),
    h0: map.add('h0', states),
    dh0: map.add('dh0', states),
    finalStates: map.add('final states', spec.finalStates ? states : 0),
    dx: map.add('dx', spec.inputGradient ? called * time * g.inputSize * g.realBytes : 0),
    laneResults: map.add('lane results', lanes * 16),
    laneGradients: map.add('lane gradients', spec.gradients ? lanes * gradientBytes : 0),
    workspaces: map.add('activations', (keep ? lanes * blocks : Math.max(1, threads)) * workspaceBytes),
    regions: map.regions,
    end: map.end,
  };
}

/** One block of rows. */
export interface BlockShape {
  /** In whole tiles; or one, see RowKernels. */
  readonly rows: number;
  /** Frames of the longest row. */
  readonly steps: number;
  readonly dropout: boolean;
}

/** The activations of one block of rows. */
export interface BlockWorkspace extends BlockShape {
  /** Where it begins. */
  readonly at: number;
  /** Steps with logits: all, or one. */
  readonly outputSteps: number;
  /** What each layer's cells read and the states they make, [layer][direction]. */
  readonly layers: readonly (readonly CellBlock[])[];
  /** The same, one after the other. */
  readonly cells: readonly CellBlock[];
  /** ∂L/∂h of two layers by turns, [layer % 2][direction]. */
  readonly d: readonly (readonly Panels[])[];
  /** ∂L/∂z of each gate, [layer % 2][direction][gate]; that of a single gate takes the place of d. */
  readonly dz: readonly (readonly (readonly Panels[])[])[];
  /** dx of the input [steps · rows, I]. */
  readonly dx: Panels;
  /** What the output layer reads, [outputSteps · rows, H] for each direction, and the gradients of that [rows, H]. */
  readonly features: readonly Panels[];
  readonly dFeatures: readonly Panels[];
  /** dz of each row's first step, for each gate [rows, H]. */
  readonly dzFirst: readonly Panels[];
  /** Gradients of one cell's initial states [rows, H]. */
  readonly dStates: readonly Panels[];
  /** [outputSteps · rows, O] */
  readonly logits: Panels;
  /** One sequence as the caller has it [steps, I], with a panel's row of slack. */
  readonly staging: number;
  /** Two f64 that `softmaxRow` returns. */
  readonly sums: number;
  readonly end: number;
}

/** Lays out a block's activations, from an address on. */
export function blockWorkspace(g: Geometry, at: number, block: BlockShape): BlockWorkspace {
  const { rows, steps, dropout } = block;
  const map = new MemoryMap(at);
  const panels = (name: string, count: number, matrixRows: number): Panels => {
    const { stride, pitch, bytes } =
      rows === 1 ? rowLayout(matrixRows, count) : layoutOf(g.maker, matrixRows, count);
    return { at: map.add(name, bytes), stride, pitch };
  };
  const several = (count: number, name: string, matrixRows: number): Panels[] =>
    Array.from({ length: count }, () => panels(name, g.hiddenPanels, matrixRows));
  const eachDirection = (name: string, matrixRows: number) => several(g.directions, name, matrixRows);
  const { gates, states } = g.kind;
  const layers = planLayers(g, block, panels('x', g.inputPanels, steps * rows), several);
  const top = layers[g.numLayers - 1];
  const outputSteps = g.output === 'steps' ? steps : 1;
  const d = [eachDirection('d', steps * rows), eachDirection('d', steps * rows)];
  return {
    at,
    rows,
    steps,
    dropout,
    outputSteps,
    layers,
    cells: layers.flat(),
    d,
    dz: d.map((layer) => layer.map((own) => (gates === 1 ? [own] : several(gates, 'dz', steps * rows)))),
    dx: panels('dx', g.inputPanels, steps * rows),
    features: planFeatures(g, top, () => eachDirection('means', rows)),
    dFeatures: eachDirection('gradient of the features', rows),
    dzFirst: several(gates, 'dz of the first steps', rows),
    dStates: several(states, 'dh0', rows),
    logits: panels('logits', g.outputPanels, outputSteps * rows),
    staging: map.add('staging', steps * g.inputSize * g.realBytes + PANEL_BYTES),
    sums: map.add('sums', 16),
    end: map.end,
  };
}

/** Layer l + 1 reads the states of layer l's frames in place, or a copy of them where units are dropped. */
function planLayers(
  g: Geometry,
  { rows, steps, dropout }: BlockShape,
  input: Panels,
  several: (count: number, name: string, matrixRows: number) => Panels[],
): CellBlock[][] {
  const { directions, kind } = g;
  const layers: CellBlock[][] = [];
  let x: readonly Panels[] = [input];
  for (let layer = 0; layer < g.numLayers; layer++) {
    const below = x;
    const cells = Array.from(
      { length: directions },
      (_, direction): CellBlock => ({
        rows,
        steps,
        reverse: direction === 1,
        x: below,
        states: several(kind.states, 'h', (steps + 1) * rows),
        saved: several(kind.saved, 'saved', steps * rows),
      }),
    );
    layers.push(cells);
    const isRead = layer + 1 < g.numLayers;
    x =
      dropout && isRead
        ? several(directions, 'h, units dropped', steps * rows)
        : cells.map((cell) => statesAfter(cell));
  }
  return layers;
}

function planFeatures(g: Geometry, top: readonly CellBlock[], means: () => Panels[]): readonly Panels[] {
  if (g.output === 'mean') return means();
  return top.map((cell) => (g.output === 'steps' ? statesAfter(cell) : finalStates(cell)));
}
