// SPDX-License-Identifier: GPL-2.0-only
/** Accesses as a CPU performs them: the TLB, then a walk, whose result the TLB keeps. */

import { isCanonical } from './entries';
import {
  CLASS_COUNT,
  CLASSES,
  CPU_FAULT,
  CPU_FAULTS,
  CPU_FRAME,
  CPU_MARKS,
  CPU_NESTED_READS,
  CPU_READS,
  CPU_TLB,
  CPU_WALKER,
  CPU_WALKS,
  FLAGS,
  FRAME_SUM,
  GLOBALS,
  HIT_FRAME,
  HOST_FRAME,
  JOURNAL_COUNT,
  JOURNAL_ROOM,
  KEYS_ON,
  L1,
  L1_HITS,
  L2,
  L2_HITS,
  LANE_FLAGS,
  LANE_FRAME,
  MARKS,
  MISSES,
  NESTED_READS,
  PAGE_SHIFT,
  PASSES_FAULTS,
  PIECES,
  READABLE,
  READS,
  TAG,
  WINDOW,
} from './layout';
import { FAULT_NONCANONICAL, FAULT_NONE, PAGE_GLOBAL, RESULT_PAGE_SHIFT_SHIFT } from './names';
import { canWalkShort, SHORT_READS, shortWalk } from './short-walk';
import { allows, fill, lookUp } from './tlb';
import { walk } from './walk';
import { find, putAt, use } from './ways';

/** A packed event: its kind in bits 63:56, page-number bits 44:32 in bits 44:32, the rest of the number in bits 31:0. */
const KIND_SHIFT = 56;
const PAGE_HIGH = 0x1fff;
/** More marks than one access makes. */
const MARKS_AT_ONCE = 64;

/** Translates an address for an access. Returns a FAULT, whose details are in the walker's block. */
export function access(cpu: usize, va: u64, access: i32): i32 {
  const walker = load<usize>(cpu, CPU_WALKER);
  const tlb = load<usize>(cpu, CPU_TLB);
  // A canonical address is told from others by its low bits alone, which are all that the TLB compares.
  if (isCanonical(walker, va) && lookUp(tlb, walker, va, access) !== 0) {
    store<u64>(cpu, load<u64>(tlb, HIT_FRAME), CPU_FRAME);
    return FAULT_NONE;
  }
  const fault = countedWalk(cpu, walker, va, access);
  if (fault === FAULT_NONE) {
    store<u64>(cpu, load<u64>(walker, HOST_FRAME), CPU_FRAME);
    fill(tlb, walker, va);
  }
  return fault;
}

function countedWalk(cpu: usize, walker: usize, va: u64, access: i32): i32 {
  const fault = walk(walker, va, access, true);
  count(cpu, CPU_WALKS, 1);
  count(cpu, CPU_READS, load<i32>(walker, READS));
  count(cpu, CPU_NESTED_READS, load<i32>(walker, NESTED_READS));
  count(cpu, CPU_MARKS, load<i32>(walker, MARKS));
  if (fault !== FAULT_NONE) count(cpu, CPU_FAULTS, 1);
  return fault;
}

/**
 * Performs the accesses in the window from number `from` to the first that faults, or the first event that is no access, or
 * `to`. Returns where it stopped, and CPU_FAULT says whether a fault did.
 */
