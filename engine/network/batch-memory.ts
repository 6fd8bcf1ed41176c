import { type CellBlock, finalStates, madeStates } from '../cells/cell.ts';
import { layoutOf, PANEL_BYTES, type Panels, rowLayout } from '../kernels/kernels.ts';
import { blocksPerLane, laneCount, largestBlock, smallestLane } from '../parallel/lane-plan.ts';
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
  /** Labels the caller copies in. */
  readonly labels: number;
  /** Whether there is a place for results of a call: logits, dh0, the caller's delta and h0. */
  readonly results: boolean;
  readonly inputGradient: boolean;
  readonly finalStates: boolean;
  /** Whether units are dropped. */
  readonly dropout: boolean;
}

/** What every call has to say, and what it may. */
type BatchSizes = Pick<BatchSpec, 'start' | 'rows' | 'steps' | 'time' | 'threads' | 'inputFrames'>;
export type BatchKind = Partial<Omit<BatchSpec, keyof BatchSizes>>;

/**
 * The spec of a call that only computes logits, but for what is said otherwise. Written out, as each call needs one: spread
 * from two objects it takes V8 4 µs, and several times that where matmuls have emptied the caches.
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
  readonly time: number;
  readonly dropout: boolean;
  readonly lanes: number;
  readonly blocksPerLane: number;
  // What the caller gives: [frames, I] reals; first frame and length of each row; labels, the first of each row, and how
  // many of a row count; h0 [L · D, B, H]; delta [B, O] or [B, T, O].
  readonly values: number;
  readonly starts: number;
  readonly lengths: number;
  readonly labels: number;
  readonly labelStarts: number;
  readonly counted: number;
  readonly h0: number;
  readonly delta: number;
  // What it gets: logits as delta, dh0 and the final states as h0, dx [B, T, I].
  readonly logits: number;
  readonly dh0: number;
  readonly finalStates: number;
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

/**
 * Lanes of a batch: fewer where their gradient buffers would take too much memory. A forward that is kept is cut like the
 * backward that is to follow it.
 */
export function lanesOf(
  g: Geometry,
  { rows, gradients = false, keep = false }: { rows: number; gradients?: boolean; keep?: boolean },
): number {
  const gradientBytes = gradients || keep ? g.blockSize * g.realBytes : 0;
  const [{ W_ih, W_hh }] = g.cells;
  return laneCount(rows, gradientBytes, smallestLane(g.maker, rows, W_ih.size + W_hh.size));
}

export function planBatch(g: Geometry, spec: BatchSpec): BatchMemory {
  const { rows, steps, time, threads, keep, dropout } = spec;
  const map = new MemoryMap(spec.start);
  const gradientBytes = g.blockSize * g.realBytes;
  const lanes = lanesOf(g, spec);
  const blockRows = largestBlock(rows, lanes);
  const blocks = blocksPerLane(rows, lanes);
  const workspaceBytes = blockWorkspace(g, 0, { rows: blockRows, steps, dropout }).end;
  const called = spec.results ? rows : 0;
  const states = g.stateCount * called * g.hiddenSize * g.realBytes;
  const logits = called * (g.output === 'steps' ? time : 1) * g.outputSize * g.realBytes;
  return {
    ...{ time, dropout, lanes, blocksPerLane: blocks, gradientBytes, workspaceBytes },
    values: map.add('input frames', spec.inputFrames * g.inputSize * g.realBytes),
    starts: map.add('first frames', 4 * called),
    lengths: map.add('lengths', 4 * called),
    labels: map.add('labels', 4 * spec.labels),
    labelStarts: map.add('first labels', 4 * called),
    counted: map.add('labels that count', 4 * called),
    h0: map.add('h0', states),
    delta: map.add('delta', logits),
    logits: map.add('logits', logits),
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
  /** The gradients of h of two layers by turns, [layer % 2][direction]. */
  readonly d: readonly (readonly Panels[])[];
  /** Those of z, of each gate besides, [layer % 2][direction][gate]; of a single one in the place of d. */
  readonly dz: readonly (readonly (readonly Panels[])[])[];
  /** dx of the input [steps · rows, I]. */
  readonly dx: Panels;
  /** What the output layer reads, of each direction [outputSteps · rows, H], and their gradient [rows, H]. */
  readonly features: readonly Panels[];
  readonly dFeatures: readonly Panels[];
  /** Of each gate. */
  readonly dzFirst: readonly Panels[];
  /** Of one cell's initial states. */
  readonly dStates: readonly Panels[];
  /** [outputSteps · rows, O] */
  readonly logits: Panels;
  /** One sequence as the caller has it [steps, I], with a register of slack. */
  readonly staging: number;
  /** Two f64. */
  readonly sums: number;
  readonly end: number;
}

/** Lays a block's activations out from an address on. */
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
    ...{ at, rows, steps, dropout, outputSteps, layers, cells: layers.flat(), d },
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

/** Layer l + 1 reads what layer l's frames have made, in place, or a copy of it where units are dropped. */
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
        ...{ rows, steps, reverse: direction === 1, x: below },
        states: several(kind.states, 'h', (steps + 1) * rows),
        saved: several(kind.saved, 'saved', steps * rows),
      }),
    );
    layers.push(cells);
    const isRead = layer + 1 < g.numLayers;
    x =
      dropout && isRead
        ? several(directions, 'h, units dropped', steps * rows)
        : cells.map((cell) => madeStates(cell));
  }
  return layers;
}

function planFeatures(g: Geometry, top: readonly CellBlock[], means: () => Panels[]): readonly Panels[] {
  if (g.output === 'mean') return means();
  return top.map((cell) => (g.output === 'steps' ? madeStates(cell) : finalStates(cell)));
}
