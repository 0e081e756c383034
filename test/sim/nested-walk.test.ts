// SPDX-License-Identifier: GPL-2.0-only
import { describe, expect, it } from 'vitest';
import { CAUSE } from '../../src/sim/access-rules.ts';
import { PhysicalMemory } from '../../src/sim/memory.ts';
import { eptViolationQualification, npfExitInfoHigh } from '../../src/sim/nested-walk.ts';
import { ACCESS, EPT, PFEC, PTE, RIGHTS } from '../../src/sim/paging-bits.ts';
import { plainFeatures } from '../../src/sim/paging-modes.ts';
import { loadPdptes } from '../../src/sim/registers.ts';
import { Walker } from '../../src/sim/walk.ts';
import { FAULT, STAGE } from '../../src/sim/walk-result.ts';
import { halves, modeNamed, OPEN, registersFor, Tables } from './tables.ts';

type Mode = Parameters<typeof modeNamed>[0];

/** Guest frames from 0x100 on hold the guest's tables, DATA the page it reads; host tables start at 0x8000. */
const DATA = 0x300;
const ADDRESS = 0xc0201000n;
const SMALL = OPEN | PTE.A | PTE.D;
const EPT_OPEN = EPT.R | EPT.W | EPT.X;
/** Write-back memory: type 6. */
const EPT_LEAF = EPT_OPEN | (6 << EPT.MEMORY_TYPE_SHIFT);

interface Options {
  readonly guestLeaf?: { readonly level: number; readonly bits: number };
  readonly nestedLevel?: number;
  readonly eptMarks?: boolean;
  readonly executeOnly?: boolean;
}

/** A guest that maps ADDRESS to DATA, and nested tables that map every guest frame below 0x400 to itself. */
function setUp(guest: Mode, nested: Mode, options: Options = {}) {
  const { guestLeaf = { level: 1, bits: SMALL }, nestedLevel = 1, eptMarks = true, executeOnly = false } = options;
  const memory = new PhysicalMemory();
  const ept = modeNamed(nested).ept;
  const nestedTables = new Tables(memory, modeNamed(nested), 0x8000);
  if (ept) nestedTables.pointerBits = EPT_OPEN;
  const step = nestedLevel === 1 ? 1 : 512;
  const bits = (ept ? EPT_LEAF : SMALL) | (nestedLevel === 1 ? 0 : PTE.PS);
  for (let frame = 0; frame < 0x400; frame += step) nestedTables.map(BigInt(frame) << 12n, frame, bits, nestedLevel);
  const guestTables = new Tables(memory, modeNamed(guest), 0x100);
  const frame = guestLeaf.level === 1 ? DATA : 0x200;
  guestTables.map(ADDRESS, frame, guestLeaf.bits, guestLeaf.level);
  const nestedWalker = new Walker(memory);
  const features = { ...plainFeatures, executeOnly };
  nestedWalker.loadNested({ root: 0x8000 * 4096, mode: modeNamed(nested), features, nxe: true, eptMarks });
  const walker = new Walker(memory, nestedWalker);
  walker.load(registersFor(modeNamed(guest), 0x100 * 4096));
  return { memory, guestTables, nestedTables, walker };
}

