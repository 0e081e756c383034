// SPDX-License-Identifier: GPL-2.0-only
/**
 * The hardware page walk. An address is cut into one index for each table and an offset into the page:
 *
 *     5-level  |63..57|56 … 48|47 … 39|38 … 30|29 … 21|20 … 12|11 … 0|
 *               sign   level 5 level 4 level 3 level 2 level 1 offset
 *     4-level  |63..48        |47 … 39|38 … 30|29 … 21|20 … 12|11 … 0|
 *     PAE                             |31..30 |29 … 21|20 … 12|11 … 0|    level 3 = the four PDPTEs
 *     32-bit                                  |31 … 22|21 … 12|11 … 0|    1024 entries of 4 bytes
 *
 *     a leaf at level 3 (1 GiB) keeps bits 29:0 as the offset, at level 2 bits 20:0 (2 MiB) or 21:0 (4 MiB)
 *
 * and one loop goes from the root down, reading one entry in each table:
 *
 *     entry (64 bits)  |63|62..59|58..52|51 …  12|11..9|8|7 |6|5|4  |3  |2|1|0|
 *                       NX key           frame          G PS D A PCD PWT U W P
 *     EPT entry        |63 …     52     |51 …  12|11..10|9|8|7 |6|5..3       |2|1|0|
 *                                        frame          D A PS    memory type X W R
 *
 * At each level: present? reserved bits clear? then, on the way to the next table, the accessed bit is set; at the leaf
 * the rights of all levels together decide, and only an allowed access sets accessed and dirty there. So a walk that
 * faults has marked the levels it passed. Manuals leave that open (SDM vol. 3A 4.8, APM vol. 2 5.4.2); this simulator
 * claims this level-by-level order, which is QEMU's, and the recorded walks are compared with it exactly.
 *
 * With nested tables (two-dimensional paging) every frame that the loop meets is a guest frame. The nested tables, walked
 * by the same loop, turn it into a host frame: once for each table and once for the result. With g guest and h nested
 * levels and small pages that is (g + 1)(h + 1) - 1 entries. A guest leaf is marked before its frame is translated.
 */
import { keep, lookUp } from './caches';
import {
  eptRights,
  frameIn,
  frameOfPse36,
  isCanonical,
  isMalformed,
  keyFault,
  keyOf,
  leafFlags,
  ordinaryRights,
  ruleIndex,
} from './entries';
import { nestedFault, pageFault, refuseMark, stop } from './faults';
import { guestPathFor, isStillReached, openLeaf, rememberGuest } from './guest-paths';
import {
  ACCESSED,
  BARE_ACCESSED,
  CACHED_LEVEL,
  CACHES,
  CACHES_FRAME,
  CACHES_HIGH,
  CACHES_LOW,
  DIRTY,
  ENTRY_BYTES,
  ENTRY_GPA,
  FAULT,
  FAULT_GPA,
  FLAGS,
  FRAME,
  HAS_PDPTES,
  HOST_FRAME,
  IS_EPT,
  IS_SIMPLE,
  LARGE_LEVELS,
  LEVEL,
  LEVELS,
  LOW_BITS,
  MARKS,
  NESTED,
  NESTED_READS,
  NO_EXECUTE,
  PAGE_SHIFT,
  PDPTES,
  PRESENT,
  READABLE,
  READS,
  RESERVED,
  ROOT_BYTE,
  ROOT_FRAME,
  RULES,
  TABLE_ACCESS,
  TABLE_RIGHTS,
  UNCOVERED_HIGH,
} from './layout';
import { pageAt, writeMarked } from './memory';
import {
  CAUSE_NONE,
  CAUSE_NP,
  CAUSE_PK,
  CAUSE_RSVD,
  FAULT_NONCANONICAL,
  FAULT_NONE,
  PAGE_DIRTY,
  PAGE_LARGE,
  PAGE_PRESENT,
  RESULT_KEY_SHIFT,
  RESULT_PAGE_SHIFT_SHIFT,
  RIGHTS_ALL,
  RIGHTS_U,
  RIGHTS_W,
  STAGE_FINAL,
  STAGE_TABLE,
  USER,
  WRITE,
} from './names';
import { isKnown, leafAt, lowOf, noExecuteOf, pathFor, remember } from './paths';

