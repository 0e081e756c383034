// SPDX-License-Identifier: GPL-2.0-only
/** Hand-worked walks. Where a number is not plain arithmetic, the manual that gives it is named. */
import { describe, expect, it } from 'vitest';
import { CAUSE } from '../../src/sim/access-rules.ts';
import { PhysicalMemory } from '../../src/sim/memory.ts';
import { ACCESS, PFEC, PTE, RIGHTS } from '../../src/sim/paging-bits.ts';
import { plainFeatures } from '../../src/sim/paging-modes.ts';
import { CR0, CR4, loadPdptes } from '../../src/sim/registers.ts';
import { Walker } from '../../src/sim/walk.ts';
import { FAULT } from '../../src/sim/walk-result.ts';
import { halves, modeNamed, OPEN, registersFor, Tables } from './tables.ts';

const LEAF = OPEN | PTE.A | PTE.D;

/** Memory, tables of a mode with their root at frame 0x100, and a walker for them. */
function setUp(name: Parameters<typeof modeNamed>[0], features = plainFeatures) {
  const memory = new PhysicalMemory();
  const mode = modeNamed(name);
  const tables = new Tables(memory, mode, 0x100);
  const registers = registersFor(mode, 0x100 * 4096);
  const walker = new Walker(memory);
  const reload = () => {
    if (mode.bareLevels !== 0) expect(loadPdptes(memory, registers, features.maxPhyAddr)).toBe(true);
    walker.load(registers, features);
  };
  reload();
  return { memory, tables, registers, walker, reload };
}

