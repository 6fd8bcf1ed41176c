import { matrixTooLarge } from '../errors.ts';

/** Of more classes than this the matrix is made only if it is asked for. */
const SMALL_CLASSES = 1_024;
/** A matrix of more classes than this takes more than half a gigabyte. */
const MAX_MATRIX_CLASSES = 8_192;

/** Counts classified labels. Only pairs of classes that occur are stored: a matrix of many classes fills the memory. */
export class Confusion {
  readonly #classes: number;
  /** For each true class, how often each class was predicted. */
  readonly #counts = new Map<number, Map<number, number>>();

  constructor(classes: number) {
    this.#classes = classes;
  }

  add(label: number, predicted: number): void {
    let row = this.#counts.get(label);
    if (!row) {
      row = new Map();
      this.#counts.set(label, row);
    }
    row.set(predicted, (row.get(predicted) ?? 0) + 1);
  }

  /** Number of labels that were classified correctly. */
  get correct(): number {
    return [...this.#counts].reduce((sum, [label, row]) => sum + (row.get(label) ?? 0), 0);
  }

  /** Share of each class's labels that were classified correctly; NaN for a class without labels. */
  get recall(): number[] {
    return Array.from({ length: this.#classes }, (_, label) => {
      const row = this.#counts.get(label);
      if (!row) return Number.NaN;
      return (row.get(label) ?? 0) / [...row.values()].reduce((a, b) => a + b);
    });
  }

  get isSmall(): boolean {
    return this.#classes <= SMALL_CLASSES;
  }

  /** Counts of labels [true class, predicted class]. Throws MEMORY_TOO_LARGE. */
  get matrix(): number[][] {
    const classes = this.#classes;
    if (classes > MAX_MATRIX_CLASSES) throw matrixTooLarge(classes);
    return Array.from({ length: classes }, (_, label) => {
      const counts = new Array<number>(classes).fill(0);
      for (const [predicted, count] of this.#counts.get(label) ?? []) counts[predicted] = count;
      return counts;
    });
  }
}
