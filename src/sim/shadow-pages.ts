// SPDX-License-Identifier: GPL-2.0-only

import { FrameMap } from './frame-map.ts';
import { HOST_TABLE_FRAME, PAGE_WORDS, type PhysicalMemory } from './memory.ts';

/** "No page": ids start at 1. */
export const NO_PAGE = 0;

/** Entries of a table page. */
export const ENTRIES = 512;

/** First frame of tables: a copy, as constants of other modules are read anew at each use. */
const FIRST_FRAME = HOST_TABLE_FRAME;

/** Words of the per-page bitmap that says which entries lead to unsync pages. */
const BITMAP_WORDS = ENTRIES / 32;

/** Bits of `flags`. */
const LIVE = 1;
const SPECIAL = 2;
const TREE = 4;

/**
 * The pages KVM builds tables from, with the header KVM keeps for each (`struct kvm_mmu_page`): which guest frame and
 * role it stands for, who points to it, whether it is out of sync. Columns are typed arrays indexed by page id.
 *
 * The store keeps and finds; it decides nothing. Which role a page gets, what may be unsync, what a zap drags along:
 * that is the era's.
 *
 * A page's table is a page of physical memory at host frame `HOST_TABLE_FRAME + id`, so hardware walks it like any
 * other table. Leaf entries hold the guest frame number itself: guest RAM is mapped to host frames of the same number.
 */
export class ShadowPages {
  readonly memory: PhysicalMemory;
  /** Guest frame the page shadows, or the first guest frame it maps when nothing is behind it. */
  gfn = new Float64Array(64);
  /** Role word, as u32. */
  role = new Uint32Array(64);
  /** Uses as a root. */
  rootCount = new Int32Array(64);
  /** 1 while guest writes to the shadowed table are not intercepted. */
  unsync = new Uint8Array(64);
  /** Number of set bits in the page's unsync bitmap. */
  unsyncChildren = new Int32Array(64);
  /** Guest writes seen since the flood counter was cleared. */
  writeFlooding = new Int32Array(64);
  /** Generation of the VM's page tables in which the page was made. */
  generation = new Int32Array(64);
  /** One spare column for a fact of one era (2008: every entry is global). */
  mark = new Uint8Array(64);
  /** Live pages that can be looked up: what a page limit counts. */
  used = 0;

  /** Where the page's table begins in the words of memory. */
  private base = new Int32Array(64);
  #birth = new Int32Array(64);
  #births = 0;
  private flags = new Uint8Array(64);
  #sameGfn = new Int32Array(64);
  #newer = new Int32Array(64);
  #older = new Int32Array(64);
  #parents = new Int32Array(64);
  #bitmap = new Int32Array(64 * BITMAP_WORDS);
  #byGfn = new FrameMap();
  #free: number[] = [];
  #next = 1;
  #newest = NO_PAGE;
  #oldest = NO_PAGE;
  // Parent links: one node a (parent, entry), chained from the child.
  #linkEntry = new Int32Array(64);
  #linkNext = new Int32Array(64);
  #linkFree = 0;
  #linkUsed = 1;

  constructor(memory: PhysicalMemory) {
    this.memory = memory;
  }

  /** A new page with a zeroed table, first among the pages of its gfn and newest on the active list. */
  create(gfn: number, role: number): number {
    const id = this.#take(LIVE);
    this.gfn[id] = gfn;
    this.role[id] = role;
    this.#sameGfn[id] = this.#byGfn.get(gfn);
    this.#byGfn.put(gfn, id);
    this.#linkNewest(id);
    this.used++;
    return id;
  }

  /** A table that KVM keeps without a header (pae_root, lm_root, pml5_root): walked by hardware, never looked up. */
  createSpecial(): number {
    return this.#take(LIVE | SPECIAL);
  }

  /**
   * A page of a tree that is reached from its root alone (the TDP MMU's): it has a header, but is neither found by gfn,
   * nor on the active list, nor counted in `used`.
   */
  createTreePage(gfn: number, role: number): number {
    const id = this.#take(LIVE | TREE);
    this.gfn[id] = gfn;
    this.role[id] = role;
    return id;
  }

