// SPDX-License-Identifier: GPL-2.0-only
/** A CPU with TLB and upper-level caches must answer as one that walks every time, as long as software flushes as it must. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PhysicalMemory } from '../../src/sim/memory.ts';
import { ACCESS, PTE } from '../../src/sim/paging-bits.ts';
import { plainFeatures } from '../../src/sim/paging-modes.ts';
import { PagingStructureCaches } from '../../src/sim/paging-structure-caches.ts';
import { CR0, CR4, type Registers } from '../../src/sim/registers.ts';
import { Tlb, type TlbShape } from '../../src/sim/tlb.ts';
import { Translator } from '../../src/sim/translator.ts';
import { Walker } from '../../src/sim/walk.ts';
import { FAULT } from '../../src/sim/walk-result.ts';
import { halves, modeNamed, OPEN, registersFor, Tables } from './tables.ts';

const SPACES = [0, 1] as const;
const ASID = 1;
const FIRST_TABLE = 0x100;
const NESTED_TABLES = 0x8000;
/** Guest frames that pages map; nested tables map each to itself, and may refuse writes. */
const DATA_FRAMES = 8;

/** The pages in play: neighbours, ones that share upper levels, and one that all spaces share as a global page. */
const pages = [0n, 1n, 2n, 0x200n, 0x201n, 0x40000n, 0x8000000n].map((n) => n * 0x1000n);
const sharedPage = 0xffff_ffff_ffff_f000n;

/** Memory with two address spaces, and with nested tables when asked for. */
class World {
  readonly memory = new PhysicalMemory();
  readonly spaces: readonly Tables[];
  readonly registers: Registers;
  readonly walker: Walker;
  readonly nestedTables: Tables | null;
  readonly caches: PagingStructureCaches | null;
  readonly nestedCaches: PagingStructureCaches | null;

  constructor(nested: boolean, cached = false) {
    this.caches = cached ? new PagingStructureCaches(this.memory, cacheShape) : null;
    this.nestedCaches = cached && nested ? new PagingStructureCaches(this.memory, cacheShape) : null;
    const mode = modeNamed('4level');
    this.spaces = SPACES.map((space) => new Tables(this.memory, mode, FIRST_TABLE + 0x40 * space));
    // The upper half is one table for all spaces, as in a kernel's.
    const [first, second] = this.spaces as [Tables, Tables];
    first.map(sharedPage, 0, 0);
    this.memory.write32(second.entry(sharedPage, 4), this.memory.read32(first.entry(sharedPage, 4)));
    this.registers = registersFor(mode, FIRST_TABLE * 4096);
    this.registers.cr4 |= CR4.PGE;
    this.nestedTables = nested ? new Tables(this.memory, mode, NESTED_TABLES) : null;
    for (let frame = 0; this.nestedTables && frame < 0x400; frame++)
      this.nestedTables.map(BigInt(frame) << 12n, frame, OPEN);
    const nestedWalker = nested ? new Walker(this.memory, null, this.nestedCaches) : null;
    nestedWalker?.loadNested({ root: NESTED_TABLES * 4096, mode, features: plainFeatures, nxe: true, eptMarks: true });
    this.walker = new Walker(this.memory, nestedWalker, this.caches);
    this.walker.load(this.registers);
  }

  /** Clears a 2 MiB region of a space, so that it can be mapped in small pages or as one. */
  clearRegion(space: number, address: bigint): void {
    this.memory.write64(this.spaces[space]!.entry(address, 2), 0, 0);
  }

  isLarge(space: number, address: bigint): boolean {
    return (this.memory.read32(this.spaces[space]!.entry(address, 2)) & PTE.PS) !== 0;
  }

  allowNestedWrite(frame: number, allow: boolean): void {
    const entry = this.nestedTables!.entry(BigInt(frame) << 12n);
    this.memory.write32(entry, (frame * 4096) | PTE.P | PTE.U | PTE.A | (allow ? PTE.W : PTE.D));
  }
}

const anyPage = fc.constantFrom(...pages);
/** P, W and U. */
const bits = fc.integer({ min: 0, max: 7 });
const op = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      op: fc.constant('access' as const),
      page: fc.oneof(anyPage, fc.constant(sharedPage)),
      access: fc.constantFrom(0, 2, 16, 4, 6, 20),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constant('map' as const),
      page: fc.oneof(anyPage, fc.constant(sharedPage)),
      space: fc.constantFrom(...SPACES),
      frame: fc.nat({ max: DATA_FRAMES - 1 }),
      bits,
      high: fc.constantFrom(0, 0, 0x80000000, 1 << 27),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constant('mapLarge' as const),
      page: anyPage,
      space: fc.constantFrom(...SPACES),
      bits,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ op: fc.constant('clear' as const), page: anyPage, space: fc.constantFrom(...SPACES) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('switch' as const),
      space: fc.constantFrom(...SPACES),
      flush: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('control' as const), bits: fc.nat({ max: 31 }) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('flush' as const), kind: fc.nat({ max: 3 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constant('nested' as const),
      frame: fc.nat({ max: DATA_FRAMES - 1 }),
      allow: fc.boolean(),
    }),
  },
);
type Op = typeof op extends fc.Arbitrary<infer T> ? T : never;