describe('translation', () => {
  // 0x00007fedcba98765: indices 0xff, 0x1b7, 0x5d, 0x98; offset 0x765.
  const address = 0x7fedcba98765n;

  it('finds the entry of each 4-level table at nine bits of the address', () => {
    const { memory, tables, walker } = setUp('4level');
    memory.write64(0x100000 + 0xff * 8, 0x200000 | OPEN, 0);
    memory.write64(0x200000 + 0x1b7 * 8, 0x300000 | OPEN, 0);
    memory.write64(0x300000 + 0x5d * 8, 0x400000 | OPEN, 0);
    memory.write64(0x400000 + 0x98 * 8, 0x54321000 | OPEN, 0x7);
    expect(tables.entry(address)).toBe(0x400000 + 0x98 * 8);
    expect(walker.walk(...halves(address), ACCESS.READ)).toBe(FAULT.NONE);
    expect(walker.result.frame).toBe(0x754321);
    expect(walker.result.reads).toBe(4);
  });

  it('takes bits 56:48 as the first index of five levels', () => {
    const { memory, walker } = setUp('5level');
    memory.write64(0x100000 + 0x1ab * 8, 0x200000 | OPEN, 0);
    memory.write64(0x200000 + 0xff * 8, 0x300000 | OPEN, 0);
    memory.write64(0x300000 + 0x1b7 * 8, 0x40000000 | OPEN | PTE.PS, 0);
    expect(walker.walk(...halves(0xffab7fedcba98765n), ACCESS.READ)).toBe(FAULT.NONE);
    expect(walker.result.reads).toBe(3);
  });

  it('keeps 21, 22 and 30 bits of offset in large pages', () => {
    const two = setUp('4level');
    two.tables.map(address, 0x754200, LEAF | PTE.PS, 2);
    two.walker.walk(...halves(address), ACCESS.READ);
    expect(two.walker.result).toMatchObject({ frame: 0x754200 + 0x98, pageShift: 21, reads: 3 });
    const one = setUp('4level');
    one.tables.map(address, 0x740000, LEAF | PTE.PS, 3);
    one.walker.walk(...halves(address), ACCESS.READ);
    // Bits 29:12 of the address: 0x0ba98.
    expect(one.walker.result).toMatchObject({ frame: 0x740000 + 0xba98, pageShift: 30, reads: 2 });
    const four = setUp('pse');
    // PSE-36, SDM vol. 3A table 4-4: bits 20:13 hold address bits 39:32; here 0x12 there and 0x50c00000 in bits 31:22.
    four.memory.write32(0x100000 + 0x32e * 4, 0x50c00000 | (0x12 << 13) | LEAF | PTE.PS);
    four.walker.walk(...halves(0xcba98765n), ACCESS.READ);
    expect(four.walker.result).toMatchObject({ frame: 0x1250c00 + 0x298, pageShift: 22, reads: 1 });
  });

  it('ignores PS without CR4.PSE', () => {
    const { tables, walker } = setUp('32bit');
    tables.pointerBits = OPEN | PTE.PS;
    tables.map(0xcba98765n, 0x777, LEAF);
    expect(walker.walk(...halves(0xcba98765n), ACCESS.READ)).toBe(FAULT.NONE);
    expect(walker.result).toMatchObject({ frame: 0x777, pageShift: 12, reads: 2 });
  });

  it('takes the PDPTEs of PAE paging from registers, loaded by the move to CR3 (SDM vol. 3A 4.4.1)', () => {
    const { memory, tables, walker, reload, registers } = setUp('pae');
    tables.map(0xcba98765n, 0x777, LEAF);
    expect(walker.walk(...halves(0xcba98765n), ACCESS.READ)).toBe(FAULT.PAGE);
    expect(walker.result).toMatchObject({ errorCode: 0, cause: CAUSE.NP, reads: 0 });
    reload();
    memory.write64(0x100000 + 3 * 8, 0, 0);
    expect(walker.walk(...halves(0xcba98765n), ACCESS.READ)).toBe(FAULT.NONE);
    expect(walker.result).toMatchObject({ frame: 0x777, reads: 2 });
    // Table 4-8: bits 2:1 and 8:5 of a present PDPTE are reserved, which is a #GP at the load; absent ones may hold anything.
    memory.write64(0x100000, PTE.W, 0);
    expect(loadPdptes(memory, registers, 40)).toBe(true);
    memory.write64(0x100000, PTE.P | PTE.W, 0);
    expect(loadPdptes(memory, registers, 40)).toBe(false);
    memory.write64(0x100000, PTE.P, 1 << 8);
    expect(loadPdptes(memory, registers, 40)).toBe(false);
    expect(loadPdptes(memory, registers, 41)).toBe(true);
  });

  it('finds PAE tables that start within a page', () => {
    const { memory, walker, registers } = setUp('pae');
    registers.cr3 = 0x100fe0;
    memory.write64(0x100fe0 + 8, 0x200000 | PTE.P, 0);
    memory.write64(0x200000, LEAF | PTE.PS, 0);
    expect(loadPdptes(memory, registers, 40)).toBe(true);
    walker.load(registers);
    expect(walker.walk(...halves(0x40012345n), ACCESS.READ)).toBe(FAULT.NONE);
    expect(walker.result.frame).toBe(0x12);
  });

  it('passes addresses on while paging is off', () => {
    const { walker, registers } = setUp('4level');
    registers.cr0 = CR0.PE;
    walker.load(registers);
    expect(walker.walk(...halves(0x87654321n), ACCESS.WRITE | ACCESS.USER)).toBe(FAULT.NONE);
    expect(walker.result).toMatchObject({ frame: 0x87654, reads: 0, rights: RIGHTS.ALL });
  });

  it('refuses addresses that are not canonical before any read', () => {
    for (const [name, first, last] of [
      ['4level', 0x0000_8000_0000_0000n, 0xffff_7fff_ffff_f000n],
      ['5level', 0x0100_0000_0000_0000n, 0xfeff_ffff_ffff_f000n],
    ] as const) {
      const { walker } = setUp(name);
      for (const gva of [first, last]) expect(walker.walk(...halves(gva), 0)).toBe(FAULT.NONCANONICAL);
      for (const gva of [first - 1n, last + 0x1000n]) expect(walker.walk(...halves(gva), 0)).toBe(FAULT.PAGE);
    }
  });

  it('follows tables anywhere in 52 bits', () => {
    const { memory, walker } = setUp('4level');
    memory.write64(0x100000, 0xffffd000 | OPEN | 0, 0xfffff);
    memory.write64(2 ** 52 - 0x3000, LEAF | PTE.PS, 0xabcde);
    expect(walker.walk(0, 0, ACCESS.READ)).toBe(FAULT.NONE);
    expect(walker.result.frame).toBe(0xabcde * 2 ** 20);
  });
});

