/** Caches values by key. All are forgotten when there are too many. */
export class BoundedCache<V> {
  readonly #values = new Map<string, V>();
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The value of a key; made if it is not cached. */
  get(key: string, make: () => V): V {
    let value = this.#values.get(key);
    if (value === undefined) {
      if (this.#values.size >= this.#limit) this.#values.clear();
      value = make();
      this.#values.set(key, value);
    }
    return value;
  }
}
