// SPDX-License-Identifier: GPL-2.0-only
/**
 * The translation lookaside buffer (src/sim/tlb.ts says what it is). An entry:
 *
 *     key   |31 …                 0|   page number, low 32 bits
 *     tag   |31 … 15|14 13|12 … 0|     generation of the context, page-size class, page number bits 44:32
 *     frame |31 …                 0|   low 32 bits
 *     flags |31 … 24|20 … 16|15 … 12|8|6|2 1 0|    frame bits 39:32, shift of the page that the tables map,
 *                                                  protection key, G, D, rights U W X
 */
import { ADDRESS_BITS } from './caches';
import { keyFault, ruleIndex } from './entries';
import {
  CLASS_COUNT,
  CLASSES,
  FLAGS,
  GLOBAL_TAG,
  GLOBALS,
  GROUP_BYTES,
  GROUPS,
  HIT_FRAME,
  HOST_FRAME,
  L1,
  L1_HITS,
  L2,
  L2_HITS,
  LANE_FLAGS,
  LANE_FRAME,
  LANE_KEY,
  LANE_STAMP,
  LANE_TAG,
  MISSES,
  PAGE_SHIFT,
  PIECES,
  READABLE,
  RULES,
  SET_MASK,
  SETS,
  SHIFTS,
  TAG,
} from './layout';
import { PAGE_GLOBAL, RESULT_KEY_SHIFT, RESULT_PAGE_SHIFT_SHIFT, RIGHTS_ALL, WRITE } from './names';
import { drop, find, put, use } from './ways';

/** Where a lookup found a usable translation: HIT of src/sim/tlb.ts. */
const NO_HIT = 0;
const IN_L1 = 1;
const IN_L2 = 2;
const CLASS_SHIFT = 13;
const GENERATION_SHIFT = 15;
const FRAME_HIGH_SHIFT = 24;
/** Page-number bits in a tag. */
const PAGE_HIGH = 0x1fff;
/** From PTE.D, bit 6, to WRITE, bit 1. */
const DIRTY_TO_WRITE = 5;

/** Looks an address up for an access; HIT_FRAME is what it translates to. */
export function lookUp(tlb: usize, walker: usize, va: u64, access: i32): i32 {
  const l1 = load<usize>(tlb, L1);
  const small = findIn(tlb, l1, va, 0, 12);
  if (small !== 0 && allows(walker, access, load<i32>(small, LANE_FLAGS)))
    return hit(tlb, l1, small, va, 12, L1_HITS, IN_L1);
  const classes = load<i32>(tlb, CLASSES);
  const l2 = load<usize>(tlb, L2);
  for (let pageClass = 0; classes >>> pageClass !== 0; pageClass++) {
    if (((classes >>> pageClass) & 1) === 0) continue;
    const shift = shiftOf(tlb, pageClass);
    if (pageClass > 0) {
      const lane = findIn(tlb, l1, va, pageClass, shift);
      if (lane !== 0 && allows(walker, access, load<i32>(lane, LANE_FLAGS))) {
        return hit(tlb, l1, lane, va, shift, L1_HITS, IN_L1);
      }
    }
    if (l2 === 0) continue;
    const lane = findIn(tlb, l2, va, pageClass, shift);
    if (lane === 0) continue;
    const flags = load<i32>(lane, LANE_FLAGS);
    if (!allows(walker, access, flags)) continue;
    put(l1, load<u32>(lane, LANE_KEY), load<i32>(lane, LANE_TAG), load<i32>(lane, LANE_FRAME), flags);
    return hit(tlb, l2, lane, va, shift, L2_HITS, IN_L2);
  }
  store<u64>(tlb, load<u64>(tlb, MISSES) + 1, MISSES);
  return NO_HIT;
}

/** Keeps what the walker's last walk, of this address, reached. What cannot be read cannot be kept (EPT). */
export function fill(tlb: usize, walker: usize, va: u64): void {
  if (load<i32>(walker, READABLE) === 0) return;
  const mapped = load<i32>(walker, PAGE_SHIFT);
  let pageClass = load<i32>(tlb, CLASS_COUNT) - 1;
  while (shiftOf(tlb, pageClass) > mapped) pageClass--;
  const shift = shiftOf(tlb, pageClass);
  const flags = load<i32>(walker, FLAGS);
  const isGlobal = (flags & PAGE_GLOBAL) !== 0;
  if (pageClass > 0) store<i32>(tlb, load<i32>(tlb, CLASSES) | (1 << pageClass), CLASSES);
  if (flags >>> RESULT_PAGE_SHIFT_SHIFT > shift) store<i32>(tlb, 1, PIECES);
  if (isGlobal) store<i32>(tlb, 1, GLOBALS);
  const frame = load<u64>(walker, HOST_FRAME) - pageWithin(va, shift);
  const context = isGlobal ? load<i32>(tlb, GLOBAL_TAG) : load<i32>(tlb, TAG);
  const tag = context | tagBelow(va, pageClass, shift);
  const kept = flags | ((<i32>(frame >> 32)) << FRAME_HIGH_SHIFT);
  put(load<usize>(tlb, L1), keyOf(va, shift), tag, <i32>frame, kept);
  const l2 = load<usize>(tlb, L2);
  if (l2 !== 0) put(l2, keyOf(va, shift), tag, <i32>frame, kept);
}