describe('accessed and dirty bits', () => {
  it('are set on the way, dirty at the leaf by a write alone, and counted', () => {
    const { memory, tables, walker } = setUp('4level');
    tables.map(0x1000n, 0x777, OPEN);
    const read = () => [4, 3, 2, 1].map((level) => memory.read32(tables.entry(0x1000n, level)) & (PTE.A | PTE.D));
    walker.probe(...halves(0x1000n), ACCESS.WRITE);
    expect([read(), walker.result.marks]).toEqual([[0, 0, 0, 0], 0]);
    walker.walk(...halves(0x1000n), ACCESS.READ);
    expect([read(), walker.result.marks, walker.result.dirty]).toEqual([[PTE.A, PTE.A, PTE.A, PTE.A], 4, 0]);
    walker.walk(...halves(0x1000n), ACCESS.WRITE);
    expect([read(), walker.result.marks]).toEqual([[PTE.A, PTE.A, PTE.A, PTE.A | PTE.D], 1]);
    expect(walker.result.dirty).toBe(1);
  });

  it('are set above the entry that faults, and not in it', () => {
    const { memory, tables, walker, registers } = setUp('4level');
    registers.cr0 |= CR0.WP;
    walker.load(registers);
    tables.map(0x1000n, 0x777, PTE.P | PTE.U);
    expect(walker.walk(...halves(0x1000n), ACCESS.WRITE)).toBe(FAULT.PAGE);
    expect(walker.result).toMatchObject({ errorCode: PFEC.P | PFEC.W, cause: CAUSE.WP });
    expect(memory.read32(tables.entry(0x1000n, 2)) & PTE.A).toBe(PTE.A);
    expect(memory.read32(tables.entry(0x1000n))).toBe((0x777 * 4096) | PTE.P | PTE.U);
  });
});

