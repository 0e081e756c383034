// SPDX-License-Identifier: GPL-2.0-only
/**
 * The walk of src/sim/walk.ts, level after level without a loop, for the four-level tables of ordinary paging. Together
 * with src/sim/straight-nested-walk.ts, which has nested tables underneath, it does most of the walks of a replay.
 *
 * A straight walk serves a walk that succeeds. It reads first, judges once, and writes last: every entry is loaded on the
 * way (memory that is absent reads as entries that are not present), the entries' bits are gathered as ANDs and ORs, one
 * test at the end decides, and only then are entries marked and results stored. Anything out of the ordinary, each fault
 * among it, makes it answer false with nothing changed, and the loop walks again from the start.
 *
 * Marks are set in the order of levels, on what each entry holds by then, so that a table which is its own entry is
 * marked once. No page is a table of both dimensions at a time; the loop alone would be exact for one.
 */
import { ruleIndex } from './access-rules.ts';
import { ordinaryRights, pageWithin, tableFrame } from './entries.ts';
import { ACCESS, PTE, PTE_HIGH } from './paging-bits.ts';
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
import type { Walker } from './walk.ts';
import { RESULT_KEY_SHIFT, RESULT_PAGE_SHIFT_SHIFT } from './walk-result.ts';

// Copies: see src/sim/straight-parts.ts.
const { P: PRESENT, A: ACCESSED, D: DIRTY, PS: LARGE } = PTE;
const { WRITE } = ACCESS;
const { KEY_SHIFT, KEY_MASK } = PTE_HIGH;
const FRAME_HIGH = LARGE_FRAME_HIGH;
const RESULT_KEY = RESULT_KEY_SHIFT;
const RESULT_SHIFT = RESULT_PAGE_SHIFT_SHIFT;
const WRITE_TO_D = WRITE_TO_DIRTY;
const OTHERS = OTHER_BITS;
const GUESSES_MASK = TABLES_MASK;

/**
 * Walks four-level tables whose frames are host frames. True: done, and `walker.result` holds a walk without fault.
 * False: nothing happened.
 */
export function walkStraight(walker: Walker, lo: number, hi: number, access: number): boolean {
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
  // OR of the entries of levels 4 and 3, and of all that point to tables.
  let upper = 0;
  let pointersHigh = 0;
  let at4 = 0;
  let low4 = 0;
  let high4 = 0;
  let frame3 = 0;
  if (level === 4) {
    at4 = pageWords(memory, frame) + (((hi >>> 7) & 0x1ff) << 1);
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
    at3 = (pageWords(memory, frame) + ((((lo >>> 30) | (hi << 2)) & 0x1ff) << 1)) | 0;
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
    at = (pageWords(memory, frame) + (((lo >>> 21) & 0x1ff) << 1)) | 0;
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
    const table = pageWords(memory, frame);
    const region = ((lo >>> 21) | (hi << 11)) & GUESSES_MASK;
    const guess = walker.leafTables[region]! + (((lo >>> 12) & 0x1ff) << 1);
    at = table + (((lo >>> 12) & 0x1ff) << 1);
    // Not the same to a processor: where the guess is right, it has read the leaf while the tables above were on their way.
    if (at === guess) {
      entry = words[guess]!;
      entryHigh = words[guess | 1]!;
    } else {
      walker.leafTables[region] = table;
      entry = words[at]!;
      entryHigh = words[at | 1]!;
    }
  }
  const allLow = low & entry;
  const allHigh = high | entryHigh;
  const rights = ordinaryRights(allLow, allHigh & format.noExecute);
  odd |= (pointersHigh & FRAME_HIGH) | (allHigh & format.oddHigh) | (~allLow & PRESENT) | walker.keysOn;
  if ((odd | walker.rules[ruleIndex(access, rights)]!) !== 0) {
    // The loop looks it up again, and its look-up is the one that counts.
    if (caches !== null && start !== 4) caches.hits--;
    return false;
  }
  const { result } = walker;
  const wanted = ACCESSED | ((access & WRITE) << WRITE_TO_D);
  let marks = 0;
  if ((low & ACCESSED) === 0 || (entry & wanted) !== wanted) {
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
  let page: number;
  if ((entryHigh & FRAME_HIGH) === 0) page = smallFrame(entry, entryHigh);
  else page = tableFrame(entry, entryHigh);
  if (level === 2) page = page - (page % 512) + pageWithin(lo, 21);
  result.level = level;
  result.frame = page;
  result.hostFrame = page;
  result.pageShift = pageShift;
  result.flags =
    rights |
    ((entry | wanted) & DIRTY) |
    (entry & walker.globalBit) |
    (((entryHigh >>> KEY_SHIFT) & KEY_MASK) << RESULT_KEY) |
    (pageShift << RESULT_SHIFT);
  result.lowBits = allLow & 7;
  result.cachedLevel = start === 4 ? 0 : start + 1;
  result.reads = start - level + 1;
  result.nestedReads = 0;
  result.marks = marks;
  result.readable = 1;
  clearFault(result);
  return true;
}

/**
 * Reads the entries that a walk would read last, by guesses, and nothing else happens: memory that is read ahead for several
 * accesses at a time arrives together. What it returns means nothing.
 */
export function readAhead(walker: Walker, lo: number, hi: number): number {
  const { nested, leafTables } = walker;
  const { words } = walker.memory;
  const at = leafTables[((lo >>> 21) | (hi << 11)) & GUESSES_MASK]! + (((lo >>> 12) & 0x1ff) << 1);
  const entry = words[at]!;
  if (nested === null) return entry;
  const frame = smallFrame(entry, words[at | 1]!);
  return words[nested.leafTables[(frame >>> 9) & GUESSES_MASK]! + ((frame & 511) << 1)]!;
}
