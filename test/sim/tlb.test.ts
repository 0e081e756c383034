// SPDX-License-Identifier: GPL-2.0-only
import { describe, expect, it } from 'vitest';
import { CLOCK_END } from '../../src/sim/core/layout.ts';
import { PhysicalMemory } from '../../src/sim/memory.ts';
import { ACCESS, PTE } from '../../src/sim/paging-bits.ts';
import { PagingStructureCaches, type PagingStructureShape } from '../../src/sim/paging-structure-caches.ts';
import { CR0, CR4 } from '../../src/sim/registers.ts';
import { Tlb, type TlbShape } from '../../src/sim/tlb.ts';
import { Translator } from '../../src/sim/translator.ts';
import { Walker } from '../../src/sim/walk.ts';
import { halves, modeNamed, OPEN, registersFor, Tables } from './tables.ts';

const small: TlbShape = { l1: { sets: 1, ways: 2 }, l2: null, pageShifts: [12, 21, 30] };
const page = (n: number): bigint => BigInt(n) * 0x1000n;

/** A CPU with an address space in which page n below 64 maps frame 0x1000 + n. */
function setUp(shape: TlbShape, cacheShape: PagingStructureShape | null = null) {
  const memory = new PhysicalMemory();
  const caches = cacheShape && new PagingStructureCaches(memory, cacheShape);
  const tables = new Tables(memory, modeNamed('4level'), 0x100);
  for (let n = 0; n < 64; n++) tables.map(page(n), 0x1000 + n, OPEN);
  const registers = registersFor(modeNamed('4level'), 0x100 * 4096);
  const walker = new Walker(memory, null, caches);
  walker.load(registers);
  const cpu = new Translator(new Tlb(memory, shape, caches), walker);
  const access = (address: bigint, kind: number = ACCESS.READ): boolean => {
    const walks = cpu.walks;
    expect(cpu.access(...halves(address), kind)).toBe(0);
    return cpu.walks === walks;
  };
  return { memory, tables, registers, walker, caches, cpu, tlb: cpu.tlb, hits: access };
}

