// SPDX-License-Identifier: GPL-2.0-only
/**
 * The straight walk of src/sim/straight-walk.ts over nested tables: four guest levels over four levels of NPT or EPT.
 * What is said there holds here. Nested entries that would have to be marked are left to the loop: each is so once.
 */
import { ruleIndex } from './access-rules.ts';
import { eptRights, ordinaryRights, pageWithin } from './entries.ts';
import { ACCESS, EPT, PTE, PTE_HIGH, RIGHTS } from './paging-bits.ts';
import type { PagingStructureCaches } from './paging-structure-caches.ts';
import { frameByLeaf, leafWord } from './straight-nested-path.ts';
import {
  clearFault,
  LARGE_FRAME_HIGH,
  markEntry,
  OTHER_BITS,
  pageWords,
  smallFrame,
  TABLES_MASK,
  WRITE_TO_DIRTY,
} from './straight-parts.ts';
import type { TableFormat } from './table-format.ts';
import type { Walker } from './walk.ts';
import { RESULT_KEY_SHIFT, RESULT_PAGE_SHIFT_SHIFT } from './walk-result.ts';

// Copies: see src/sim/straight-parts.ts.
const { P: PRESENT, A: ACCESSED, D: DIRTY, PS: LARGE } = PTE;
const { WRITE, USER } = ACCESS;
const { KEY_SHIFT, KEY_MASK } = PTE_HIGH;
const { W: RIGHT_WRITE, U: RIGHT_USER } = RIGHTS;
const FRAME_HIGH = LARGE_FRAME_HIGH;
const RESULT_KEY = RESULT_KEY_SHIFT;
const RESULT_SHIFT = RESULT_PAGE_SHIFT_SHIFT;
const WRITE_TO_D = WRITE_TO_DIRTY;
const OTHERS = OTHER_BITS;
const { MEMORY_TYPE_SHIFT: TYPE_SHIFT } = EPT;
const GUESSES_MASK = TABLES_MASK;

/**
 * Walks four-level guest tables over four-level nested ones. True: done, and `walker.result` holds a walk without fault.
 * False: nothing happened.
 */
