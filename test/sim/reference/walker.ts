// SPDX-License-Identifier: GPL-2.0-only
/** The page walk of src/sim/core/walk.ts (which explains it) in plain TypeScript: what the compiled one must agree with. */
import { CAUSE, ruleIndex } from '../../../src/sim/access-rules.ts';
import { WALKER_BYTES } from '../../../src/sim/core/layout.ts';
import { PAGE_WORDS, type PhysicalMemory } from '../../../src/sim/memory.ts';
import { ACCESS, EPT, PFEC, PTE, PTE_HIGH, RIGHTS } from '../../../src/sim/paging-bits.ts';
import { pageShiftOf, reservedIndex } from '../../../src/sim/paging-modes.ts';
import type { TableFormat } from '../../../src/sim/table-format.ts';
import { WalkControls } from '../../../src/sim/walk-controls.ts';
import { FAULT, STAGE } from '../../../src/sim/walk-result.ts';
import { entryWord, eptRights, leafFrame, ordinaryRights, pageWithin, tableFrame } from './entries.ts';
import { ReferenceResult } from './result.ts';
import type { ReferenceCaches } from './tlb.ts';

/** A page-size bound for addresses that are not translated at all. */
const UNTRANSLATED_SHIFT = 30;

/** Walks the tables of one address space in one physical memory, level by level, entry by entry. */
export class ReferenceWalker extends WalkControls {
  readonly result = new ReferenceResult();
  readonly memory: PhysicalMemory;
  /** Walker of the nested tables that translate this one's physical addresses; null when they are host addresses. */
  readonly nested: ReferenceWalker | null;
  /** Caches of upper-level entries for `walk` to use and fill; null for none. `probe` leaves them alone. */
  readonly caches: ReferenceCaches | null;
  /** Rights of the nested translation of the table read last. */
  #tableRights: number = RIGHTS.ALL;
  /** Guest-physical address of the entry read last, when there are nested tables. */
  #entryGpa = 0;

  constructor(memory: PhysicalMemory, nested: ReferenceWalker | null = null, caches: ReferenceCaches | null = null) {
    super(nested === null, new Int32Array(WALKER_BYTES / 4));
    this.memory = memory;
    this.nested = nested;
    this.caches = caches;
  }

  /** As Walker.walk. */
  walk(lo: number, hi: number, access: number): number {
    return this.#descend(lo, hi, access, true);
  }

  /** As Walker.probe. */
  probe(lo: number, hi: number, access: number): number {
    return this.#descend(lo, hi, access, false);
  }

