/**
 * Dropout's masks, written down from docs/mathematics.md alone: a hash of where a unit stands says whether it is kept.
 * The hash is the finalizer of MurmurHash3 (A. Appleby, public domain), all numbers 32-bit unsigned:
 *
 *     finish(h):   h ^= h >>> 16;  h *= 0x85ebca6b;  h ^= h >>> 13;  h *= 0xc2b2ae35;  h ^= h >>> 16
 *     fold(h, w)   = finish(h ^ (w + 1) · 0x9e3779b1)
 *     key          = fold over [seed mod 2³², ⌊seed / 2³²⌋, step, row, layer, time], from 0x2545f491
 *     bits(unit)   = finish(key ^ (unit + 1) · 0x9e3779b1)
 *
 * A unit is kept where bits ≥ round(p · 2³²), and multiplied by 1 / (1 − p).
 */

/** p: the share that is dropped. seed: the model's, or that of fit; an integer up to 2⁵³. */
export interface Dropout {
  p: number;
  seed: number;
}

/** Which layer's outputs at which frame of which row of the batch, in which step of training. */
export interface Place {
  step: number;
  row: number;
  layer: number;
  time: number;
}

const word = 2 ** 32;

function finish(value: number): number {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function fold(h: number, w: number): number {
  return finish(h ^ Math.imul(w + 1, 0x9e3779b1));
}

/** Whether each of `units` is kept. */
export function keptUnits({ p, seed }: Dropout, { step, row, layer, time }: Place, units: number): boolean[] {
  const words = [seed % word, Math.floor(seed / word), step, row, layer, time];
  const key = words.reduce(fold, 0x2545f491);
  return Array.from({ length: units }, (_, unit) => fold(key, unit) >= Math.round(p * word));
}

/** What each of `units` is multiplied by: 0 or 1 / (1 − p). */
export function dropoutFactors(dropout: Dropout, place: Place, units: number): number[] {
  return keptUnits(dropout, place, units).map((isKept) => (isKept ? 1 / (1 - dropout.p) : 0));
}
