// SPDX-License-Identifier: GPL-2.0-only
import { EPT, PTE } from './paging-bits.ts';
import { CR0, CR4, EFER, type Registers } from './registers.ts';

/** What a walk must know about one form of table. The paging modes differ in these values only, not in code. */
export interface PagingMode {
  readonly name: string;
  /** Tables from the root to a 4 KiB page; 0 when addresses are not translated. */
  readonly levels: number;
  /** 32-bit words of one entry: 1 or 2. A table is always one page, so it has 1024 or 512 entries. */
  readonly entryWords: number;
  /** Width of the addresses that the tables cover, in bits. */
  readonly addressBits: number;
  /** Bit n set: bit 7 of an entry of level n maps a large page. */
  readonly largeLevels: number;
  /** Bit n set: bit 7 of an entry of level n is reserved. */
  readonly noLargeLevels: number;
  /** Bit n set: entries of level n carry neither rights nor an accessed bit (the PDPTEs of PAE paging). */
  readonly bareLevels: number;
  /** Bits 62:52 of an entry are reserved; else ignored, or the protection key. */
  readonly reservedAbove52: boolean;
  /** Entries have bit 63, NX, for EFER.NXE to enable. */
  readonly nx: boolean;
  /** Leaf entries have a protection key for CR4.PKE to enable. */
  readonly keys: boolean;
  /** Addresses are sign-extended to 64 bits, and fault when they are not. */
  readonly canonical: boolean;
  /** Entries in EPT's format. */
  readonly ept: boolean;
}

const level = (...levels: number[]): number => levels.reduce((bits, n) => bits | (1 << n), 0);

const untranslated: PagingMode = {
  name: 'none',
  levels: 0,
  entryWords: 1,
  addressBits: 32,
  largeLevels: 0,
  noLargeLevels: 0,
  bareLevels: 0,
  reservedAbove52: false,
  nx: false,
  keys: false,
  canonical: false,
  ept: false,
};

const fourLevel: PagingMode = {
  ...untranslated,
  name: '4level',
  levels: 4,
  entryWords: 2,
  addressBits: 48,
  largeLevels: level(2, 3),
  noLargeLevels: level(4, 5),
  nx: true,
  keys: true,
  canonical: true,
};

/** Every paging mode (SDM vol. 3A 4.1.1 and 4.3 to 4.5, APM vol. 2 5.2 and 5.3) and EPT (SDM vol. 3C 29.3.2). */
export const pagingModes = {
  none: untranslated,
  /** CR4.PSE clear: bit 7 of a PDE is ignored. */
  '32bit': { ...untranslated, name: '32bit', levels: 2 },
  /** CR4.PSE set: 4 MiB pages, with address bits 39:32 in bits 20:13 of the PDE (PSE-36). */
  pse: { ...untranslated, name: 'pse', levels: 2, largeLevels: level(2) },
  pae: {
    ...untranslated,
    name: 'pae',
    levels: 3,
    entryWords: 2,
    largeLevels: level(2),
    bareLevels: level(3),
    reservedAbove52: true,
    nx: true,
  },
  '4level': fourLevel,
  '5level': { ...fourLevel, name: '5level', levels: 5, addressBits: 57 },
  ept4: { ...fourLevel, name: 'ept4', nx: false, keys: false, canonical: false, ept: true },
  ept5: { ...fourLevel, name: 'ept5', levels: 5, addressBits: 57, nx: false, keys: false, canonical: false, ept: true },
} as const satisfies Record<string, PagingMode>;

/** The mode that the registers select. SDM vol. 3A 4.1.1. */
export function pagingModeOf(registers: Registers): PagingMode {
  if (!(registers.cr0 & CR0.PG)) return pagingModes.none;
  if (!(registers.cr4 & CR4.PAE)) return registers.cr4 & CR4.PSE ? pagingModes.pse : pagingModes['32bit'];
  if (!(registers.efer & EFER.LMA)) return pagingModes.pae;
  return registers.cr4 & CR4.LA57 ? pagingModes['5level'] : pagingModes['4level'];
}

/** What the CPU model adds to the mode. */
export interface PagingFeatures {
  /** MAXPHYADDR in bits, 32 to 52: address bits from here on are reserved. */
  readonly maxPhyAddr: number;
  /** 1 GiB pages; without them bit 7 of a level-3 entry is reserved. */
  readonly gbPages: boolean;
  /** AMD: bit 8 of a non-leaf entry of level 3 and above is reserved (APM vol. 2 5.3); Intel ignores it. */
  readonly amd: boolean;
  /** EPT: entries that allow execution only (SDM vol. 3C A.10, bit 0). */
  readonly executeOnly: boolean;
  /** Walks set the accessed bit of PDPTEs of PAE paging, which is reserved elsewhere. Absent: they do not. */
  readonly marksPdptes?: boolean;
}