/** A page-size bound for addresses that are not translated at all. */
const UNTRANSLATED_SHIFT = 30;
/** Where no entry is. */
const NOWHERE: usize = usize.MAX_VALUE;

/**
 * How many dimensions a walk has, for the compiler: it makes a form of each function below for either, told apart by the size
 * of a type. Nested tables have one dimension, so none of them calls itself.
 */
type One = u8;
type Two = u16;

function isTwo<D>(): bool {
  return sizeof<D>() === 2;
}

/** Translates an address for an access, marks entries when told to, and leaves all that there is to say in the walker's block. */
export function walk(walker: usize, va: u64, access: i32, mark: bool): i32 {
  if (load<usize>(walker, NESTED) === 0) return walkIn<One>(walker, va, access, mark);
  return walkIn<Two>(walker, va, access, mark);
}

function walkIn<D>(walker: usize, va: u64, access: i32, mark: bool): i32 {
  const zeros = i32x4.splat(0);
  v128.store(walker, zeros, FAULT);
  v128.store(walker, zeros, LEVEL);
  v128.store(walker, zeros, CACHED_LEVEL);
  v128.store(walker, i32x4(0, 0, 1, 0), FAULT_GPA); // and READABLE
  if (!isCanonical(walker, va)) return stop(walker, FAULT_NONCANONICAL);
  if ((<i32>(va >> 32) & load<i32>(walker, UNCOVERED_HIGH)) !== 0) return pageFault(walker, CAUSE_NP, access, 0);
  const levels = load<i32>(walker, LEVELS);
  const frame = load<u64>(walker, ROOT_FRAME);
  if (load<i32>(walker, IS_SIMPLE) !== 0) return descend<D>(walker, va, frame, levels, access, mark);
  if (levels === 0) return untranslated<D>(walker, va, access, mark);
  if (load<i32>(walker, ENTRY_BYTES) === 4) return descendNarrow<D>(walker, va, access, mark);
  return throughPdpte<D>(walker, va, access, mark);
}

/** PAE paging: the PDPTE, in a register or in memory, has neither rights nor, on most CPUs, an accessed bit. */
function throughPdpte<D>(walker: usize, va: u64, access: i32, mark: bool): i32 {
  const byte = (<usize>(<u32>va >> 30)) << 3;
  store<i32>(walker, 3, LEVEL);
  if (load<i32>(walker, HAS_PDPTES) !== 0) {
    const pdpte = load<u64>(walker + byte, PDPTES);
    if ((pdpte & PAGE_PRESENT) === 0) return pageFault(walker, CAUSE_NP, access, 0);
    return descend<D>(walker, va, frameIn(pdpte), 2, access, mark);
  }
  const at = entryAt<D>(walker, load<u64>(walker, ROOT_FRAME), load<i32>(walker, ROOT_BYTE) + <i32>byte, mark);
  if (at === NOWHERE) {
    store<i32>(walker, 0, LEVEL);
    return load<i32>(walker, FAULT);
  }
  store<i32>(walker, 1, READS);
  const pdpte = load<u64>(at);
  if ((pdpte & PAGE_PRESENT) === 0) return pageFault(walker, CAUSE_NP, access, 0);
  if ((pdpte & load<u64>(walker + (3 << 4), RESERVED)) !== 0) return pageFault(walker, CAUSE_RSVD, access, 0);
  const marked = pdpte | load<u64>(walker, BARE_ACCESSED);
  if (marked !== pdpte && !setBits<D>(walker, at, marked, 8, mark)) return refuseMark(walker);
  return descend<D>(walker, va, frameIn(pdpte), 2, access, mark);
}

/**
 * Goes down through tables of 64-bit entries, the first of which is that of `level` at `frame`. Masks are read where they
 * are used: a processor has no registers for them all.
 */
