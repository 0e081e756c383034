// SPDX-License-Identifier: GPL-2.0-only
import type { Distribution } from './ops.ts';

/** A 32-bit mix (xor-shifts and two multiplications): a bijection, so no two ranks meet before the remainder is taken. */
export function mix32(value: number): number {
  value ^= value >>> 16;
  value = Math.imul(value, 0x7feb352d);
  value ^= value >>> 15;
  value = Math.imul(value, 0x846ca68b);
  return (value ^ (value >>> 16)) >>> 0;
}

/** xorshift32 (Marsaglia 2003, shifts 13, 17, 5). The same seed gives the same numbers anywhere. */
export class Random {
  #state: number;

  /** The state begins as 0x9e3779b9 ^ seed, which must not be zero. */
  constructor(seed: number) {
    this.#state = (0x9e3779b9 ^ seed) | 0;
    if (this.#state === 0) throw new Error(`Random: seed ${seed} gives zeros only`);
  }

  /** The next number of 32 bits, never 0. */
  next(): number {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state;
    return state >>> 0;
  }

  /** An integer from 0 up to, but without, `limit` (at most 2 ** 32). */
  below(limit: number): number {
    return Math.floor((this.next() / 2 ** 32) * limit);
  }
}

/**
 * The pages a `bulk` step accesses, one number below `pages` at a time; allocates nothing after construction.
 * `uniform` draws floor(u * pages); `zipf` draws rank floor(u ** 4 * pages), so that few ranks take most accesses, and
 * scatters ranks over the pages with mix32; `seq` counts up and begins anew.
 */
export class PageStream {
  readonly #random: Random;
  readonly #pages: number;
  readonly #distribution: Distribution;
  #count = 0;

  constructor({ pages, distribution, seed }: { pages: number; distribution: Distribution; seed: number }) {
    this.#random = new Random(seed);
    this.#pages = pages;
    this.#distribution = distribution;
  }

  next(): number {
    const pages = this.#pages;
    if (this.#distribution === 'seq') {
      const page = this.#count;
      this.#count = page + 1 === pages ? 0 : page + 1;
      return page;
    }
    const u = this.#random.next() / 2 ** 32;
    if (this.#distribution === 'uniform') return Math.floor(u * pages);
    // Two squarings, not a power function: they round alike on every machine.
    const square = u * u;
    return mix32(Math.floor(square * square * pages)) % pages;
  }
}