describe('the TLB', () => {
  it('replaces the least recently used way', () => {
    const { hits, cpu } = setUp(small);
    expect([1, 2, 1, 3].map((n) => hits(page(n)))).toEqual([false, false, true, false]);
    // Page 2 was the older one when page 3 came.
    expect([1, 3, 2].map((n) => hits(page(n)))).toEqual([true, true, false]);
    expect(cpu.frame).toBe(0x1002);
    expect(cpu.tlb).toMatchObject({ lookups: 7, l1Hits: 3, misses: 4 });
  });

  it('fills the place of a dropped entry first', () => {
    const { hits, tlb } = setUp({ l1: { sets: 1, ways: 3 }, l2: null, pageShifts: [12] });
    for (const n of [1, 2, 3]) hits(page(n));
    tlb.flushAddress(...halves(page(2)));
    expect([4, 1, 3].map((n) => hits(page(n)))).toEqual([false, true, true]);
  });

  it('takes the set from the low bits of the page number, and fills the first level from the second', () => {
    const { hits, tlb } = setUp({ l1: { sets: 2, ways: 1 }, l2: { sets: 4, ways: 2 }, pageShifts: [12] });
    for (const n of [0, 2, 1]) hits(page(n));
    expect([0, 0, 1].map((n) => hits(page(n)))).toEqual([true, true, true]);
    expect(tlb).toMatchObject({ l1Hits: 2, l2Hits: 1, misses: 3 });
  });

  it('serves a write only from a dirty entry that may be written', () => {
    const { hits, memory, tables, walker, registers } = setUp(small);
    hits(page(1));
    expect(hits(page(1), ACCESS.WRITE)).toBe(false);
    expect(memory.read32(tables.entry(page(1))) & PTE.D).toBe(PTE.D);
    expect(hits(page(1), ACCESS.WRITE)).toBe(true);
    tables.map(page(2), 0x1002, PTE.P | PTE.D);
    expect(hits(page(2), ACCESS.WRITE)).toBe(false);
    expect(hits(page(2), ACCESS.WRITE)).toBe(true); // CR0.WP is clear
    registers.cr0 |= CR0.WP;
    walker.load(registers);
    expect(() => hits(page(2), ACCESS.WRITE)).toThrow();
  });

  it('applies SMAP, RFLAGS.AC and protection keys of the moment to cached translations', () => {
    const { hits, walker, registers } = setUp(small);
    hits(page(1));
    registers.cr4 |= CR4.SMAP;
    walker.load(registers);
    expect(() => hits(page(1))).toThrow();
    registers.rflagsAc = 1;
    walker.load(registers);
    expect(hits(page(1))).toBe(true);
    registers.cr4 |= CR4.PKE;
    registers.pkru = 1;
    walker.load(registers);
    expect(() => hits(page(1))).toThrow();
  });

  it('applies no rule while paging is off', () => {
    const { hits, walker, registers } = setUp(small);
    registers.cr0 = CR0.PE;
    registers.cr4 |= CR4.SMEP | CR4.SMAP;
    walker.load(registers);
    expect([ACCESS.READ, ACCESS.WRITE, ACCESS.FETCH].map((kind) => hits(page(1), kind))).toEqual([false, true, true]);
  });

  it('keeps large pages whole when it can, else in pieces that go together', () => {
    for (const [pageShifts, walks] of [
      [[12, 21, 30], 1],
      [[12], 3],
    ] as const) {
      const { hits, tables, tlb, cpu } = setUp({ l1: { sets: 4, ways: 4 }, l2: null, pageShifts });
      tables.map(0x40000000n, 0x40000, OPEN | PTE.PS | PTE.D, 2);
      for (const n of [0x40000, 0x40003, 0x401ff]) hits(page(n));
      expect(cpu.frame).toBe(0x401ff);
      expect(tlb.misses).toBe(walks);
      expect([0x40000, 0x40003, 0x401ff].map((n) => hits(page(n)))).toEqual([true, true, true]);
      tlb.flushAddress(...halves(page(0x40123)));
      expect([0x40000, 0x40003].map((n) => hits(page(n)))).toEqual([false, walks === 1]);
    }
  });

  it('drops all pieces of a global large page with INVLPG', () => {
    const { hits, tables, tlb, registers, walker } = setUp({ l1: { sets: 4, ways: 4 }, l2: null, pageShifts: [12] });
    registers.cr4 |= CR4.PGE;
    walker.load(registers);
    tables.map(0x40000000n, 0x40000, OPEN | PTE.PS | PTE.G, 2);
    for (const n of [0x40000, 0x40003]) hits(page(n));
    tlb.flushAddress(...halves(page(0x40123)));
    expect([0x40000, 0x40003].map((n) => hits(page(n)))).toEqual([false, false]);
  });

  it('keeps frames beyond 44 address bits', () => {
    const { hits, memory, tables, cpu } = setUp(small);
    memory.write64(tables.entry(page(1)), 0xabcde000 | OPEN, 0xfedcb);
    for (const expected of [false, true]) {
      expect(hits(page(1))).toBe(expected);
      expect(cpu.frame).toBe(0xfedcb * 2 ** 20 + 0xabcde);
    }
  });

  it('tells apart pages whose numbers differ only above bit 32', () => {
    const { hits, tables, cpu } = setUp(small);
    tables.map(page(1) + (1n << 44n), 0x2000, OPEN);
    hits(page(1));
    expect(hits(page(1) + (1n << 44n))).toBe(false);
    expect(cpu.frame).toBe(0x2000);
  });
});

