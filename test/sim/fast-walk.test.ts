// SPDX-License-Identifier: GPL-2.0-only
/** The straight walks against the loop, and packed traces against single accesses: same answers, same marks, same counts. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HOST_TABLE_FRAME, PhysicalMemory } from '../../src/sim/memory.ts';
import { ACCESS, PTE } from '../../src/sim/paging-bits.ts';
import type { PagingFeatures } from '../../src/sim/paging-modes.ts';
import { PagingStructureCaches } from '../../src/sim/paging-structure-caches.ts';
import { CR0, CR4, EFER } from '../../src/sim/registers.ts';
import { walkStraightNested } from '../../src/sim/straight-nested-walk.ts';
import { walkStraight } from '../../src/sim/straight-walk.ts';
import { commonTlb, Tlb } from '../../src/sim/tlb.ts';
import { Translator } from '../../src/sim/translator.ts';
import { Walker } from '../../src/sim/walk.ts';
import { FAULT } from '../../src/sim/walk-result.ts';
import { Random } from '../../src/workload/page-stream.ts';
import { modeNamed, registersFor } from './tables.ts';

const forms = ['host', 'host with caches', 'npt', 'npt with caches', 'ept', 'ept without marks'] as const;
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
const INDEXES = 4;
const ADDRESSES = INDEXES ** 4;

/** Address number n: two bits of it choose each index. */
function addressOf(n: number): [lo: number, hi: number] {
  const index = (level: number) => (n >>> (2 * (level - 1))) & 3;
  const lo = (index(1) << 12) | (index(2) << 21) | (index(3) << 30);
  return [lo | (n & 0xff8), index(4) << 7];
}

class World {
  readonly memory = new PhysicalMemory();
  readonly walker: Walker;
  readonly caches: PagingStructureCaches | null;
  readonly #random: Random;
  readonly #oddity: number;

