import { describe, expect, it } from 'vitest';
import { layoutOf, panelColumns } from '../kernels/layout.ts';
import { wasmKernels, wasmModule } from '../kernels/wasm-kernels.ts';
import { Random } from '../numeric/random.ts';
import { type Dtype, realBytes } from '../numeric/reals.ts';
import { OFFER_BYTES, offersIn, SharedProducts, withdrawOffers } from './shared-products.ts';
import { TeamWord } from './team-words.ts';

const PARTIES = 2;
const [ROWS, LEFT, RIGHT] = [24, 37, 19];

/** Two threads' parts on one memory, with operands of a product [ROWS, LEFT]ᵀ [ROWS, RIGHT] in it. */
function exchange(dtype: Dtype, { whole = false, maySleep = true } = {}) {
  const memory = new WebAssembly.Memory({ initial: 4, maximum: 65_536, shared: true });
  const kernels = wasmKernels(wasmModule(dtype), memory, dtype);
  const words = new Int32Array(memory.buffer, 0, Object.keys(TeamWord).length);
  const offers = offersIn(memory.buffer, 1_024, PARTIES);
  const edges = 1_024 + PARTIES * OFFER_BYTES;
  const [a, b, direct, shared] = [32_768, 65_536, 131_072, 196_608];
  const reals = dtype === 'float32' ? new Float32Array(memory.buffer) : new Float64Array(memory.buffer);
  const random = new Random(5);
  for (let i = a / realBytes(dtype); i < direct / realBytes(dtype); i++) reals[i] = random.normal();
  const threads = [0, 1].map(
    (index) =>
      new SharedProducts({
        kernels,
        words,
        offers,
        place: { index, parties: PARTIES },
        edge: edges + 128 * index,
        maySleep,
        panelColumns: whole ? null : panelColumns(dtype),
      }),
  );
  const { stride } = layoutOf('wasm', ROWS, 1);
  const product = (by: typeof kernels, to: number) =>
    by.outerProduct(to, RIGHT * realBytes(dtype), LEFT, RIGHT, a, stride, b, stride, ROWS, edges, 0);
  const result = (at: number) => reals.slice(at / realBytes(dtype), at / realBytes(dtype) + LEFT * RIGHT);
  product(kernels, direct);
  return {
    threads,
    words,
    offers,
    put: () => product(threads[0].kernels, shared),
    expected: result(direct),
    got: () => result(shared),
  };
}

/** Sets the counters as if no lane were left, and `without` threads had none. */
function lanesGone({ threads, words }: ReturnType<typeof exchange>, without = 0): void {
  for (const thread of threads) thread.begin(3);
  words[TeamWord.nextLane] = 3;
  words[TeamWord.withoutLane] = without;
}

describe.each(['float32', 'float64'] as const)('a product of %s', (dtype) => {
  it('is computed at once while lanes are left', () => {
    const here = exchange(dtype);
    here.threads[0].begin(4);
    here.words[TeamWord.nextLane] = 3;
    here.put();
    expect(here.got()).toEqual(here.expected);
  });

  it('is put off when none is, and done when it has to be', () => {
    const here = exchange(dtype);
    lanesGone(here);
    here.put();
    expect(here.got()).not.toEqual(here.expected);
    here.threads[0].finish();
    expect(here.got()).toEqual(here.expected);
  });

  it('is done by who has no lane left', () => {
    const here = exchange(dtype);
    lanesGone(here, 1);
    here.put();
    expect([...here.threads[1].help()]).toEqual([]);
    expect(here.got()).toEqual(here.expected);
  });

  it('is the same when the counters wrap around', () => {
    const here = exchange(dtype);
    for (const own of here.offers) for (const counter of [0, 16, 32]) own[counter] = 2 ** 31 - 2;
    lanesGone(here);
    here.put();
    here.threads[0].finish();
    expect(here.got()).toEqual(here.expected);
    expect(here.offers[0][0]).toBeLessThan(0);
  });

  it('stays whole where it must', () => {
    const here = exchange(dtype, { whole: true });
    lanesGone(here);
    here.put();
    expect(here.offers[0][0]).toBe(1);
    here.threads[0].finish();
    expect(here.got()).toEqual(here.expected);
  });
});

describe('the calling thread', () => {
  it('puts nothing off, and does not sleep while others have lanes', () => {
    const here = exchange('float32', { maySleep: false });
    lanesGone(here);
    here.put();
    expect(here.got()).toEqual(here.expected);
    const help = here.threads[1].help();
    expect(help.next()).toEqual({ done: false, value: null });
    here.words[TeamWord.withoutLane]++;
    expect(help.next().done).toBe(true);
  });
});

describe('offers', () => {
  it('end where there is no room', () => {
    const here = exchange('float32');
    lanesGone(here);
    while (here.offers[0][0] < 62) here.put();
    const offered = here.offers[0][0];
    here.put();
    expect(here.offers[0][0]).toBe(offered);
    expect(here.got()).toEqual(here.expected);
  });

  it('are not written over while one of them is being read', () => {
    const here = exchange('float32');
    lanesGone(here);
    while (here.offers[0][0] < 62) here.put();
    // All but the first piece are done: the thread that has claimed that one may not have read it yet.
    here.offers[0].set([here.offers[0][0]], 16);
    here.offers[0].set([here.offers[0][0] - 1], 32);
    const offered = here.offers[0][0];
    here.put();
    expect(here.offers[0][0]).toBe(offered);
  });

  it('of a call that was given up keep nobody', () => {
    const here = exchange('float32');
    lanesGone(here);
    here.put();
    // Claimed by a thread that has died.
    here.offers[0][16]++;
    here.words[TeamWord.abort] = 1;
    here.threads[0].finish();
    expect([...here.threads[1].help()]).toEqual([]);
    here.words[TeamWord.abort] = 0;
    withdrawOffers(here.offers);
    here.threads[0].finish();
  });
});
