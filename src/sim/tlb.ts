// SPDX-License-Identifier: GPL-2.0-only
/**
 * The translation lookaside buffer: one or two set-associative levels, true LRU, tagged by address-space id (AMD ASID,
 * Intel VPID) and PCID.
 *
 *     key   |31 …                 0|   page number, low 32 bits
 *     tag   |31 … 15|14 13|12 … 0|     generation of the context, page-size class, page number bits 44:32
 *     flags |31 … 24|20 … 16|15 … 12|8|6|2 1 0|    frame bits 39:32, shift of the page that the tables map,
 *                                                  protection key, G, D, rights U W X
 *
 * A generation names one context since its last flush, so that no flush has to touch entries.
 */
import { ACCESS, PTE, RIGHTS } from './paging-bits.ts';
import type { PagingStructureCaches } from './paging-structure-caches.ts';
import { TlbContexts } from './tlb-contexts.ts';
import { ENTRY, ENTRY_SHIFT, type Geometry, TlbLevel } from './tlb-level.ts';
import type { Walker } from './walk.ts';
import { RESULT_KEY_SHIFT, RESULT_PAGE_SHIFT_SHIFT, type WalkResult } from './walk-result.ts';

/** Sizes of a TLB. */
export interface TlbShape {
  readonly l1: Geometry;
  /** A second level, filled together with the first; null for none. */
  readonly l2: Geometry | null;
  /**
   * Sizes of page that entries can cover, as shifts, ascending from 12; at most four. A translation is kept with the
   * largest one not above its page's: with [12] alone, large pages are kept in 4 KiB pieces (APM vol. 2 15.25.9).
   */
  readonly pageShifts: readonly number[];
}

/** 64 and 1536 entries, as in many cores since 2015 (L1 of 16 sets by 4, L2 of 128 sets by 12); all page sizes whole. */
export const commonTlb: TlbShape = {
  l1: { sets: 16, ways: 4 },
  l2: { sets: 128, ways: 12 },
  pageShifts: [12, 21, 30],
};

/** Bits 56:32 of an address, in its high half; those above only repeat the sign. */
const ADDRESS_HIGH = 0x1ffffff;
const GENERATION_SHIFT = 15;
const CLASS_SHIFT = 13;
const KEY_SHIFT = RESULT_KEY_SHIFT;
const PAGE_SHIFT_SHIFT = RESULT_PAGE_SHIFT_SHIFT;
const FRAME_HIGH_SHIFT = 24;
/** Page-number bits in a tag. */
const PAGE_HIGH = 0x1fff;

// Copies, as imported constants are read anew at each use.
const { TAG, FRAME, FLAGS } = ENTRY;
const SHIFT = ENTRY_SHIFT;
const { WRITE } = ACCESS;
const { G: GLOBAL } = PTE;
const ALL_RIGHTS = RIGHTS.ALL;
const SMALL_FRAME = 0x7fffffff;

/** Where a lookup found a usable translation. */
export const HIT = { NONE: 0, L1: 1, L2: 2 } as const;

/** One CPU's TLB. `frame` holds what the last hit translated to. */
export class Tlb {
  readonly l1: TlbLevel;
  readonly l2: TlbLevel | null;
  /** Caches of upper-level entries that share contexts and flushes with this TLB; hand the same object to the walker. */
  readonly caches: PagingStructureCaches | null;
  /** After a hit: host frame of the 4 KiB page. A double. */
  frame = 0;
  l1Hits = 0;
  l2Hits = 0;
  misses = 0;
  /** Flush operations of every kind. */
  flushes = 0;
  readonly #shifts: readonly number[];
  /** Large pages are kept in small pieces. */
  readonly #splits: boolean;
  /** Bit c set: class c has been filled since everything was cleared, so lookups must try it. */
  #classes = 1;
  /** An entry covers part of a larger page. */
  #pieces = false;
  /** An entry is global. */
  #globals = false;
  readonly #contexts = new TlbContexts();
  #asid = 0;
  #pcid = 0;
  #tag = 0;
  #globalTag = 0;