const shapes: readonly TlbShape[] = [
  { l1: { sets: 1, ways: 1 }, l2: null, pageShifts: [12] },
  { l1: { sets: 2, ways: 2 }, l2: { sets: 4, ways: 2 }, pageShifts: [12] },
  { l1: { sets: 2, ways: 2 }, l2: { sets: 4, ways: 4 }, pageShifts: [12, 21, 30] },
  { l1: { sets: 16, ways: 4 }, l2: { sets: 128, ways: 12 }, pageShifts: [12, 21] },
];
const cacheShape = { level2: { sets: 2, ways: 2 }, level3: { sets: 1, ways: 2 }, level4: { sets: 1, ways: 1 } };

/** Applies an op that is no access to the tables and registers of one world. */
function change(world: World, o: Op): void {
  const { registers } = world;
  switch (o.op) {
    case 'map': {
      if (world.isLarge(o.space, o.page)) break;
      const entry = world.spaces[o.space]!.entry(o.page);
      const global = o.page === sharedPage ? PTE.G : 0;
      world.memory.write64(entry, ((0x300 + o.frame) * 4096) | o.bits | global, o.high);
      break;
    }
    case 'mapLarge':
      world.memory.write64(world.spaces[o.space]!.entry(o.page, 2), (0x200 * 4096) | o.bits | PTE.PS, 0);
      break;
    case 'clear':
      world.clearRegion(o.space, o.page);
      break;
    case 'switch':
      registers.cr3 = (FIRST_TABLE + 0x40 * o.space) * 4096;
      break;
    case 'control':
      registers.cr0 = (registers.cr0 & ~CR0.WP) | (o.bits & 1 ? CR0.WP : 0);
      registers.cr4 = (registers.cr4 & ~(CR4.SMEP | CR4.SMAP | CR4.PKE)) | (o.bits & 2 ? CR4.SMEP | CR4.SMAP : 0);
      registers.cr4 |= o.bits & 4 ? CR4.PKE : 0;
      registers.rflagsAc = (o.bits >> 3) & 1;
      registers.pkru = o.bits & 16 ? 2 << 2 : 1 << 2; // key 1 is the one that pages use
      break;
    case 'nested':
      if (world.nestedTables) world.allowNestedWrite(0x300 + o.frame, o.allow);
      break;
    default:
      break;
  }
  world.walker.load(registers);
}

/** What software must flush for it. PCIDs are the spaces. */
function flush(tlb: Tlb, nestedCaches: PagingStructureCaches | null, o: Op): void {
  switch (o.op) {
    case 'map':
      if (o.page === sharedPage) {
        // INVLPG drops the global translation; without G in between there may be plain ones in both spaces.
        tlb.flushAddress(...halves(o.page));
        for (const space of SPACES) tlb.flushAddressOf(ASID, space, ...halves(o.page));
      } else tlb.flushAddressOf(ASID, o.space, ...halves(o.page));
      break;
    case 'mapLarge':
    case 'clear':
      tlb.flushPcid(ASID, o.space);
      break;
    case 'switch':
      if (o.flush) tlb.flushPcid(ASID, o.space);
      tlb.setContext(ASID, o.space);
      break;
    case 'flush':
      [() => tlb.flushAll(), () => tlb.flushAsid(ASID), () => tlb.flushNonGlobal(ASID), () => tlb.flushAsid(2)][
        o.kind
      ]!();
      break;
    case 'nested':
      tlb.flushAsid(ASID);
      nestedCaches?.clear();
      break;
    default:
      break;
  }
}

/** Outcome of an access in words. */
const told = (fault: number, frame: number, { result }: Walker): string =>
  fault === 0
    ? `frame ${frame}`
    : `fault ${fault} code ${result.errorCode} cause ${result.cause} stage ${result.stage}`;

/**
 * All entries of the guest's tables and those of nested ones for data, but the accessed bits in roots: a global translation made in one space serves the
 * other, whose own root entry is then never read.
 */
const image = ({ memory, nestedTables }: World): string[] => {
  const entries: string[] = [];
  for (let frame = 0x300; nestedTables && frame < 0x300 + DATA_FRAMES; frame++) {
    entries.push(`nested ${frame} = ${memory.read32(nestedTables.entry(BigInt(frame) << 12n))}`);
  }
  for (let frame = FIRST_TABLE; frame < FIRST_TABLE + 0x40 * SPACES.length; frame++) {
    const isRoot = (frame - FIRST_TABLE) % 0x40 === 0;
    for (let i = 0; i < 512; i++) {
      const entry = memory.read32(frame * 4096 + 8 * i) & ~(isRoot ? PTE.A : 0);
      if (entry !== 0) entries.push(`${frame}[${i}] = ${entry}`);
    }
  }
  return entries;
};

