// SPDX-License-Identifier: GPL-2.0-only
/**
 * The translation lookaside buffer: one or two set-associative levels, true LRU, tagged by address-space id (AMD ASID,
 * Intel VPID) and PCID. src/sim/core/tlb.ts looks entries up and makes them; here is what software can do to them.
 *
 * A tag names a generation: one context since its last flush, so that no flush has to touch entries.
 */
import {
  CLASS_COUNT,
  CLASSES,
  GLOBAL_TAG,
  HIT_FRAME,
  L1,
  L1_HITS,
  L2,
  L2_HITS,
  MISSES,
  SHIFTS,
  TAG,
  TLB_BYTES,
} from './core/layout.ts';
import type { Core } from './core.ts';
import { type PhysicalMemory, read64 } from './memory.ts';
import type { PagingStructureCaches } from './paging-structure-caches.ts';
import { TlbContexts } from './tlb-contexts.ts';
import type { Walker } from './walk.ts';
import { type Geometry, Ways } from './ways.ts';

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

const GENERATION_SHIFT = 15;
/** What one operation may take. */
const FEWEST_GENERATIONS = 4;

/** Where a lookup found a usable translation. */
export const HIT = { NONE: 0, L1: 1, L2: 2 } as const;

/** One CPU's TLB. */
export class Tlb {
  readonly l1: Ways;
  readonly l2: Ways | null;
  /** Caches of upper-level entries that share contexts and flushes with this TLB; hand the same object to the walker. */
  readonly caches: PagingStructureCaches | null;
  /** Where it is in the machine's memory. */
  readonly block: number;
  /** Flush operations of every kind. */
  flushes = 0;
  readonly #core: Core;
  readonly #words: Int32Array;
  readonly #contexts = new TlbContexts();

  constructor(memory: PhysicalMemory, shape: TlbShape, caches: PagingStructureCaches | null = null) {
    const { pageShifts } = shape;
    if (pageShifts[0] !== 12 || pageShifts.length > 4) throw new Error(`tlb: page shifts ${pageShifts}`);
    this.#core = memory.core;
    this.block = memory.reserve(TLB_BYTES);
    this.#words = memory.wordsAt(this.block, TLB_BYTES / 4);
    this.l1 = new Ways(memory, shape.l1);
    this.l2 = shape.l2 && new Ways(memory, shape.l2);
    this.caches = caches;
    const words = this.#words;
    words[L1 / 4] = this.l1.block;
    words[L2 / 4] = this.l2?.block ?? 0;
    words[CLASS_COUNT / 4] = pageShifts.length;
    words.set(pageShifts, SHIFTS / 4);
    words[CLASSES / 4] = 1;
    this.#retag();
  }

  get l1Hits(): number {
    return read64(this.#words, L1_HITS);
  }

  get l2Hits(): number {
    return read64(this.#words, L2_HITS);
  }

  get misses(): number {
    return read64(this.#words, MISSES);
  }

  get lookups(): number {
    return this.l1Hits + this.l2Hits + this.misses;
  }

  /** After a hit: host frame of the 4 KiB page. A double. */
  get frame(): number {
    return read64(this.#words, HIT_FRAME);
  }

  /** The context that lookups and fills use from now on. Flushes nothing. */
  setContext(asid: number, pcid: number): void {
    // At every entry to the guest it is the same one, and a flush renews its tags by itself.
    if (this.#contexts.enter(asid, pcid)) this.#retag();
  }

  /**
   * Looks an address up for an access. An entry that does not allow the access under the walker's rules and keys, or is
   * not dirty at a write, does not count: the tables may say more by now, and a write must mark them. Returns a HIT.
   */
  lookup(lo: number, hi: number, access: number, walker: Walker): number {
    return this.#core.lookUp(this.block, walker.block, lo, hi, access);
  }

  /** Keeps what the walker's last walk, of this address, reached. What cannot be read cannot be kept (EPT). */
  fill(lo: number, hi: number, walker: Walker): void {
    this.#core.fill(this.block, walker.block, lo, hi);
  }

  /** Takes over everything from a TLB of the same shape: entries, contexts, counts. */
  copyFrom(other: Tlb): void {
    this.l1.copyFrom(other.l1);
    if (this.l2 !== null && other.l2 !== null) this.l2.copyFrom(other.l2);
    if (this.caches !== null && other.caches !== null) this.caches.copyFrom(other.caches);
    this.#words.set(other.#words.subarray(TAG / 4), TAG / 4);
    this.flushes = other.flushes;
    this.#contexts.copyFrom(other.#contexts);
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
    this.#dropAddress(lo, hi, this.#words[TAG / 4]!, this.#words[GLOBAL_TAG / 4]!);
  }

  /** One address of one PCID; global translations stay (INVPCID type 0). */
  flushAddressOf(asid: number, pcid: number, lo: number, hi: number): void {
    // Makes room first, as the other context may need a generation.
    this.#retag();
    const tag = this.#contexts.generation(asid, pcid) << GENERATION_SHIFT;
    this.#dropAddress(lo, hi, tag, tag);
  }

  #dropAddress(lo: number, hi: number, tag: number, otherTag: number): void {
    this.flushes++;
    this.#core.dropAddress(this.block, lo, hi, tag, otherTag);
    this.caches?.clear();
  }

  #flushed(): void {
    this.flushes++;
    this.#retag();
  }

  #retag(): void {
    this.#makeRoom();
    const tag = this.#contexts.current() << GENERATION_SHIFT;
    this.#words[TAG / 4] = tag;
    this.#words[GLOBAL_TAG / 4] = this.#contexts.currentGlobal() << GENERATION_SHIFT;
    if (this.caches !== null) this.caches.tag = tag;
  }

  /** When generations run out, their numbers start again: a stale one becomes 0, which no context has. */
  #makeRoom(): void {
    if (this.#contexts.room >= FEWEST_GENERATIONS) return;
    const renumbered = this.#contexts.renumber();
    if (this.#contexts.room < FEWEST_GENERATIONS) throw new Error('tlb: too many contexts at once');
    const below = (1 << GENERATION_SHIFT) - 1;
    const tagFor = (tag: number): number =>
      ((renumbered.get(tag >>> GENERATION_SHIFT) ?? 0) << GENERATION_SHIFT) | (tag & below);
    for (const ways of [this.l1, this.l2, ...(this.caches?.levels ?? [])]) ways?.retag(tagFor);
  }
}