  /** Gives the page back. Throws when something still points to it: a freed table in use would be walked as garbage. */
  destroy(id: number): void {
    this.#mustLive(id);
    if (this.#parents[id] !== 0) throw new Error(`shadow page ${id} (gfn ${this.gfn[id]}) freed while it has a parent`);
    if (this.rootCount[id]! > 0) throw new Error(`shadow page ${id} (gfn ${this.gfn[id]}) freed while it is a root`);
    if (this.flags[id] === LIVE) {
      this.unhash(id);
      this.deactivate(id);
      this.used--;
    }
    this.flags[id] = 0;
    this.memory.releaseFrame(this.frameOf(id));
    this.base[id] = -PAGE_WORDS;
    this.#free.push(id);
  }

  /** How many tables were made before this one, itself included: ids come again, births do not. */
  birthOf(id: number): number {
    return this.#birth[id]!;
  }

  /** Host frame of the page's table. */
  frameOf(id: number): number {
    return FIRST_FRAME + id;
  }

  /** The page whose table is at a host frame; NO_PAGE for frames that are no live table. */
  idOfFrame(frame: number): number {
    const id = frame - FIRST_FRAME;
    return id > 0 && (this.flags[id]! & LIVE) !== 0 ? id : NO_PAGE;
  }

  isSpecial(id: number): boolean {
    return (this.flags[id]! & SPECIAL) !== 0;
  }

  isTreePage(id: number): boolean {
    return (this.flags[id]! & TREE) !== 0;
  }

  isLive(id: number): boolean {
    return id > 0 && id < this.#next && (this.flags[id]! & LIVE) !== 0;
  }

  /** The newest page of a guest frame, NO_PAGE when there is none; go on with `nextOf`. */
  firstOf(gfn: number): number {
    return this.#byGfn.get(gfn);
  }

  /** The next older page of the same guest frame. */
  nextOf(id: number): number {
    return this.#sameGfn[id]!;
  }

  /** Takes the page out of the look-up by gfn; nothing when it is out already. */
  unhash(id: number): void {
    const gfn = this.gfn[id]!;
    let at = this.#byGfn.get(gfn);
    if (at === id) this.#byGfn.put(gfn, this.#sameGfn[id]!);
    else {
      while (at !== NO_PAGE && this.#sameGfn[at] !== id) at = this.#sameGfn[at]!;
      if (at === NO_PAGE) return;
      this.#sameGfn[at] = this.#sameGfn[id]!;
    }
    this.#sameGfn[id] = NO_PAGE;
  }

  // --- the active list: newest to oldest, for reclaim -------------------------------------------------------------

  get newest(): number {
    return this.#newest;
  }

  get oldest(): number {
    return this.#oldest;
  }

  /** The page made (or moved up) just after this one. */
  newerThan(id: number): number {
    return this.#newer[id]!;
  }

  olderThan(id: number): number {
    return this.#older[id]!;
  }

  /** Moves the page to the newest end of the active list. */
  makeNewest(id: number): void {
    this.deactivate(id);
    this.#linkNewest(id);
  }

  /** Takes the page off the active list; nothing when it is off already. */
  deactivate(id: number): void {
    const newer = this.#newer[id]!;
    const older = this.#older[id]!;
    if (newer === NO_PAGE && this.#newest !== id) return;
    if (newer === NO_PAGE) this.#newest = older;
    else this.#older[newer] = older;
    if (older === NO_PAGE) this.#oldest = newer;
    else this.#newer[older] = newer;
    this.#newer[id] = NO_PAGE;
    this.#older[id] = NO_PAGE;
  }

  // --- table entries ----------------------------------------------------------------------------------------------

  entryLow(id: number, index: number): number {
    return this.memory.words[this.base[id]! + 2 * index]!;
  }

  entryHigh(id: number, index: number): number {
    return this.memory.words[this.base[id]! + 2 * index + 1]!;
  }

  setEntry(id: number, index: number, low: number, high: number): void {
    const at = this.base[id]! + 2 * index;
    const { memory } = this;
    memory.words[at] = low;
    memory.words[at + 1] = high;
    if (memory.journal !== null) {
      memory.written(at);
      memory.written(at + 1);
    }
  }

  /** As `entryLow`, for an entry as `page * 512 + index`: short, so that it is compiled into its callers. */
  low(entry: number): number {
    return this.memory.words[this.base[entry >>> 9]! + ((entry & 511) << 1)]!;
  }

  /** As `entryHigh`, likewise. */
  high(entry: number): number {
    return this.memory.words[this.base[entry >>> 9]! + ((entry & 511) << 1) + 1]!;
  }

  /** As `setEntry`, likewise. */
  set(entry: number, low: number, high: number): void {
    this.setEntry(entry >>> 9, entry & 511, low, high);
  }

  // --- parents ----------------------------------------------------------------------------------------------------

  /** Entry `index` of `parent` now points to `child`. */
  linkParent(child: number, parent: number, index: number): void {
    let link = this.#linkFree;
    if (link !== 0) this.#linkFree = this.#linkNext[link]!;
    else {
      link = this.#linkUsed++;
      if (link === this.#linkEntry.length) {
        this.#linkEntry = grown(this.#linkEntry, link * 2);
        this.#linkNext = grown(this.#linkNext, link * 2);
      }
    }
    this.#linkEntry[link] = parent * ENTRIES + index;
    this.#linkNext[link] = this.#parents[child]!;
    this.#parents[child] = link;
  }

  /** Entry `index` of `parent` no longer points to `child`. Throws when it did not. */
  unlinkParent(child: number, parent: number, index: number): void {
    const entry = parent * ENTRIES + index;
    let before = 0;
    for (let link = this.#parents[child]!; link !== 0; before = link, link = this.#linkNext[link]!) {
      if (this.#linkEntry[link] !== entry) continue;
      if (before === 0) this.#parents[child] = this.#linkNext[link]!;
      else this.#linkNext[before] = this.#linkNext[link]!;
      this.#linkNext[link] = this.#linkFree;
      this.#linkFree = link;
      return;
    }
    throw new Error(`shadow page ${child}: entry ${index} of page ${parent} is not its parent`);
  }

  /** One parent entry of the page as `parent * 512 + index`, newest first, -1 when it has none. */
  anyParent(id: number): number {
    return this.#parents[id] === 0 ? -1 : this.#linkEntry[this.#parents[id]!]!;
  }

  hasParents(id: number): boolean {
    return this.#parents[id] !== 0;
  }

  /** Every parent entry as `parent * 512 + index`. */
  parentEntries(id: number): number[] {
    const entries: number[] = [];
    for (let link = this.#parents[id]!; link !== 0; link = this.#linkNext[link]!) entries.push(this.#linkEntry[link]!);
    return entries;
  }

  // --- unsync bitmap ----------------------------------------------------------------------------------------------

  /** Notes that entry `index` leads to an unsync page; true when that was not noted before. */
  setUnsyncBit(id: number, index: number): boolean {
    const at = id * BITMAP_WORDS + (index >>> 5);
    const bit = 1 << (index & 31);
    if ((this.#bitmap[at]! & bit) !== 0) return false;
    this.#bitmap[at] = this.#bitmap[at]! | bit;
    this.unsyncChildren[id]!++;
    return true;
  }

  clearUnsyncBit(id: number, index: number): void {
    const at = id * BITMAP_WORDS + (index >>> 5);
    const bit = 1 << (index & 31);
    if ((this.#bitmap[at]! & bit) === 0) return;
    this.#bitmap[at] = this.#bitmap[at]! & ~bit;
    this.unsyncChildren[id]!--;
  }

  /** The first entry from `from` on that leads to an unsync page, -1 when there is none. */
  nextUnsyncBit(id: number, from: number): number {
    for (let index = from; index < ENTRIES; index++) {
      const word = this.#bitmap[id * BITMAP_WORDS + (index >>> 5)]!;
      if (word === 0) index |= 31;
      else if ((word & (1 << (index & 31))) !== 0) return index;
    }
    return -1;
  }

  /** Every live page with a header, in order of id. */
  *live(): IterableIterator<number> {
    for (let id = 1; id < this.#next; id++) if (this.isLive(id) && !this.isSpecial(id)) yield id;
  }

  #take(flags: number): number {
    const id = this.#free.pop() ?? this.#next++;
    if (id >= this.gfn.length) this.#grow(this.gfn.length * 2);
    this.base[id] = this.memory.slotFor(this.frameOf(id)) * PAGE_WORDS;
    this.flags[id] = flags;
    this.#birth[id] = ++this.#births;
    this.gfn[id] = 0;
    this.role[id] = 0;
    this.rootCount[id] = 0;
    this.unsync[id] = 0;
    this.unsyncChildren[id] = 0;
    this.writeFlooding[id] = 0;
    this.generation[id] = 0;
    this.mark[id] = 0;
    this.#sameGfn[id] = NO_PAGE;
    this.#newer[id] = NO_PAGE;
    this.#older[id] = NO_PAGE;
    this.#parents[id] = 0;
    this.#bitmap.fill(0, id * BITMAP_WORDS, (id + 1) * BITMAP_WORDS);
    return id;
  }

  #linkNewest(id: number): void {
    this.#older[id] = this.#newest;
    this.#newer[id] = NO_PAGE;
    if (this.#newest !== NO_PAGE) this.#newer[this.#newest] = id;
    else this.#oldest = id;
    this.#newest = id;
  }

  #mustLive(id: number): void {
    if (!this.isLive(id)) throw new Error(`shadow page ${id} is not live`);
  }

  #grow(size: number): void {
    this.gfn = grown(this.gfn, size);
    this.role = grown(this.role, size);
    this.rootCount = grown(this.rootCount, size);
    this.unsync = grown(this.unsync, size);
    this.unsyncChildren = grown(this.unsyncChildren, size);
    this.writeFlooding = grown(this.writeFlooding, size);
    this.generation = grown(this.generation, size);
    this.mark = grown(this.mark, size);
    this.base = grown(this.base, size);
    this.#birth = grown(this.#birth, size);
    this.flags = grown(this.flags, size);
    this.#sameGfn = grown(this.#sameGfn, size);
    this.#newer = grown(this.#newer, size);
    this.#older = grown(this.#older, size);
    this.#parents = grown(this.#parents, size);
    this.#bitmap = grown(this.#bitmap, size * BITMAP_WORDS);
  }
}

/** A longer copy of a typed array, zero at the end. */
export function grown<A extends Int32Array | Uint32Array | Uint8Array | Float64Array>(array: A, length: number): A {
  // The constructor of a typed array is that of its own kind, which the type system does not follow.
  const copy = new (array.constructor as new (length: number) => A)(length);
  copy.set(array);
  return copy;
}