export function walkStraightNested(walker: Walker, nested: Walker, lo: number, hi: number, access: number): boolean {
  const { memory, caches, format } = walker;
  const { words } = memory;
  const { path, tableAccess, format: nestedFormat, rules: nestedRules } = nested;
  const { oddMemoryTypes } = nestedFormat;
  path.begin();
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
  // AND and OR of what the nested tables say of each table of the guest: all get the same access and are judged at once.
  let leaves = -1;
  let leavesHigh = 0;
  let oddTypes = 0;
  let nestedReads = 0;
  // OR of the entries of levels 4 and 3, and of all that point to tables.
  let upper = 0;
  let pointersHigh = 0;
  let at4 = 0;
  let low4 = 0;
  let high4 = 0;
  let frame3 = 0;
  if (level === 4) {
    const leafAt = leafWord(nested, path, frame);
    if (leafAt < 0) return fail(caches, start);
    const leaf = words[leafAt]!;
    const leafHigh = words[leafAt | 1]!;
    leaves &= leaf & path.low;
    leavesHigh |= leafHigh | path.high;
    oddTypes |= oddMemoryTypes >>> ((leaf >>> TYPE_SHIFT) & 7);
    nestedReads += path.reads;
    const table = frameByLeaf(path, frame, leaf, leafHigh);
    at4 = pageWords(memory, table) + (((hi >>> 7) & 0x1ff) << 1);
    const entry = words[at4]!;
    high4 = words[at4 | 1]!;
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
    const leafAt = leafWord(nested, path, frame);
    if (leafAt < 0) return fail(caches, start);
    const leaf = words[leafAt]!;
    const leafHigh = words[leafAt | 1]!;
    leaves &= leaf & path.low;
    leavesHigh |= leafHigh | path.high;
    oddTypes |= oddMemoryTypes >>> ((leaf >>> TYPE_SHIFT) & 7);
    nestedReads += path.reads;
    const table = frameByLeaf(path, frame, leaf, leafHigh);
    at3 = (pageWords(memory, table) + ((((lo >>> 30) | (hi << 2)) & 0x1ff) << 1)) | 0;
    const entry = words[at3]!;
    const entryHigh = words[at3 | 1]!;
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
    const leafAt = leafWord(nested, path, frame);
    if (leafAt < 0) return fail(caches, start);
    const leaf = words[leafAt]!;
    const leafHigh = words[leafAt | 1]!;
    leaves &= leaf & path.low;
    leavesHigh |= leafHigh | path.high;
    oddTypes |= oddMemoryTypes >>> ((leaf >>> TYPE_SHIFT) & 7);
    nestedReads += path.reads;
    const table = frameByLeaf(path, frame, leaf, leafHigh);
    at = (pageWords(memory, table) + (((lo >>> 21) & 0x1ff) << 1)) | 0;
    entry = words[at]!;
    entryHigh = words[at | 1]!;
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
    const leafAt = leafWord(nested, path, frame);
    if (leafAt < 0) return fail(caches, start);
    const leaf = words[leafAt]!;
    const leafHigh = words[leafAt | 1]!;
    leaves &= leaf & path.low;
    leavesHigh |= leafHigh | path.high;
    oddTypes |= oddMemoryTypes >>> ((leaf >>> TYPE_SHIFT) & 7);
    nestedReads += path.reads;
    const table = frameByLeaf(path, frame, leaf, leafHigh);
    at = (pageWords(memory, table) + (((lo >>> 12) & 0x1ff) << 1)) | 0;
    const region = ((lo >>> 21) | (hi << 11)) & GUESSES_MASK;
    const guess = walker.leafTables[region]! + (((lo >>> 12) & 0x1ff) << 1);
    // As in src/sim/straight-walk.ts.
    if (at === guess) {
      entry = words[guess]!;
      entryHigh = words[guess | 1]!;
    } else {
      walker.leafTables[region] = at - (((lo >>> 12) & 0x1ff) << 1);
      entry = words[at]!;
      entryHigh = words[at | 1]!;
    }
  }
  const allLow = low & entry;
  const allHigh = high | entryHigh;
  const rights = ordinaryRights(allLow, allHigh & format.noExecute);
  odd |= (pointersHigh & FRAME_HIGH) | (allHigh & format.oddHigh) | (~allLow & PRESENT) | walker.keysOn;
  if ((odd | (entryHigh & FRAME_HIGH) | walker.rules[ruleIndex(access, rights)]!) !== 0) return fail(caches, start);
  const wanted = ACCESSED | ((access & WRITE) << WRITE_TO_D);
  const isMarked = (low & ACCESSED) !== 0 && (entry & wanted) === wanted;
  const tables = rightsOf(nestedFormat, leaves, leavesHigh);
  if (!isMarked && (tables & RIGHT_WRITE) === 0) return fail(caches, start);
  let page = smallFrame(entry, entryHigh);
  if (level === 2) page = (page & -512) | pageWithin(lo, 21);
  const lastAt = leafWord(nested, path, page);
  if (lastAt < 0) return fail(caches, start);
  const lastGuess = nested.leafTables[(page >>> 9) & GUESSES_MASK]! + ((page & path.indexMask) << 1);
  let last = 0;
  let lastHigh = 0;
  if (lastAt === lastGuess) {
    last = words[lastGuess]!;
    lastHigh = words[lastGuess | 1]!;
  } else {
    // Read ahead goes to an entry of a table, and past the end of memory from that of a large page.
    if (path.within === 0) nested.leafTables[(page >>> 9) & GUESSES_MASK] = path.table;
    last = words[lastAt]!;
    lastHigh = words[lastAt | 1]!;
  }
  const secondRights = rightsOf(nestedFormat, last & path.low, lastHigh | path.high);
  const nestedAccess = access | USER;
  // Readable through all levels, as no entry of EPT is malformed then but for the memory type of a leaf.
  const nestedOdd =
    (~(leaves & last) & PRESENT) |
    ((leavesHigh | lastHigh) & (nestedFormat.oddHigh | FRAME_HIGH)) |
    (~leaves & markOf(nestedFormat, tableAccess)) |
    (~last & markOf(nestedFormat, nestedAccess)) |
    ((oddTypes | (oddMemoryTypes >>> ((last >>> TYPE_SHIFT) & 7))) & 1) |
    nestedRules[ruleIndex(tableAccess, tables)]! |
    nestedRules[ruleIndex(nestedAccess, secondRights)]!;
  if (nestedOdd !== 0) return fail(caches, start);
  const secondDirty = (last & nestedFormat.dirty) === nestedFormat.dirty;
  const { result } = walker;
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
  result.hostFrame = frameByLeaf(path, page, last, lastHigh);
  result.pageShift = Math.min(pageShift, path.pageShift);
  let mine = rights & (secondRights | RIGHT_USER);
  if ((secondRights & RIGHT_WRITE) !== 0 && secondDirty) mine |= (entry | wanted) & DIRTY;
  mine |=
    (entry & walker.globalBit) | (((entryHigh >>> KEY_SHIFT) & KEY_MASK) << RESULT_KEY) | (pageShift << RESULT_SHIFT);
  result.flags = mine;
  result.lowBits = allLow & 7;
  result.cachedLevel = start === 4 ? 0 : start + 1;
  result.reads = start - level + 1;
  result.nestedReads = nestedReads + path.reads;
  result.marks = marks;
  result.readable = 1;
  clearFault(result);
  return true;
}

/** RIGHTS by the AND of the low halves of all entries and the OR of the high ones. */
const rightsOf = (format: TableFormat, low: number, high: number): number =>
  // Compared, as a field that is only tested is looked at for all that can be false.
  format.ept === true ? eptRights(low) : ordinaryRights(low, high & format.noExecute);

/** Accessed and dirty bits that a leaf must have for an access. */
const markOf = (format: TableFormat, access: number): number =>
  format.accessed | ((access & WRITE) !== 0 ? format.dirty : 0);

/** Leaves the walk to the loop, which looks the address up in the caches again: that look-up is the one that counts. */
function fail(caches: PagingStructureCaches | null, start: number): boolean {
  if (caches !== null && start !== 4) caches.hits--;
  return false;
}
