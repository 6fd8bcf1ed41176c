import type { Sequences } from '../../data/sequences.ts';

/**
 * The rows of a batch from the longest sequence to the shortest, so that a lane runs only as long as its own
 * longest row. Results go back to `positions`, the caller's order.
 */
export class SortedBatch {
  readonly rows: number;
  /** Row in the data set, by rank of length. */
  readonly dataRows: Int32Array;
  /** Row in the batch, by rank. */
  readonly positions: Int32Array;
  /** Steps, by rank. */
  readonly lengths: Int32Array;
  /** Number of labels of all rows that count. */
  counted = 0;
  readonly #unsorted: Int32Array;

  constructor(rows: number) {
    this.rows = rows;
    this.dataRows = new Int32Array(rows);
    this.positions = new Int32Array(rows);
    this.lengths = new Int32Array(rows);
    this.#unsorted = new Int32Array(rows);
  }

  /** Takes the rows `first` … of the data set, or of `permutation` where there is one. */
  fill(data: Pick<Sequences, 'lengths' | 'counted'>, first: number, permutation: Uint32Array | null): this {
    let longest = 0;
    this.counted = 0;
    for (let i = 0; i < this.rows; i++) {
      const row = permutation ? permutation[first + i] : first + i;
      const length = data.lengths[row];
      this.counted += data.counted[row];
      this.#unsorted[i] = length;
      if (length > longest) longest = length;
    }
    orderByLength(this.#unsorted, this.rows, longest, this.positions);
    for (let rank = 0; rank < this.rows; rank++) {
      const position = this.positions[rank];
      this.dataRows[rank] = permutation ? permutation[first + position] : first + position;
      this.lengths[rank] = this.#unsorted[position];
    }
    return this;
  }
}

/**
 * Writes to `order` the rows of a batch from the longest to the shortest, equal lengths in the caller's
 * order. A counting sort, O(rows + longest), since it runs in every step.
 */
export function orderByLength(lengths: Int32Array, rows: number, longest: number, order: Int32Array): void {
  const first = new Int32Array(longest + 2);
  for (let row = 0; row < rows; row++) first[longest - lengths[row] + 1]++;
  for (let gap = 0; gap <= longest; gap++) first[gap + 1] += first[gap];
  for (let row = 0; row < rows; row++) order[first[longest - lengths[row]]++] = row;
}
