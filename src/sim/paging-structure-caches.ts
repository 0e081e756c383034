// SPDX-License-Identifier: GPL-2.0-only
import { ENTRY, ENTRY_SHIFT, type Geometry, TlbLevel } from './tlb-level.ts';

/** Sizes of the caches for the entries of levels 2 to 5 that point to tables (SDM vol. 3A 4.10.3). Absent: no such cache. */
export interface PagingStructureShape {
  readonly level2?: Geometry;
  readonly level3?: Geometry;
  readonly level4?: Geometry;
  readonly level5?: Geometry;
}

// Copies, as imported constants are read anew at each use.
const { FRAME, FLAGS } = ENTRY;
const SHIFT = ENTRY_SHIFT;

/** Bits 56:32 of an address, in its high half; those above only repeat the sign. */
const ADDRESS_HIGH = 0x1ffffff;

/** Flags of an entry: the AND of the low bits in bits 2:0, and this for an NX bit among the entries it stands for. */
const NO_EXECUTE = 1 << 3;
const FRAME_HIGH_SHIFT = 24;

/**
 * Paging-structure caches. The entry of level n for an address stands for the walk from the root through level n: it holds
 * the frame of the next table and the rights so far, so that a walk can start below. Entries are made of tables marked
 * accessed, and never of leaves. Caches of nested tables have no TLB: their owner calls `clear` at a flush. The frame
 * word keeps 32 bits and bits 31:24 of the flags the rest.
 */
export class PagingStructureCaches {
  /** By level; index 2 to 5. */
  readonly levels: readonly (TlbLevel | null)[];
  /** Context and generation, as in the tags of the TLB, which sets it; never 0, the tag of free entries. */
  tag = 1 << 15;
  hits = 0;
  /** What the last hit gave: frame of the next table, AND of the low bits, OR of the NX bits as bit 31. */
  hitFrame = 0;
  hitLow = 0;
  hitHigh = 0;

  constructor(shape: PagingStructureShape) {
    const { level2, level3, level4, level5 } = shape;
    this.levels = [undefined, undefined, level2, level3, level4, level5].map((g) => (g ? new TlbLevel(g) : null));
  }

  /** Takes over everything from caches of the same shape. */
  copyFrom(other: PagingStructureCaches): void {
    this.levels.forEach((level, i) => {
      const from = other.levels[i]!;
      if (level !== null && from !== null) level.copyFrom(from);
    });
    this.tag = other.tag;
    this.hits = other.hits;
  }

  /**
   * Deepest cached level for an address among tables `levels` deep: 2 to `levels`, with the `hit` fields set; 0 when
   * nothing is cached.
   */
  lookup(lo: number, hi: number, levels: number): number {
    for (let level = 2; level <= levels; level++) {
      const cache = this.levels[level]!;
      if (cache === null) continue;
      const at = cache.find(prefixLow(lo, hi, level), this.tag | prefixHigh(hi, level));
      if (at < 0) continue;
      const flags = cache.entries[(at << SHIFT) | FLAGS]!;
      cache.use(at);
      this.hits++;
      const frame = cache.entries[(at << SHIFT) | FRAME]!;
      if (frame >= 0 && flags >>> FRAME_HIGH_SHIFT === 0) this.hitFrame = frame;
      else this.hitFrame = (frame >>> 0) + (flags >>> FRAME_HIGH_SHIFT) * 2 ** 32;
      this.hitLow = flags & 7;
      this.hitHigh = flags & NO_EXECUTE ? 0x80000000 | 0 : 0;
      return level;
    }
    return 0;
  }

  /**
   * Keeps what a walk found at `level`: the next table's frame, the AND of low bits and the OR of high halves so far. The
   * walk has looked the address up before and found nothing there, else it would have begun below.
   */
  fill(lo: number, hi: number, level: number, frame: number, low: number, high: number): void {
    const cache = this.levels[level]!;
    if (cache === null) return;
    const frameHigh = frame > 0xffff_ffff ? (frame / 0x1_0000_0000) << FRAME_HIGH_SHIFT : 0;
    const flags = (low & 7) | (high < 0 ? NO_EXECUTE : 0) | frameHigh;
    cache.add(prefixLow(lo, hi, level), this.tag | prefixHigh(hi, level), frame | 0, flags);
  }

  /** Drops everything. A flush of one address does that too: it reaches every entry of its context (SDM 4.10.4.1). */
  clear(): void {
    for (const level of this.levels) level?.clear();
  }
}

/** Address bits from the index of `level` up: the low 32 of them, then the rest (4 bits of a 57-bit address at level 2). */
function prefixLow(lo: number, hi: number, level: number): number {
  const shift = 3 + 9 * level;
  const high = hi & ADDRESS_HIGH;
  return shift < 32 ? (lo >>> shift) | (high << (32 - shift)) : high >>> (shift - 32);
}

const prefixHigh = (hi: number, level: number): number => (level === 2 ? (hi & ADDRESS_HIGH) >>> 21 : 0);
