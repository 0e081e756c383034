// SPDX-License-Identifier: GPL-2.0-only
/**
 * The straight walk of src/sim/straight-walk.ts over nested tables: four guest levels over four levels of NPT or EPT.
 * What is said there holds here. Nested entries that would have to be marked are left to the loop: each is so once.
 */
import { ruleIndex } from './access-rules.ts';
import { eptRights, ordinaryRights, pageWithin } from './entries.ts';
import { ACCESS, PTE, PTE_HIGH, RIGHTS } from './paging-bits.ts';
import type { PagingStructureCaches } from './paging-structure-caches.ts';
import {
  clearFault,
  hostPageWords,
  LARGE_FRAME_HIGH,
  LARGEST_FRAME,
  markEntry,
  OTHER_BITS,
  pageWords,
  smallFrame,
  WRITE_TO_DIRTY,
} from './straight-parts.ts';
import type { Walker } from './walk.ts';
import { RESULT_KEY_SHIFT, RESULT_PAGE_SHIFT_SHIFT } from './walk-result.ts';

// Copies: see src/sim/straight-parts.ts.
const { P: PRESENT, A: ACCESSED, D: DIRTY, PS: LARGE } = PTE;
const { WRITE, USER } = ACCESS;
const { KEY_SHIFT, KEY_MASK } = PTE_HIGH;
const { W: RIGHT_WRITE, U: RIGHT_USER } = RIGHTS;
const LARGEST = LARGEST_FRAME;
const FRAME_HIGH = LARGE_FRAME_HIGH;
const RESULT_KEY = RESULT_KEY_SHIFT;
const RESULT_SHIFT = RESULT_PAGE_SHIFT_SHIFT;
const WRITE_TO_D = WRITE_TO_DIRTY;
const OTHERS = OTHER_BITS;

/** There is no translation, or none that is as simple as it takes here. */
const FAILED = -1;

/**
 * Walks four-level guest tables over four-level nested ones. True: done, and `walker.result` holds a walk without fault.
 * False: nothing happened. The result of `nested` is overwritten either way.
 */
export function walkStraightNested(walker: Walker, nested: Walker, lo: number, hi: number, access: number): boolean {
  const { memory, caches, format } = walker;
  const { words } = memory;
  let level = 4;
  let frame = walker.rootFrame;
  let low = -1;
  let high = 0;
  if (caches !== null) {
    const cached = caches.lookup(lo, hi, 4);
    if (cached !== 0) {
      level = cached - 1;
      frame = caches.hitFrame;
      low = caches.hitLow | OTHERS;
      high = caches.hitHigh;
    }
  }
  const start = level;
  // Rights that all tables of the guest have in the nested tables; FAILED once one of them has no translation.
  let tables: number = RIGHTS.ALL;
  let nestedReads = 0;
  // OR of the entries of levels 4 and 3, and of all that point to tables.
  let upper = 0;
  let pointersHigh = 0;
  let at4 = 0;
  let low4 = 0;
  let high4 = 0;
  let frame3 = 0;
  if (level === 4) {
    const table = descendNested(nested, frame, nested.tableAccess);
    tables &= nested.result.rights;
    nestedReads += nested.result.reads;
    if (table < 0) return fail(caches, start);
    at4 = pageWords(memory, table) + (((hi >>> 7) & 0x1ff) << 1);
    const entry = words[at4]!;
    high4 = words[(at4 + 1) | 0]!;
    upper = entry;
    pointersHigh = high4;
    low &= entry;
    high |= high4;
    low4 = low;
    frame3 = smallFrame(entry, high4);
    frame = frame3;
    level = 3;
  }
  let at3 = 0;
  let low3 = 0;
  let high3 = 0;
  let frame2 = 0;
  if (level === 3) {
    const table = descendNested(nested, frame, nested.tableAccess);
    tables &= nested.result.rights;
    nestedReads += nested.result.reads;
    if (table < 0) return fail(caches, start);
    at3 = (pageWords(memory, table) + ((((lo >>> 30) | (hi << 2)) & 0x1ff) << 1)) | 0;
    const entry = words[at3]!;
    const entryHigh = words[(at3 + 1) | 0]!;
    upper |= entry;
    pointersHigh |= entryHigh;
    low &= entry;
    high |= entryHigh;
    low3 = low;
    high3 = high;
    frame2 = smallFrame(entry, entryHigh);
    frame = frame2;
    level = 2;
  }
  let at = 0;
  let entry = 0;
  let entryHigh = 0;
  let at2 = 0;
  let low2 = 0;
  let high2 = 0;
  let frame1 = 0;
  let odd = upper & format.oddPointer;
  if (level === 2) {
    const table = descendNested(nested, frame, nested.tableAccess);
    tables &= nested.result.rights;
    nestedReads += nested.result.reads;
    if (table < 0) return fail(caches, start);
    at = (pageWords(memory, table) + (((lo >>> 21) & 0x1ff) << 1)) | 0;
    entry = words[at]!;
    entryHigh = words[(at + 1) | 0]!;
    low &= entry;
    high |= entryHigh;
    if ((entry & LARGE) !== 0) odd |= entry & format.oddLarge;
    else {
      at2 = at;
      pointersHigh |= entryHigh;
      low2 = low;
      high2 = high;
      frame1 = smallFrame(entry, entryHigh);
      frame = frame1;
      level = 1;
    }
  }
  if (level === 1) {
    const table = descendNested(nested, frame, nested.tableAccess);
    tables &= nested.result.rights;
    nestedReads += nested.result.reads;
    if (table < 0) return fail(caches, start);
    at = (pageWords(memory, table) + (((lo >>> 12) & 0x1ff) << 1)) | 0;
    entry = words[at]!;
    entryHigh = words[(at + 1) | 0]!;
  }
  const allLow = low & entry;
  const allHigh = high | entryHigh;
  const rights = ordinaryRights(allLow, allHigh & format.noExecute);
  odd |= (pointersHigh & FRAME_HIGH) | (allHigh & format.oddHigh) | (~allLow & PRESENT) | walker.keysOn;
  if ((odd | (entryHigh & FRAME_HIGH) | walker.rules[ruleIndex(access, rights)]!) !== 0) return fail(caches, start);
  const wanted = ACCESSED | ((access & WRITE) << WRITE_TO_D);
  const isMarked = (low & ACCESSED) !== 0 && (entry & wanted) === wanted;
  if (!isMarked && (tables & RIGHT_WRITE) === 0) return fail(caches, start);
  let page = smallFrame(entry, entryHigh);
  if (level === 2) page = (page & -512) | pageWithin(lo, 21);
  const hostFrame = descendNested(nested, page, access | USER);
  if (hostFrame < 0) return fail(caches, start);
  const { result } = walker;
  const second = nested.result;
  let marks = 0;
  if (!isMarked) {
    if (at4 !== 0) marks += markEntry(memory, words, at4, ACCESSED);
    if (at3 !== 0) marks += markEntry(memory, words, at3, ACCESSED);
    if (at2 !== 0) marks += markEntry(memory, words, at2, ACCESSED);
    marks += markEntry(memory, words, at, wanted);
  }
  if (caches !== null) {
    if (at4 !== 0) caches.fill(lo, hi, 4, frame3, low4, high4);
    if (at3 !== 0) caches.fill(lo, hi, 3, frame2, low3, high3);
    if (at2 !== 0) caches.fill(lo, hi, 2, frame1, low2, high2);
  }
  const pageShift = level === 1 ? 12 : 21;
  result.level = level;
  result.frame = page;
  result.hostFrame = hostFrame;
  result.pageShift = Math.min(pageShift, second.pageShift);
  let mine = rights & (second.rights | RIGHT_USER);
  if ((second.rights & RIGHT_WRITE) !== 0 && second.dirty !== 0) mine |= (entry | wanted) & DIRTY;
  mine |=
    (entry & walker.globalBit) | (((entryHigh >>> KEY_SHIFT) & KEY_MASK) << RESULT_KEY) | (pageShift << RESULT_SHIFT);
  result.flags = mine;
  result.lowBits = allLow & 7;
  result.cachedLevel = start === 4 ? 0 : start + 1;
  result.reads = start - level + 1;
  result.nestedReads = nestedReads + second.reads;
  result.marks = marks;
  result.readable = 1;
  clearFault(result);
  return true;
}