function descend<D>(walker: usize, va: u64, frame: u64, level: i32, access: i32, mark: bool): i32 {
  // AND of the low three bits and OR of whole entries, from the root on.
  let low = 7;
  let any: u64 = 0;
  const caches: usize = mark ? load<usize>(walker, CACHES) : 0;
  if (caches !== 0) {
    const cached = lookUp(caches, va, level);
    if (cached !== 0) {
      store<i32>(walker, cached, CACHED_LEVEL);
      level = cached - 1;
      frame = load<u64>(caches, CACHES_FRAME);
      low = load<i32>(caches, CACHES_LOW);
      any = load<u64>(caches, CACHES_HIGH);
    }
  }
  const start = level;
  const root = frame;
  let path: usize = 0;
  let at: usize = 0;
  if (level === 4 && caches === 0) {
    path = isTwo<D>() ? guestPathFor(walker, va, root) : pathFor(walker, va, root);
    if (isKnown(path, va, root) && (!isTwo<D>() || isStillReached(path, load<usize>(walker, NESTED)))) {
      level = 1;
      low = lowOf(path);
      any = noExecuteOf(path);
      at = leafAt(path, va);
      if (isTwo<D>()) {
        store<i32>(walker, 4 * 4, NESTED_READS);
        // So no mark is refused, and nobody asks where the entry is.
        store<i32>(walker, RIGHTS_ALL, TABLE_RIGHTS);
      }
      path = 0;
    }
  }
  while (true) {
    if (at === 0) at = entryAt<D>(walker, frame, (<i32>(va >> (3 + 9 * level)) & 0x1ff) << 3, mark);
    if (at === NOWHERE) {
      if (level < start) passed(walker, start, level + 1, low);
      return load<i32>(walker, FAULT);
    }
    const entry = load<u64>(at);
    if ((entry & load<u64>(walker, PRESENT)) === 0) {
      // An entry that is not present has none of EPT's three bits, and none may be left in the AND of them.
      passed(walker, start, level, 0);
      return pageFault(walker, CAUSE_NP, access, 0);
    }
    const large = (entry & PAGE_LARGE) !== 0 ? (load<i32>(walker, LARGE_LEVELS) >> level) & 1 : 0;
    const isLeaf = (large | i32(level === 1)) !== 0;
    const reserved = load<u64>(walker + ((<usize>((level << 1) | large)) << 3), RESERVED);
    if ((entry & reserved) !== 0 || isMalformed(walker, <i32>entry, isLeaf)) {
      passed(walker, start, level, level < start ? low : 0);
      return pageFault(walker, CAUSE_RSVD, access, 0);
    }
    low &= <i32>entry;
    any |= entry;
    if (isLeaf) {
      passed(walker, start, level, low);
      if (path !== 0 && level === 1 && mark) {
        if (isTwo<D>()) rememberGuest(path, load<usize>(walker, NESTED), va, root);
        else remember(path, va, root);
      }
      return leaf<D>(walker, va, access, mark, at, entry, low, any, 3 + 9 * level);
    }
    const marked = entry | load<u64>(walker, ACCESSED);
    if (marked !== entry && !setBits<D>(walker, at, marked, 8, mark)) {
      passed(walker, start, level, low);
      return refuseMark(walker);
    }
    frame = frameIn(entry);
    if (caches !== 0) keep(caches, va, level, frame, low, any);
    level--;
    at = 0;
  }
}

