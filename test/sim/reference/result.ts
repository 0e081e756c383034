// SPDX-License-Identifier: GPL-2.0-only
import { CAUSE } from '../../../src/sim/access-rules.ts';
import { PTE, PTE_HIGH, RIGHTS } from '../../../src/sim/paging-bits.ts';
import { FAULT, RESULT_KEY_SHIFT, RESULT_PAGE_SHIFT_SHIFT, STAGE } from '../../../src/sim/walk-result.ts';

/** What `ReferenceWalker` tells of its last walk: the fields of WalkResult. */
export class ReferenceResult {
  /** A FAULT. */
  fault: number = FAULT.NONE;
  /** A CAUSE; for a nested fault, that of the nested walk. */
  cause: number = CAUSE.NONE;
  /** #PF error code; for a nested fault the error code of the nested walk (EXITINFO1 bits 4:0). */
  errorCode = 0;
  /** A STAGE, for a nested fault. */
  stage: number = STAGE.NONE;
  /** Guest-physical address that the nested tables refused. A double. */
  faultGpa = 0;
  /** Level of the last entry read in these tables: of the leaf, or of the one that ended the walk. */
  level = 0;

  /** Frame of the page, in the physical address space of the tables walked; with nested tables, a guest frame. */
  frame = 0;
  /** Frame in host memory: equal to `frame` without nested tables. */
  hostFrame = 0;
  /** Bits below the page number of the page that the whole walk maps alike: the smaller one of both dimensions. */
  pageShift = 12;
  /**
   * What a TLB keeps of the translation beside its frame: rights over both dimensions in bits 2:0, D in bit 6, G in bit 8,
   * the protection key in bits 15:12, bits 20:16 as `ownPageShift`.
   */
  flags = 0;
  /** AND of the low three bits of all entries used, as the tables spell them. */
  lowBits = 0;
  /** 1 unless the nested tables let the page be executed but not read. */
  readable = 1;

  /** Level of the paging-structure cache where the walk started, 0 when it started at the root. */
  cachedLevel = 0;
  /** Entries read in these tables. */
  reads = 0;
  /** Entries read in the nested tables. */
  nestedReads = 0;
  /** Entries of both dimensions written to mark them accessed or dirty. */
  marks = 0;

  /** Back to a walk that has not begun. */
  reset(): void {
    this.fault = FAULT.NONE;
    this.cause = CAUSE.NONE;
    this.errorCode = 0;
    this.stage = STAGE.NONE;
    this.faultGpa = 0;
    this.level = 0;
    this.cachedLevel = 0;
    this.flags = 0;
    this.lowBits = 0;
    this.readable = 1;
    this.reads = 0;
    this.nestedReads = 0;
    this.marks = 0;
  }

  /** RIGHTS over both dimensions. */
  get rights(): number {
    return this.flags & RIGHTS.ALL;
  }

  set rights(rights: number) {
    this.flags = (this.flags & ~RIGHTS.ALL) | rights;
  }

  /** 1 when a write needs no further mark: the leaf is dirty, and the nested leaf dirty and writable. */
  get dirty(): number {
    return (this.flags & PTE.D) !== 0 ? 1 : 0;
  }

  set dirty(dirty: number) {
    this.flags = dirty !== 0 ? this.flags | PTE.D : this.flags & ~PTE.D;
  }

  /** Bit G of the leaf while CR4.PGE is set. */
  get global(): number {
    return (this.flags & PTE.G) !== 0 ? 1 : 0;
  }

  set global(global: number) {
    this.flags = global !== 0 ? this.flags | PTE.G : this.flags & ~PTE.G;
  }

  /** Protection key of the leaf, 0 where there are none. */
  get key(): number {
    return (this.flags >>> RESULT_KEY_SHIFT) & PTE_HIGH.KEY_MASK;
  }

  set key(key: number) {
    this.flags = (this.flags & ~(PTE_HIGH.KEY_MASK << RESULT_KEY_SHIFT)) | (key << RESULT_KEY_SHIFT);
  }

  /** Bits below the page number of the page that these tables alone map: what a flush of one address covers. */
  get ownPageShift(): number {
    return this.flags >>> RESULT_PAGE_SHIFT_SHIFT;
  }

  set ownPageShift(shift: number) {
    this.flags = (this.flags & ~(-1 << RESULT_PAGE_SHIFT_SHIFT)) | (shift << RESULT_PAGE_SHIFT_SHIFT);
  }
}