describe('reserved bits', () => {
  const reserved = (name: Parameters<typeof modeNamed>[0], level: number, value: bigint, features = plainFeatures) => {
    const { memory, tables, walker, registers } = setUp(name, features);
    const entry = tables.entry(0n, level);
    memory.write64(entry, ...halves(value));
    if (registers.cr4 & CR4.PAE && modeNamed(name).levels === 3) registers.pdptes[0] = memory.read32(0x100000);
    walker.load(registers, features);
    walker.walk(0, 0, ACCESS.READ);
    return walker.result.cause === CAUSE.RSVD;
  };

  it('follow the level, the size of the page and the CPU (SDM vol. 3A 4.5.4, APM vol. 2 5.3)', () => {
    expect(reserved('4level', 4, 0x2000n | 0x87n)).toBe(true);
    expect(reserved('5level', 5, 0x2000n | 0x87n)).toBe(true);
    expect(reserved('4level', 3, 0x87n)).toBe(false);
    expect(reserved('4level', 3, 0x87n, { ...plainFeatures, gbPages: false })).toBe(true);
    expect(reserved('4level', 3, 0x1087n)).toBe(false); // PAT of a large page is bit 12
    for (const bit of [13n, 29n]) expect(reserved('4level', 3, 0x87n | (1n << bit))).toBe(true);
    for (const bit of [13n, 20n]) expect(reserved('4level', 2, 0x87n | (1n << bit))).toBe(true);
    expect(reserved('4level', 2, 0x87n | (1n << 21n))).toBe(false);
    expect(reserved('4level', 3, 0x107n)).toBe(false);
    expect(reserved('4level', 3, 0x107n, { ...plainFeatures, amd: true })).toBe(true);
  });

  it('start at MAXPHYADDR and end at 51; PAE has 62:52 too', () => {
    const features = { ...plainFeatures, maxPhyAddr: 46 };
    expect(reserved('4level', 1, 7n | (1n << 45n), features)).toBe(false);
    for (const bit of [46n, 51n]) expect(reserved('4level', 1, 7n | (1n << bit), features)).toBe(true);
    for (const bit of [52n, 62n]) expect(reserved('4level', 1, 7n | (1n << bit), features)).toBe(false);
    for (const bit of [46n, 52n, 62n]) expect(reserved('pae', 1, 7n | (1n << bit), features)).toBe(true);
  });

  it('include NX while EFER.NXE is clear', () => {
    const { memory, tables, walker, registers } = setUp('4level');
    tables.map(0n, 0x777, OPEN);
    memory.write32(tables.entry(0n) + 4, 0x80000000);
    expect(walker.walk(0, 0, ACCESS.FETCH)).toBe(FAULT.PAGE);
    expect(walker.result).toMatchObject({ cause: CAUSE.NX, errorCode: PFEC.P | PFEC.ID });
    registers.efer &= ~(1 << 11);
    walker.load(registers);
    walker.walk(0, 0, ACCESS.FETCH);
    // SDM vol. 3A 4.7: without NXE and SMEP bit 4 of the error code stays clear.
    expect(walker.result).toMatchObject({ cause: CAUSE.RSVD, errorCode: PFEC.P | PFEC.RSVD });
  });

  it('PSE-36: bit 21, and the bits that would stand for address bits from MAXPHYADDR on (SDM vol. 3A table 4-4)', () => {
    const at36 = { ...plainFeatures, maxPhyAddr: 36 };
    expect(reserved('pse', 2, 0x87n | (1n << 21n))).toBe(true);
    expect(reserved('pse', 2, 0x87n | (1n << 16n), at36)).toBe(false);
    expect(reserved('pse', 2, 0x87n | (1n << 17n), at36)).toBe(true);
    expect(reserved('pse', 2, 0x87n | (1n << 20n))).toBe(false);
  });
});

describe('protection keys (SDM vol. 3A 4.6.2)', () => {
  it('stop data accesses to user pages, in supervisor mode too, writes by WD only under WP or at CPL 3', () => {
    const { memory, tables, walker, registers } = setUp('4level');
    tables.map(0n, 0x777, OPEN);
    memory.write32(tables.entry(0n) + 4, 5 << 27);
    const outcome = (access: number, pkru: number, wp = true) => {
      registers.cr4 |= CR4.PKE;
      registers.cr0 = (registers.cr0 & ~CR0.WP) | (wp ? CR0.WP : 0);
      registers.pkru = pkru;
      walker.load(registers);
      walker.walk(0, 0, access);
      return walker.result.errorCode;
    };
    const accessDisable = 1 << 10;
    const writeDisable = 2 << 10;
    expect(outcome(ACCESS.READ, accessDisable)).toBe(PFEC.P | PFEC.PK);
    expect(outcome(ACCESS.READ | ACCESS.USER, accessDisable)).toBe(PFEC.P | PFEC.PK | PFEC.U);
    expect(outcome(ACCESS.FETCH | ACCESS.USER, accessDisable)).toBe(0);
    expect(outcome(ACCESS.READ, writeDisable)).toBe(0);
    expect(outcome(ACCESS.WRITE, writeDisable)).toBe(PFEC.P | PFEC.PK | PFEC.W);
    expect(outcome(ACCESS.WRITE, writeDisable, false)).toBe(0);
    expect(outcome(ACCESS.WRITE | ACCESS.USER, writeDisable, false)).toBe(PFEC.P | PFEC.PK | PFEC.W | PFEC.U);
    expect(outcome(ACCESS.READ, ~accessDisable)).toBe(0);
  });
});
