// SPDX-License-Identifier: GPL-2.0-only
import { CACHES, GUEST_PATH_BYTES, NESTED, PATH_BYTES, PATHS, PATHS_COUNT, WALKER_BYTES } from './core/layout.ts';
import type { PhysicalMemory } from './memory.ts';
import type { PagingStructureCaches } from './paging-structure-caches.ts';
import { WalkControls } from './walk-controls.ts';
import { WalkResult } from './walk-result.ts';

/**
 * Walks the tables of one address space in one physical memory; src/sim/core/walk.ts is the walk itself. `result` tells what
 * the last walk reached.
 */
export class Walker extends WalkControls {
  readonly result: WalkResult;
  readonly memory: PhysicalMemory;
  /** Walker of the nested tables that translate this one's physical addresses; null when they are host addresses. */
  readonly nested: Walker | null;
  /** Caches of upper-level entries for `walk` to use and fill; null for none. `probe` leaves them alone. */
  readonly caches: PagingStructureCaches | null;
  /** Where it is in the machine's memory. */
  readonly block: number;

  constructor(memory: PhysicalMemory, nested: Walker | null = null, caches: PagingStructureCaches | null = null) {
    const block = memory.reserve(WALKER_BYTES);
    const words = memory.wordsAt(block, WALKER_BYTES / 4);
    const pathBytes = PATHS_COUNT * (nested === null ? PATH_BYTES : GUEST_PATH_BYTES);
    const paths = memory.reserve(pathBytes);
    super(nested === null, words, memory.wordsAt(paths, pathBytes / 4));
    words[PATHS / 4] = paths;
    words[NESTED / 4] = nested?.block ?? 0;
    words[CACHES / 4] = caches?.block ?? 0;
    this.block = block;
    this.memory = memory;
    this.nested = nested;
    this.caches = caches;
    this.result = new WalkResult(words);
  }

  /**
   * Translates an address, given as two 32-bit halves (32-bit modes ignore the high one), for an access (ACCESS bits), and
   * marks entries accessed and dirty. Returns a FAULT; everything else is in `result`.
   */
  walk(lo: number, hi: number, access: number): number {
    const fault = this.memory.core.walk(this.block, lo, hi, access, 1);
    this.memory.collectMarks();
    return fault;
  }

  /** As `walk`, and leaves memory alone. */
  probe(lo: number, hi: number, access: number): number {
    return this.memory.core.walk(this.block, lo, hi, access, 0);
  }
}
