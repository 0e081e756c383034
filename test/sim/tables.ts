// SPDX-License-Identifier: GPL-2.0-only
import type { PhysicalMemory } from '../../src/sim/memory.ts';
import { PTE } from '../../src/sim/paging-bits.ts';
import { type PagingMode, pagingModes } from '../../src/sim/paging-modes.ts';
import { CR0, CR4, EFER, Registers } from '../../src/sim/registers.ts';

/** Low bits of a table pointer that forbids nothing. */
export const OPEN = PTE.P | PTE.W | PTE.U;

/** An address or entry as the two halves that the machine takes. Tests write 64-bit values as BigInt literals. */
export const halves = (value: bigint): [lo: number, hi: number] => [
  Number(value & 0xffffffffn) | 0,
  Number((value >> 32n) & 0xffffffffn) | 0,
];

/** Registers with paging on in a mode, and everything that could forbid an access off. */
export function registersFor(mode: PagingMode, cr3: number): Registers {
  const registers = new Registers();
  const wide = mode.levels >= 4;
  registers.cr0 = (CR0.PE | CR0.PG) >>> 0;
  registers.cr3 = cr3;
  registers.cr4 =
    (mode.name === 'pse' ? CR4.PSE : 0) | (mode.entryWords === 2 ? CR4.PAE : 0) | (mode.levels === 5 ? CR4.LA57 : 0);
  registers.efer = (wide ? EFER.LME | EFER.LMA : 0) | EFER.NXE;
  return registers;
}

/** Builds tables of one mode in memory, with the frames of tables taken in order from `nextFrame`. */
export class Tables {
  readonly root: number;
  readonly memory: PhysicalMemory;
  readonly mode: PagingMode;
  /** Low bits of pointers to tables. */
  pointerBits = OPEN;
  #nextFrame: number;

  constructor(memory: PhysicalMemory, mode: PagingMode, firstFrame: number) {
    this.memory = memory;
    this.mode = mode;
    this.#nextFrame = firstFrame;
    this.root = this.#newTable();
  }

  /** Physical address of the entry of `level` for an address; creates the tables above it. */
  entry(address: bigint, level = 1): number {
    let table = this.root;
    for (let at = this.mode.levels; ; at--) {
      const entryAddress = table * 4096 + this.#index(address, at) * this.mode.entryWords * 4;
      if (at === level) return entryAddress;
      if (this.memory.read32(entryAddress) === 0) {
        const bare = (this.mode.bareLevels >>> at) & 1;
        this.#write(entryAddress, this.#newTable(), bare ? PTE.P : this.pointerBits);
      }
      table = Math.floor(this.memory.read32(entryAddress) / 4096);
    }
  }

  /** Maps a page: `bits` are the leaf's low bits, PS included for a large page. */
  map(address: bigint, frame: number, bits: number, level = 1): void {
    this.#write(this.entry(address, level), frame, bits);
  }

  #newTable(): number {
    this.memory.slotFor(this.#nextFrame);
    return this.#nextFrame++;
  }

  #write(address: number, frame: number, bits: number): void {
    const value = BigInt(frame) * 4096n + BigInt(bits);
    const [lo, hi] = halves(value);
    if (this.mode.entryWords === 2) this.memory.write64(address, lo, hi);
    else this.memory.write32(address, lo);
  }

  #index(address: bigint, level: number): number {
    const width = this.mode.entryWords === 2 ? 9 : 10;
    return Number((address >> BigInt(12 + width * (level - 1))) & BigInt((1 << width) - 1));
  }
}

export const modeNamed = (name: keyof typeof pagingModes): PagingMode => pagingModes[name];
