// SPDX-License-Identifier: GPL-2.0-only
import type { PhysicalMemory } from './memory.ts';

/** CR0 bits that paging reads. SDM vol. 3A 2.5, APM vol. 2 3.1.1. */
export const CR0 = { PE: 1 << 0, WP: 1 << 16, NW: 1 << 29, CD: 1 << 30, PG: 0x80000000 } as const;

/** CR4 bits that paging reads. SDM vol. 3A 2.5, APM vol. 2 3.1.3. */
export const CR4 = {
  PSE: 1 << 4,
  PAE: 1 << 5,
  PGE: 1 << 7,
  LA57: 1 << 12,
  VMXE: 1 << 13,
  PCIDE: 1 << 17,
  SMEP: 1 << 20,
  SMAP: 1 << 21,
  PKE: 1 << 22,
} as const;

/** EFER bits that paging reads. SDM vol. 3A 2.2.1, APM vol. 2 3.1.7. */
export const EFER = { LME: 1 << 8, LMA: 1 << 10, NXE: 1 << 11, SVME: 1 << 12 } as const;

/** CR3 bits 11:0 are the PCID while CR4.PCIDE is set. SDM vol. 3A 4.5. */
export const CR3_PCID = 0xfff;

/**
 * The registers that one walk depends on. All are unsigned 32-bit values, but CR3, a double that holds the address and
 * the low twelve bits exactly; bit 63 of a CR3 write ("no flush") is never stored, as in hardware.
 */
export class Registers {
  cr0 = 0;
  cr3 = 0;
  cr4 = 0;
  efer = 0;
  /** RFLAGS.AC, 0 or 1. */
  rflagsAc = 0;
  pkru = 0;
  /** Current privilege level, 0 to 3. */
  cpl = 0;
  /** PDPTE0 to PDPTE3 as low and high halves, as PAE paging keeps them since the last load. SDM vol. 3A 4.4.1. */
  readonly pdptes = new Int32Array(8);

  /** Whether every value but those of the PDPTEs is that of `other`. */
  isLike(other: Registers): boolean {
    return (
      this.cr0 === other.cr0 &&
      this.cr3 === other.cr3 &&
      this.cr4 === other.cr4 &&
      this.efer === other.efer &&
      this.rflagsAc === other.rflagsAc &&
      this.pkru === other.pkru &&
      this.cpl === other.cpl
    );
  }

  /** Takes over every value of `from`. */
  copy(from: Registers): void {
    this.cr0 = from.cr0;
    this.cr3 = from.cr3;
    this.cr4 = from.cr4;
    this.efer = from.efer;
    this.rflagsAc = from.rflagsAc;
    this.pkru = from.pkru;
    this.cpl = from.cpl;
    // Not `set`, which is a call out of compiled code.
    for (let half = 0; half < 8; half++) this.pdptes[half] = from.pdptes[half]!;
  }
}

/**
 * Loads the four PDPTEs from the 32-byte table that CR3 points to, as a move to CR3 does under PAE paging (SDM vol. 3A
 * 4.4.1). Returns false, and leaves the registers as they were, when a present PDPTE sets a reserved bit (2:1, 8:5,
 * 63:MAXPHYADDR): the move raises #GP(0).
 */
export function loadPdptes(memory: PhysicalMemory, registers: Registers, maxPhyAddr: number): boolean {
  const table = registers.cr3 - (registers.cr3 & 0x1f);
  const reservedHi = maxPhyAddr >= 64 ? 0 : -1 << (maxPhyAddr - 32);
  for (let i = 0; i < 4; i++) {
    const lo = memory.read32(table + 8 * i);
    const hi = memory.read32(table + 8 * i + 4);
    if (lo & 1 && ((lo & 0x1e6) !== 0 || (hi & reservedHi) !== 0)) return false;
  }
  for (let word = 0; word < 8; word++) registers.pdptes[word] = memory.read32(table + 4 * word);
  return true;
}