  constructor({ form, seed, oddity, features, cr0, cr4, efer, rflagsAc, pkru }: Setting) {
    this.#random = new Random(seed);
    this.#oddity = oddity;
    const nested = form.startsWith('host') ? null : new Walker(this.memory);
    this.caches = form.endsWith('caches') ? new PagingStructureCaches(cacheShape) : null;
    this.#tables(FIRST_GUEST_TABLE, GUEST_TABLES, nested === null ? 0 : 0x100);
    if (nested !== null) this.#nestedTables(form);
    nested?.loadNested({
      root: HOST_TABLE_FRAME * 4096,
      mode: modeNamed(form.startsWith('ept') ? 'ept4' : '4level'),
      features,
      nxe: true,
      eptMarks: form !== 'ept without marks',
    });
    this.walker = new Walker(this.memory, nested, this.caches);
    const registers = registersFor(modeNamed('4level'), FIRST_GUEST_TABLE * 4096);
    registers.cr0 = (registers.cr0 | cr0) >>> 0;
    registers.cr4 |= cr4;
    registers.efer = (registers.efer & ~EFER.NXE) | efer;
    registers.rflagsAc = rflagsAc;
    registers.pkru = pkru;
    this.walker.load(registers, features);
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
    return [...lines, `cache hits ${this.caches?.hits}`];
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
        if (this.#chance(this.#oddity)) [lo, hi] = this.#odd(lo, hi);
        this.memory.write64(table * 4096 + 8 * index, lo, hi);
      }
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
  #nestedTables(form: Form): void {
    const ept = form.startsWith('ept');
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

/** All that a walk tells, getters included. */
const told = ({ result }: Walker) => ({
  ...result,
  rights: result.rights,
  dirty: result.dirty,
  global: result.global,
  key: result.key,
  ownPageShift: result.ownPageShift,
});

/** Fields that mean nothing after a fault keep what the walk before left there. */
function compared(walker: Walker): object {
  const all = told(walker);
  if (all.fault === FAULT.NONE) return all;
  const { frame, hostFrame, pageShift, flags, ownPageShift, ...meaningful } = all;
  return meaningful;
}

/** The straight walk alone, as `Walker.walk` chooses it. */
function walkStraightly(walker: Walker, lo: number, hi: number, kind: number): boolean {
  if (!walker.isCanonical(hi)) return false;
  const { nested } = walker;
  return nested === null ? walkStraight(walker, lo, hi, kind) : walkStraightNested(walker, nested, lo, hi, kind);
}

describe('straight walks', () => {
  it('agree with the loop in results, marks, counts and faults', () => {
    const served = Object.fromEntries(forms.map((form) => [form, 0])) as Record<Form, number>;
    let faults = 0;
    fc.assert(
      fc.property(setting, fc.array(access, { minLength: 10, maxLength: 60 }), (s, accesses) => {
        const fast = new World(s);
        const slow = new World(s);
        for (const a of accesses) {
          const [lo, hi] = addressOf(a.address);
          const expected = slow.walker.walkByLoop(lo, hi | a.high, a.access);
          if (walkStraightly(fast.walker, lo, hi | a.high, a.access)) {
            expect(expected).toBe(FAULT.NONE);
            served[s.form]++;
          } else expect(fast.walker.walk(lo, hi | a.high, a.access)).toBe(expected);
          expect(compared(fast.walker)).toEqual(compared(slow.walker));
          if (expected !== FAULT.NONE) faults++;
        }
        expect(fast.image()).toEqual(slow.image());
      }),
      { numRuns: 1500 },
    );
    // Straight walks have served every form often, and not everything; else this would prove little.
    expect(Math.min(faults, ...Object.values(served))).toBeGreaterThan(300);
  });
});

describe('packed traces', () => {
  const shapes = [
    commonTlb,
    { l1: { sets: 2, ways: 4 }, l2: { sets: 4, ways: 12 }, pageShifts: [12] },
    { l1: { sets: 1, ways: 4 }, l2: { sets: 2, ways: 2 }, pageShifts: [12, 21] },
    { l1: { sets: 2, ways: 2 }, l2: null, pageShifts: [12, 21, 30] },
  ] as const;

  it('answer, count and replace as single accesses do', () => {
    fc.assert(
      fc.property(
        setting,
        fc.nat({ max: shapes.length - 1 }),
        fc.array(access, { minLength: 50, maxLength: 400 }),
        (s, shape, all) => {
          const accesses = all.map((a) => ({ ...a, address: a.address % 24, write: a.access & ACCESS.WRITE ? 1 : 0 }));
          const user = s.seed % 2 === 0 ? ACCESS.USER : 0;
          const [single, packed] = [new World(s), new World(s)];
          const cpus = [single, packed].map(
            ({ walker, caches }) => new Translator(new Tlb(shapes[shape]!, caches), walker),
          );
          const [one, many] = cpus as [Translator, Translator];
          const trace = new Int32Array(accesses.length * 2);
          const faults: number[] = [];
          let sum = 0;
          accesses.forEach(({ address, high, write }, i) => {
            const [lo, hi] = addressOf(address);
            const fault = one.access(lo, hi | high, (write << 1) | user);
            if (fault === FAULT.NONE) sum = (sum + one.frame) | 0;
            else faults.push(i, fault);
            trace[2 * i] = (lo >>> 12) | ((hi | high) << 20);
            trace[2 * i + 1] = (write << 24) | (((hi | high) >>> 12) & 0x1fff);
          });
          const gotFaults: number[] = [];
          for (let at = 0; at < accesses.length; at++) {
            at = many.run(trace, at, accesses.length, user);
            if (many.fault !== FAULT.NONE) gotFaults.push(at, many.fault);
          }
          expect(gotFaults).toEqual(faults);
          expect(many.frameSum).toBe(sum);
          const counts = ({ tlb, walks, faults, reads, nestedReads, marks }: Translator) => ({
            ...{ walks, faults, reads, nestedReads, marks },
            ...{ l1: tlb.l1Hits, l2: tlb.l2Hits, misses: tlb.misses },
          });
          expect(counts(many)).toEqual(counts(one));
          expect(packed.image()).toEqual(single.image());
        },
      ),
      { numRuns: 400 },
    );
  });
});
