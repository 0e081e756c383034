// SPDX-License-Identifier: GPL-2.0-only
import fc from 'fast-check';
import { ACCESS, PTE, PTE_HIGH } from '../../src/sim/paging-bits.ts';
import { CR0, CR4, EFER } from '../../src/sim/registers.ts';
import type { Guest } from './guest.ts';
import type { Leniency } from './leniencies.ts';

/** One paging mode as the programs set it up: registers, and which entries of a table they use. */
export interface Mode {
  readonly name: string;
  readonly cr0: number;
  readonly cr4: number;
  readonly efer: number;
  readonly levels: number;
  readonly bytes: 4 | 8;
  /** Entries in use of a table of each level, leaf level first. */
  readonly entries: readonly (readonly number[])[];
}

const protectedPaging = (CR0.PE | CR0.PG | CR0.WP) >>> 0;
const leafEntries = [0, 1, 9];

export const modes: readonly Mode[] = [
  {
    name: 'nopaging',
    cr0: CR0.PE,
    cr4: 0,
    efer: 0,
    levels: 0,
    bytes: 4,
    entries: [],
  },
  {
    name: '32bit',
    cr0: protectedPaging,
    cr4: CR4.PSE,
    efer: 0,
    levels: 2,
    bytes: 4,
    // 600 is in the second half of a leaf table, 0 and 300 are in different quarters of the root.
    entries: [
      [0, 9, 600],
      [0, 300],
    ],
  },
  {
    name: 'pae',
    cr0: protectedPaging,
    cr4: CR4.PAE,
    efer: EFER.NXE,
    levels: 3,
    bytes: 8,
    entries: [leafEntries, [0, 1], [0, 3]],
  },
  {
    name: '4level',
    cr0: protectedPaging,
    cr4: CR4.PAE,
    efer: EFER.NXE | EFER.LME,
    levels: 4,
    bytes: 8,
    entries: [leafEntries, [0, 1], [0, 1], [0]],
  },
];

/** Frames of tables that the programs share among all levels; the first two are the roots of two address spaces. */
const TABLES = 32;
const TABLE_COUNT = 7;
/** PDPTs of PAE paging: no ordinary tables, as their entries have other reserved bits. */
const PDPTS = 30;
const DATA = 100;
const DATA_COUNT = 6;

/** An entry: what it points to, and its flags. */
interface Entry {
  readonly kind: 'table' | 'page' | 'large' | 'none';
  readonly target: number;
  readonly low: number;
  readonly high: number;
}

const oneIn = (n: number): fc.Arbitrary<boolean> => fc.integer({ min: 1, max: n }).map((k) => k === n);

const entryArbitrary: fc.Arbitrary<Entry> = fc
  .record({
    kind: fc.oneof(
      { weight: 8, arbitrary: fc.constant('table' as const) },
      { weight: 10, arbitrary: fc.constant('page' as const) },
      { weight: 2, arbitrary: fc.constant('large' as const) },
      { weight: 1, arbitrary: fc.constant('none' as const) },
    ),
    target: fc.nat(63),
    readOnly: oneIn(8),
    kernel: oneIn(10),
    accessed: fc.boolean(),
    dirty: fc.boolean(),
    noExecute: oneIn(15),
    reserved: oneIn(80),
  })
  .map(({ kind, target, readOnly, kernel, accessed, dirty, noExecute, reserved }) => ({
    kind,
    target,
    low:
      (kind === 'none' ? 0 : PTE.P) |
      (readOnly ? 0 : PTE.W) |
      (kernel ? 0 : PTE.U) |
      (accessed ? PTE.A : 0) |
      (dirty ? PTE.D : 0),
    high: (noExecute ? PTE_HIGH.NX : 0) | (reserved ? 1 << 13 : 0),
  }));