describe('entries read by a two-dimensional walk', () => {
  it.each<[Mode, Mode, number]>([
    ['4level', '4level', 24],
    ['5level', '5level', 35],
    ['4level', '5level', 29],
    ['5level', '4level', 29],
    ['pae', 'pae', 15],
    ['pse', '4level', 14],
    ['32bit', '32bit', 8],
    ['4level', 'ept4', 24],
    ['5level', 'ept5', 35],
    ['pae', '4level', 19],
  ])('%s under %s: (g + 1)(h + 1) - 1 = %i', (guest, nested, reads) => {
    const { walker } = setUp(guest, nested);
    expect(walker.walk(...halves(ADDRESS), ACCESS.WRITE | ACCESS.USER)).toBe(FAULT.NONE);
    const g = modeNamed(guest).levels;
    expect(walker.result.reads).toBe(g);
    expect(walker.result.reads + walker.result.nestedReads).toBe(reads);
    expect(walker.result).toMatchObject({ frame: DATA, hostFrame: DATA, pageShift: 12 });
  });

  it('is 19 for 2 MiB in one dimension and 4 KiB in the other; the smaller page is what a TLB can keep', () => {
    const large = setUp('4level', '4level', { guestLeaf: { level: 2, bits: SMALL | PTE.PS } });
    expect(large.walker.walk(...halves(ADDRESS), ACCESS.READ)).toBe(FAULT.NONE);
    expect(large.walker.result.reads + large.walker.result.nestedReads).toBe(19);
    expect(large.walker.result).toMatchObject({ pageShift: 12, ownPageShift: 21, hostFrame: 0x201 });
    const nested = setUp('4level', '4level', { nestedLevel: 2 });
    expect(nested.walker.walk(...halves(ADDRESS), ACCESS.READ)).toBe(FAULT.NONE);
    expect(nested.walker.result.reads + nested.walker.result.nestedReads).toBe(19);
    expect(nested.walker.result.pageShift).toBe(12);
  });

  it('is 4 native, 5 with five levels', () => {
    for (const [name, reads] of [
      ['4level', 4],
      ['5level', 5],
    ] as const) {
      const memory = new PhysicalMemory();
      new Tables(memory, modeNamed(name), 0x100).map(ADDRESS, DATA, SMALL);
      const walker = new Walker(memory);
      walker.load(registersFor(modeNamed(name), 0x100 * 4096));
      walker.walk(...halves(ADDRESS), ACCESS.READ);
      expect(walker.result).toMatchObject({ fault: FAULT.NONE, reads });
    }
  });
});

describe('PDPTEs of a guest in PAE mode', () => {
  it('are read on demand under NPT (APM vol. 2 15.25.10) and kept in registers under EPT (SDM vol. 3A 4.4.1)', () => {
    const npt = setUp('pae', '4level');
    expect(npt.walker.walk(...halves(ADDRESS), ACCESS.READ)).toBe(FAULT.NONE);
    expect(npt.walker.result).toMatchObject({ reads: 3, nestedReads: 16 });
    const ept = setUp('pae', 'ept4');
    const registers = registersFor(modeNamed('pae'), 0x100 * 4096);
    expect(loadPdptes(ept.memory, registers, 52)).toBe(true);
    ept.walker.pdptesInRegisters = true;
    ept.walker.load(registers);
    expect(ept.walker.walk(...halves(ADDRESS), ACCESS.READ)).toBe(FAULT.NONE);
    expect(ept.walker.result).toMatchObject({ reads: 2, nestedReads: 12 });
  });
});

describe('PDPTEs in memory', () => {
  it.each([1, 2, 5, 6, 7, 8, 63])('fault when used with reserved bit %i (APM vol. 2 15.25.10)', (bit) => {
    const { memory, guestTables, walker } = setUp('pae', '4level');
    const entry = guestTables.entry(ADDRESS, 3);
    const [lo, hi] = halves(1n << BigInt(bit));
    memory.write64(entry, memory.read64lo(entry) | lo, hi);
    expect(walker.walk(...halves(ADDRESS), ACCESS.READ)).toBe(FAULT.PAGE);
    expect(walker.result.errorCode).toBe(PFEC.P | PFEC.RSVD);
  });
});