  #descend(lo: number, hi: number, access: number, mark: boolean): number {
    const format = this.format;
    const result = this.result;
    const memory = this.memory;
    result.reset();
    if (!this.isCanonical(hi)) return this.#stop(FAULT.NONCANONICAL);
    if (hi & format.uncoveredHigh) return this.#pageFault(CAUSE.NP, access, 0);
    let level = format.levels;
    if (level === 0) return this.#finishUntranslated(lo, access, mark);
    let frame = this.rootFrame;
    let tableWord = this.rootWord;
    if (this.pdptes !== null) {
      const pdpte = this.pdptes[(lo >>> 30) * 2]!;
      result.level = level--;
      if (!(pdpte & PTE.P)) return this.#pageFault(CAUSE.NP, access, 0);
      frame = tableFrame(pdpte, this.pdptes[(lo >>> 30) * 2 + 1]!);
      tableWord = 0;
    }
    let allLow = 7;
    let anyHigh = 0;
    const caches = mark && format.entryWords === 2 ? this.caches : null;
    if (caches !== null) {
      result.cachedLevel = caches.lookup(lo, hi, level);
      if (result.cachedLevel !== 0) {
        level = result.cachedLevel - 1;
        frame = caches.hitFrame;
        tableWord = 0;
        allLow = caches.hitLow;
        anyHigh = caches.hitHigh;
      }
    }
    for (; ; level--) {
      const word = tableWord + entryWord(format.entryWords, lo, hi, level);
      const hostFrame = this.nested === null ? frame : this.#hostOfTable(this.nested, frame, word, mark);
      if (hostFrame < 0) return result.fault;
      const at = memory.slotOrZero(hostFrame) * PAGE_WORDS + word;
      const entry = memory.words[at]!;
      const high = format.entryWords === 1 ? 0 : memory.words[at + 1]!;
      result.reads++;
      result.level = level;
      // An entry that is not present has none of EPT's three bits, and none may be left in the AND of them.
      if (!(entry & format.present)) {
        result.lowBits = 0;
        return this.#pageFault(CAUSE.NP, access, 0);
      }
      const large = entry & PTE.PS ? (format.largeLevels >>> level) & 1 : 0;
      const leaf = large === 1 || level === 1;
      const reserved = reservedIndex(level, large);
      if (entry & format.reserved[reserved]! || high & format.reserved[reserved + 1]!) {
        return this.#pageFault(CAUSE.RSVD, access, 0);
      }
      if (format.ept && malformed(format, entry, leaf)) return this.#pageFault(CAUSE.RSVD, access, 0);
      if (!((format.bareLevels >>> level) & 1)) {
        allLow &= entry;
        anyHigh |= high;
        result.lowBits = allLow;
        if (leaf) {
          result.rights = format.ept ? eptRights(allLow) : ordinaryRights(allLow, anyHigh & format.noExecute);
          return this.#finish(lo, access, mark, at);
        }
        if (!this.#mark(at, entry, format.accessed, mark)) return this.#refuseMark();
      } else if (format.bareAccessed && !this.#mark(at, entry, format.bareAccessed, mark)) return this.#refuseMark();
      frame = tableFrame(entry, high);
      tableWord = 0;
      if (caches !== null) caches.fill(lo, hi, level, frame, allLow, anyHigh);
    }
  }

  /** At the leaf: decides, marks, and translates the frame further when there are nested tables. */
  #finish(lo: number, access: number, mark: boolean, at: number): number {
    const format = this.format;
    const result = this.result;
    const entry = this.memory.words[at]!;
    const high = format.entryWords === 1 ? 0 : this.memory.words[at + 1]!;
    result.key = format.mode.keys ? (high >>> PTE_HIGH.KEY_SHIFT) & PTE_HIGH.KEY_MASK : 0;
    const keyFault = keyFaultOf(this, access, result.rights, result.key);
    const cause = this.rules[ruleIndex(access, result.rights)]!;
    if (cause !== CAUSE.NONE || keyFault !== 0) return this.#pageFault(cause || CAUSE.PK, access, keyFault);
    const wanted = format.accessed | (access & ACCESS.WRITE ? format.dirty : 0);
    if (!this.#mark(at, entry, wanted, mark)) return this.#refuseMark();
    result.dirty = ((entry | wanted) & format.dirty) === format.dirty ? 1 : 0;
    result.global = entry & this.globalBit ? 1 : 0;
    result.readable = result.rights & RIGHTS.U || !format.ept ? 1 : 0;
    result.pageShift = pageShiftOf(format.mode, result.level);
    result.ownPageShift = result.pageShift;
    result.frame = leafFrame(format.entryWords, entry, high, result.pageShift) + pageWithin(lo, result.pageShift);
    return this.#translateResult(lo, access, mark);
  }

  #finishUntranslated(lo: number, access: number, mark: boolean): number {
    const result = this.result;
    result.rights = RIGHTS.ALL;
    result.dirty = 1;
    result.pageShift = UNTRANSLATED_SHIFT;
    result.ownPageShift = 12;
    result.frame = lo >>> 12;
    return this.#translateResult(lo, access, mark);
  }

