// SPDX-License-Identifier: GPL-2.0-only
import { type AccessControls, eptRules, rulesFor } from './access-rules.ts';
import {
  ACCESSED,
  BARE_ACCESSED,
  CANONICAL_SHIFT,
  DIRTY,
  ENTRY_BYTES,
  GLOBAL,
  HAS_KEYS,
  HAS_PDPTES,
  IS_EPT,
  IS_SIMPLE,
  KEYS_ON,
  LARGE_LEVELS,
  LEVELS,
  MALFORMED_RIGHTS,
  NO_EXECUTE,
  ODD_MEMORY_TYPES,
  PDPTES,
  PKRU,
  PRESENT,
  REPORT_FETCH,
  RESERVED,
  ROOT_BYTE,
  ROOT_FRAME,
  RULES,
  TABLE_ACCESS,
  UNCOVERED_HIGH,
  WP,
} from './core/layout.ts';
import { ACCESS, PTE } from './paging-bits.ts';
import { type PagingFeatures, type PagingMode, pagingModeOf, pagingModes, plainFeatures } from './paging-modes.ts';
import { CR0, CR4, EFER, type Registers } from './registers.ts';
import { type FormatSwitches, TableFormat } from './table-format.ts';

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

/**
 * What a walk depends on beside memory, worked out of registers whenever they change, so that the walk itself tests masks
 * and tables only.
 */
export class WalkControls {
  /** Rules by `ruleIndex`; also what a TLB hit is checked against. */
  rules: Uint8Array = rulesFor({ wp: true, smep: false, smap: false });
  /** 1 while protection keys apply. */
  keysOn = 0;
  pkru = 0;
  /** Masks of the tables' form. */
  format = new TableFormat(pagingModes.none, plainFeatures, { nxe: false, marks: true, nested: false });
  /** Frame of the root table. */
  rootFrame = 0;
  /** First word of the root table within its page: PAE tables are 32 bytes. */
  rootWord = 0;
  /** PDPTEs in registers, null where a walk reads them from memory or there are none. */
  pdptes: Int32Array | null = null;
  /** 1 while supervisor writes need the write right. */
  wp = 1;
  /** PTE.G while CR4.PGE is set, else 0. */
  globalBit = 0;
  /** ACCESS.FETCH where error codes tell fetches apart, else 0. */
  reportFetch = 0;
  /** As nested tables: how reads of guest tables count. */
  tableAccess: number = ACCESS.WRITE | ACCESS.USER;

  /**
   * Whether PAE paging uses the PDPTEs in `registers.pdptes` or those in memory. Memory is right for guests under NPT
   * alone (APM vol. 2 15.25.10); a move to CR3 loads the registers everywhere else, under EPT too (SDM vol. 3A 4.4.1).
   */
  pdptesInRegisters: boolean;

  // What `load` worked the masks out of last: every entry to a guest comes here, and few change a register.
  private cr0 = 0;
  private cr4 = 0;
  private efer = 0;
  private rflagsAc = 0;
  private features: PagingFeatures | null = null;

  /** The walker's block in the machine's memory, which `store` keeps up to date. */
  private readonly words: Int32Array;
  // What the block has.
  private storedFormat: TableFormat | null = null;
  private storedRules: Uint8Array | null = null;

  /** Ways that the core remembers, which a new form of the tables makes void. */
  private readonly paths: Int32Array | null;

  constructor(pdptesInRegisters: boolean, words: Int32Array, paths: Int32Array | null = null) {
    this.pdptesInRegisters = pdptesInRegisters;
    this.words = words;
    this.paths = paths;
    this.store();
  }

  /** Paging mode of the tables. */
  get mode(): PagingMode {
    return this.format.mode;
  }

  /** Whether the high half of an address is one that the mode takes. */
  isCanonical(hi: number): boolean {
    const shift = this.format.canonicalShift;
    return shift < 0 || hi >> shift === hi >> 31;
  }

  /** Whether the tables have accessed and dirty bits; only EPT can be without. */
  get marksEntries(): boolean {
    return this.format.marks;
  }

  /**
   * Takes over the registers of the software that owns the tables. To be called after any of them changes; CPL enters
   * with each access instead.
   */
  load(registers: Registers, features: PagingFeatures = plainFeatures): void {
    const { cr0, cr4, efer, rflagsAc } = registers;
    if (
      cr0 !== this.cr0 ||
      cr4 !== this.cr4 ||
      efer !== this.efer ||
      rflagsAc !== this.rflagsAc ||
      features !== this.features
    ) {
      this.workOut(registers, features);
    }
    this.pkru = registers.pkru;
    this.pdptes = this.pdptesInRegisters && this.format.bareLevels !== 0 ? registers.pdptes : null;
    this.loadRoot(registers.cr3);
    this.store();
  }