/** The two levels of 32-bit entries. */
function descendNarrow<D>(walker: usize, va: u64, access: i32, mark: bool): i32 {
  let frame = load<u64>(walker, ROOT_FRAME);
  let low = 7;
  let level = 2;
  while (true) {
    const shift = 2 + 10 * level;
    const at = entryAt<D>(walker, frame, (<i32>(<u32>va >> shift) & 0x3ff) << 2, mark);
    if (at === NOWHERE) {
      if (level < 2) passed(walker, 2, 2, low);
      return load<i32>(walker, FAULT);
    }
    const entry: u64 = load<u32>(at);
    if ((entry & PAGE_PRESENT) === 0) {
      passed(walker, 2, level, 0);
      return pageFault(walker, CAUSE_NP, access, 0);
    }
    const large = (entry & PAGE_LARGE) !== 0 ? (load<i32>(walker, LARGE_LEVELS) >> level) & 1 : 0;
    if ((entry & load<u64>(walker + ((<usize>((level << 1) | large)) << 3), RESERVED)) !== 0) {
      passed(walker, 2, level, level < 2 ? low : 0);
      return pageFault(walker, CAUSE_RSVD, access, 0);
    }
    low &= <i32>entry;
    if ((large | i32(level === 1)) !== 0) {
      passed(walker, 2, level, low);
      return leaf<D>(walker, va, access, mark, at, entry, low, 0, shift);
    }
    const marked = entry | load<u64>(walker, ACCESSED);
    if (marked !== entry && !setBits<D>(walker, at, marked, 4, mark)) {
      passed(walker, 2, level, low);
      return refuseMark(walker);
    }
    frame = frameIn(entry);
    level--;
  }
}

/** Where the entry at a byte of a table is, or NOWHERE when the nested tables refuse it and the walker's block says so. */
function entryAt<D>(walker: usize, frame: u64, byte: i32, mark: bool): usize {
  if (!isTwo<D>()) return pageAt(frame) + byte;
  const nested = load<usize>(walker, NESTED);
  const gpa = (frame << 12) + byte;
  store<u64>(walker, gpa, ENTRY_GPA);
  const leaf = openLeaf(nested, frame, load<i32>(nested, TABLE_ACCESS));
  if (leaf !== 0) {
    store<i32>(walker, load<i32>(walker, NESTED_READS) + 4, NESTED_READS);
    store<i32>(walker, RIGHTS_ALL, TABLE_RIGHTS);
    return pageAt(frameIn(leaf)) + byte;
  }
  const fault = walkNested(walker, nested, frame, load<i32>(nested, TABLE_ACCESS), mark);
  store<i32>(walker, load<i32>(nested, FLAGS), TABLE_RIGHTS);
  if (fault === FAULT_NONE) return pageAt(load<u64>(nested, FRAME)) + byte;
  nestedFault(walker, nested, STAGE_TABLE, gpa);
  return NOWHERE;
}

/** Says how far a walk has come: from level `start` to `level`, and the AND of low bits on the way. */
function passed(walker: usize, start: i32, level: i32, low: i32): void {
  store<i32>(walker, level, LEVEL);
  store<i32>(walker, load<i32>(walker, READS) + start - level + 1, READS);
  store<i32>(walker, low, LOW_BITS);
}

/** At the leaf: decides, marks, and translates the frame further when there are nested tables. */
function leaf<D>(
  walker: usize,
  va: u64,
  access: i32,
  mark: bool,
  at: usize,
  entry: u64,
  low: i32,
  any: u64,
  shift: i32,
): i32 {
  const isEpt = load<i32>(walker, IS_EPT) !== 0;
  const bytes = load<i32>(walker, ENTRY_BYTES);
  const rights = isEpt ? eptRights(low) : ordinaryRights(low, any & load<u64>(walker, NO_EXECUTE));
  const key = keyOf(walker, entry);
  store<i32>(walker, rights | (key << RESULT_KEY_SHIFT), FLAGS);
  const forbidden = keyFault(walker, access, rights, key);
  const cause = <i32>load<u8>(walker + ruleIndex(access, rights), RULES);
  if ((cause | forbidden) !== 0) return pageFault(walker, cause !== CAUSE_NONE ? cause : CAUSE_PK, access, forbidden);
  const dirty = load<u64>(walker, DIRTY);
  const marked = entry | load<u64>(walker, ACCESSED) | ((access & WRITE) !== 0 ? dirty : 0);
  if (marked !== entry && !setBits<D>(walker, at, marked, bytes, mark)) return refuseMark(walker);
  store<i32>(walker, leafFlags(walker, marked, rights, shift), FLAGS);
  store<i32>(walker, shift, PAGE_SHIFT);
  store<i32>(walker, i32(!isEpt || (rights & RIGHTS_U) !== 0), READABLE);
  const within: u64 = (1 << (shift - 12)) - 1;
  const first = bytes === 4 && shift === 22 ? frameOfPse36(entry) : frameIn(entry) & ~within;
  return secondDimension<D>(walker, va, first + ((va >> 12) & within), access, mark);
}

