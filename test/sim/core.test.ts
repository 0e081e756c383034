// SPDX-License-Identifier: GPL-2.0-only
/**
 * The compiled core against clear versions of it in test/sim/reference/, and packed traces against single accesses: same
 * answers, same marks, same counts.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HOST_TABLE_FRAME, PhysicalMemory } from '../../src/sim/memory.ts';
import { ACCESS, PTE } from '../../src/sim/paging-bits.ts';
import type { PagingFeatures } from '../../src/sim/paging-modes.ts';
import { PagingStructureCaches } from '../../src/sim/paging-structure-caches.ts';
import { CR0, CR4, EFER, loadPdptes } from '../../src/sim/registers.ts';
import { commonTlb, Tlb, type TlbShape } from '../../src/sim/tlb.ts';
import { Translator } from '../../src/sim/translator.ts';
import { Walker } from '../../src/sim/walk.ts';
import { FAULT } from '../../src/sim/walk-result.ts';
import { Random } from '../../src/workload/page-stream.ts';
import { ReferenceCaches, ReferenceTranslator } from './reference/tlb.ts';
import { ReferenceWalker } from './reference/walker.ts';
import { modeNamed, registersFor } from './tables.ts';

/** Mode of the guest's tables, what is underneath, and whether upper levels are cached. */
const forms = [
  { guest: '4level', under: 'nothing', cached: false },
  { guest: '4level', under: 'nothing', cached: true },
  { guest: '4level', under: 'npt', cached: false },
  { guest: '4level', under: 'npt', cached: true },
  { guest: '4level', under: 'ept', cached: false },
  { guest: '4level', under: 'ept without marks', cached: false },
  { guest: '5level', under: 'nothing', cached: true },
  { guest: '5level', under: 'ept', cached: true },
  { guest: 'pae', under: 'nothing', cached: true },
  { guest: 'pae', under: 'npt', cached: false },
  { guest: 'pse', under: 'nothing', cached: true },
  { guest: 'pse', under: 'npt', cached: false },
] as const;
type Form = (typeof forms)[number];

/** What varies beside the tables. */
interface Setting {
  readonly form: Form;
  readonly seed: number;
  /** One in so many entries is odd: absent, reserved, far away, or forbids something. */
  readonly oddity: number;
  readonly features: PagingFeatures;
  readonly cr0: number;
  readonly cr4: number;
  readonly efer: number;
  readonly rflagsAc: number;
  readonly pkru: number;
}

/** Tables of the guest, and nested ones, in frames of their own. Indexes use few values, so that walks meet. */
const GUEST_TABLES = 12;
const FIRST_GUEST_TABLE = 1;
const NESTED_TABLES = 40;
const NESTED_LEVELS = 4;
const INDEXES = 4;
const ADDRESSES = INDEXES ** 4;

interface Edit {
  readonly table: number;
  readonly index: number;
  readonly change: 'write right' | 'marks' | 'frame' | 'present' | 'no execute' | 'release';
}

/** Address number n: two bits of it choose each index. */
function addressOf(n: number): [lo: number, hi: number] {
  const index = (level: number) => (n >>> (2 * (level - 1))) & 3;
  const lo = (index(1) << 12) | (index(2) << 21) | (index(3) << 30);
  return [lo | (n & 0xff8), index(4) << 7];
}

/** Addresses have 32 bits outside long mode. */
const highOf = ({ guest }: Form, hi: number): number => (guest === 'pae' || guest === 'pse' ? 0 : hi);

class World {
  readonly memory = new PhysicalMemory();
  readonly walker: Walker;
  /** The clear version of the walker, on the same memory. */
  readonly reference: ReferenceWalker;
  readonly caches: PagingStructureCaches | null;
  readonly #random: Random;
  readonly #oddity: number;

  constructor({ form, seed, oddity, features, cr0, cr4, efer, rflagsAc, pkru }: Setting) {
    const { memory } = this;
    this.#random = new Random(seed);
    this.#oddity = oddity;
    const isNested = form.under !== 'nothing';
    this.#tables(FIRST_GUEST_TABLE, GUEST_TABLES, isNested ? 0x100 : 0);
    if (form.guest === 'pae') this.#openPdptes();
    const registers = registersFor(modeNamed(form.guest), FIRST_GUEST_TABLE * 4096);
    registers.cr0 = (registers.cr0 | cr0) >>> 0;
    registers.cr4 |= cr4;
    registers.efer = (registers.efer & ~EFER.NXE) | efer;
    registers.rflagsAc = rflagsAc;
    registers.pkru = pkru;
    // Registers that hardware would not load stay as they are: a walk takes what is there.
    loadPdptes(memory, registers, features.maxPhyAddr);
    if (isNested) this.#nestedTables(form.under);
    const nestedRoot = {
      root: HOST_TABLE_FRAME * 4096,
      mode: modeNamed(form.under.startsWith('ept') ? 'ept4' : '4level'),
      features,
      nxe: true,
      eptMarks: form.under !== 'ept without marks',
    };
    this.caches = form.cached ? new PagingStructureCaches(memory, cacheShape) : null;
    const nested = isNested ? new Walker(memory) : null;
    nested?.loadNested(nestedRoot);
    this.walker = new Walker(memory, nested, this.caches);
    this.walker.load(registers, features);
    const nestedReference = isNested ? new ReferenceWalker(memory) : null;
    nestedReference?.loadNested(nestedRoot);
    this.reference = new ReferenceWalker(memory, nestedReference, form.cached ? new ReferenceCaches(cacheShape) : null);
    this.reference.load(registers, features);
  }

