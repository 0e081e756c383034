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
import { type AccessControls, CAUSE, eptRules, ruleIndex, rulesFor } from './access-rules.ts';
import { PAGE_WORDS, type PhysicalMemory } from './memory.ts';
import { ACCESS, EPT, PFEC, PTE, PTE_HIGH, RIGHTS } from './paging-bits.ts';
import {
  type PagingFeatures,
  type PagingMode,
  pageShiftOf,
  pagingModeOf,
  pagingModes,
  reservedIndex,
} from './paging-modes.ts';
import type { PagingStructureCaches } from './paging-structure-caches.ts';
import { CR0, CR4, EFER, type Registers } from './registers.ts';
import { type FormatSwitches, TableFormat } from './table-format.ts';
import { FAULT, STAGE, WalkResult } from './walk-result.ts';

/** The features of a CPU with everything that narrows nothing: 52 address bits, 1 GiB pages, Intel's reserved bits. */
export const plainFeatures: PagingFeatures = { maxPhyAddr: 52, gbPages: true, amd: false, executeOnly: false };

/** A page-size bound for addresses that are not translated at all. */
const UNTRANSLATED_SHIFT = 30;

/** Root and form of nested tables: nCR3 with the host's paging mode, or an EPT pointer. */
export interface NestedRoot {
  /** Physical address of the root table. */
  readonly root: number;
  readonly mode: PagingMode;
  readonly features: PagingFeatures;
  /** NPT: EFER.NXE of the host at VMRUN (APM vol. 2 15.25.5). */
  readonly nxe: boolean;
  /** EPT: accessed and dirty bits enabled (bit 6 of the EPT pointer). */
  readonly eptMarks: boolean;
}

/** Walks the tables of one address space in one physical memory. `result` tells what the last walk reached. */
export class Walker {
  readonly result = new WalkResult();
  readonly memory: PhysicalMemory;
  /** Walker of the nested tables that translate this one's physical addresses; null when they are host addresses. */
  readonly nested: Walker | null;
  /** Caches of upper-level entries for `walk` to use and fill; null for none. `probe` leaves them alone. */
  readonly caches: PagingStructureCaches | null;
  /** Rules by `ruleIndex`; also what a TLB hit is checked against. */
  rules: Uint8Array = rulesFor({ wp: true, smep: false, smap: false });
  /** 1 while protection keys apply. */
  keysOn = 0;
  pkru = 0;
  #format = new TableFormat(pagingModes.none, plainFeatures, { nxe: false, marks: true, nested: false });
  #rootFrame = 0;
  /** First word of the root table within its page: PAE tables are 32 bytes. */
  #rootWord = 0;
  #pdptes: Int32Array | null = null;
  #wp = 1;
  /** PTE.G while CR4.PGE is set, else 0. */
  #global = 0;
  /** ACCESS.FETCH where error codes tell fetches apart, else 0. */
  #reportFetch = 0;
  /** As nested tables: how reads of guest tables count. */
  #tableAccess: number = ACCESS.WRITE | ACCESS.USER;
  /** Rights of the nested translation of the table read last. */
  #tableRights: number = RIGHTS.ALL;
  /** Guest-physical address of the entry read last, when there are nested tables. */
  #entryGpa = 0;

  constructor(memory: PhysicalMemory, nested: Walker | null = null, caches: PagingStructureCaches | null = null) {
    this.memory = memory;
    this.nested = nested;
    this.caches = caches;
  }

  /** Paging mode of the tables. */
  get mode(): PagingMode {
    return this.#format.mode;
  }

  /** Whether the high half of an address is one that the mode takes. */
  isCanonical(hi: number): boolean {
    const shift = this.#format.canonicalShift;
    return shift < 0 || hi >> shift === hi >> 31;
  }

  /** Whether the tables have accessed and dirty bits; only EPT can be without. */
  get marksEntries(): boolean {
    return this.#format.marks;
  }

  /**
   * Takes over the registers of the software that owns the tables. To be called after any of them changes; CPL enters
   * with each access instead. PAE paging without nested tables uses `registers.pdptes`, with them the PDPTEs in memory
   * (APM vol. 2 15.25.10).
   */
  load(registers: Registers, features: PagingFeatures = plainFeatures): void {
    const mode = pagingModeOf(registers);
    const nxe = (registers.efer & EFER.NXE) !== 0;
    this.#shape(mode, features, { nxe, marks: true, nested: false });
    const smep = (registers.cr4 & CR4.SMEP) !== 0;
    const wp = (registers.cr0 & CR0.WP) !== 0;
    this.#control({ wp, smep, smap: (registers.cr4 & CR4.SMAP) !== 0 && registers.rflagsAc === 0 });
    // SDM vol. 3A 4.7: bit 4 tells fetches apart when SMEP or execute-disable is on, and only then.
    this.#reportFetch = smep || (registers.cr4 & CR4.PAE && nxe) ? ACCESS.FETCH : 0;
    this.keysOn = mode.keys && registers.cr4 & CR4.PKE ? 1 : 0;
    this.pkru = registers.pkru;
    this.#global = registers.cr4 & CR4.PGE ? PTE.G : 0;
    this.#pdptes = this.nested === null && mode.bareLevels !== 0 ? registers.pdptes : null;
    this.loadRoot(registers.cr3);
  }