  private workOut(registers: Registers, features: PagingFeatures): void {
    const { cr0, cr4, efer, rflagsAc } = registers;
    const mode = pagingModeOf(registers);
    const nxe = (efer & EFER.NXE) !== 0;
    this.shape(mode, features, { nxe, marks: true, nested: false });
    // No rule holds while paging is off (SDM vol. 3A 4.1.1).
    const paging = mode.levels !== 0;
    const smep = paging && (cr4 & CR4.SMEP) !== 0;
    const smap = paging && (cr4 & CR4.SMAP) !== 0 && rflagsAc === 0;
    this.control({ wp: paging && (cr0 & CR0.WP) !== 0, smep, smap });
    // SDM vol. 3A 4.7: bit 4 tells fetches apart when SMEP or execute-disable is on, and only then.
    this.reportFetch = smep || (cr4 & CR4.PAE && nxe) ? ACCESS.FETCH : 0;
    this.keysOn = mode.keys && cr4 & CR4.PKE ? 1 : 0;
    this.globalBit = cr4 & CR4.PGE ? PTE.G : 0;
    this.cr0 = cr0;
    this.cr4 = cr4;
    this.efer = efer;
    this.rflagsAc = rflagsAc;
    this.features = features;
  }

  /**
   * Makes this the walker of nested tables. NPT entries are ordinary ones and every access to them is a user access, that
   * to a guest table also a write (APM vol. 2 15.25.5). Reads of guest tables are writes for EPT while it marks entries
   * (SDM vol. 3C 29.3.5).
   */
  loadNested({ root, mode, features, nxe, eptMarks }: NestedRoot): void {
    this.features = null;
    this.shape(mode, features, { nxe, marks: eptMarks, nested: true });
    this.control({ wp: true, smep: false, smap: false });
    if (mode.ept) this.rules = eptRules;
    this.reportFetch = mode.ept || nxe ? ACCESS.FETCH : 0;
    this.tableAccess = (mode.ept && !eptMarks ? ACCESS.READ : ACCESS.WRITE) | ACCESS.USER;
    this.keysOn = 0;
    this.globalBit = 0;
    this.pdptes = null;
    this.loadRoot(root);
    this.store();
  }

  /** Changes the root alone: the address in CR3, nCR3 or EPTP. Bits below the table's alignment are not looked at. */
  loadRoot(address: number): void {
    this.rootFrame = Math.floor(address / 4096);
    this.rootWord = this.format.bareLevels === 0 ? 0 : (address & 0xfe0) >>> 2;
    this.words[ROOT_FRAME / 4] = this.rootFrame;
    this.words[ROOT_FRAME / 4 + 1] = this.rootFrame / 2 ** 32;
    this.words[ROOT_BYTE / 4] = this.rootWord * 4;
  }

  /** Works the masks out again, unless nothing changed: CR0.WP and CR3 change far more often than the mode. */
  private shape(mode: PagingMode, features: PagingFeatures, switches: FormatSwitches): void {
    const now = this.format;
    if (now.mode === mode && now.features === features && now.isFor(switches)) return;
    this.format = new TableFormat(mode, features, switches);
  }

  private control(controls: AccessControls): void {
    this.rules = rulesFor(controls);
    this.wp = controls.wp ? 1 : 0;
  }

  /** Writes to the block what changed since the last time. */
  private store(): void {
    const { words, format, rules, pdptes } = this;
    words[KEYS_ON / 4] = this.keysOn;
    words[PKRU / 4] = this.pkru;
    words[WP / 4] = this.wp;
    words[REPORT_FETCH / 4] = this.reportFetch;
    words[TABLE_ACCESS / 4] = this.tableAccess;
    words[GLOBAL / 4] = this.globalBit;
    words[HAS_PDPTES / 4] = pdptes === null ? 0 : 1;
    if (pdptes !== null) words.set(pdptes, PDPTES / 4);
    if (rules !== this.storedRules) {
      new Uint8Array(words.buffer, words.byteOffset + RULES, rules.length).set(rules);
      this.storedRules = rules;
    }
    if (format !== this.storedFormat) {
      storeFormat(words, format);
      this.paths?.fill(0);
      this.storedFormat = format;
    }
  }
}

function storeFormat(words: Int32Array, format: TableFormat): void {
  words[LEVELS / 4] = format.levels;
  words[ENTRY_BYTES / 4] = format.entryWords * 4;
  words[IS_EPT / 4] = Number(format.ept);
  words[LARGE_LEVELS / 4] = format.largeLevels;
  words[IS_SIMPLE / 4] = Number(format.levels > 0 && format.entryWords === 2 && format.bareLevels === 0);
  words[CANONICAL_SHIFT / 4] = format.canonicalShift;
  words[UNCOVERED_HIGH / 4] = format.uncoveredHigh;
  words[HAS_KEYS / 4] = Number(format.mode.keys);
  // Masks of which only the low half has bits.
  words[PRESENT / 4] = format.present;
  words[ACCESSED / 4] = format.accessed;
  words[DIRTY / 4] = format.dirty;
  words[BARE_ACCESSED / 4] = format.bareAccessed;
  words[NO_EXECUTE / 4 + 1] = format.noExecute;
  words[MALFORMED_RIGHTS / 4] = format.malformedRights;
  words[ODD_MEMORY_TYPES / 4] = format.oddMemoryTypes;
  words.set(format.reserved, RESERVED / 4);
}