describe('NPT (APM vol. 2 15.25)', () => {
  it('reports an absent table frame as a user write, at the address of the guest entry', () => {
    const { memory, guestTables, nestedTables, walker } = setUp('4level', '4level');
    const entry = guestTables.entry(ADDRESS, 2);
    memory.write32(nestedTables.entry(BigInt(entry)), 0);
    expect(walker.walk(...halves(ADDRESS), ACCESS.READ)).toBe(FAULT.NESTED);
    expect(walker.result).toMatchObject({ errorCode: PFEC.W | PFEC.U, faultGpa: entry, stage: STAGE.TABLE });
    expect(npfExitInfoHigh(walker)).toBe(2); // bit 33
    // Levels 4 and 3 of the guest were found, 4 nested reads each; the third guest table was not.
    expect(walker.result).toMatchObject({ reads: 2, nestedReads: 12 });
  });

  it('reports the final address with the access itself, always as user', () => {
    const { memory, nestedTables, walker } = setUp('4level', '4level');
    memory.write32(nestedTables.entry(BigInt(DATA) << 12n), (DATA * 4096) | PTE.P | PTE.U);
    expect(walker.walk(...halves(ADDRESS + 0x765n), ACCESS.READ)).toBe(FAULT.NONE);
    expect(walker.result.rights & RIGHTS.W).toBe(0);
    expect(walker.walk(...halves(ADDRESS + 0x765n), ACCESS.WRITE)).toBe(FAULT.NESTED);
    expect(walker.result.errorCode).toBe(PFEC.P | PFEC.W | PFEC.U);
    expect(walker.result).toMatchObject({ faultGpa: DATA * 4096 + 0x765, stage: STAGE.FINAL, cause: CAUSE.WP });
    expect(npfExitInfoHigh(walker)).toBe(1); // bit 32
  });

  it('sets nested dirty bits of guest tables even when the guest only reads', () => {
    const { memory, guestTables, nestedTables, walker } = setUp('4level', '4level');
    const table = BigInt(guestTables.entry(ADDRESS)) & ~0xfffn;
    memory.write32(nestedTables.entry(table), Number(table) | OPEN);
    walker.walk(...halves(ADDRESS), ACCESS.READ);
    expect(memory.read32(nestedTables.entry(table)) & (PTE.A | PTE.D)).toBe(PTE.A | PTE.D);
  });

  it('gives the guest its own faults first', () => {
    const { memory, guestTables, walker } = setUp('4level', '4level');
    memory.write32(guestTables.entry(ADDRESS), 0);
    expect(walker.walk(...halves(ADDRESS), ACCESS.READ)).toBe(FAULT.PAGE);
    expect(walker.result.cause).toBe(CAUSE.NP);
  });

  it('does not reach beyond the addresses that the nested tables cover', () => {
    const { memory, guestTables, walker } = setUp('4level', '4level');
    memory.write64(guestTables.entry(ADDRESS), SMALL, 1 << 16); // guest-physical address 2 ** 48
    expect(walker.walk(...halves(ADDRESS), ACCESS.READ)).toBe(FAULT.NESTED);
    expect(walker.result).toMatchObject({ stage: STAGE.FINAL, errorCode: PFEC.U, faultGpa: 2 ** 48 });
  });
});

