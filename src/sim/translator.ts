// SPDX-License-Identifier: GPL-2.0-only
import { ACCESS } from './paging-bits.ts';
import { walkStraightNested } from './straight-nested-walk.ts';
import { readAhead, walkStraight } from './straight-walk.ts';
import { HIT, type Tlb } from './tlb.ts';
import { ENTRY, HINT_MASK, signatures, type TlbLevel, withByte } from './tlb-level.ts';
import type { Walker } from './walk.ts';
import { FAULT } from './walk-result.ts';

/** Page-number bits 44:32 in the second word of a packed access. */
const PAGE_HIGH = 0x1fff;
const KIND_SHIFT = 24;
// Copies, as imported constants are read anew at each use.
const { WRITE } = ACCESS;
const { TAG, FRAME, FLAGS, STAMP, QUEUED, NEXT } = ENTRY;
const HINTS = HINT_MASK;
/** As in `equalBytes` of src/sim/tlb-level.ts. */
const ONES = 0x01010101;
const TOPS = 0x80808080 | 0;
/** Accesses in one go: counts of one stay small integers. */
const LONGEST_RUN = 1 << 24;
/** Accesses that are read ahead together, while more than half of them walk. */
const BLOCK = 8;

/** High half of the address in a packed access, with bits 63:57 as bit 56. */
export const addressHighOf = (page: number, word: number): number => (page >>> 20) | ((word << 19) >> 7);

/**
 * One access as a CPU performs it: the TLB, then a walk, whose result the TLB keeps. A fault leaves cached translations
 * alone; what a CPU drops besides is its own affair (SDM vol. 3A 4.10.4.1 lets it drop anything at any time).
 */
export class Translator {
  readonly tlb: Tlb;
  readonly walker: Walker;
  /** Host frame that the last access reached. A double. */
  frame = 0;
  walks = 0;
  faults = 0;
  /** Entries read: in the tables of the walker, and in nested ones. */
  reads = 0;
  nestedReads = 0;
  /** Entries written to mark them accessed or dirty. */
  marks = 0;
  /** FAULT of the access where the last `run` stopped, NONE when no fault stopped it; details are in `walker.result`. */
  fault: number = FAULT.NONE;
  /** Sum of the frames that `run` reached, modulo 2 ** 32 and signed: two runs that translate alike have the same. */
  frameSum = 0;
  /** Keeps what was read ahead from being optimised away. */
  readTwice = 0;
  constructor(tlb: Tlb, walker: Walker) {
    if (tlb.caches !== walker.caches) throw new Error('translator: TLB and walker have different upper-level caches');
    this.tlb = tlb;
    this.walker = walker;
  }

  /** Takes over what another one of the same shape has cached and counted; its tables stay its own. */
  copyFrom(other: Translator): void {
    this.tlb.copyFrom(other.tlb);
    this.walks = other.walks;
    this.faults = other.faults;
    this.reads = other.reads;
    this.nestedReads = other.nestedReads;
    this.marks = other.marks;
    this.frameSum = other.frameSum;
  }

  /** Translates an address for an access (ACCESS bits). Returns a FAULT; details of one are in `walker.result`. */
  access(lo: number, hi: number, access: number): number {
    const { tlb, walker } = this;
    // A canonical address is told from others by its low bits alone, which are all that the TLB compares.
    if (walker.isCanonical(hi) && tlb.lookup(lo, hi, access, walker) !== HIT.NONE) {
      this.frame = tlb.frame;
      return FAULT.NONE;
    }
    const fault = this.#walk(lo, hi, access);
    if (fault === FAULT.NONE) tlb.fill(lo, hi, walker);
    return fault;
  }

  /**
   * Performs accesses of a packed trace, each as `access` would, from number `from` to the first that faults, or the first
   * event that is no access, or `to`. Returns where it stopped, and `fault` says whether a fault did. Two words an access:
   * bits 31:0 of the page number; and its bits 44:32, with 0 (read) or 1 (write) in bits 31:24. `user` is ACCESS.USER or 0.
   */
  run(trace: Int32Array, from: number, to: number, user: number): number {
    const { l1, l2 } = this.tlb;
    this.fault = FAULT.NONE;
    if (l1.ways !== 4 || l2 === null) return this.#runSlowly(trace, from, to, user);
    let at = from;
    for (;;) {
      const end = to - at > LONGEST_RUN ? at + LONGEST_RUN : to;
      at = this.#runQuickly(trace, at, end, user, l1, l2);
      if (at !== end || end === to) return at;
    }
  }

