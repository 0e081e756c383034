// SPDX-License-Identifier: GPL-2.0-only
import type { Format } from './ops.ts';
import { bitsOf, type U64 } from './u64.ts';

/** Where page tables are allocated, one 4 KiB page after the other. */
export const POOL = { start: 0x100000, end: 0x200000 } as const;

/** A page-table tree of the guest. */
export interface Tree {
  readonly name: string;
  readonly format: Format;
  /** Guest-physical address of the top table. */
  readonly root: number;
  /** Guest-physical addresses of all its table pages in order of allocation, the root first. */
  readonly pages: readonly number[];
}

/** What decides the walk through one format: index bits from the top level down, and bytes of an entry. */
interface Shape {
  readonly levels: number;
  /** Index of a level (1 = last): [lowest bit of the address, width]. */
  readonly index: readonly (readonly [shift: number, width: number])[];
  readonly entryBytes: 4 | 8;
  /** Addresses with more bits do not exist, but for sign-extended ones where `signed`. */
  readonly addressBits: number;
  readonly signed: boolean;
}

/*
 *            | level 5 | level 4 | level 3 | level 2 | level 1 |
 *   leg32    |         |         |         |  31:22  |  21:12  |
 *   pae      |         |         |  31:30  |  29:21  |  20:12  |
 *   l4       |         |  47:39  |  38:30  |  29:21  |  20:12  |
 *   l5       |  56:48  |  47:39  |  38:30  |  29:21  |  20:12  |
 */
const index4K = [
  [12, 9],
  [21, 9],
  [30, 9],
  [39, 9],
  [48, 9],
] as const;
export const shapes: Readonly<Record<Format, Shape>> = {
  leg32: {
    levels: 2,
    index: [
      [12, 10],
      [22, 10],
    ],
    entryBytes: 4,
    addressBits: 32,
    signed: false,
  },
  pae: {
    levels: 3,
    index: [
      [12, 9],
      [21, 9],
      [30, 2],
    ],
    entryBytes: 8,
    addressBits: 32,
    signed: false,
  },
  l4: { levels: 4, index: index4K, entryBytes: 8, addressBits: 48, signed: true },
  l5: { levels: 5, index: index4K, entryBytes: 8, addressBits: 57, signed: true },
};

/** Whether a tree of this format can map the address. */
export function inReach(format: Format, { hi }: U64): boolean {
  const { addressBits, signed } = shapes[format];
  const sign = 2 ** 32 - 2 ** (addressBits - 33);
  return hi < 2 ** (addressBits - 32) || (signed && hi >= sign);
}

/** Entry bits. SDM vol. 3A 4.3-4.5. */
const PRESENT = 0x1;
const LARGE = 0x80;
/** What an upper-level entry made on the way gets: present, writable, user. */
const TABLE = 0x7;

/** Why no entry was found: the caller says it in the words of its op. */
export type WalkStop = 'no-table' | 'large-page' | 'pool-exhausted';

/**
 * Every tree of a workload and the pool of pages their tables live in. The same ops allocate the same pages, so a tree's
 * addresses are those of the guest image that the ops describe.
 */
export class Trees {
  readonly byName = new Map<string, Tree & { pages: number[] }>();
  /** The pool's memory, 32-bit words. */
  readonly #words = new Uint32Array((POOL.end - POOL.start) / 4);
  #next: number = POOL.start;

  /** Pages handed out. */
  get used(): number {
    return (this.#next - POOL.start) / 4096;
  }

  /** A new tree; a PAE tree comes with its four page directories. False when the pool is exhausted. */
  create(name: string, format: Format): boolean {
    if (this.#next + (format === 'pae' ? 5 : 1) * 4096 > POOL.end) return false;
    const root = this.#page();
    const pages = [root];
    if (format === 'pae') {
      for (let i = 0; i < 4; i++) {
        const directory = this.#page();
        pages.push(directory);
        this.write(root + 8 * i, directory | PRESENT, 0, 8);
      }
    }
    this.byName.set(name, { name, format, root, pages });
    return true;
  }

  /** Address of the entry for `gva` at `level` in the tree as it stands; tables are never made. */
  find(tree: Tree, gva: U64, level: number): number | WalkStop {
    return this.#walk(tree, gva, level, undefined);
  }

  /** The same, making the tables above the entry where they are missing. */
  reach(tree: Tree, gva: U64, level: number): number | WalkStop {
    return this.#walk(tree, gva, level, this.byName.get(tree.name)!.pages);
  }

  #walk({ format, root }: Tree, gva: U64, level: number, pages: number[] | undefined): number | WalkStop {
    const { levels, index, entryBytes } = shapes[format];
    let table = root;
    for (let at = levels; ; at--) {
      const [shift, width] = index[at - 1]!;
      const address = table + bitsOf(gva, shift, width) * entryBytes;
      if (at === level) return address;
      const entry = this.lo(address);
      if (entry & PRESENT) {
        if (entry & LARGE) return 'large-page';
        table = entry & ~0xfff;
        continue;
      }
      if (!pages) return 'no-table';
      if (this.#next >= POOL.end) return 'pool-exhausted';
      table = this.#page();
      pages.push(table);
      // PAE PDPTEs, which have no write and user bits, exist from the start.
      this.write(address, table | TABLE, 0, entryBytes);
    }
  }

  /** Writes an entry; a 4-byte one keeps its low half only. */
  write(address: number, lo: number, hi: number, bytes: 4 | 8): void {
    const word = (address - POOL.start) / 4;
    this.#words[word] = lo;
    if (bytes === 8) this.#words[word + 1] = hi;
  }

  /** Low half of the entry at an address in the pool. */
  lo(address: number): number {
    return this.#words[(address - POOL.start) / 4]!;
  }

  /** High half of the 8-byte entry at an address in the pool. */
  hi(address: number): number {
    return this.#words[(address - POOL.start) / 4 + 1]!;
  }

  #page(): number {
    const page = this.#next;
    this.#next += 4096;
    return page;
  }
}