export type Op =
  | { readonly op: 'access'; readonly gva: number; readonly access: number }
  | { readonly op: 'store'; readonly gva: number; readonly user: boolean; readonly slot: number; readonly entry: Entry }
  | { readonly op: 'smallStore'; readonly gva: number; readonly slot: number; readonly bytes: number }
  | { readonly op: 'deviceStore'; readonly table: number; readonly slot: number; readonly entry: Entry }
  | { readonly op: 'invlpg'; readonly gva: number }
  | { readonly op: 'cr3'; readonly space: number }
  | { readonly op: 'toggle'; readonly bit: 'WP' | 'SMEP' | 'SMAP' | 'NX' | 'AC' }
  | { readonly op: 'memslots' };

export interface Program {
  readonly tables: readonly Entry[];
  readonly ops: readonly Op[];
}

const accesses = [ACCESS.READ, ACCESS.WRITE, ACCESS.FETCH].flatMap((kind) => [kind, kind | ACCESS.USER]);
const gva = fc.nat(999);
const slot = fc.nat(99);
const op: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({ op: fc.constant('access' as const), gva, access: fc.constantFrom(...accesses) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ op: fc.constant('store' as const), gva, user: fc.boolean(), slot, entry: entryArbitrary }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ op: fc.constant('smallStore' as const), gva, slot, bytes: fc.constantFrom(1, 2, 4) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('deviceStore' as const),
      table: fc.nat(TABLE_COUNT - 1),
      slot,
      entry: entryArbitrary,
    }),
  },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('invlpg' as const), gva }) },
  { weight: 4, arbitrary: fc.record({ op: fc.constant('cr3' as const), space: fc.nat(1) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constant('toggle' as const),
      bit: fc.constantFrom(
        'WP' as const,
        'WP' as const,
        'SMEP' as const,
        'SMAP' as const,
        'NX' as const,
        'AC' as const,
      ),
    }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('memslots' as const) }) },
);

/** Enough entries for every used slot of every table; a mode with fewer slots ignores the rest. */
export const programArbitrary: fc.Arbitrary<Program> = fc.record({
  tables: fc.array(entryArbitrary, { minLength: TABLE_COUNT * 8, maxLength: TABLE_COUNT * 8 }),
  ops: fc.array(op, { minLength: 40, maxLength: 200, size: 'max' }),
});

/** Runs programs on a guest and says what went otherwise than the guest's own tables demand. */
export class Run {
  readonly #guest: Guest;
  readonly #mode: Mode;
  readonly #leniency: readonly Leniency[];
  #wpWasClear = false;
  #nxWasClear = false;
  /** Order of events: when tables were last edited, everything or one page was last flushed. */
  #clock = 1;
  #edited = 0;
  #flushed = 0;
  readonly #flushedPage = new Map<number, number>();
  /** Accesses whose outcome was fixed by the tables, and so was compared. */
  compared = 0;

  constructor(guest: Guest, mode: Mode, leniency: readonly Leniency[]) {
    this.#guest = guest;
    this.#mode = mode;
    this.#leniency = leniency;
  }