describe('accesses through TLB and caches', () => {
  it.each([
    ['one dimension', false],
    ['two dimensions', true],
  ])('answer and mark as walks alone do: %s', (_name, nested) => {
    fc.assert(
      fc.property(
        fc.array(op, { minLength: 20, maxLength: 150 }),
        fc.nat({ max: shapes.length - 1 }),
        fc.boolean(),
        (ops, shape, cached) => {
          const plain = new World(nested);
          const world = new World(nested, cached);
          const cpu = new Translator(new Tlb(world.memory, shapes[shape]!, world.caches), world.walker);
          cpu.tlb.setContext(ASID, 0);
          for (const o of ops) {
            if (o.op !== 'access') {
              for (const w of [plain, world]) change(w, o);
              flush(cpu.tlb, world.nestedCaches, o);
              continue;
            }
            const [lo, hi] = halves(o.page);
            const expected = plain.walker.walk(lo, hi, o.access as number);
            const got = cpu.access(lo, hi, o.access);
            expect(told(got, cpu.frame, world.walker)).toBe(
              told(expected, plain.walker.result.hostFrame, plain.walker),
            );
          }
          expect(cpu.tlb.l1Hits + cpu.tlb.l2Hits + cpu.walks).toBe(ops.filter((o) => o.op === 'access').length);
          expect(image(world)).toEqual(image(plain));
        },
      ),
      { numRuns: nested ? 150 : 300 },
    );
  });

  it('do not use a dirty guest page to write past nested tables', () => {
    const world = new World(true);
    const cpu = new Translator(new Tlb(world.memory, shapes[2]!), world.walker);
    world.spaces[0]!.map(0n, 0x300, OPEN | PTE.A | PTE.D);
    world.allowNestedWrite(0x300, false);
    expect(cpu.access(0, 0, ACCESS.READ)).toBe(FAULT.NONE);
    // CR0.WP is clear, so the guest alone would allow the write; the nested entry is dirty from earlier days.
    expect(cpu.access(0, 0, ACCESS.WRITE)).toBe(FAULT.NESTED);
    world.allowNestedWrite(0x300, true);
    cpu.tlb.flushAll();
    expect(cpu.access(0, 0, ACCESS.READ)).toBe(FAULT.NONE);
    expect(cpu.access(0, 0, ACCESS.WRITE)).toBe(FAULT.NONE);
    expect(world.memory.read32(world.nestedTables!.entry(0x300000n)) & PTE.D).toBe(PTE.D);
  });

  it('do not read what EPT let them execute', () => {
    const memory = new PhysicalMemory();
    const ept = new Tables(memory, modeNamed('ept4'), NESTED_TABLES);
    const guest = new Tables(memory, modeNamed('4level'), FIRST_TABLE);
    guest.map(0n, 0x300, OPEN | PTE.A);
    for (let frame = FIRST_TABLE; frame < FIRST_TABLE + 4; frame++) ept.map(BigInt(frame) << 12n, frame, 7);
    ept.map(0x300000n, 0x300, 4);
    const nested = new Walker(memory);
    const features = { ...plainFeatures, executeOnly: true };
    nested.loadNested({ root: NESTED_TABLES * 4096, mode: modeNamed('ept4'), features, nxe: false, eptMarks: false });
    const walker = new Walker(memory, nested);
    walker.load(registersFor(modeNamed('4level'), FIRST_TABLE * 4096));
    const cpu = new Translator(new Tlb(memory, shapes[2]!), walker);
    expect(cpu.access(0, 0, ACCESS.FETCH)).toBe(FAULT.NONE);
    expect(cpu.access(0, 0, ACCESS.READ)).toBe(FAULT.NESTED);
  });

  it('refuse TLB and walker with different caches, which would not be flushed together', () => {
    const memory = new PhysicalMemory();
    const walker = new Walker(memory, null, new PagingStructureCaches(memory, cacheShape));
    expect(() => new Translator(new Tlb(memory, shapes[0]!), walker)).toThrow('different upper-level caches');
  });

  it('do not take an address for its canonical neighbour', () => {
    const world = new World(false);
    world.spaces[0]!.map(0n, 0x300, OPEN);
    const cpu = new Translator(new Tlb(world.memory, shapes[2]!), world.walker);
    expect(cpu.access(0, 0, ACCESS.READ)).toBe(FAULT.NONE);
    expect(cpu.access(0, 0xfe000000 | 0, ACCESS.READ)).toBe(FAULT.NONCANONICAL);
  });
});
