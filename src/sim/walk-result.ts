// SPDX-License-Identifier: GPL-2.0-only
import {
  CACHED_LEVEL,
  CAUSE as CAUSE_AT,
  ERROR_CODE,
  FAULT as FAULT_AT,
  FAULT_GPA,
  FLAGS,
  FRAME,
  HOST_FRAME,
  LEVEL,
  LOW_BITS,
  MARKS,
  NESTED_READS,
  PAGE_SHIFT,
  READABLE,
  READS,
  STAGE as STAGE_AT,
} from './core/layout.ts';
import { read64 } from './memory.ts';
import { PTE, PTE_HIGH, RIGHTS } from './paging-bits.ts';

/** Places in `WalkResult.flags`. */
export const RESULT_KEY_SHIFT = 12;
export const RESULT_PAGE_SHIFT_SHIFT = 16;

/** What kind of fault ended a walk. */
export const FAULT = {
  NONE: 0,
  /** #PF, delivered to the software whose tables were walked. */
  PAGE: 1,
  /** The nested tables refused: #NPF, or an EPT violation. */
  NESTED: 2,
  /** A malformed EPT entry: EPT misconfiguration. */
  MISCONFIGURED: 3,
  /** The linear address is not canonical: #GP (or #SS) before any walk. */
  NONCANONICAL: 4,
} as const;

/** Which access to the nested tables failed. */
export const STAGE = {
  NONE: 0,
  /** The one that finds a table of the guest. */
  TABLE: 1,
  /** The one that translates the address which the guest's tables gave. */
  FINAL: 2,
} as const;

/** What the last walk reached and why it stopped: a view of the walker's block, so read it before the next walk. */
export class WalkResult {
  readonly #words: Int32Array;

  /** `words` is a walker's block. */
  constructor(words: Int32Array) {
    this.#words = words;
  }

  /** A FAULT. */
  get fault(): number {
    return this.#words[FAULT_AT / 4]!;
  }

  /** A CAUSE; for a nested fault, that of the nested walk. */
  get cause(): number {
    return this.#words[CAUSE_AT / 4]!;
  }

  /** #PF error code; for a nested fault the error code of the nested walk (EXITINFO1 bits 4:0). */
  get errorCode(): number {
    return this.#words[ERROR_CODE / 4]!;
  }

  /** A STAGE, for a nested fault. */
  get stage(): number {
    return this.#words[STAGE_AT / 4]!;
  }

  /** Guest-physical address that the nested tables refused. A double. */
  get faultGpa(): number {
    return read64(this.#words, FAULT_GPA);
  }

  /** Level of the last entry read in these tables: of the leaf, or of the one that ended the walk. */
  get level(): number {
    return this.#words[LEVEL / 4]!;
  }

  /** Frame of the page, in the physical address space of the tables walked; with nested tables, a guest frame. */
  get frame(): number {
    return read64(this.#words, FRAME);
  }

  /** Frame in host memory: equal to `frame` without nested tables. */
  get hostFrame(): number {
    return read64(this.#words, HOST_FRAME);
  }

  /** Bits below the page number of the page that the whole walk maps alike: the smaller one of both dimensions. */
  get pageShift(): number {
    return this.#words[PAGE_SHIFT / 4]!;
  }

  /**
   * What a TLB keeps of the translation beside its frame: rights over both dimensions in bits 2:0, D in bit 6, G in bit 8,
   * the protection key in bits 15:12, bits 20:16 as `ownPageShift`.
   */
  get flags(): number {
    return this.#words[FLAGS / 4]!;
  }

  /** AND of the low three bits of all entries used, as the tables spell them. */
  get lowBits(): number {
    return this.#words[LOW_BITS / 4]!;
  }

  /** 1 unless the nested tables let the page be executed but not read. */
  get readable(): number {
    return this.#words[READABLE / 4]!;
  }

  /** Level of the paging-structure cache where the walk started, 0 when it started at the root. */
  get cachedLevel(): number {
    return this.#words[CACHED_LEVEL / 4]!;
  }

  /** Entries read in these tables. */
  get reads(): number {
    return this.#words[READS / 4]!;
  }

  /** Entries read in the nested tables. */
  get nestedReads(): number {
    return this.#words[NESTED_READS / 4]!;
  }

  /** Entries of both dimensions written to mark them accessed or dirty. */
  get marks(): number {
    return this.#words[MARKS / 4]!;
  }

  /** RIGHTS over both dimensions. */
  get rights(): number {
    return this.flags & RIGHTS.ALL;
  }

  /** 1 when a write needs no further mark: the leaf is dirty, and the nested leaf dirty and writable. */
  get dirty(): number {
    return (this.flags & PTE.D) !== 0 ? 1 : 0;
  }

  /** Bit G of the leaf while CR4.PGE is set. */
  get global(): number {
    return (this.flags & PTE.G) !== 0 ? 1 : 0;
  }

  /** Protection key of the leaf, 0 where there are none. */
  get key(): number {
    return (this.flags >>> RESULT_KEY_SHIFT) & PTE_HIGH.KEY_MASK;
  }

  /** Bits below the page number of the page that these tables alone map: what a flush of one address covers. */
  get ownPageShift(): number {
    return this.flags >>> RESULT_PAGE_SHIFT_SHIFT;
  }
}