  /** Changes an entry of some table, as software does between accesses. */
  edit({ table, index, change }: Edit): void {
    const isNested = table >= GUEST_TABLES;
    const frame = isNested ? HOST_TABLE_FRAME + table - GUEST_TABLES : FIRST_GUEST_TABLE + table;
    // The last nested table is the one with many entries.
    const address = frame * 4096 + 8 * (table === GUEST_TABLES + NESTED_LEVELS - 1 ? index : index % INDEXES);
    const [lo, hi] = [this.memory.read64lo(address), this.memory.read64hi(address)];
    const write = (newLo: number, newHi: number) => this.memory.write64(address, newLo, newHi);
    if (change === 'write right') write(lo ^ PTE.W, hi);
    else if (change === 'marks') write(lo & ~0x360, hi);
    else if (change === 'frame') write(lo ^ (1 << 12), hi);
    else if (change === 'present') write(lo ^ PTE.P, hi);
    else if (change === 'no execute') write(lo, hi ^ 0x80000000);
    else this.memory.releaseFrame(frame);
  }

  /** Every entry in use, and what caches count. */
  image(): string[] {
    const lines: string[] = [];
    const look = (frame: number) => {
      for (let i = 0; i < 512; i++) {
        const address = frame * 4096 + 8 * i;
        const [lo, hi] = [this.memory.read64lo(address), this.memory.read64hi(address)];
        if (lo !== 0 || hi !== 0) lines.push(`${frame.toString(16)}[${i}] = ${hi.toString(16)}:${lo.toString(16)}`);
      }
    };
    for (let n = 0; n < GUEST_TABLES; n++) look(FIRST_GUEST_TABLE + n);
    for (let n = 0; n < NESTED_TABLES; n++) look(HOST_TABLE_FRAME + n);
    return lines;
  }

