// SPDX-License-Identifier: GPL-2.0-only
import { ACCESS } from './paging-bits.ts';
import { readAhead } from './straight-walk.ts';
import { ABSENT, HIT, type Tlb } from './tlb.ts';
import type { Walker } from './walk.ts';
import { FAULT } from './walk-result.ts';

/** Page-number bits 44:32 in the second word of a packed access. */
const PAGE_HIGH = 0x1fff;
const KIND_SHIFT = 24;
// Copies, as imported constants are read anew at each use.
const NONE = ABSENT;
const { WRITE } = ACCESS;
const GUESS_MASK = 255;
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
  /** For `run`: entry of the first level where a page was put last, by the page number's low bits. It may be wrong. */
  readonly #guesses = new Uint16Array(GUESS_MASK + 1);

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
    const { tlb, walker } = this;
    const { l1, l2 } = tlb;
    this.fault = FAULT.NONE;
    if (l1.ways !== 4 || l2 === null) return this.#runSlowly(trace, from, to, user);
    const { entries, stamps, clockEnd } = l1;
    const { rules, keysOn } = walker;
    const setMask = l1.sets - 1;
    let { contextTag, isPlain } = tlb;
    let { clock } = l1;
    let sum = this.frameSum;
    let hits = 0;
    const guesses = this.#guesses;
    let at = from;
    let ahead = from;
    let misses = 0;
    const { readsAhead } = walker;
    for (; at < to; at++) {
      if (at === ahead) {
        ahead = at + BLOCK;
        if (misses > BLOCK >> 1 && ahead <= to && readsAhead && walker.result.level === 1) this.#readAhead(trace, at);
        misses = 0;
      }
      const page = trace[at << 1]!;
      const word = trace[(at << 1) | 1]!;
      const kind = word >>> KIND_SHIFT;
      if (kind > 1) break;
      const access = (kind << 1) | user;
      const tag = contextTag | (word & PAGE_HIGH);
      const first = (page & setMask) << 2;
      // Most hits are where the page was found last; that look needs no arithmetic over the ways.
      let entry: number = guesses[page & GUESS_MASK]!;
      let isFound = entries[entry << 2] === page && entries[(entry << 2) | 1] === tag;
      if (!isFound) {
        const set = first << 2;
        // Of the four ways, the one that matches as a set bit: clz32(x) >>> 5 is 1 for 0 alone.
        const match =
          (Math.clz32((entries[set]! ^ page) | (entries[set | 1]! ^ tag)) >>> 5) |
          ((Math.clz32((entries[set | 4]! ^ page) | (entries[set | 5]! ^ tag)) >>> 5) << 1) |
          ((Math.clz32((entries[set | 8]! ^ page) | (entries[set | 9]! ^ tag)) >>> 5) << 2) |
          ((Math.clz32((entries[set | 12]! ^ page) | (entries[set | 13]! ^ tag)) >>> 5) << 3);
        isFound = match !== 0;
        entry = first | ((match >> 1) - (match >> 3));
      }
      if (isFound && clock < clockEnd) {
        const flags = entries[(entry << 2) | 3]!;
        // As Tlb.lookup decides, for entries without protection keys in force and with a frame of 32 bits.
        const refused =
          (access & WRITE & ~(flags >>> 5)) | rules[(access << 3) | (flags & 7)]! | keysOn | (flags >>> 24);
        if (refused === 0) {
          clock = (clock + 1) | 0;
          stamps[entry] = (clock << 2) | (entry & 3);
          hits = (hits + 1) | 0;
          sum = (sum + entries[(entry << 2) | 2]!) | 0;
          continue;
        }
      }
      const lo = page << 12;
      const hi = addressHighOf(page, word);
      // An entry in the first level that only `access` can judge or read.
      const isOdd = isFound && (keysOn | (entries[(entry << 2) | 3]! >>> 24)) !== 0;
      if (!isPlain || isOdd || clock >= clockEnd || !walker.isCanonical(hi)) {
        l1.clock = clock;
        const fault = this.access(lo, hi, access);
        ({ contextTag, isPlain } = tlb);
        ({ clock } = l1);
        if (fault !== FAULT.NONE) {
          this.fault = fault;
          break;
        }
        sum = (sum + this.frame) | 0;
        continue;
      }
      let frame = 0;
      let flags = 0;
      const second = tlb.findSecond(page, tag, access, walker);
      if (second >= 0) {
        frame = l2.entries[(second << 2) | 2]!;
        flags = l2.entries[(second << 2) | 3]!;
      } else {
        tlb.misses++;
        misses++;
        const fault = this.#walk(lo, hi, access);
        if (fault !== FAULT.NONE) {
          this.fault = fault;
          break;
        }
        const { result } = walker;
        if (!tlb.keepsSmall(result)) {
          l1.clock = clock;
          tlb.fill(lo, hi, walker);
          ({ contextTag, isPlain } = tlb);
          ({ clock } = l1);
          sum = (sum + this.frame) | 0;
          continue;
        }
        frame = result.hostFrame;
        ({ flags } = result);
        if (second === NONE) l2.add(page, tag, frame, flags);
        else l2.put(page, tag, frame, flags);
      }
      if (!isFound) {
        // The smallest stamp names the way used longest ago; stamps are never negative.
        const a = stamps[first]!;
        const b = stamps[first | 1]!;
        const c = stamps[first | 2]!;
        const d = stamps[first | 3]!;
        const ab = a + ((b - a) & ((b - a) >> 31));
        const cd = c + ((d - c) & ((d - c) >> 31));
        entry = first | ((ab + ((cd - ab) & ((cd - ab) >> 31))) & 3);
      }
      clock = (clock + 1) | 0;
      stamps[entry] = (clock << 2) | (entry & 3);
      guesses[page & GUESS_MASK] = entry;
      entries[entry << 2] = page;
      entries[(entry << 2) | 1] = tag;
      entries[(entry << 2) | 2] = frame;
      entries[(entry << 2) | 3] = flags;
      sum = (sum + frame) | 0;
    }
    l1.clock = clock;
    tlb.l1Hits += hits;
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
