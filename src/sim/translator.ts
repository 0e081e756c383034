// SPDX-License-Identifier: GPL-2.0-only
import { HIT, type Tlb } from './tlb.ts';
import type { Walker } from './walk.ts';
import { FAULT } from './walk-result.ts';

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
