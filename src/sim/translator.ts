// SPDX-License-Identifier: GPL-2.0-only
import { ACCESS } from './paging-bits.ts';
import { HIT, type Tlb } from './tlb.ts';
import { TAG_HASH_SHIFT } from './tlb-level.ts';
import type { Walker } from './walk.ts';
import { FAULT } from './walk-result.ts';

/** Page-number bits 44:32 in the second word of a packed access. */
const PAGE_HIGH = 0x1fff;
const KIND_SHIFT = 24;
// Copies, as imported constants are read anew at each use.
const HASH_SHIFT = TAG_HASH_SHIFT;
const { WRITE } = ACCESS;

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
  /** Sum of the frames that `run` reached, modulo 2 ** 32 and signed: two runs that translate alike have the same. */
  frameSum = 0;

  constructor(tlb: Tlb, walker: Walker) {
    if (tlb.caches !== walker.caches) throw new Error('translator: TLB and walker have different upper-level caches');
    this.tlb = tlb;
    this.walker = walker;
  }

  /** Translates an address for an access (ACCESS bits). Returns a FAULT; details of one are in `walker.result`. */
  access(lo: number, hi: number, access: number): number {
    const { tlb, walker } = this;
    // A canonical address is told from others by its low bits alone, which are all that the TLB compares.
    if (walker.isCanonical(hi) && tlb.lookup(lo, hi, access, walker) !== HIT.NONE) {
      this.frame = tlb.frame;
      return FAULT.NONE;
    }
    return this.#walk(lo, hi, access);
  }

  /**
   * Performs accesses of a packed trace, each as `access` would, from number `from` to the first that faults, or the first
   * event that is no access, or `to`. Returns where it stopped; after a fault, `walker.result` has it. Two words an access:
   * bits 31:0 of the page number; and its bits 44:32, with 0 (read) or 1 (write) in bits 31:24. `user` is ACCESS.USER or 0.
   */
  run(trace: Int32Array, from: number, to: number, user: number): number {
    const { tlb, walker } = this;
    const { l1 } = tlb;
    const { entries, stamps, first, next, wayBits, clockEnd, bucketMask } = l1;
    const { rules, keysOn } = walker;
    const wayMask = (1 << wayBits) - 1;
    let { contextTag, isPlain } = tlb;
    let { clock } = l1;
    let sum = this.frameSum;
    let hits = 0;
    let at = from;
    for (; at < to; at++) {
      const page = trace[at << 1]!;
      const word = trace[(at << 1) | 1]!;
      const kind = word >>> KIND_SHIFT;
      if (kind > 1) break;
      const access = (kind << 1) | user;
      const tag = contextTag | (word & PAGE_HIGH);
      let entry = first[(page ^ (tag >>> HASH_SHIFT)) & bucketMask]!;
      while (entry >= 0 && (entries[entry << 2] !== page || entries[(entry << 2) | 1] !== tag)) entry = next[entry]!;
      if (entry >= 0 && clock < clockEnd) {
        const flags = entries[(entry << 2) | 3]!;
        // As Tlb.lookup decides, for entries without protection keys in force and with a frame of 32 bits.
        const refused =
          (access & WRITE & ~(flags >>> 5)) | rules[(access << 3) | (flags & 7)]! | keysOn | (flags >>> 24);
        if (refused === 0) {
          clock = (clock + 1) | 0;
          stamps[entry] = (clock << wayBits) | (stamps[entry]! & wayMask);
          hits = (hits + 1) | 0;
          sum = (sum + entries[(entry << 2) | 2]!) | 0;
          continue;
        }
      }
      l1.clock = clock;
      const lo = page << 12;
      const hi = (page >>> 20) | ((word << 19) >> 7);
      let fault: number = FAULT.NONE;
      if (!isPlain || !walker.isCanonical(hi)) fault = this.access(lo, hi, access);
      else if (tlb.hitsSecond(page, tag, access, walker)) this.frame = tlb.frame;
      else {
        tlb.misses++;
        fault = this.#walk(lo, hi, access);
        ({ contextTag, isPlain } = tlb);
      }
      ({ clock } = l1);
      if (fault !== FAULT.NONE) break;
      sum = (sum + this.frame) | 0;
    }
    l1.clock = clock;
    tlb.l1Hits += hits;
    this.frameSum = sum;
    return at;
  }

  #walk(lo: number, hi: number, access: number): number {
    const { tlb, walker } = this;
    const fault = walker.walk(lo, hi, access);
    const { result } = walker;
    this.walks++;
    this.reads += result.reads;
    this.nestedReads += result.nestedReads;
    this.marks += result.marks;
    if (fault !== FAULT.NONE) {
      this.faults++;
      return fault;
    }
    tlb.fill(lo, hi, walker);
    this.frame = result.hostFrame;
    return FAULT.NONE;
  }
}
