import { memoryTooLarge } from '../errors.ts';

/** What a 32-bit WebAssembly memory can hold. */
export const MEMORY_LIMIT_BYTES = 2 ** 32;
export const PAGE_BYTES = 65_536;
/** A cache line: regions start on one, so that two threads never write into the same. */
const ALIGNMENT_BYTES = 64;

export interface Region {
  readonly name: string;
  /** Byte address in the model's memory. */
  readonly at: number;
  readonly bytes: number;
}

/**
 * Lays regions out one after the other from an address on. Pure: nothing is allocated.
 * Regions tile exactly: each begins where the one before ends, rounded up to a cache line.
 */
export class MemoryMap {
  readonly regions: Region[] = [];
  #end: number;

  constructor(start: number) {
    this.#end = roundUp(start, ALIGNMENT_BYTES);
  }

  /** The address of the next region. */
  get end(): number {
    return this.#end;
  }

  /** Adds a region and returns its address. Throws MEMORY_TOO_LARGE past 4 GiB, with the sizes of all regions. */
  add(name: string, bytes: number): number {
    const at = this.#end;
    this.regions.push({ name, at, bytes });
    this.#end = roundUp(at + bytes, ALIGNMENT_BYTES);
    if (this.#end > MEMORY_LIMIT_BYTES) throw memoryTooLarge(this.regions, MEMORY_LIMIT_BYTES);
    return at;
  }
}

export const roundUp = (value: number, multiple: number): number => Math.ceil(value / multiple) * multiple;
