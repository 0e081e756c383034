// SPDX-License-Identifier: GPL-2.0-only
import type { PhysicalMemory } from '../sim/memory.ts';
import { PTE, PTE_HIGH } from '../sim/paging-bits.ts';
import { pagingModes } from '../sim/paging-modes.ts';
import { EDIT_FLAG } from './events.ts';
import { frameOf, isReadOnly, stepOf, type TraceGuest, type TraceMap, type TracePaging } from './guest.ts';

const OPEN = PTE.P | PTE.W | PTE.U;

/** Shape of one level of tables, by level. */
interface LevelForm {
  /** 4 KiB pages that one entry covers. */
  readonly span: number;
  readonly entries: number;
  /** Bits of an entry that points to a table of the level below. */
  readonly pointer: number;
}

/** What is needed to find and write entries of a paging mode: level 1 is the last. */
export class TableForm {
  readonly levels: number;
  readonly entryBytes: number;
  readonly #forms: readonly LevelForm[];

  constructor(paging: TracePaging) {
    const { levels, entryWords, bareLevels } = pagingModes[paging];
    this.levels = levels;
    this.entryBytes = entryWords * 4;
    const entries = 4096 / this.entryBytes;
    this.#forms = Array.from({ length: levels + 1 }, (_, level) => ({
      span: entries ** (level - 1),
      entries,
      // PDPTEs of PAE paging have neither W nor U.
      pointer: (bareLevels >>> level) & 1 ? PTE.P : OPEN,
    }));
  }

  /** Physical address of the entry of `level` for a page, in the table at a frame. */
  entryAddress(table: number, page: number, level: number): number {
    const { span, entries } = this.#forms[level]!;
    return table * 4096 + (Math.floor(page / span) & (entries - 1)) * this.entryBytes;
  }

  /** 4 KiB pages that one table of `level` covers. */
  reach(level: number): number {
    const { span, entries } = this.#forms[level]!;
    return span * entries;
  }

  pointerBits(level: number): number {
    return this.#forms[level]!.pointer;
  }

  /** Frame in the entry at an address. */
  frameAt(memory: PhysicalMemory, address: number): number {
    const low = memory.read32(address) >>> 12;
    return this.entryBytes === 4 ? low : low + (memory.read32(address + 4) & 0xfffff) * 2 ** 20;
  }

  /** Addresses of the entries for a page, from the root down to the one that maps it, or to the first that is absent. */
  path(memory: PhysicalMemory, root: number, page: number): number[] {
    const addresses: number[] = [];
    let table = root;
    for (let level = this.levels; level >= 1; level--) {
      const address = this.entryAddress(table, page, level);
      addresses.push(address);
      const entry = memory.read32(address);
      if ((entry & PTE.P) === 0 || (level <= 3 && (entry & PTE.PS) !== 0)) break;
      table = this.frameAt(memory, address);
    }
    return addresses;
  }
}

/** An entry's bits beside its frame. */
export interface EntryBits {
  readonly lo: number;
  /** Bit 63: no-execute. */
  readonly nx: boolean;
}

/** Builds tables; their frames count up from the first one given. */
export class TableBuilder {
  readonly #memory: PhysicalMemory;
  readonly #form: TableForm;
  #next: number;

  constructor(memory: PhysicalMemory, form: TableForm, firstFrame: number) {
    this.#memory = memory;
    this.#form = form;
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

  /** Maps the page of `level` (1: 4 KiB, 2: 2 MiB) at a page number to a frame. */
  map(root: number, page: number, { frame, bits, level }: { frame: number; bits: EntryBits; level: number }): void {
    this.mapIn(this.tableFor(root, page, level), page, { frame, bits, level });
  }

  /** Frame of the table whose entry maps the page of `level` at a page number. Tables on the way to it are made. */
  tableFor(root: number, page: number, level: number): number {
    const memory = this.#memory;
    const form = this.#form;
    let table = root;
    for (let at = form.levels; at > level; at--) {
      const address = form.entryAddress(table, page, at);
      if ((memory.read32(address) & PTE.P) === 0) this.#write(address, this.newTable(), form.pointerBits(at), false);
      table = form.frameAt(memory, address);
    }
    return table;
  }

  /** As `map`, where the table is known. */
  mapIn(table: number, page: number, { frame, bits, level }: { frame: number; bits: EntryBits; level: number }): void {
    this.#write(this.#form.entryAddress(table, page, level), frame, bits.lo, bits.nx);
  }

  #write(address: number, frame: number, lo: number, nx: boolean): void {
    const word = (frame << 12) | lo;
    if (this.#form.entryBytes === 4) this.#memory.write32(address, word);
    else this.#memory.write64(address, word, Math.floor(frame / 2 ** 20) | (nx ? PTE_HIGH.NX : 0));
  }
}

const bitOf = { p: PTE.P, w: PTE.W, u: PTE.U, n: 0, g: PTE.G, a: PTE.A, d: PTE.D } as const;

/** Entry bits of flag letters. */
export function entryBits(flags: string): EntryBits {
  let lo = 0;
  for (const [letter, bit] of Object.entries(bitOf)) if (flags.includes(letter)) lo |= bit;
  return { lo, nx: flags.includes('n') };
}

/** Flag letters of an EDIT's bits. */
export const flagLetters = (bits: number): string =>
  Object.entries(EDIT_FLAG)
    .filter(([, bit]) => (bits & bit) !== 0)
    .map(([letter]) => letter)
    .join('');

/** The guest's tables: frame of each space's root, and the frame after the last table. */
export function buildTables(memory: PhysicalMemory, guest: TraceGuest): { roots: number[]; end: number } {
  const form = new TableForm(guest.paging);
  const tables = new TableBuilder(memory, form, guest.tableFrame);
  const roots = guest.spaces.map(({ maps }) => {
    const root = tables.newTable();
    for (const map of maps) mapRun({ tables, form, root }, map);
    return root;
  });
  return { roots, end: tables.end };
}

interface Space {
  readonly tables: TableBuilder;
  readonly form: TableForm;
  readonly root: number;
}

/** Neighbours are in one table for the most part, which is looked for once. */
function mapRun({ tables, form, root }: Space, map: TraceMap): void {
  const step = stepOf(map.size);
  const level = map.size === '4k' ? 1 : 2;
  const plain = entryBits(map.flags);
  const writable = { ...plain, lo: plain.lo | (level === 2 ? PTE.PS : 0) };
  const readOnly = { ...writable, lo: writable.lo & ~PTE.W };
  const reach = form.reach(level);
  let table = 0;
  let tableEnd = 0;
  for (let i = 0; i < map.count; i++) {
    const page = map.page + i * step;
    if (page >= tableEnd) {
      table = tables.tableFor(root, page, level);
      tableEnd = (Math.floor(page / reach) + 1) * reach;
    }
    const bits = isReadOnly(map, i) ? readOnly : writable;
    tables.mapIn(table, page, { frame: frameOf(map, i), bits, level });
  }
}
