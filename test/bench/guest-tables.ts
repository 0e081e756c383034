// SPDX-License-Identifier: GPL-2.0-only
import type { PhysicalMemory } from '../../src/sim/memory.ts';
import { PTE } from '../../src/sim/paging-bits.ts';
import { type BenchWorkload, FIRST_PAGE, isWritable } from './workloads.ts';

/** First guest frame of data: above every table. Data pages have no memory behind them; only their numbers are added up. */
export const DATA_FRAME = 0x400000;
/** Host frame of the first data frame. */
export const HOST_DATA_FRAME = 0x4000000;

const OPEN = PTE.P | PTE.W | PTE.U;
const FIRST_TABLE_FRAME = 1;

/** Builds four-level tables; table frames count up from the first one given. */
export class TableBuilder {
  readonly #memory: PhysicalMemory;
  #next: number;

  constructor(memory: PhysicalMemory, firstFrame: number) {
    this.#memory = memory;
    this.#next = firstFrame;
  }

  /** Frame after the last table. */
  get end(): number {
    return this.#next;
  }

  newTable(): number {
    this.#memory.slotFor(this.#next);
    return this.#next++;
  }

  /** Maps a page of `level` (1: 4 KiB, 2: 2 MiB) to a frame; `page` counts pages of 4 KiB. */
  map(root: number, page: number, { frame, bits, level = 1 }: { frame: number; bits: number; level?: number }): void {
    let table = root;
    for (let at = 4; at > level; at--) {
      const address = entryAddress(table, page, at);
      if ((this.#memory.read32(address) & PTE.P) === 0) this.#write(address, this.newTable(), OPEN);
      table = this.frameAt(address);
    }
    this.#write(entryAddress(table, page, level), frame, bits);
  }

  frameAt(address: number): number {
    return (this.#memory.read64lo(address) >>> 12) + this.#memory.read64hi(address) * 2 ** 20;
  }

  #write(address: number, frame: number, bits: number): void {
    this.#memory.write64(address, (frame << 12) | bits, Math.floor(frame / 2 ** 20));
  }
}

/** Physical address of the entry of `level` for a page. */
export const entryAddress = (table: number, page: number, level: number): number =>
  table * 4096 + (Math.floor(page / 2 ** (9 * (level - 1))) % 512) * 8;

/** Number of page `n` of an address space. */
export const pageNumber = (n: number): number => FIRST_PAGE.hi * 2 ** 32 + FIRST_PAGE.lo + n;

/** The guest's tables of a workload: frame of each address space's root, and the frame after the last table. */
export function guestTables(memory: PhysicalMemory, workload: BenchWorkload): { roots: number[]; end: number } {
  const { spaces, pages, huge } = workload;
  const tables = new TableBuilder(memory, FIRST_TABLE_FRAME);
  const roots = Array.from({ length: spaces }, (_, space) => {
    const root = tables.newTable();
    const first = DATA_FRAME + space * pages;
    if (huge) {
      for (let i = 0; i < pages; i += 512) {
        tables.map(root, pageNumber(i), { frame: first + i, bits: leafBits(i / 512) | PTE.PS, level: 2 });
      }
    } else {
      // Neighbours in the address space are no neighbours in memory.
      for (let i = 0; i < pages; i++) tables.map(root, pageNumber(i), { frame: first + (i ^ 0x15), bits: leafBits(i) });
    }
    return root;
  });
  return { roots, end: tables.end };
}

const leafBits = (page: number): number => PTE.P | PTE.U | (isWritable(page) ? PTE.W : 0);