/** The features of a CPU with everything that narrows nothing: 52 address bits, 1 GiB pages, Intel's reserved bits. */
export const plainFeatures: PagingFeatures = { maxPhyAddr: 52, gbPages: true, amd: false, executeOnly: false };

/** Number of address bits below the page number of a leaf of this level: 12, 21 or 22, 30. */
export const pageShiftOf = (mode: PagingMode, leafLevel: number): number =>
  mode.entryWords === 1 ? 2 + 10 * leafLevel : 3 + 9 * leafLevel;

/** Index into a format's `reserved`: low word, the high word follows. */
export const reservedIndex = (entryLevel: number, large: number): number => entryLevel * 4 + large * 2;

/**
 * Reserved bits of every kind of entry, as pairs of words at `reservedIndex(level, large)`; `nxe` is EFER.NXE.
 * Reserved are: address bits from MAXPHYADDR on; address bits below a large page's size; bit 7 where no large page can
 * be; NX while not enabled; and what the mode adds.
 */
export function reservedBits(mode: PagingMode, features: PagingFeatures, nxe: boolean): Int32Array {
  const bits = new Int32Array(reservedIndex(6, 0));
  for (let entryLevel = 1; entryLevel <= mode.levels; entryLevel++) {
    for (const large of [0, 1]) {
      const at = reservedIndex(entryLevel, large);
      if (mode.entryWords === 1) {
        bits[at] = large ? reservedOfPse36(features.maxPhyAddr) : 0;
        continue;
      }
      // Bit 63 of a PDPTE of PAE paging is reserved whatever EFER.NXE says (SDM vol. 3A table 4-8).
      bits[at + 1] = reservedHigh(mode, features, nxe && !(mode.bareLevels & level(entryLevel)));
      if (large) bits[at] = maskBelow(pageShiftOf(mode, entryLevel)) & ~(mode.ept ? 0xfff : 0x1fff);
      else if (entryLevel > 1) bits[at] = reservedOfTablePointer(mode, features, entryLevel);
    }
  }
  return bits;
}

/** Reserved bits of an entry's high half. */
function reservedHigh(mode: PagingMode, { maxPhyAddr }: PagingFeatures, nxe: boolean): number {
  const address = maxPhyAddr >= 52 ? 0 : maskBelow(20) & ~maskBelow(maxPhyAddr - 32);
  const above = mode.reservedAbove52 ? 0x7ff00000 : 0;
  const top = mode.nx && !nxe ? 0x80000000 : 0;
  return address | above | top;
}

function reservedOfTablePointer(mode: PagingMode, features: PagingFeatures, entryLevel: number): number {
  // Bits 6:3 of an EPT entry that points to a table are reserved (SDM vol. 3C tables 29-1 to 29-5).
  if (mode.ept)
    return 0x78 | (mode.noLargeLevels & level(entryLevel) || isMissing1G(features, entryLevel) ? EPT.PS : 0);
  // Bits 2:1 and 8:5 of a PDPTE of PAE paging (SDM vol. 3A table 4-8).
  if (mode.bareLevels & level(entryLevel)) return features.marksPdptes ? 0x1c6 : 0x1e6;
  const large = mode.noLargeLevels & level(entryLevel) || isMissing1G(features, entryLevel) ? PTE.PS : 0;
  return large | (features.amd && entryLevel >= 3 ? PTE.G : 0);
}

const isMissing1G = (features: PagingFeatures, entryLevel: number): boolean => entryLevel === 3 && !features.gbPages;

/** Bits 20:13 hold address bits 39:32; those from MAXPHYADDR on, and always bit 21, are reserved (SDM vol. 3A table 4-4). */
function reservedOfPse36(maxPhyAddr: number): number {
  const width = Math.min(Math.max(maxPhyAddr, 32), 40);
  return maskBelow(22) & ~maskBelow(width - 32 + 13);
}

/** The lowest `bits` bits, 0 to 31. */
const maskBelow = (bits: number): number => 2 ** bits - 1;

/** Large levels of a mode on a CPU: a CPU without 1 GiB pages has none at level 3. */
export const largeLevelsOf = (mode: PagingMode, features: PagingFeatures): number =>
  features.gbPages ? mode.largeLevels : mode.largeLevels & ~level(3);