/** Drops the translations of an address in two contexts: pages of each size, and all pieces of a page around it. */
export function dropAddress(tlb: usize, va: u64, tag: i32, otherTag: i32): void {
  dropIn(tlb, load<usize>(tlb, L1), va, tag, otherTag);
  const l2 = load<usize>(tlb, L2);
  if (l2 !== 0) dropIn(tlb, l2, va, tag, otherTag);
}

function dropIn(tlb: usize, ways: usize, va: u64, tag: i32, otherTag: i32): void {
  if (load<i32>(tlb, PIECES) !== 0) dropPieces(tlb, ways, va, tag, otherTag);
  const classes = load<i32>(tlb, CLASSES);
  for (let pageClass = 0; classes >>> pageClass !== 0; pageClass++) {
    const shift = shiftOf(tlb, pageClass);
    const below = tagBelow(va, pageClass, shift);
    // Both: a page can be cached as global and not, when the tables changed in between.
    drop(ways, keyOf(va, shift), tag | below);
    if (load<i32>(tlb, GLOBALS) !== 0) drop(ways, keyOf(va, shift), otherTag | below);
  }
}

/** All pieces of the page around an address go with it (SDM vol. 3A 4.10.4.1); they can stand in any set. */
function dropPieces(tlb: usize, ways: usize, va: u64, tag: i32, otherTag: i32): void {
  const page = (va & ADDRESS_BITS) >> 12;
  let group = ways + SETS;
  for (let left = (load<i32>(ways, SET_MASK) + 1) * load<i32>(ways, GROUPS); left > 0; left--) {
    for (let lane = group; lane < group + 16; lane += 4) {
      const tagOf = load<u32>(lane, LANE_TAG);
      const context = <i32>((tagOf >> GENERATION_SHIFT) << GENERATION_SHIFT);
      if (tagOf === 0 || (context !== tag && context !== otherTag)) continue;
      const number = <u64>load<u32>(lane, LANE_KEY) | ((<u64>(tagOf & PAGE_HIGH)) << 32);
      const pageClass = <i32>(tagOf >> CLASS_SHIFT) & 3;
      const first = number << (shiftOf(tlb, pageClass) - 12);
      const size = ((load<u32>(lane, LANE_FLAGS) >> RESULT_PAGE_SHIFT_SHIFT) & 0x1f) - 12;
      if (first >> size !== page >> size) continue;
      store<i32>(lane, 0, LANE_TAG);
      store<i32>(lane, 0, LANE_STAMP);
    }
    group += GROUP_BYTES;
  }
}

/** Whether an entry with these flags serves the access without a walk: a write needs D, which a walk would set. */
export function allows(walker: usize, access: i32, flags: i32): bool {
  const rights = flags & RIGHTS_ALL;
  const notDirty = access & WRITE & ~(flags >> DIRTY_TO_WRITE);
  if ((notDirty | <i32>load<u8>(walker + ruleIndex(access, rights), RULES)) !== 0) return false;
  return keyFault(walker, access, rights, (flags >>> RESULT_KEY_SHIFT) & 15) === 0;
}

function hit(tlb: usize, ways: usize, lane: usize, va: u64, shift: i32, counter: i32, where: i32): i32 {
  use(ways, lane);
  store<u64>(tlb + counter, load<u64>(tlb + counter) + 1);
  const high = (<u64>(load<u32>(lane, LANE_FLAGS) >> FRAME_HIGH_SHIFT)) << 32;
  store<u64>(tlb, (<u64>load<u32>(lane, LANE_FRAME) | high) + pageWithin(va, shift), HIT_FRAME);
  return where;
}

function findIn(tlb: usize, ways: usize, va: u64, pageClass: i32, shift: i32): usize {
  const key = keyOf(va, shift);
  const below = tagBelow(va, pageClass, shift);
  const lane = find(ways, key, load<i32>(tlb, TAG) | below);
  return lane !== 0 || load<i32>(tlb, GLOBALS) === 0 ? lane : find(ways, key, load<i32>(tlb, GLOBAL_TAG) | below);
}

function shiftOf(tlb: usize, pageClass: i32): i32 {
  return load<i32>(tlb + ((<usize>pageClass) << 2), SHIFTS);
}

/** Low 32 bits of the page number for pages of 2 ** shift bytes. */
function keyOf(va: u64, shift: i32): u32 {
  return <u32>((va & ADDRESS_BITS) >> shift);
}

function tagBelow(va: u64, pageClass: i32, shift: i32): i32 {
  return (pageClass << CLASS_SHIFT) | <i32>(((va & ADDRESS_BITS) >> shift) >> 32);
}

/** Number of the small page within a page of 2 ** shift bytes. */
function pageWithin(va: u64, shift: i32): u64 {
  return (va >> 12) & ((1 << (shift - 12)) - 1);
}