describe('flushes of the TLB', () => {
  const GLOBAL = page(60);
  /** Contexts (1, 0), (1, 5) and (2, 0), each with page 1 and a global page cached, and a probe of what is left. */
  const filled = () => {
    const set = setUp({ l1: { sets: 16, ways: 8 }, l2: { sets: 16, ways: 8 }, pageShifts: [12] });
    set.registers.cr4 |= CR4.PGE;
    set.walker.load(set.registers);
    set.tables.map(GLOBAL, 0x1060, OPEN | PTE.G);
    const contexts = [
      [1, 0],
      [1, 5],
      [2, 0],
    ] as const;
    const visit = () =>
      contexts.map(([asid, pcid]) => {
        set.tlb.setContext(asid, pcid);
        return [set.hits(page(1)), set.hits(GLOBAL)];
      });
    // The global page of ASID 1 serves both of its PCIDs.
    expect(visit()).toEqual([
      [false, false],
      [false, true],
      [false, false],
    ]);
    set.tlb.setContext(1, 5);
    return { ...set, visit };
  };

  it.each<[string, (tlb: Tlb) => void, boolean[][]]>([
    [
      'none',
      () => {},
      [
        [true, true],
        [true, true],
        [true, true],
      ],
    ],
    [
      'all',
      (tlb) => tlb.flushAll(),
      [
        [false, false],
        [false, true],
        [false, false],
      ],
    ],
    [
      'one ASID',
      (tlb) => tlb.flushAsid(1),
      [
        [false, false],
        [false, true],
        [true, true],
      ],
    ],
    [
      'one ASID but global',
      (tlb) => tlb.flushNonGlobal(1),
      [
        [false, true],
        [false, true],
        [true, true],
      ],
    ],
    [
      'one PCID',
      (tlb) => tlb.flushPcid(1, 0),
      [
        [false, true],
        [true, true],
        [true, true],
      ],
    ],
    [
      'INVLPG',
      (tlb) => tlb.flushAddress(...halves(page(1))),
      [
        [true, true],
        [false, true],
        [true, true],
      ],
    ],
    [
      'INVLPG of a global page',
      (tlb) => tlb.flushAddress(...halves(GLOBAL)),
      [
        [true, false],
        [true, true],
        [true, true],
      ],
    ],
    [
      'an address of a PCID',
      (tlb) => tlb.flushAddressOf(1, 0, ...halves(page(1))),
      [
        [false, true],
        [true, true],
        [true, true],
      ],
    ],
    [
      'a global address of a PCID',
      (tlb) => tlb.flushAddressOf(1, 0, ...halves(GLOBAL)),
      [
        [true, true],
        [true, true],
        [true, true],
      ],
    ],
  ])('%s', (_name, flush, left) => {
    const { tlb, visit } = filled();
    flush(tlb);
    expect(visit()).toEqual(left);
  });

  it('ignores bit G while CR4.PGE is clear', () => {
    const { hits, tables, tlb } = setUp(small);
    tables.map(page(1), 0x1001, OPEN | PTE.G);
    hits(page(1));
    tlb.flushPcid(0, 0);
    expect(hits(page(1))).toBe(false);
  });

  it('survive the end of the generation numbers: no old entry comes back to life', () => {
    const shape = { l1: small.l1, l2: small.l1, pageShifts: [12] };
    const { hits, tlb, walker, caches } = setUp(shape, { level2: { sets: 1, ways: 1 } });
    expect(hits(page(1))).toBe(false);
    let hitsAfterFlush = 0;
    // There are 2 ** 17 - 1, and each flush takes two: for the context and for its global translations.
    for (let i = 0; i < 2 ** 17; i++) {
      tlb.flushAll();
      hitsAfterFlush += tlb.lookup(...halves(page(1)), ACCESS.READ, walker) + caches!.lookup(...halves(page(1)), 4);
    }
    expect(hitsAfterFlush).toBe(0);
    expect([hits(page(1)), hits(page(1))]).toEqual([false, true]);
  });

  it('leave other contexts their translations when the numbers start again', () => {
    const { hits, tlb } = setUp({ l1: { sets: 1, ways: 4 }, l2: null, pageShifts: [12] });
    tlb.setContext(1, 5);
    hits(page(1));
    tlb.setContext(1, 0);
    for (let i = 0; i < 2 ** 17; i++) tlb.flushPcid(1, 0);
    tlb.setContext(1, 5);
    expect([hits(page(1)), hits(page(2))]).toEqual([true, false]);
  });

  it('of the clock: order survives the renumbering', () => {
    const { hits, tlb } = setUp(small);
    for (const n of [1, 2]) hits(page(n));
    tlb.l1.clock = CLOCK_END - 2;
    for (const n of [1, 2]) hits(page(n)); // the second use renumbers
    expect(tlb.l1.clock).toBeLessThan(10);
    hits(page(3)); // replaces page 1
    expect([2, 3, 1].map((n) => hits(page(n)))).toEqual([true, true, false]);
  });
});

