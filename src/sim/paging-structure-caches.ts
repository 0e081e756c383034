// SPDX-License-Identifier: GPL-2.0-only
import { CACHES_BYTES, CACHES_FRAME, CACHES_HITS, CACHES_LEVEL, CACHES_TAG } from './core/layout.ts';
import { type PhysicalMemory, read64 } from './memory.ts';
import { type Geometry, Ways } from './ways.ts';

/** Sizes of the caches for the entries of levels 2 to 5 that point to tables (SDM vol. 3A 4.10.3). Absent: no such cache. */
export interface PagingStructureShape {
  readonly level2?: Geometry;
  readonly level3?: Geometry;
  readonly level4?: Geometry;
  readonly level5?: Geometry;
}

/** Generation 1, which the TLB's tags begin with. */
const FIRST_TAG = 1 << 15;

/**
 * Paging-structure caches. The entry of level n for an address stands for the walk from the root through level n: it holds
 * the frame of the next table and the rights so far, so that a walk can start below. Entries are made of tables marked
 * accessed, and never of leaves. Caches of nested tables have no TLB: their owner calls `clear` at a flush.
 */
export class PagingStructureCaches {
  /** By level; index 2 to 5. */
  readonly levels: readonly (Ways | null)[];
  /** Where they are in the machine's memory. */
  readonly block: number;
  readonly #memory: PhysicalMemory;
  readonly #words: Int32Array;

  constructor(memory: PhysicalMemory, { level2, level3, level4, level5 }: PagingStructureShape) {
    this.#memory = memory;
    this.block = memory.reserve(CACHES_BYTES);
    this.#words = memory.wordsAt(this.block, CACHES_BYTES / 4);
    this.levels = [undefined, undefined, level2, level3, level4, level5].map((g) => (g ? new Ways(memory, g) : null));
    this.levels.forEach((level, i) => {
      if (level !== null) this.#words[CACHES_LEVEL / 4 + i] = level.block;
    });
    this.tag = FIRST_TAG;
  }

  /** Context and generation, as in the tags of the TLB, which sets it; never 0, the tag of free entries. */
  get tag(): number {
    return this.#words[CACHES_TAG / 4]!;
  }

  set tag(tag: number) {
    this.#words[CACHES_TAG / 4] = tag;
  }

  get hits(): number {
    return read64(this.#words, CACHES_HITS);
  }

  /** Frame of the next table that the last hit gave. A double. */
  get hitFrame(): number {
    return read64(this.#words, CACHES_FRAME);
  }

  /** Takes over everything from caches of the same shape. */
  copyFrom(other: PagingStructureCaches): void {
    this.levels.forEach((level, i) => {
      level?.copyFrom(other.levels[i]!);
    });
    this.tag = other.tag;
    this.#words.set(other.#words.subarray(CACHES_HITS / 4, CACHES_HITS / 4 + 2), CACHES_HITS / 4);
  }

  /** Deepest cached level for an address among tables `levels` deep: 2 to `levels`; 0 when nothing is cached. */
  lookup(lo: number, hi: number, levels: number): number {
    return this.#memory.core.lookUpInCaches(this.block, lo, hi, levels);
  }

  /** Drops everything. A flush of one address does that too: it reaches every entry of its context (SDM 4.10.4.1). */
  clear(): void {
    for (const level of this.levels) level?.clear();
  }
}