  /**
   * Makes this the walker of nested tables. NPT entries are ordinary ones and every access to them is a user access, that
   * to a guest table also a write (APM vol. 2 15.25.5). Reads of guest tables are writes for EPT while it marks entries
   * (SDM vol. 3C 29.3.5).
   */
  loadNested({ root, mode, features, nxe, eptMarks }: NestedRoot): void {
    this.#shape(mode, features, { nxe, marks: eptMarks, nested: true });
    this.#control({ wp: true, smep: false, smap: false });
    if (mode.ept) this.rules = eptRules;
    this.#reportFetch = mode.ept || nxe ? ACCESS.FETCH : 0;
    this.#tableAccess = (mode.ept && !eptMarks ? ACCESS.READ : ACCESS.WRITE) | ACCESS.USER;
    this.keysOn = 0;
    this.#global = 0;
    this.#pdptes = null;
    this.loadRoot(root);
  }

  /** Changes the root alone: the address in CR3, nCR3 or EPTP. Bits below the table's alignment are not looked at. */
  loadRoot(address: number): void {
    this.#rootFrame = Math.floor(address / 4096);
    this.#rootWord = this.#format.bareLevels === 0 ? 0 : (address & 0xfe0) >>> 2;
  }

  /**
   * Translates an address, given as two 32-bit halves (32-bit modes ignore the high one), for an access (ACCESS bits), and
   * marks entries accessed and dirty. Returns a FAULT; everything else is in `result`.
   */
  walk(lo: number, hi: number, access: number): number {
    return this.#descend(lo, hi, access, true);
  }

  /** As `walk`, and leaves memory alone. */
  probe(lo: number, hi: number, access: number): number {
    return this.#descend(lo, hi, access, false);
  }

  #descend(lo: number, hi: number, access: number, mark: boolean): number {
    const format = this.#format;
    const result = this.result;
    const memory = this.memory;
    result.reset();
    if (!this.isCanonical(hi)) return this.#stop(FAULT.NONCANONICAL);
    if (hi & format.uncoveredHigh) return this.#pageFault(CAUSE.NP, access, 0);
    let level = format.levels;
    if (level === 0) return this.#finishUntranslated(lo, access, mark);
    let frame = this.#rootFrame;
    let tableWord = this.#rootWord;
    if (this.#pdptes !== null) {
      const pdpte = this.#pdptes[(lo >>> 30) * 2]!;
      result.level = level--;
      if (!(pdpte & PTE.P)) return this.#pageFault(CAUSE.NP, access, 0);
      frame = tableFrame(pdpte, this.#pdptes[(lo >>> 30) * 2 + 1]!);
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
      if (format.ept && format.malformed(entry, leaf)) return this.#pageFault(CAUSE.RSVD, access, 0);
      if (!((format.bareLevels >>> level) & 1)) {
        allLow &= entry;
        anyHigh |= high;
        result.lowBits = allLow;
        if (leaf) {
          result.rights = format.ept ? eptRights(allLow) : ordinaryRights(allLow, anyHigh & format.noExecute);
          return this.#finish(lo, access, mark, at);
        }
        if (!this.#mark(at, entry, format.accessed, mark)) return this.#refuseMark();
      }
      frame = tableFrame(entry, high);
      tableWord = 0;
      if (caches !== null) caches.fill(lo, hi, level, frame, allLow, anyHigh);
    }
  }

  /** At the leaf: decides, marks, and translates the frame further when there are nested tables. */
  #finish(lo: number, access: number, mark: boolean, at: number): number {
    const format = this.#format;
    const result = this.result;
    const entry = this.memory.words[at]!;
    const high = format.entryWords === 1 ? 0 : this.memory.words[at + 1]!;
    result.key = format.mode.keys ? (high >>> PTE_HIGH.KEY_SHIFT) & PTE_HIGH.KEY_MASK : 0;
    const keyFault = this.keyFault(access, result.rights, result.key);
    const cause = this.rules[ruleIndex(access, result.rights)]!;
    if (cause !== CAUSE.NONE || keyFault !== 0) return this.#pageFault(cause || CAUSE.PK, access, keyFault);
    const wanted = format.accessed | (access & ACCESS.WRITE ? format.dirty : 0);
    if (!this.#mark(at, entry, wanted, mark)) return this.#refuseMark();
    result.dirty = ((entry | wanted) & format.dirty) === format.dirty ? 1 : 0;
    result.global = entry & this.#global ? 1 : 0;
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

  /** PFEC.PK when the protection key of a user page forbids a data access, else 0. SDM vol. 3A 4.6.2. */
  keyFault(access: number, rights: number, key: number): number {
    if (this.keysOn === 0 || !(rights & RIGHTS.U) || access & ACCESS.FETCH) return 0;
    const disable = (this.pkru >>> (2 * key)) & 3;
    if (disable & 1) return PFEC.PK;
    return disable & 2 && access & ACCESS.WRITE && (access & ACCESS.USER || this.#wp) ? PFEC.PK : 0;
  }

  /** Host frame of a guest table, or -1 when the nested tables refuse it and `result` says so. */
  #hostOfTable(nested: Walker, frame: number, word: number, mark: boolean): number {
    this.#entryGpa = frame * 4096 + word * 4;
    const fault = this.#descendNested(nested, frame, nested.#tableAccess, mark);
    this.#tableRights = nested.result.rights;
    if (fault === FAULT.NONE) return nested.result.frame;
    this.#nestedFault(nested, STAGE.TABLE, this.#entryGpa);
    return -1;
  }

  #descendNested(nested: Walker, frame: number, access: number, mark: boolean): number {
    const fault = nested.#descend(frame << 12, (frame / 2 ** 20) | 0, access, mark);
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

  #nestedFault(nested: Walker, stage: number, gpa: number): number {
    const result = this.result;
    result.cause = nested.result.cause;
    result.errorCode = nested.result.errorCode;
    result.stage = stage;
    result.faultGpa = gpa;
    return this.#stop(nested.#format.ept && result.cause === CAUSE.RSVD ? FAULT.MISCONFIGURED : FAULT.NESTED);
  }

  /** SDM vol. 3A 4.7. */
  #pageFault(cause: number, access: number, keyFault: number): number {
    const present = cause === CAUSE.NP ? 0 : PFEC.P;
    const reserved = cause === CAUSE.RSVD ? PFEC.RSVD : 0;
    this.result.cause = cause;
    this.result.errorCode = present | reserved | keyFault | (access & (PFEC.W | PFEC.U | this.#reportFetch));
    return this.#stop(FAULT.PAGE);
  }

  #stop(fault: number): number {
    this.result.fault = fault;
    return fault;
  }

  /** Works the masks out again, unless nothing changed: CR0.WP and CR3 change far more often than the mode. */
  #shape(mode: PagingMode, features: PagingFeatures, switches: FormatSwitches): void {
    const now = this.#format;
    if (now.mode === mode && now.features === features && now.isFor(switches)) return;
    this.#format = new TableFormat(mode, features, switches);
  }