  /** Fills the tables and switches to the mode. */
  start({ tables }: Program): void {
    const guest = this.#guest;
    const { memory } = guest;
    const mode = this.#mode;
    for (let table = 0; table < TABLE_COUNT; table++) {
      const level = this.#levelOf(table);
      this.#slots(level).forEach((index, i) => {
        this.#put((TABLES + table) * 4096 + index * mode.bytes, this.#likely(tables[table * 8 + i]!, level));
      });
    }
    if (mode.name === 'pae') {
      for (const i of [0, 1, 2, 3]) {
        memory.write64(PDPTS * 4096 + i * 8, ((TABLES + (i & 1)) << 12) | PTE.P, 0);
        memory.write64((PDPTS + 1) * 4096 + i * 8, ((TABLES + 1 - (i & 1)) << 12) | PTE.P, 0);
      }
    }
    guest.write('cr4', mode.cr4);
    guest.write('efer', mode.efer);
    guest.write('cr3', this.#cr3(0));
    guest.write('cr0', mode.cr0);
  }

  /** One step; '' or what is wrong. */
  step(op: Op): string {
    const { vcpu, eraVm } = this.#guest;
    switch (op.op) {
      case 'access':
        return this.#access(this.#gva(op.gva), op.access, null);
      case 'store':
        return this.#store(op);
      case 'smallStore':
        return this.#access(this.#gva(op.gva) + this.#anySlot(op.slot) * this.#mode.bytes, ACCESS.WRITE, (gpa) => {
          const word = this.#guest.memory.read32(gpa - (gpa % 4));
          // Clears the accessed bit of the entry, as one-byte stores of a guest do.
          this.#guest.memory.write32(gpa - (gpa % 4), word & ~PTE.A);
          this.#edits(gpa);
          return op.bytes;
        });
      case 'deviceStore': {
        const gpa = (TABLES + op.table) * 4096 + this.#anySlot(op.slot) * this.#mode.bytes;
        this.#put(gpa, this.#likely(op.entry, this.#levelOf(op.table)));
        this.#edited = ++this.#clock;
        vcpu.guestWrote(gpa, this.#mode.bytes);
        return '';
      }
      case 'invlpg': {
        const address = this.#gva(op.gva);
        this.#guest.invlpg(address);
        this.#flushedPage.set(address, ++this.#clock);
        return '';
      }
      case 'cr3':
        this.#guest.write('cr3', this.#cr3(op.space));
        this.#flushed = ++this.#clock;
        return '';
      case 'toggle':
        this.#toggle(op.bit);
        return '';
      case 'memslots':
        eraVm.memslotsChanged();
        return '';
    }
  }

  #store({ gva, user, slot, entry }: Extract<Op, { op: 'store' }>): string {
    const address = this.#gva(gva) + this.#anySlot(slot) * this.#mode.bytes;
    return this.#access(address, ACCESS.WRITE | (user ? ACCESS.USER : 0), (gpa) => {
      const table = Math.floor(gpa / 4096) - TABLES;
      this.#put(gpa, table >= 0 && table < TABLE_COUNT ? this.#likely(entry, this.#levelOf(table)) : entry);
      this.#edits(gpa);
      return this.#mode.bytes;
    });
  }

  #access(gva: number, access: number, store: ((gpa: number) => number) | null): string {
    const guest = this.#guest;
    const page = gva - (gva % 4096);
    const fresh = Math.max(this.#flushed, this.#flushedPage.get(page) ?? 0) >= this.#edited;
    const want = guest.ask(gva, access);
    const got = guest.access(gva, access, store);
    const what = `${accessNames[access]} of ${gva.toString(16)} (${fresh ? 'fresh' : 'stale'})`;
    const { registers } = guest.vcpu;
    const moment = { access, registers, wpWasClear: this.#wpWasClear, nxWasClear: this.#nxWasClear };
    if (this.#leniency.some(({ forgives }) => forgives(moment, want, got))) return '';
    if ('errorCode' in got) {
      if ('errorCode' in want && want.errorCode === got.errorCode) return '';
      return `${what}: #PF ${got.errorCode}, expected ${show(want)} after ${got.exits.join(' ')}`;
    }
    if (!fresh) return '';
    this.compared++;
    if (!('frame' in want) || want.frame !== got.frame)
      return `${what}: frame ${got.frame}, expected ${show(want)} after ${got.exits.join(' ')}`;
    if (store !== null || this.#mode.levels === 0) return '';
    const { oracle } = guest;
    oracle.walk(gva | 0, Math.floor(gva / 2 ** 32), access);
    return oracle.result.marks === 0 ? '' : `${what}: ${oracle.result.marks} entries were not marked`;
  }

  #toggle(bit: Extract<Op, { op: 'toggle' }>['bit']): void {
    const guest = this.#guest;
    const { registers } = guest.vcpu;
    if (this.#mode.levels === 0) return;
    switch (bit) {
      case 'WP':
        guest.write('cr0', (registers.cr0 ^ CR0.WP) >>> 0);
        this.#wpWasClear = true;
        return;
      case 'SMEP':
        guest.write('cr4', (registers.cr4 ^ CR4.SMEP) >>> 0);
        return;
      case 'SMAP':
        guest.write('cr4', (registers.cr4 ^ CR4.SMAP) >>> 0);
        return;
      case 'AC':
        registers.rflagsAc ^= 1;
        return;
      case 'NX':
        // 32-bit tables have no NX, and KVM reports fetches by EFER.NX there while hardware does not.
        if (this.#mode.bytes === 4) return;
        guest.write('efer', (registers.efer & ~EFER.LMA) ^ EFER.NXE);
        this.#nxWasClear = true;
        guest.write('cr3', registers.cr3);
        this.#flushed = ++this.#clock;
    }
  }

  #edits(gpa: number): void {
    const table = Math.floor(gpa / 4096) - TABLES;
    if (table >= 0 && table < TABLE_COUNT) this.#edited = ++this.#clock;
  }

  #put(gpa: number, { kind, target, low, high }: Entry): void {
    const { memory } = this.#guest;
    const frame =
      kind === 'large'
        ? (target % 4) * 512
        : kind === 'page' && target % 3 !== 0
          ? DATA + (target % DATA_COUNT)
          : TABLES + (target % TABLE_COUNT);
    const word = (frame << 12) | low | (kind === 'large' ? PTE.PS : 0);
    if (this.#mode.bytes === 8) memory.write64(gpa, word, high);
    else memory.write32(gpa, word);
  }

  /** A linear address that the used entries can map. */
  #gva(number: number): number {
    const { entries, bytes } = this.#mode;
    if (entries.length === 0) return (DATA + (number % DATA_COUNT)) * 4096;
    let address = 0;
    entries.forEach((slots, level) => {
      address += slots[number % slots.length]! * 4096 * (bytes === 4 ? 1024 : 512) ** level;
      number = Math.floor(number / slots.length);
    });
    return address;
  }

  #cr3(space: number): number {
    return ((this.#mode.name === 'pae' ? PDPTS : TABLES) + space) * 4096;
  }

  /** The level a table is made for; what points to it may think otherwise. */
  #levelOf(table: number): number {
    const top = this.#mode.name === 'pae' ? 2 : this.#mode.levels;
    return table < 2 ? top : 1 + (table % Math.max(top - 1, 1));
  }

  /** An entry that suits a table of the level, most of the time: so that walks get to the end. */
  #likely(entry: Entry, level: number): Entry {
    if (entry.kind === 'none' || entry.kind === 'large' || entry.target === 0) return entry;
    if (level === 1) return { ...entry, kind: 'page' };
    const below = Array.from({ length: TABLE_COUNT }, (_, i) => i).filter((i) => this.#levelOf(i) === level - 1);
    return { ...entry, kind: 'table', target: below[entry.target % below.length]! };
  }

  #slots(level: number): readonly number[] {
    return this.#mode.entries[level - 1] ?? [];
  }

  #anySlot(number: number): number {
    const all = this.#mode.entries.flat();
    return all.length === 0 ? number : all[number % all.length]!;
  }
}

const accessNames: Readonly<Record<number, string>> = {
  [ACCESS.READ]: 'read',
  [ACCESS.WRITE]: 'write',
  [ACCESS.FETCH]: 'fetch',
  [ACCESS.READ | ACCESS.USER]: 'user read',
  [ACCESS.WRITE | ACCESS.USER]: 'user write',
  [ACCESS.FETCH | ACCESS.USER]: 'user fetch',
};

const show = (want: ReturnType<Guest['ask']>): string =>
  'frame' in want ? `frame ${want.frame}` : `#PF ${want.errorCode}`;