export function run(cpu: usize, from: i32, to: i32, user: i32): i32 {
  const walker = load<usize>(cpu, CPU_WALKER);
  const tlb = load<usize>(cpu, CPU_TLB);
  const l1 = load<usize>(tlb, L1);
  const l2 = load<usize>(tlb, L2);
  const contextTag = load<i32>(tlb, TAG);
  const passesFaults = load<i32>(cpu, PASSES_FAULTS) !== 0;
  let isPlain = holdsPlainPages(tlb, walker);
  const isShort = canWalkShort(walker);
  let sum = load<i32>(cpu, FRAME_SUM);
  let hits = 0;
  let fault = FAULT_NONE;
  let at = from;
  for (; at < to; at++) {
    const event = load<u64>(cpu + ((<usize>at) << 3), WINDOW);
    const kind = <i32>(event >> KIND_SHIFT);
    if (kind > 1) break;
    const access_ = (kind << 1) | user;
    if (isPlain) {
      const page = <u32>event;
      const tag = contextTag | (<i32>(event >> 32) & PAGE_HIGH);
      const first = find(l1, page, tag);
      if (first !== 0 && allows(walker, access_, load<i32>(first, LANE_FLAGS))) {
        use(l1, first);
        hits++;
        sum += load<i32>(first, LANE_FRAME);
        continue;
      }
      const second = find(l2, page, tag);
      if (second !== 0 && allows(walker, access_, load<i32>(second, LANE_FLAGS))) {
        use(l2, second);
        count(tlb, L2_HITS, 1);
        const frame = load<i32>(second, LANE_FRAME);
        putAt(l1, first, page, tag, frame, load<i32>(second, LANE_FLAGS));
        sum += frame;
        continue;
      }
      const va = addressOf(event);
      // After a large page the next one is likely to be large as well, and no way leads to it.
      if (isShort && load<i32>(walker, PAGE_SHIFT) <= 12 && shortWalk(walker, va, access_)) {
        count(cpu, CPU_WALKS, 1);
        count(cpu, CPU_READS, SHORT_READS);
        fault = FAULT_NONE;
      } else fault = countedWalk(cpu, walker, va, access_);
      if (fault !== FAULT_NONCANONICAL) count(tlb, MISSES, 1);
      if (fault === FAULT_NONE) {
        const frame = load<u64>(walker, HOST_FRAME);
        sum += <i32>frame;
        if (keepsPlain(tlb, walker, frame)) {
          const flags = load<i32>(walker, FLAGS);
          putAt(l2, second, page, tag, <i32>frame, flags);
          putAt(l1, first, page, tag, <i32>frame, flags);
        } else {
          fill(tlb, walker, va);
          isPlain = holdsPlainPages(tlb, walker);
        }
      }
    } else {
      fault = access(cpu, addressOf(event), access_);
      if (fault === FAULT_NONE) sum += load<i32>(cpu, CPU_FRAME);
    }
    if (fault !== FAULT_NONE) {
      if (!passesFaults) break;
      fault = FAULT_NONE;
    }
    if (load<i32>(JOURNAL_COUNT) > JOURNAL_ROOM - MARKS_AT_ONCE) {
      at++;
      break;
    }
  }
  store<i32>(cpu, sum, FRAME_SUM);
  store<i32>(cpu, fault, CPU_FAULT);
  count(tlb, L1_HITS, hits);
  return at;
}

/** Whether an address in the TLB can only be there as a small page of one context, for which no keys are in force. */
function holdsPlainPages(tlb: usize, walker: usize): bool {
  return (
    load<usize>(tlb, L2) !== 0 &&
    load<i32>(tlb, CLASSES) === 1 &&
    load<i32>(tlb, GLOBALS) === 0 &&
    load<i32>(walker, KEYS_ON) === 0
  );
}

/** Whether `fill` would keep the last walk's result as such a page, with a frame of 32 bits. */
function keepsPlain(tlb: usize, walker: usize, frame: u64): bool {
  const flags = load<i32>(walker, FLAGS);
  if ((flags & PAGE_GLOBAL) !== 0 || load<i32>(walker, READABLE) === 0 || frame >> 32 !== 0) return false;
  if (load<i32>(walker, PAGE_SHIFT) !== 12 && load<i32>(tlb, CLASS_COUNT) > 1) return false;
  if (flags >>> RESULT_PAGE_SHIFT_SHIFT > 12) store<i32>(tlb, 1, PIECES);
  return true;
}

/** Address of a packed event, its sign extended from bit 56. */
function addressOf(event: u64): u64 {
  return <u64>(<i64>(event << 19) >> 7);
}

function count(cpu: usize, counter: i32, by: i32): void {
  store<u64>(cpu + counter, load<u64>(cpu + counter) + by);
}
