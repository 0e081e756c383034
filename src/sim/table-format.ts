// SPDX-License-Identifier: GPL-2.0-only
import { EPT, PTE, PTE_HIGH } from './paging-bits.ts';
import { largeLevelsOf, type PagingFeatures, type PagingMode, reservedBits } from './paging-modes.ts';

/** EPT memory types 2, 3 and 7 are reserved, as a set of bits by type. SDM vol. 3C 29.3.7.1. */
const RESERVED_MEMORY_TYPES = (1 << 2) | (1 << 3) | (1 << 7);

/** Switches of a table format that registers or controls set. */
export interface FormatSwitches {
  /** EFER.NXE of the software that owns the tables. */
  readonly nxe: boolean;
  /** False only for EPT with accessed and dirty bits off. */
  readonly marks: boolean;
  /** The tables translate guest-physical addresses: an address beyond their width is not present. */
  readonly nested: boolean;
}

/** A paging mode on one CPU, worked out to the masks that a walk applies to entries. */
export class TableFormat {
  readonly mode: PagingMode;
  readonly features: PagingFeatures;
  readonly nxe: boolean;
  readonly marks: boolean;
  readonly nested: boolean;
  readonly levels: number;
  readonly entryWords: number;
  readonly ept: boolean;
  /** An entry with none of these bits is not present. */
  readonly present: number;
  /** Accessed and dirty bits, 0 where the format has none. */
  readonly accessed: number;
  readonly dirty: number;
  readonly largeLevels: number;
  readonly bareLevels: number;
  /** What a walk sets in entries of bare levels: 0, but for a CPU that marks PDPTEs. */
  readonly bareAccessed: number;
  /** Reserved bits by `reservedIndex`. */
  readonly reserved: Int32Array;
  /** NX in the high half while enabled, else 0. Signed. */
  readonly noExecute: number;
  /** Bit n set: an entry with low three bits n is malformed (EPT only). */
  readonly malformedRights: number;
  /** Bit n set: memory type n is reserved in a leaf (EPT only). */
  readonly oddMemoryTypes: number;
  /** `hi >> canonicalShift` is all sign in a canonical address; -1 where any address will do. */
  readonly canonicalShift: number;
  /** Bits of the address's high half that must be clear for the tables to cover it. */
  readonly uncoveredHigh: number;

  constructor(mode: PagingMode, features: PagingFeatures, switches: FormatSwitches) {
    this.mode = mode;
    this.features = features;
    this.nxe = switches.nxe;
    this.marks = switches.marks;
    this.nested = switches.nested;
    this.levels = mode.levels;
    this.entryWords = mode.entryWords;
    this.ept = mode.ept;
    this.present = mode.ept ? EPT.R | EPT.W | EPT.X : PTE.P;
    this.accessed = mode.ept ? (switches.marks ? EPT.A : 0) : PTE.A;
    this.dirty = mode.ept ? (switches.marks ? EPT.D : 0) : PTE.D;
    this.largeLevels = largeLevelsOf(mode, features);
    this.bareLevels = mode.bareLevels;
    this.bareAccessed = features.marksPdptes ? PTE.A : 0;
    this.reserved = reservedBits(mode, features, switches.nxe);
    this.noExecute = mode.nx && switches.nxe ? PTE_HIGH.NX | 0 : 0;
    this.malformedRights = mode.ept ? malformedEptRights(features.executeOnly) : 0;
    this.oddMemoryTypes = mode.ept ? RESERVED_MEMORY_TYPES : 0;
    this.canonicalShift = mode.canonical && !switches.nested ? mode.addressBits - 33 : -1;
    this.uncoveredHigh = switches.nested ? ~(2 ** (mode.addressBits - 32) - 1) : 0;
  }

  /** Whether these are the switches it was made for. */
  isFor(switches: FormatSwitches): boolean {
    return this.nxe === switches.nxe && this.marks === switches.marks && this.nested === switches.nested;
  }
}

/** Writable but not readable; executable only, on a CPU without that. SDM vol. 3C 29.3.3.1. */
function malformedEptRights(executeOnly: boolean): number {
  return (1 << EPT.W) | (1 << (EPT.W | EPT.X)) | (executeOnly ? 0 : 1 << EPT.X);
}