  /** The second dimension for the frame that these tables gave, and what both together allow. */
  #translateResult(lo: number, access: number, mark: boolean): number {
    const { nested, result } = this;
    if (nested === null) {
      result.hostFrame = result.frame;
      return FAULT.NONE;
    }
    const fault = this.#descendNested(nested, result.frame, access | ACCESS.USER, mark);
    const second = nested.result;
    if (fault !== FAULT.NONE) {
      const gpa = result.frame * 4096 + (lo & 0xfff);
      return this.#nestedFault(nested, STAGE.FINAL, gpa);
    }
    result.hostFrame = second.frame;
    result.pageShift = Math.min(result.pageShift, second.pageShift);
    // A supervisor may write with WP clear whatever its own tables say, but never past the nested ones: only `dirty` keeps
    // a cached translation from being used for that.
    if (!(second.rights & RIGHTS.W)) result.dirty = 0;
    result.dirty &= second.dirty;
    result.rights &= second.rights | RIGHTS.U;
    result.readable = second.readable;
    return FAULT.NONE;
  }

  /** Host frame of a guest table, or -1 when the nested tables refuse it and `result` says so. */
  #hostOfTable(nested: ReferenceWalker, frame: number, word: number, mark: boolean): number {
    this.#entryGpa = frame * 4096 + word * 4;
    const fault = this.#descendNested(nested, frame, nested.tableAccess, mark);
    this.#tableRights = nested.result.rights;
    if (fault === FAULT.NONE) return nested.result.frame;
    this.#nestedFault(nested, STAGE.TABLE, this.#entryGpa);
    return -1;
  }

  #descendNested(nested: ReferenceWalker, frame: number, access: number, mark: boolean): number {
    const fault = nested.#descend(frame << 12, (frame / 0x10_0000) | 0, access, mark);
    this.result.nestedReads += nested.result.reads;
    this.result.marks += nested.result.marks;
    return fault;
  }

  /** Sets accessed and dirty bits of an entry where they are missing. False: the nested tables forbid the write. */
  #mark(at: number, entry: number, wanted: number, mark: boolean): boolean {
    if ((entry & wanted) === wanted) return true;
    // Only EPT without marks of its own gets here without the write right: NPT asks for it on every table.
    if (this.nested !== null && !(this.#tableRights & RIGHTS.W)) return false;
    if (mark) {
      this.memory.words[at] = entry | wanted;
      this.memory.written(at);
      this.result.marks++;
    }
    return true;
  }

  #refuseMark(): number {
    const result = this.result;
    result.cause = CAUSE.WP;
    result.errorCode = PFEC.P | PFEC.W | PFEC.U;
    result.stage = STAGE.TABLE;
    result.faultGpa = this.#entryGpa;
    return this.#stop(FAULT.NESTED);
  }

  #nestedFault(nested: ReferenceWalker, stage: number, gpa: number): number {
    const result = this.result;
    result.cause = nested.result.cause;
    result.errorCode = nested.result.errorCode;
    result.stage = stage;
    result.faultGpa = gpa;
    return this.#stop(nested.format.ept && result.cause === CAUSE.RSVD ? FAULT.MISCONFIGURED : FAULT.NESTED);
  }

  /** SDM vol. 3A 4.7. */
  #pageFault(cause: number, access: number, keyFault: number): number {
    const present = cause === CAUSE.NP ? 0 : PFEC.P;
    const reserved = cause === CAUSE.RSVD ? PFEC.RSVD : 0;
    this.result.cause = cause;
    this.result.errorCode = present | reserved | keyFault | (access & (PFEC.W | PFEC.U | this.reportFetch));
    return this.#stop(FAULT.PAGE);
  }

  #stop(fault: number): number {
    this.result.fault = fault;
    return fault;
  }
}

/** PFEC.PK when the protection key of a user page forbids a data access, else 0. SDM vol. 3A 4.6.2. */
export function keyFaultOf({ keysOn, pkru, wp }: WalkControls, access: number, rights: number, key: number): number {
  if (keysOn === 0 || !(rights & RIGHTS.U) || access & ACCESS.FETCH) return 0;
  const disable = (pkru >>> (2 * key)) & 3;
  if (disable & 1) return PFEC.PK;
  return disable & 2 && access & ACCESS.WRITE && (access & ACCESS.USER || wp) ? PFEC.PK : 0;
}

/** Whether a present EPT entry is malformed apart from reserved bits; `leaf` entries have a memory type. */
function malformed(format: TableFormat, entry: number, leaf: boolean): boolean {
  if ((format.malformedRights >>> (entry & 7)) & 1) return true;
  return leaf && ((format.oddMemoryTypes >>> ((entry >>> EPT.MEMORY_TYPE_SHIFT) & 7)) & 1) !== 0;
}