  #control(controls: AccessControls): void {
    this.rules = rulesFor(controls);
    this.#wp = controls.wp ? 1 : 0;
  }
}

/** Word of the entry for an address within its table. */
function entryWord(entryWords: number, lo: number, hi: number, level: number): number {
  if (entryWords === 1) return level === 1 ? (lo >>> 12) & 0x3ff : lo >>> 22;
  switch (level) {
    case 1:
      return ((lo >>> 12) & 0x1ff) * 2;
    case 2:
      return ((lo >>> 21) & 0x1ff) * 2;
    case 3:
      return (((lo >>> 30) | (hi << 2)) & 0x1ff) * 2;
    case 4:
      return ((hi >>> 7) & 0x1ff) * 2;
    default:
      return ((hi >>> 16) & 0x1ff) * 2;
  }
}

/** Frame in an entry that points to a table: address bits 51:12, as a double. */
function tableFrame(entry: number, high: number): number {
  return (entry >>> 12) + (high & 0xfffff) * 2 ** 20;
}

/** First frame of the page that a leaf maps. */
function leafFrame(entryWords: number, entry: number, high: number, pageShift: number): number {
  // Bits 20:13 of a 4 MiB leaf are address bits 39:32 (PSE-36, SDM vol. 3A table 4-4).
  if (entryWords === 1 && pageShift === 22) return (entry >>> 22) * 2 ** 10 + ((entry >>> 13) & 0xff) * 2 ** 20;
  return tableFrame(entry & -(1 << pageShift), high);
}

/** Number of the small page within a page of 2 ** pageShift bytes. */
const pageWithin = (lo: number, pageShift: number): number => (lo >>> 12) & ((1 << (pageShift - 12)) - 1);

/** Write and user stand in every entry; `noExecute` is the OR of the NX bits that count. */
const ordinaryRights = (low: number, noExecute: number): number =>
  (low & (PTE.W | PTE.U)) | (noExecute === 0 ? RIGHTS.X : 0);

/** EPT's R W X as rights: readable takes the place of user. */
const eptRights = (low: number): number => (low & EPT.W) | (low & EPT.R ? RIGHTS.U : 0) | (low & EPT.X ? RIGHTS.X : 0);
