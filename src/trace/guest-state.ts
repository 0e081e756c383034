// SPDX-License-Identifier: GPL-2.0-only
import type { PhysicalMemory } from '../sim/memory.ts';
import { PTE, PTE_HIGH } from '../sim/paging-bits.ts';
import { CR0, CR4, EFER } from '../sim/registers.ts';
import { CR3_NOFLUSH, CR3_PCID, EVENT, editFlags, KIND_SHIFT, pageOf } from './events.ts';
import type { TraceGuest, TracePaging } from './guest.ts';
import { buildTables, entryBits, flagLetters, TableForm } from './guest-tables.ts';
import { describeEvent, eventError } from './mistakes.ts';

/** Registers of a traced guest before its first event. */
export interface StartRegisters {
  readonly cr0: number;
  readonly cr4: number;
  readonly efer: number;
}

const cr4Of = { '32bit': CR4.PSE, pae: CR4.PAE, '4level': CR4.PAE, '5level': CR4.PAE | CR4.LA57 } as const;

/** Hard-wired since the 486. SDM vol. 3A 2.5. */
const CR0_ET = 1 << 4;

/** EFER.LMA follows from LME and paging, and is not written. */
export const startRegisters = (paging: TracePaging): StartRegisters => ({
  cr0: (CR0.PE | CR0_ET | CR0.WP | CR0.PG) >>> 0,
  cr4: cr4Of[paging],
  efer: EFER.NXE | (paging === '4level' || paging === '5level' ? EFER.LME : 0),
});

/** A write of a register that an event stands for. `noflush` is bit 63 of a CR3. */
export interface RegisterEvent {
  readonly register: 'cr0' | 'cr3' | 'cr4' | 'efer';
  readonly value: number;
  readonly noflush: boolean;
  /** The space that a write of CR3 puts in force, when it is done. */
  readonly space?: number;
}

/** Bits that an event must leave as the paging mode needs them. */
const FIXED = {
  cr0: CR0.PE | CR0.PG,
  cr4: CR4.PAE | CR4.LA57,
  efer: EFER.LME,
} as const;

/** The tables of a traced guest, and which of them are in force: what events mean, whoever runs them. */
export class GuestState {
  readonly #memory: PhysicalMemory;
  readonly #form: TableForm;
  readonly #start: StartRegisters;
  readonly roots: readonly number[];
  /** Frame after the last table. */
  readonly tablesEnd: number;
  /** The space in force. */
  space = 0;

  constructor(memory: PhysicalMemory, guest: TraceGuest) {
    this.#memory = memory;
    this.#form = new TableForm(guest.paging);
    this.#start = startRegisters(guest.paging);
    const { roots, end } = buildTables(memory, guest);
    this.roots = roots;
    this.tablesEnd = end;
  }

  /** CR3 for a space. */
  cr3(space: number): number {
    return this.roots[space]! * 4096;
  }

  /** The register write that event `number` stands for, null for another kind of event. `cr0` is the guest's now. */
  registerWrite(lo: number, hi: number, cr0: number, number: number): RegisterEvent | null {
    switch (hi >>> KIND_SHIFT) {
      case EVENT.CR3:
        if (lo < 0 || lo >= this.roots.length) {
          throw eventError(number, describeEvent(lo, hi), `a space below ${this.roots.length}`);
        }
        return {
          register: 'cr3',
          value: this.cr3(lo) + (hi & CR3_PCID),
          noflush: (hi & CR3_NOFLUSH) !== 0,
          space: lo,
        };
      case EVENT.WP:
        if (lo !== 0 && lo !== 1) throw eventError(number, describeEvent(lo, hi), '0 or 1');
        return { register: 'cr0', value: (lo === 0 ? cr0 & ~CR0.WP : cr0 | CR0.WP) >>> 0, noflush: false };
      case EVENT.CR0:
        return this.#whole('cr0', lo, hi, number);
      case EVENT.CR4:
        return this.#whole('cr4', lo, hi, number);
      case EVENT.EFER:
        return this.#whole('efer', lo, hi, number);
      default:
        return null;
    }
  }

  #whole(register: 'cr0' | 'cr4' | 'efer', lo: number, hi: number, number: number): RegisterEvent {
    const fixed = FIXED[register];
    const wanted = this.#start[register] & fixed;
    if ((lo & fixed) !== wanted) {
      const expected = `bits 0x${(fixed >>> 0).toString(16)} of ${register} to stay 0x${(wanted >>> 0).toString(16)}`;
      throw eventError(number, describeEvent(lo, hi), `${expected}, as the guest's paging mode needs them`);
    }
    return { register, value: lo >>> 0, noflush: false };
  }

  /** Makes the store of an EDIT; returns the physical address of the entry. */
  edit(lo: number, hi: number, number: number): number {
    const path = this.entries(pageOf(lo, hi));
    const address = path.at(-1)!;
    const memory = this.#memory;
    const entry = memory.read32(address);
    const isLeaf = path.length === this.#form.levels || (entry & PTE.PS) !== 0;
    if (!isLeaf) throw eventError(number, describeEvent(lo, hi), 'a page that the space in force maps');
    const flags = editFlags(hi);
    if (flags < 0) {
      memory.write32(address, (entry ^ PTE.W) & ~(PTE.A | PTE.D));
      return address;
    }
    const bits = entryBits(flagLetters(flags));
    memory.write32(address, (entry & ~FLAGS) | bits.lo);
    if (this.#form.entryBytes === 8) {
      const high = memory.read32(address + 4) & ~PTE_HIGH.NX;
      memory.write32(address + 4, bits.nx ? high | PTE_HIGH.NX : high);
    }
    return address;
  }

  get entryBytes(): number {
    return this.#form.entryBytes;
  }

  /** Physical addresses of the entries for a page in the space in force, from the root down. */
  entries(page: number): number[] {
    return this.#form.path(this.#memory, this.roots[this.space]!, page);
  }
}

/** Low bits of an entry that an EDIT sets. */
const FLAGS = PTE.P | PTE.W | PTE.U | PTE.G | PTE.A | PTE.D;