  /** For a first level of four ways, whose entries stand eight words apart (ENTRY_SHIFT). */
  #runQuickly(trace: Int32Array, from: number, to: number, user: number, l1: TlbLevel, l2: TlbLevel): number {
    const { tlb, walker } = this;
    const { entries, heads, hints, clockEnd } = l1;
    const { entries: entries2, hints: hints2, clockEnd: clockEnd2 } = l2;
    const { heads: heads2, headWords: headWords2, ways: ways2, wayBits: wayBits2 } = l2;
    const setMask2 = l2.sets - 1;
    const wayMask2 = (1 << wayBits2) - 1;
    const { rules, keysOn, nested, result } = walker;
    const setMask = l1.sets - 1;
    const straight = walker.straightDimensions;
    // Without canonical addresses all are: a sign is its own sign.
    const canonicalShift = walker.format.canonicalShift < 0 ? 31 : walker.format.canonicalShift;
    let { contextTag } = tlb;
    let isPlain = tlb.isPlain ? 1 : 0;
    let { clock } = l1;
    let clock2 = l2.clock;
    let sum = this.frameSum;
    let hits = 0;
    let hits2 = 0;
    let walks = 0;
    let reads = 0;
    let nestedReads = 0;
    let marks = 0;
    let at = from;
    let ahead = from;
    let misses = 0;
    for (; at < to; at++) {
      if (at === ahead) {
        ahead = (at + BLOCK) | 0;
        if (misses > BLOCK >> 1 && ahead <= to && result.level === 1) this.#readAhead(trace, at);
        misses = 0;
      }
      const page = trace[at << 1]!;
      const word = trace[(at << 1) | 1]!;
      const kind = word >>> KIND_SHIFT;
      if (kind > 1) break;
      const access = (kind << 1) | user;
      const tag = contextTag | (word & PAGE_HIGH);
      // Most hits are where the page was put last; that look needs no search over the ways.
      let entry: number = hints[page & HINTS]!;
      let isFound = entries[entry << 3] === page && entries[(entry << 3) | TAG] === tag;
      let wanted = 0;
      if (!isFound) {
        wanted = signatures(page, tag);
        // Nearly always no signature of the four ways is equal.
        const different = heads[((page & setMask) << 1) | 1]! ^ wanted;
        if (((different - ONES) & ~different & TOPS) !== 0) {
          entry = l1.search(page, tag, wanted);
          isFound = entry >= 0;
        }
      }
      let isOdd = 0;
      if (isFound) {
        const flags = entries[(entry << 3) | FLAGS]!;
        // As Tlb.lookup decides, for entries without protection keys in force and with a frame of 32 bits.
        isOdd = keysOn | (flags >>> 24);
        const refused = (access & WRITE & ~(flags >>> 5)) | rules[(access << 3) | (flags & 7)]! | isOdd;
        if (refused === 0 && clock < clockEnd) {
          clock = (clock + 1) | 0;
          entries[(entry << 3) | STAMP] = (clock << 2) | (entry & 3);
          hits = (hits + 1) | 0;
          sum = (sum + entries[(entry << 3) | FRAME]!) | 0;
          continue;
        }
      }
      const lo = page << 12;
      const hi = addressHighOf(page, word);
      // What only `access` can judge, and a clock that is to be set back.
      if (
        isPlain === 0 ||
        isOdd !== 0 ||
        clock >= clockEnd ||
        clock2 >= clockEnd2 ||
        hi >> canonicalShift !== hi >> 31
      ) {
        l1.clock = clock;
        l2.clock = clock2;
        const fault = this.access(lo, hi, access);
        ({ contextTag } = tlb);
        isPlain = tlb.isPlain ? 1 : 0;
        ({ clock } = l1);
        clock2 = l2.clock;
        if (fault !== FAULT.NONE) {
          this.fault = fault;
          break;
        }
        sum = (sum + this.frame) | 0;
        continue;
      }
      let second: number = hints2[page & HINTS]!;
      if (entries2[second << 3] !== page || entries2[(second << 3) | TAG] !== tag) {
        if (isFound) wanted = signatures(page, tag);
        let equal = 0;
        const head = Math.imul(page & setMask2, headWords2);
        for (let i = 1; i < headWords2; i++) {
          const different = heads2[head + i]! ^ wanted;
          equal |= (different - ONES) & ~different;
        }
        second = (equal & TOPS) === 0 ? -1 : l2.search(page, tag, wanted);
      }
      let frame = 0;
      let flags = 0;
      let serves = false;
      if (second >= 0) {
        flags = entries2[(second << 3) | FLAGS]!;
        const refused = (access & WRITE & ~(flags >>> 5)) | rules[(access << 3) | (flags & 7)]!;
        serves = refused === 0 && (keysOn === 0 || walker.keyFault(access, flags & 7, (flags >>> 12) & 15) === 0);
      }
      if (serves) {
        frame = entries2[(second << 3) | FRAME]!;
        hits2 = (hits2 + 1) | 0;
        clock2 = (clock2 + 1) | 0;
        const stamp = (second << 3) | STAMP;
        entries2[stamp] = (clock2 << wayBits2) | (entries2[stamp]! & wayMask2);
      } else {
        walks = (walks + 1) | 0;
        misses = (misses + 1) | 0;
        let isDone = false;
        if (nested === null) {
          if (straight === 1) isDone = walkStraight(walker, lo, hi, access);
        } else if (straight === 2) isDone = walkStraightNested(walker, nested, lo, hi, access);
        const fault = isDone ? FAULT.NONE : walker.walkByLoop(lo, hi, access);
        reads = (reads + result.reads) | 0;
        nestedReads = (nestedReads + result.nestedReads) | 0;
        marks = (marks + result.marks) | 0;
        if (fault !== FAULT.NONE) {
          this.fault = fault;
          this.faults++;
          break;
        }
        frame = result.hostFrame;
        ({ flags } = result);
        if (!tlb.keepsSmall(result)) {
          l1.clock = clock;
          l2.clock = clock2;
          tlb.fill(lo, hi, walker);
          ({ contextTag } = tlb);
          isPlain = tlb.isPlain ? 1 : 0;
          ({ clock } = l1);
          clock2 = l2.clock;
          sum = (sum + frame) | 0;
          continue;
        }
        clock2 = (clock2 + 1) | 0;
        if (second < 0) {
          // As TlbLevel.add.
          const set = page & setMask2;
          const head = Math.imul(set, headWords2);
          second = entries2[(heads2[head]! << 3) | NEXT]!;
          if (entries2[(second << 3) | STAMP] !== entries2[(second << 3) | QUEUED]) second = l2.oldest(head);
          const way = (second - Math.imul(set, ways2)) | 0;
          const stamp = (clock2 << wayBits2) | way;
          const signature = (head + 1 + (way >> 2)) | 0;
          heads2[head] = second;
          heads2[signature] = withByte(heads2[signature]!, way, wanted);
          hints2[page & HINTS] = second;
          entries2[second << 3] = page;
          entries2[(second << 3) | TAG] = tag;
          entries2[(second << 3) | STAMP] = stamp;
          entries2[(second << 3) | QUEUED] = stamp;
        } else {
          const stamp = (second << 3) | STAMP;
          entries2[stamp] = (clock2 << wayBits2) | (entries2[stamp]! & wayMask2);
        }
        entries2[(second << 3) | FRAME] = frame;
        entries2[(second << 3) | FLAGS] = flags;
      }
      if (!isFound) {
        const set = page & setMask;
        const first = (set << 5) | STAMP;
        // The smallest stamp names the way used longest ago; stamps are never negative.
        const a = entries[first]!;
        const b = entries[first | 8]!;
        const c = entries[first | 16]!;
        const d = entries[first | 24]!;
        const ab = a + ((b - a) & ((b - a) >> 31));
        const cd = c + ((d - c) & ((d - c) >> 31));
        const way = (ab + ((cd - ab) & ((cd - ab) >> 31))) & 3;
        entry = (set << 2) | way;
        heads[(set << 1) | 1] = withByte(heads[(set << 1) | 1]!, way, wanted);
      }
      clock = (clock + 1) | 0;
      hints[page & HINTS] = entry;
      entries[entry << 3] = page;
      entries[(entry << 3) | TAG] = tag;
      entries[(entry << 3) | FRAME] = frame;
      entries[(entry << 3) | FLAGS] = flags;
      entries[(entry << 3) | STAMP] = (clock << 2) | (entry & 3);
      sum = (sum + frame) | 0;
    }
    l1.clock = clock;
    l2.clock = clock2;
    tlb.l1Hits += hits;
    tlb.l2Hits += hits2;
    tlb.misses += walks;
    this.walks += walks;
    this.reads += reads;
    this.nestedReads += nestedReads;
    this.marks += marks;
    this.frameSum = sum;
    return at;
  }

  /** What walks of the next accesses will read last, so that they wait for memory together and not one by one. */
  #readAhead(trace: Int32Array, from: number): void {
    const { walker } = this;
    // Neighbours need no help: one line of memory has eight entries.
    if (trace[(from + BLOCK - 1) << 1]! - trace[from << 1]! === BLOCK - 1) return;
    let read = 0;
    for (let at = from; at < from + BLOCK; at++) {
      const page = trace[at << 1]!;
      read ^= readAhead(walker, page << 12, addressHighOf(page, trace[(at << 1) | 1]!));
    }
    this.readTwice = read;
  }

  /** `run` by `access`. */
  #runSlowly(trace: Int32Array, from: number, to: number, user: number): number {
    for (let at = from; at < to; at++) {
      const page = trace[at << 1]!;
      const word = trace[(at << 1) | 1]!;
      const kind = word >>> KIND_SHIFT;
      if (kind > 1) return at;
      const fault = this.access(page << 12, addressHighOf(page, word), (kind << 1) | user);
      if (fault !== FAULT.NONE) {
        this.fault = fault;
        return at;
      }
      this.frameSum = (this.frameSum + this.frame) | 0;
    }
    return to;
  }

  #walk(lo: number, hi: number, access: number): number {
    const { walker } = this;
    const fault = walker.walk(lo, hi, access);
    const { result } = walker;
    this.walks++;
    this.reads += result.reads;
    this.nestedReads += result.nestedReads;
    this.marks += result.marks;
    if (fault !== FAULT.NONE) this.faults++;
    else this.frame = result.hostFrame;
    return fault;
  }
}