/** Paging is off: an address is a physical one. */
function untranslated<D>(walker: usize, va: u64, access: i32, mark: bool): i32 {
  store<i32>(walker, RIGHTS_ALL | PAGE_DIRTY | (12 << RESULT_PAGE_SHIFT_SHIFT), FLAGS);
  store<i32>(walker, UNTRANSLATED_SHIFT, PAGE_SHIFT);
  return secondDimension<D>(walker, va, <u64>(<u32>va >> 12), access, mark);
}

/** The second dimension for the frame that these tables gave, and what both together allow. */
function secondDimension<D>(walker: usize, va: u64, frame: u64, access: i32, mark: bool): i32 {
  store<u64>(walker, frame, FRAME);
  store<u64>(walker, frame, HOST_FRAME);
  if (!isTwo<D>()) return FAULT_NONE;
  const nested = load<usize>(walker, NESTED);
  const leaf = openLeaf(nested, frame, access);
  if (leaf !== 0) {
    const dirty = load<u64>(nested, DIRTY);
    store<i32>(walker, load<i32>(walker, NESTED_READS) + 4, NESTED_READS);
    store<u64>(walker, frameIn(leaf), HOST_FRAME);
    store<i32>(walker, 12, PAGE_SHIFT);
    if ((leaf & dirty) !== dirty) store<i32>(walker, load<i32>(walker, FLAGS) & ~PAGE_DIRTY, FLAGS);
    return FAULT_NONE;
  }
  if (walkNested(walker, nested, frame, access | USER, mark) !== FAULT_NONE) {
    return nestedFault(walker, nested, STAGE_FINAL, (frame << 12) | (va & 0xfff));
  }
  store<u64>(walker, load<u64>(nested, FRAME), HOST_FRAME);
  store<i32>(walker, <i32>min(load<i32>(walker, PAGE_SHIFT), load<i32>(nested, PAGE_SHIFT)), PAGE_SHIFT);
  // A supervisor may write with WP clear whatever its own tables say, but never past the nested ones: only "dirty" keeps a
  // cached translation from being used for that.
  const second = load<i32>(nested, FLAGS);
  const writable = (second & RIGHTS_W) !== 0 ? PAGE_DIRTY : 0;
  const kept = ~(PAGE_DIRTY | RIGHTS_ALL) | (second & writable) | (second & RIGHTS_ALL) | RIGHTS_U;
  store<i32>(walker, load<i32>(walker, FLAGS) & kept, FLAGS);
  store<i32>(walker, load<i32>(nested, READABLE), READABLE);
  return FAULT_NONE;
}

function walkNested(walker: usize, nested: usize, frame: u64, access: i32, mark: bool): i32 {
  const fault = walkIn<One>(nested, frame << 12, access, mark);
  store<i32>(walker, load<i32>(walker, NESTED_READS) + load<i32>(nested, READS), NESTED_READS);
  store<i32>(walker, load<i32>(walker, MARKS) + load<i32>(nested, MARKS), MARKS);
  return fault;
}

/** Writes an entry with more bits set. False: the nested tables forbid the write. */
function setBits<D>(walker: usize, at: usize, entry: u64, bytes: i32, mark: bool): bool {
  // Only EPT without marks of its own gets here without the write right: NPT asks for it on every table.
  if (isTwo<D>() && (load<i32>(walker, TABLE_RIGHTS) & RIGHTS_W) === 0) return false;
  if (!mark) return true;
  writeMarked(at, entry, bytes);
  store<i32>(walker, load<i32>(walker, MARKS) + 1, MARKS);
  return true;
}