/** Leaves the walk to the loop, which looks the address up in the caches again: that look-up is the one that counts. */
function fail(caches: PagingStructureCaches | null, start: number): boolean {
  if (caches !== null && start !== 4) caches.hits--;
  return false;
}

/**
 * Host frame of a guest frame for an access, or FAILED. Of `nested.result` it sets what the guest's walk goes on with:
 * reads, rights, page shift, dirty.
 */
function descendNested(nested: Walker, frame: number, access: number): number {
  if (frame > LARGEST) return FAILED;
  const { memory, format, result } = nested;
  const { words } = memory;
  let at = (hostPageWords(memory, nested.rootFrame) + (((frame >>> 27) & 0x1ff) << 1)) | 0;
  let entry = words[at]!;
  let entryHigh = words[(at + 1) | 0]!;
  let upper = entry;
  let low = entry;
  let high = entryHigh;
  at = (hostPageWords(memory, smallFrame(entry, entryHigh)) + (((frame >>> 18) & 0x1ff) << 1)) | 0;
  entry = words[at]!;
  entryHigh = words[(at + 1) | 0]!;
  upper |= entry;
  low &= entry;
  high |= entryHigh;
  at = (hostPageWords(memory, smallFrame(entry, entryHigh)) + (((frame >>> 9) & 0x1ff) << 1)) | 0;
  entry = words[at]!;
  entryHigh = words[(at + 1) | 0]!;
  high |= entryHigh;
  let odd = upper & format.oddPointer;
  let pageShift = 21;
  if ((entry & LARGE) !== 0) odd |= entry & format.oddLarge;
  else {
    odd |= entry & format.oddLastPointer;
    low &= entry;
    at = (hostPageWords(memory, smallFrame(entry, entryHigh)) + ((frame & 0x1ff) << 1)) | 0;
    entry = words[at]!;
    entryHigh = words[(at + 1) | 0]!;
    high |= entryHigh;
    pageShift = 12;
  }
  const allLow = low & entry;
  const rights = format.ept ? eptRights(allLow) : ordinaryRights(allLow, high & format.noExecute);
  const wanted = format.accessed | ((access & WRITE) !== 0 ? format.dirty : 0);
  // Readable through all levels, as no entry of EPT is malformed then but for the memory type of a leaf.
  odd |= (~allLow & PRESENT) | (high & (format.oddHigh | FRAME_HIGH)) | (~low & format.accessed) | (~entry & wanted);
  odd |= nested.rules[ruleIndex(access, rights)]!;
  if (odd !== 0 || (format.ept && format.malformed(entry, true))) return FAILED;
  result.reads = pageShift === 12 ? 4 : 3;
  result.rights = rights;
  result.pageShift = pageShift;
  result.dirty = (entry & format.dirty) === format.dirty ? 1 : 0;
  const page = smallFrame(entry, entryHigh);
  return pageShift === 12 ? page : (page & -512) | (frame & 511);
}