  constructor(shape: TlbShape, caches: PagingStructureCaches | null = null) {
    const { pageShifts } = shape;
    if (pageShifts[0] !== 12 || pageShifts.length > 4) throw new Error(`tlb: page shifts ${pageShifts}`);
    this.l1 = new TlbLevel(shape.l1);
    this.l2 = shape.l2 && new TlbLevel(shape.l2);
    this.#shifts = pageShifts;
    this.#splits = pageShifts.length === 1;
    this.caches = caches;
    this.#retag();
  }

  /** The context that lookups and fills use from now on. Flushes nothing. */
  setContext(asid: number, pcid: number): void {
    // At every entry to the guest it is the same one, and a flush renews its tags by itself.
    if (asid === this.#asid && pcid === this.#pcid) return;
    this.#asid = asid;
    this.#pcid = pcid;
    this.#retag();
  }

  /** Tag of non-global small pages in the current context, where the page number's bits 44:32 are clear. */
  get contextTag(): number {
    return this.#tag;
  }

  /** Whether all entries are non-global small pages, so that one look-up a level says everything. */
  get isPlain(): boolean {
    return this.#classes === 1 && !this.#globals;
  }

  get lookups(): number {
    return this.l1Hits + this.l2Hits + this.misses;
  }

  /**
   * Looks an address up for an access. An entry that does not allow the access under the walker's rules and keys, or is
   * not dirty at a write, does not count: the tables may say more by now, and a write must mark them. Returns a HIT.
   */
  lookup(lo: number, hi: number, access: number, walker: Walker): number {
    const { l1 } = this;
    const key = (lo >>> 12) | (hi << 20);
    const below = (hi & ADDRESS_HIGH) >>> 12;
    let at = l1.find(key, this.#tag | below);
    if (at < 0 && this.#globals) at = l1.find(key, this.#globalTag | below);
    if (at >= 0 && allows(l1.entries[(at << SHIFT) | FLAGS]!, access, walker)) {
      this.l1Hits++;
      l1.use(at);
      this.#reach(l1, at, 0);
      return HIT.L1;
    }
    return this.#lookupBeyond(lo, hi, access, walker);
  }

  /** Takes over everything from a TLB of the same shape: entries, contexts, counts. */
  copyFrom(other: Tlb): void {
    this.l1.copyFrom(other.l1);
    if (this.l2 !== null && other.l2 !== null) this.l2.copyFrom(other.l2);
    if (this.caches !== null && other.caches !== null) this.caches.copyFrom(other.caches);
    this.frame = other.frame;
    this.l1Hits = other.l1Hits;
    this.l2Hits = other.l2Hits;
    this.misses = other.misses;
    this.flushes = other.flushes;
    this.#classes = other.#classes;
    this.#pieces = other.#pieces;
    this.#globals = other.#globals;
    this.#contexts.copyFrom(other.#contexts);
    this.#asid = other.#asid;
    this.#pcid = other.#pcid;
    this.#tag = other.#tag;
    this.#globalTag = other.#globalTag;
  }

  /** The small page in the second level, then larger pages in both. */
  #lookupBeyond(lo: number, hi: number, access: number, walker: Walker): number {
    for (let pageClass = 0; this.#classes >>> pageClass !== 0; pageClass++) {
      if (((this.#classes >>> pageClass) & 1) === 0) continue;
      const shift = this.#shifts[pageClass]!;
      const key = keyOf(lo, hi, shift);
      const below = (pageClass << CLASS_SHIFT) | ((hi & ADDRESS_HIGH) >>> shift);
      const within = (lo >>> 12) & ((1 << (shift - 12)) - 1);
      const first = pageClass === 0 ? -1 : this.#findIn(this.l1, key, below);
      if (first >= 0 && allows(this.l1.entries[(first << SHIFT) | FLAGS]!, access, walker)) {
        this.l1Hits++;
        this.l1.use(first);
        this.#reach(this.l1, first, within);
        return HIT.L1;
      }
      const { l2 } = this;
      if (l2 === null) continue;
      const second = this.#findIn(l2, key, below);
      if (second < 0) continue;
      const entry = second << SHIFT;
      const flags = l2.entries[entry + FLAGS]!;
      if (!allows(flags, access, walker)) continue;
      this.l2Hits++;
      l2.use(second);
      this.l1.put(key, l2.entries[entry + TAG]!, l2.entries[entry + FRAME]!, flags);
      this.#reach(l2, second, within);
      return HIT.L2;
    }
    this.misses++;
    return HIT.NONE;
  }

  #findIn(level: TlbLevel, key: number, below: number): number {
    const at = level.find(key, this.#tag | below);
    return at < 0 && this.#globals ? level.find(key, this.#globalTag | below) : at;
  }

  /** Keeps what the walker's last walk, of this address, reached. What cannot be read cannot be kept (EPT). */
  fill(lo: number, hi: number, walker: Walker): void {
    const { result } = walker;
    if (this.keepsSmall(result)) {
      this.#put((lo >>> 12) | (hi << 20), this.#tag | ((hi & ADDRESS_HIGH) >>> 12), result.hostFrame, result.flags);
    } else if (result.readable !== 0) this.#fillAny(lo, hi, walker);
  }

  /**
   * Whether a result is kept as a small page that is not global, with a frame of 31 bits: as it is, under its own page
   * number. Then the caller may put it into both levels itself.
   */
  keepsSmall({ flags, hostFrame, pageShift, readable }: WalkResult): boolean {
    if ((flags & GLOBAL) !== 0 || hostFrame > SMALL_FRAME || readable === 0) return false;
    if (pageShift !== 12 && !this.#splits) return false;
    if (flags >>> PAGE_SHIFT_SHIFT !== 12) this.#pieces = true;
    return true;
  }

  /** Large pages, global ones, and frames of more than 31 bits. */
  #fillAny(lo: number, hi: number, { result }: Walker): void {
    let pageClass = this.#shifts.length - 1;
    while (this.#shifts[pageClass]! > result.pageShift) pageClass--;
    const shift = this.#shifts[pageClass]!;
    const frame = result.hostFrame - ((lo >>> 12) & ((1 << (shift - 12)) - 1));
    const below = (pageClass << CLASS_SHIFT) | ((hi & ADDRESS_HIGH) >>> shift);
    const frameHigh = frame > 0xffff_ffff ? (frame / 0x1_0000_0000) << FRAME_HIGH_SHIFT : 0;
    this.#classes |= 1 << pageClass;
    if (result.ownPageShift > shift) this.#pieces = true;
    if (result.global !== 0) this.#globals = true;
    const tag = (result.global !== 0 ? this.#globalTag : this.#tag) | below;
    this.#put(keyOf(lo, hi, shift), tag, frame | 0, result.flags | frameHigh);
  }

  #put(key: number, tag: number, frame: number, flags: number): void {
    this.l1.put(key, tag, frame, flags);
    if (this.l2 !== null) this.l2.put(key, tag, frame, flags);
  }

  /** Everything, of every address space. */
  flushAll(): void {
    this.#contexts.flushAll();
    this.#flushed();
  }

  /** Every translation of one address space id, global ones included. */
  flushAsid(asid: number): void {
    this.#contexts.flushNonGlobal(asid);
    this.#contexts.flushGlobal(asid);
    this.#flushed();
  }

  /** Every translation of one address space id but the global ones (INVPCID type 3). */
  flushNonGlobal(asid: number): void {
    this.#contexts.flushNonGlobal(asid);
    this.#flushed();
  }

  /** The translations of one PCID but the global ones: a load of CR3, INVPCID type 1. */
  flushPcid(asid: number, pcid: number): void {
    this.#contexts.flushPcid(asid, pcid);
    this.#flushed();
  }

  /** One address of the current context, global or not (INVLPG), and all cached upper-level entries. */
  flushAddress(lo: number, hi: number): void {
    this.#dropAddress(lo, hi, this.#tag, this.#globalTag);
    this.#flushed();
  }

  /** One address of one PCID; global translations stay (INVPCID type 0). */
  flushAddressOf(asid: number, pcid: number, lo: number, hi: number): void {
    this.#makeRoom();
    const tag = this.#contexts.generation(asid, pcid) << GENERATION_SHIFT;
    this.#dropAddress(lo, hi, tag, tag);
    this.#flushed();
  }

  #dropAddress(lo: number, hi: number, tag: number, otherTag: number): void {
    for (const level of [this.l1, this.l2]) {
      if (level === null) continue;
      if (this.#pieces) this.#dropPieces(level, lo, hi, tag, otherTag);
      this.#shifts.forEach((shift, pageClass) => {
        const below = (pageClass << CLASS_SHIFT) | ((hi & ADDRESS_HIGH) >>> shift);
        // Twice: a page can be cached as global and not, when the tables changed in between.
        for (const wanted of [tag, otherTag]) {
          const at = level.find(keyOf(lo, hi, shift), wanted | below);
          if (at >= 0) level.drop(at);
        }
      });
    }
    this.caches?.clear();
  }

  /** All pieces of the page around an address go with it (SDM vol. 3A 4.10.4.1); they can stand in any set. */
  #dropPieces(level: TlbLevel, lo: number, hi: number, tag: number, otherTag: number): void {
    const address = pageOf(lo, hi);
    const { entries } = level;
    for (let at = 0; at < level.sets * level.ways; at++) {
      const entry = at << SHIFT;
      const tagOf = entries[entry + TAG]!;
      const context = (tagOf >>> GENERATION_SHIFT) << GENERATION_SHIFT;
      if (tagOf === 0 || (context !== tag && context !== otherTag)) continue;
      const shift = this.#shifts[(tagOf >>> CLASS_SHIFT) & 3]!;
      const page = ((entries[entry]! >>> 0) + (tagOf & PAGE_HIGH) * 2 ** 32) * 2 ** (shift - 12);
      const size = 2 ** (((entries[entry + FLAGS]! >>> PAGE_SHIFT_SHIFT) & 0x1f) - 12);
      if (Math.floor(page / size) === Math.floor(address / size)) level.drop(at);
    }
  }

  #flushed(): void {
    this.flushes++;
    this.#retag();
  }

  #retag(): void {
    this.#makeRoom();
    this.#tag = this.#contexts.generation(this.#asid, this.#pcid) << GENERATION_SHIFT;
    this.#globalTag = this.#contexts.globalGeneration(this.#asid) << GENERATION_SHIFT;
    if (this.caches !== null) this.caches.tag = this.#tag;
  }

  /** When generations run out, their numbers start again, and no entry may keep an old one. */
  #makeRoom(): void {
    if (this.#contexts.room >= 4) return;
    this.#contexts.restart();
    this.l1.clear();
    this.l2?.clear();
    this.caches?.clear();
    this.#classes = 1;
    this.#pieces = false;
    this.#globals = false;
  }

  /** Sets `frame` from an entry; `within` is the number of the small page in a larger one. */
  #reach(level: TlbLevel, at: number, within: number): void {
    const frame = level.entries[(at << SHIFT) | FRAME]!;
    const high = level.entries[(at << SHIFT) | FLAGS]! >>> FRAME_HIGH_SHIFT;
    // Nearly every frame is a small integer, and stays one in this form.
    if (frame >= 0 && high === 0) this.frame = frame + within;
    else this.frame = (frame >>> 0) + high * 2 ** 32 + within;
  }
}

/** Low 32 bits of the page number for pages of 2 ** shift bytes. */
const keyOf = (lo: number, hi: number, shift: number): number => (lo >>> shift) | ((hi & ADDRESS_HIGH) << (32 - shift));

/** Number of an address's 4 KiB page among 2 ** 45, as a double. */
const pageOf = (lo: number, hi: number): number => (keyOf(lo, hi, 12) >>> 0) + ((hi & ADDRESS_HIGH) >>> 12) * 2 ** 32;

/** Whether an entry with these flags serves the access without a walk. */
function allows(flags: number, access: number, walker: Walker): boolean {
  // WRITE without D, or a rule against it: one test, as reads and writes alternate unpredictably.
  const notDirty = access & WRITE & ~(flags >>> DIRTY_TO_WRITE);
  if ((notDirty | walker.rules[(access << 3) | (flags & ALL_RIGHTS)]!) !== 0) return false;
  return walker.keysOn === 0 || walker.keyFault(access, flags & ALL_RIGHTS, (flags >>> KEY_SHIFT) & 0xf) === 0;
}

/** Moves PTE.D (bit 6) to where ACCESS.WRITE stands (bit 1). */
const DIRTY_TO_WRITE = 5;