  #below(limit: number): number {
    return this.#random.below(limit);
  }

  #chance(oneIn: number): boolean {
    return this.#below(oneIn) === 0;
  }

  /** Tables that point to each other, or to data from `data` on: any table can be met at any level. */
  #tables(first: number, count: number, data: number): void {
    for (let table = first; table < first + count; table++) {
      for (let index = 0; index < INDEXES; index++) {
        const isData = this.#chance(4);
        const frame = isData ? data + this.#below(64) : first + this.#below(count);
        let lo = (frame << 12) | PTE.P | PTE.W | PTE.U | (this.#chance(2) ? PTE.A : 0) | (this.#chance(3) ? PTE.D : 0);
        let hi = Math.floor(frame / 2 ** 20);
        if (this.#chance(this.#oddity)) hi |= 0x80000000;
        if (this.#chance(this.#oddity)) [lo, hi] = this.#odd(lo, hi);
        this.memory.write64(table * 4096 + 8 * index, lo, hi);
      }
    }
  }

  /** Rights are reserved in PDPTEs. */
  #openPdptes(): void {
    for (let index = 0; index < INDEXES; index++) {
      const address = FIRST_GUEST_TABLE * 4096 + 8 * index;
      this.memory.write32(address, this.memory.read32(address) & ~(PTE.W | PTE.U | PTE.A | PTE.D));
    }
  }

  #odd(lo: number, hi: number): [lo: number, hi: number] {
    switch (this.#below(10)) {
      case 0:
        return [lo & ~PTE.P, hi];
      case 1:
        return [lo & ~PTE.W, hi];
      case 2:
        return [lo & ~PTE.U, hi];
      case 3:
        return [lo | PTE.PS, hi];
      case 4:
        return [(lo & ~0x1ff000) | PTE.PS, hi];
      case 5:
        return [lo | PTE.G, hi];
      case 6:
        return [lo, hi | 0x80000000];
      case 7:
        return [lo, hi | (1 << this.#below(20))];
      case 8:
        return [lo, hi | (this.#below(16) << 27)];
      default:
        return [this.#random.next() | 0, this.#random.next() | 0];
    }
  }

  /** Maps guest frames below 0x140 to themselves, small; the rest of the first GiB with one large page. */
  #nestedTables(under: Form['under']): void {
    const ept = under.startsWith('ept');
    const [accessed, both] = ept ? [0x100, 0x300] : [PTE.A, PTE.A | PTE.D];
    const marked = () => (this.#chance(200) ? 0 : this.#chance(4) ? accessed : both);
    let next = HOST_TABLE_FRAME;
    const write = (table: number, index: number, frame: number, bits: number) => {
      let lo = (frame << 12) | PTE.P | PTE.W | PTE.U | bits | marked();
      let hi = Math.floor(frame / 2 ** 20);
      if (this.#chance(this.#oddity * 40)) [lo, hi] = this.#odd(lo, hi);
      this.memory.write64(table * 4096 + 8 * index, lo, hi);
    };
    const [root, third, second, last] = [next++, next++, next++, next++];
    write(root, 0, third, 0);
    write(third, 0, second, 0);
    write(second, 0, last, 0);
    write(second, 1, 0x200, PTE.PS);
    for (let frame = 0; frame < 0x140; frame++) write(last, frame, frame, 0);
  }
}

const cacheShape = {
  level2: { sets: 2, ways: 2 },
  level3: { sets: 1, ways: 2 },
  level4: { sets: 1, ways: 1 },
};

const features = fc.record({
  maxPhyAddr: fc.constantFrom(40, 46, 52),
  gbPages: fc.boolean(),
  amd: fc.boolean(),
  executeOnly: fc.boolean(),
});
const setting: fc.Arbitrary<Setting> = fc.record({
  form: fc.constantFrom(...forms),
  seed: fc.integer({ min: 1, max: 2 ** 30 }),
  oddity: fc.constantFrom(3, 8, 40, 1000),
  features,
  cr0: fc.constantFrom(0, CR0.WP),
  cr4: fc.constantFrom(0, CR4.PGE, CR4.SMEP, CR4.SMAP, CR4.SMEP | CR4.SMAP | CR4.PGE, CR4.PKE),
  efer: fc.constantFrom(0, EFER.NXE),
  rflagsAc: fc.nat({ max: 1 }),
  pkru: fc.integer({ min: 0, max: 2 ** 30 }),
});
const access = fc.record({
  address: fc.nat({ max: ADDRESSES - 1 }),
  high: fc.constantFrom(0, 0, 0, 0, 0x8000, -0x8000),
  access: fc.constantFrom(0, ACCESS.WRITE, ACCESS.FETCH, ACCESS.USER, ACCESS.USER | ACCESS.WRITE, ACCESS.USER | 16),
});

/** What happens before an access: mostly nothing. */
const edit: fc.Arbitrary<Edit | null> = fc.option(
  fc.record({
    table: fc.nat({ max: GUEST_TABLES + NESTED_LEVELS - 1 }),
    index: fc.nat({ max: 0x13f }),
    change: fc.constantFrom('write right', 'marks', 'frame', 'present', 'no execute', 'release'),
  }),
  { freq: 2 },
);

const fields = ['fault', 'cause', 'errorCode', 'stage', 'faultGpa', 'level', 'lowBits', 'cachedLevel'] as const;
const counts = ['reads', 'nestedReads', 'marks'] as const;
/** What means nothing after a fault. */
const results = ['frame', 'hostFrame', 'pageShift', 'flags', 'readable'] as const;

/** All that a walk tells. */
const told = ({ result }: Walker | ReferenceWalker) =>
  [...fields, ...counts, ...(result.fault === FAULT.NONE ? results : [])].map((name) => `${name} ${result[name]}`);

describe('the compiled walk', () => {
  it.each(forms)('agrees with the clear one: $guest over $under, cached: $cached', (form) => {
    const ended = new Map<number, number>();
    fc.assert(
      fc.property(setting, fc.array(fc.tuple(access, edit), { minLength: 10, maxLength: 60 }), (s, accesses) => {
        const fast = new World({ ...s, form });
        const slow = new World({ ...s, form });
        for (const [a, change] of accesses) {
          if (change !== null && !form.cached) {
            fast.edit(change);
            slow.edit(change);
          }
          const [lo, hi] = addressOf(a.address);
          const high = highOf(form, hi | a.high);
          const expected = slow.reference.walk(lo, high, a.access);
          expect(fast.walker.walk(lo, high, a.access)).toBe(expected);
          expect(told(fast.walker)).toEqual(told(slow.reference));
          ended.set(expected, (ended.get(expected) ?? 0) + 1);
          expect(fast.walker.probe(lo, high, a.access)).toBe(slow.reference.probe(lo, high, a.access));
          expect(told(fast.walker)).toEqual(told(slow.reference));
        }
        expect(fast.image()).toEqual(slow.image());
        expect(fast.walker.caches?.hits).toBe(slow.reference.caches?.hits);
      }),
      { numRuns: 150 },
    );
    // Walks that succeed and walks that fault, both often; else this would prove little.
    expect(Math.min(ended.get(FAULT.NONE) ?? 0, ended.get(FAULT.PAGE) ?? 0)).toBeGreaterThan(20);
  });
});

const shapes: readonly TlbShape[] = [
  commonTlb,
  { l1: { sets: 2, ways: 4 }, l2: { sets: 4, ways: 12 }, pageShifts: [12] },
  { l1: { sets: 1, ways: 4 }, l2: { sets: 2, ways: 2 }, pageShifts: [12, 21] },
  { l1: { sets: 2, ways: 2 }, l2: null, pageShifts: [12, 21, 30] },
  { l1: { sets: 1, ways: 5 }, l2: { sets: 2, ways: 3 }, pageShifts: [12] },
];

const countsOf = ({ tlb, walks, faults, reads, nestedReads, marks }: Translator) => ({
  ...{ walks, faults, reads, nestedReads, marks },
  ...{ l1: tlb.l1Hits, l2: tlb.l2Hits, misses: tlb.misses },
});

describe('accesses', () => {
  it.each(shapes)('answer, count and replace as clear ones do: %j', (shape) => {
    fc.assert(
      fc.property(setting, fc.array(access, { minLength: 50, maxLength: 400 }), (s, accesses) => {
        const [fast, slow] = [new World(s), new World(s)];
        const cpu = new Translator(new Tlb(fast.memory, shape, fast.caches), fast.walker);
        const reference = new ReferenceTranslator(shape, slow.reference);
        for (const a of accesses) {
          const [lo, hi] = addressOf(a.address % 24);
          const high = highOf(s.form, hi | a.high);
          const fault = reference.access(lo, high, a.access);
          expect(cpu.access(lo, high, a.access)).toBe(fault);
          if (fault === FAULT.NONE) expect(cpu.frame).toBe(reference.frame);
        }
        expect(countsOf(cpu)).toEqual(reference.counts);
        expect(fast.image()).toEqual(slow.image());
      }),
      { numRuns: 80 },
    );
  });
});

describe('packed traces', () => {
  it.each(forms)('answer, count and replace as single accesses do: $guest over $under, cached: $cached', (form) => {
    fc.assert(
      fc.property(
        setting.map((s) => ({ ...s, form })),
        fc.nat({ max: shapes.length - 1 }),
        fc.array(access, { minLength: 50, maxLength: 400 }),
        (s, shape, all) => {
          const accesses = all.map((a) => ({ ...a, address: a.address % 24, write: a.access & ACCESS.WRITE ? 1 : 0 }));
          const user = s.seed % 2 === 0 ? ACCESS.USER : 0;
          const [single, packed] = [new World(s), new World(s)];
          const cpus = [single, packed].map(
            ({ memory, walker, caches }) => new Translator(new Tlb(memory, shapes[shape]!, caches), walker),
          );
          const [one, many] = cpus as [Translator, Translator];
          const trace = new Int32Array(accesses.length * 2);
          const faults: number[] = [];
          let sum = 0;
          accesses.forEach(({ address, high, write }, i) => {
            const [lo, within] = addressOf(address);
            const hi = highOf(s.form, within | high);
            const fault = one.access(lo, hi, (write << 1) | user);
            if (fault === FAULT.NONE) sum = (sum + one.frame) | 0;
            else faults.push(i, fault);
            trace[2 * i] = (lo >>> 12) | (hi << 20);
            trace[2 * i + 1] = (write << 24) | ((hi >>> 12) & 0x1fff);
          });
          const gotFaults: number[] = [];
          many.open(trace, accesses.length);
          for (let at = 0; at < accesses.length; at++) {
            at = many.run(at, user);
            if (many.fault !== FAULT.NONE) gotFaults.push(at, many.fault);
          }
          expect(gotFaults).toEqual(faults);
          expect(many.frameSum).toBe(sum);
          // What they have cached serves fetches as well.
          for (const { address, high } of accesses) {
            const [lo, within] = addressOf(address);
            const hi = highOf(s.form, within | high);
            expect(many.access(lo, hi, ACCESS.FETCH | user)).toBe(one.access(lo, hi, ACCESS.FETCH | user));
          }
          expect(countsOf(many)).toEqual(countsOf(one));
          expect(packed.image()).toEqual(single.image());
        },
      ),
      // The first form is the one of short walks.
      { numRuns: form === forms[0] ? 250 : 40 },
    );
  });
});