describe('paging-structure caches', () => {
  const shape = { level2: { sets: 4, ways: 8 }, level3: { sets: 2, ways: 4 }, level4: { sets: 1, ways: 4 } };
  const setUpCached = () => setUp({ l1: { sets: 1, ways: 1 }, l2: null, pageShifts: [12] }, shape);

  it('let a walk start below the deepest entry that serves', () => {
    const { hits, cpu, tables, walker } = setUpCached();
    tables.map(page(512), 0x2000, OPEN); // another table of level 1
    tables.map(page(512 * 512), 0x3000, OPEN); // of level 2
    tables.map(page(512 * 512 * 512), 0x4000, OPEN); // of level 3
    const readsOf = (address: bigint) => {
      hits(address);
      return [walker.result.reads, walker.result.cachedLevel];
    };
    expect(readsOf(page(1))).toEqual([4, 0]);
    expect(readsOf(page(2))).toEqual([1, 2]);
    expect(readsOf(page(512))).toEqual([2, 3]);
    expect(readsOf(page(512 * 512))).toEqual([3, 4]);
    expect(readsOf(page(512 * 512 * 512))).toEqual([4, 0]);
    expect(cpu.frame).toBe(0x4000);
    expect(cpu.walker.caches!.hits).toBe(3);
  });

  it('are neither used nor filled by a probe', () => {
    const { walker } = setUpCached();
    walker.probe(...halves(page(1)), ACCESS.READ);
    walker.walk(...halves(page(1)), ACCESS.READ);
    expect(walker.result.cachedLevel).toBe(0);
    walker.probe(...halves(page(1)), ACCESS.READ);
    expect(walker.result.cachedLevel).toBe(0);
  });

  it('keep the rights of the levels that they skip', () => {
    const { hits, tables, memory, cpu } = setUpCached();
    const pointer = tables.entry(0n, 3);
    memory.write32(pointer, memory.read32(pointer) & ~PTE.U);
    hits(page(1));
    expect(cpu.access(...halves(page(2)), ACCESS.USER)).toBe(1);
    expect(cpu.walker.result.cachedLevel).toBe(2);
    memory.write32(pointer + 4, 0x80000000);
    cpu.tlb.flushAll();
    hits(page(1));
    expect(cpu.access(...halves(page(2)), ACCESS.FETCH)).toBe(1);
    expect(cpu.walker.result.cachedLevel).toBe(2);
  });

  it('replace the least recently used entry', () => {
    const tlb = { l1: { sets: 1, ways: 1 }, l2: null, pageShifts: [12] };
    const { hits, tables, walker } = setUp(tlb, { level2: { sets: 1, ways: 2 } });
    for (const n of [512, 513, 1024]) tables.map(page(n), 0x2000, OPEN);
    const cached = [0, 512, 1, 1024, 2, 513].map((n) => {
      expect(hits(page(n))).toBe(false);
      return walker.result.cachedLevel;
    });
    // Tables of 0, 512 and 1024: the last one replaces that of 512, because 1 had used that of 0 again.
    expect(cached).toEqual([0, 0, 2, 0, 2, 0]);
  });

  it('tell regions apart that differ only in the top bits of 57', () => {
    const memory = new PhysicalMemory();
    const tables = new Tables(memory, modeNamed('5level'), 0x100);
    const walker = new Walker(memory, null, new PagingStructureCaches(memory, shape));
    walker.load(registersFor(modeNamed('5level'), 0x100 * 4096));
    const addresses = [0n, 1n << 53n, 1n << 55n];
    addresses.forEach((address, i) => {
      tables.map(address, 0x2000 + i, OPEN);
      expect(walker.walk(...halves(address), ACCESS.READ)).toBe(0);
      expect(walker.result.frame).toBe(0x2000 + i);
    });
  });

  it('go with every flush, and wholly with INVLPG (SDM vol. 3A 4.10.4.1)', () => {
    for (const flush of [
      (tlb: Tlb) => tlb.flushAll(),
      (tlb: Tlb) => tlb.flushPcid(0, 0),
      (tlb: Tlb) => tlb.flushAddress(...halves(page(40))),
    ]) {
      const { hits, walker, tlb } = setUpCached();
      hits(page(1));
      flush(tlb);
      hits(page(2));
      expect(walker.result.cachedLevel).toBe(0);
    }
  });
});
