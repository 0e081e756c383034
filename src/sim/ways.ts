// SPDX-License-Identifier: GPL-2.0-only
import { CLOCK, GROUP_BYTES, GROUPS, LANE_STAMP, LANE_TAG, PADDING_STAMP, SET_MASK, SETS } from './core/layout.ts';
import type { PhysicalMemory } from './memory.ts';

/** Geometry of a set-associative structure; `sets` is a power of two. */
export interface Geometry {
  readonly sets: number;
  readonly ways: number;
}

/** Lanes of a group. */
const LANES = 4;

/**
 * Entries of one set-associative structure with true LRU, in the machine's memory (src/sim/core/ways.ts works with them). An
 * entry matches when both its key (low bits of the page number) and its tag (context and high bits) do. Tag 0 matches
 * nothing.
 */
export class Ways {
  readonly sets: number;
  readonly ways: number;
  /** Where it is in the machine's memory. */
  readonly block: number;
  readonly #words: Int32Array;

  constructor(memory: PhysicalMemory, { sets, ways }: Geometry) {
    if (sets < 1 || (sets & (sets - 1)) !== 0 || ways < 1 || sets * ways > 2 ** 14) {
      throw new Error(`tlb: ${sets} sets of ${ways} ways`);
    }
    this.sets = sets;
    this.ways = ways;
    const groups = Math.ceil(ways / LANES);
    const bytes = SETS + sets * groups * GROUP_BYTES;
    this.block = memory.reserve(bytes);
    this.#words = memory.wordsAt(this.block, bytes / 4);
    this.#words[SET_MASK / 4] = sets - 1;
    this.#words[GROUPS / 4] = groups;
    this.clear();
  }

  /** Counts uses, for LRU. */
  get clock(): number {
    return this.#words[CLOCK / 4]!;
  }

  set clock(clock: number) {
    this.#words[CLOCK / 4] = clock;
  }

  /** Takes over every entry and its age from a structure of the same shape. */
  copyFrom(other: Ways): void {
    this.#words.set(other.#words);
  }

  /** Gives entries other tags; their ages stay, so that they are replaced as they would have been. */
  retag(tagFor: (tag: number) => number): void {
    const words = this.#words;
    for (let group = SETS / 4; group < words.length; group += GROUP_BYTES / 4) {
      const first = group + LANE_TAG / 4;
      for (let at = first; at < first + LANES; at++) words[at] = tagFor(words[at]!);
    }
  }

  /** Frees every entry. */
  clear(): void {
    const words = this.#words;
    words.fill(0, SETS / 4);
    const groups = Math.ceil(this.ways / LANES);
    for (let group = 0; group < this.sets * groups; group++) {
      const first = (SETS + group * GROUP_BYTES + LANE_STAMP) / 4;
      for (let lane = this.ways - (group % groups) * LANES; lane < LANES; lane++) words[first + lane] = PADDING_STAMP;
    }
  }
}