describe('EPT (SDM vol. 3C 29.3)', () => {
  it('reports violations in an exit qualification', () => {
    const { memory, nestedTables, walker } = setUp('4level', 'ept4');
    const leaf = nestedTables.entry(BigInt(DATA) << 12n);
    memory.write32(leaf, (DATA * 4096) | EPT.R | (6 << 3));
    expect(walker.walk(...halves(ADDRESS), ACCESS.WRITE)).toBe(FAULT.NESTED);
    // Write (bit 1), readable (bit 3), linear address valid (7), final (8).
    expect(eptViolationQualification(walker)).toBe(0x2 | 0x8 | 0x80 | 0x100);
    expect(walker.walk(...halves(ADDRESS), ACCESS.FETCH)).toBe(FAULT.NESTED);
    expect(eptViolationQualification(walker)).toBe(0x4 | 0x8 | 0x80 | 0x100);
    memory.write32(leaf, 0);
    expect(walker.walk(...halves(ADDRESS), ACCESS.READ)).toBe(FAULT.NESTED);
    expect(eptViolationQualification(walker)).toBe(0x1 | 0x80 | 0x100);
  });

  it('treats reads of guest tables as writes while it marks entries (29.3.5), and then reports both', () => {
    const { memory, guestTables, nestedTables, walker } = setUp('4level', 'ept4');
    const table = BigInt(guestTables.entry(ADDRESS)) & ~0xfffn;
    memory.write32(nestedTables.entry(table), Number(table) | EPT.R | (6 << 3));
    expect(walker.walk(...halves(ADDRESS), ACCESS.READ)).toBe(FAULT.NESTED);
    expect(eptViolationQualification(walker)).toBe(0x1 | 0x2 | 0x8 | 0x80);
  });

  it('without marks reads guest tables as such, and stops at the first guest entry that wants a mark', () => {
    const { memory, guestTables, nestedTables, walker } = setUp('4level', 'ept4', { eptMarks: false });
    const table = BigInt(guestTables.entry(ADDRESS)) & ~0xfffn;
    memory.write32(nestedTables.entry(table), Number(table) | EPT.R | (6 << 3));
    expect(walker.walk(...halves(ADDRESS), ACCESS.READ)).toBe(FAULT.NONE);
    memory.write32(guestTables.entry(ADDRESS), (DATA * 4096) | OPEN);
    expect(walker.walk(...halves(ADDRESS), ACCESS.READ)).toBe(FAULT.NESTED);
    expect(walker.result).toMatchObject({ stage: STAGE.TABLE, faultGpa: guestTables.entry(ADDRESS) });
    expect(eptViolationQualification(walker)).toBe(0x2 | 0x8 | 0x80);
  });

  it('sets accessed (8) and dirty (9) only while enabled', () => {
    for (const eptMarks of [true, false]) {
      const { memory, nestedTables, walker } = setUp('4level', 'ept4', { eptMarks });
      const leaf = nestedTables.entry(BigInt(DATA) << 12n);
      walker.walk(...halves(ADDRESS), ACCESS.WRITE);
      expect((memory.read32(leaf) >>> 8) & 3).toBe(eptMarks ? 3 : 0);
      expect(walker.result.dirty).toBe(1);
    }
  });

  it.each([
    ['writable, not readable', EPT.W | (6 << 3), false],
    ['write and execute', EPT.W | EPT.X | (6 << 3), false],
    ['execute only without the capability', EPT.X | (6 << 3), false],
    ['memory type 2', EPT_OPEN | (2 << 3), true],
    ['memory type 7', EPT_OPEN | (7 << 3), true],
  ])('calls a leaf misconfigured: %s', (_name, bits, executeOnly) => {
    const { memory, nestedTables, walker } = setUp('4level', 'ept4', { executeOnly });
    memory.write32(nestedTables.entry(BigInt(DATA) << 12n), (DATA * 4096) | bits);
    expect(walker.walk(...halves(ADDRESS), ACCESS.READ)).toBe(FAULT.MISCONFIGURED);
  });

  it.each([3, 4, 5, 6])('calls a table pointer with bit %i misconfigured', (bit) => {
    const { memory, nestedTables, walker } = setUp('4level', 'ept4');
    const pointer = nestedTables.entry(BigInt(DATA) << 12n, 2);
    memory.write32(pointer, memory.read32(pointer) | (1 << bit));
    expect(walker.walk(...halves(ADDRESS), ACCESS.READ)).toBe(FAULT.MISCONFIGURED);
  });

  it('executes where it may not read, with the capability', () => {
    const { memory, nestedTables, walker } = setUp('4level', 'ept4', { executeOnly: true });
    memory.write32(nestedTables.entry(BigInt(DATA) << 12n), (DATA * 4096) | EPT.X | (6 << 3));
    expect(walker.walk(...halves(ADDRESS), ACCESS.FETCH)).toBe(FAULT.NONE);
    expect(walker.result.readable).toBe(0);
    expect(walker.walk(...halves(ADDRESS), ACCESS.READ)).toBe(FAULT.NESTED);
  });
});
