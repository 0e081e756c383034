// SPDX-License-Identifier: GPL-2.0-only
/**
 * Every combination of named bits, in the manner of kvm-unit-tests' x86/access.c: the bits of a PDE and a PTE, the control
 * registers, the access. What should happen is said a second time, as predicates over the names, without the walker's
 * order of steps, its masks or its rule tables.
 */
import { describe, expect, it } from 'vitest';
import { PhysicalMemory } from '../../src/sim/memory.ts';
import { ACCESS } from '../../src/sim/paging-bits.ts';
import { plainFeatures } from '../../src/sim/paging-modes.ts';
import { CR0, CR4, EFER, loadPdptes } from '../../src/sim/registers.ts';
import { Walker } from '../../src/sim/walk.ts';
import { modeNamed, OPEN, registersFor } from './tables.ts';

const names = [
  ...['pde.p', 'pde.w', 'pde.u', 'pde.ps', 'pde.nx', 'pde.rsvd', 'pte.p', 'pte.w', 'pte.u', 'pte.nx', 'pte.rsvd'],
  ...['cr0.wp', 'cr4.smep', 'cr4.smap', 'ac', 'efer.nxe', 'user', 'write', 'fetch'],
] as const;
const keyNames = ['cr4.pke', 'pkru.ad', 'pkru.wd'] as const;
type Name = (typeof names)[number] | (typeof keyNames)[number];
type Case = Readonly<Record<Name, boolean>>;

interface Form {
  readonly wide: boolean;
  readonly largePages: boolean;
  /** Bits that vary; the others are clear. */
  readonly names: readonly Name[];
}

const without = (...dropped: Name[]): readonly Name[] => names.filter((name) => !dropped.includes(name));
/** Bits that only the higher half of an entry has. */
const high: Name[] = ['pde.nx', 'pde.rsvd', 'pte.nx', 'pte.rsvd'];

const forms: Readonly<Record<'32bit' | 'pse' | 'pae' | '4level', Form>> = {
  '32bit': { wide: false, largePages: false, names: without(...high) },
  pse: { wide: false, largePages: true, names: without(...high) },
  pae: { wide: true, largePages: true, names },
  // Keys double the cases thrice, so the bits that they do not meet stay out.
  '4level': { wide: true, largePages: true, names: [...without('pde.rsvd', 'pte.rsvd', 'cr4.smep'), ...keyNames] },
};

/** Cases that say nothing new, or nothing at all. */
function meaningless(c: Case): boolean {
  if (c.write && c.fetch) return true; // no such access
  if (!c['pde.p'] && (c['pte.p'] || c['pte.w'] || c['pte.u'] || c['pte.nx'])) return true; // the PTE is not reached
  if ((c['pkru.ad'] || c['pkru.wd']) && !c['cr4.pke'] && c.fetch) return true; // twice irrelevant
  return false;
}

/** The error code of the page fault that the manual's rules give, or null: SDM vol. 3A 4.6 and 4.7. */
function expectedFault(c: Case, { wide, largePages }: Form): number | null {
  const large = largePages && c['pde.ps'];
  const nxe = wide && c['efer.nxe'];
  const id = c.fetch && (nxe || c['cr4.smep']) ? 16 : 0;
  const access = (c.write ? 2 : 0) + (c.user ? 4 : 0) + id;
  const wrong = (entry: 'pde' | 'pte') => c[`${entry}.rsvd`] || (wide && c[`${entry}.nx`] && !nxe);
  if (!c['pde.p']) return access;
  if (wrong('pde')) return access + 8 + 1;
  if (!large && !c['pte.p']) return access;
  if (!large && wrong('pte')) return access + 8 + 1;
  const both = (bit: 'w' | 'u') => c[`pde.${bit}`] && (large || c[`pte.${bit}`]);
  const userPage = both('u');
  const readOnly = !both('w');
  const noExecute = nxe && (c['pde.nx'] || (!large && c['pte.nx']));
  const key =
    c['cr4.pke'] && userPage && !c.fetch && (c['pkru.ad'] || (c['pkru.wd'] && c.write && (c.user || c['cr0.wp'])));
  const refused = [
    c.user && !userPage,
    c.write && readOnly && (c.user || c['cr0.wp']),
    c.fetch && noExecute,
    !c.user && userPage && c.fetch && c['cr4.smep'],
    !c.user && userPage && !c.fetch && c['cr4.smap'] && !c.ac,
    key,
  ];
  return refused.some(Boolean) ? access + 1 + (key ? 32 : 0) : null;
}

/** A and D bits after the access, as bits 6:5 of the PDE and the PTE. An entry passed on the way keeps its A on a fault. */
function expectedMarks(c: Case, form: Form, fault: number | null): [pde: number, pte: number] {
  const leafMarks = fault === null ? (c.write ? 0x60 : 0x20) : 0;
  if (form.largePages && c['pde.ps']) return [leafMarks, 0];
  const passed = c['pde.p'] && !(c['pde.rsvd'] || (form.wide && c['pde.nx'] && !c['efer.nxe']));
  return [passed ? 0x20 : 0, leafMarks];
}

const PAGE_DIRECTORY = 0x3000;
const PAGE_TABLE = 0x4000;
/** The key in the leaf of every case. */
const KEY = 7;

function enumerate(mode: keyof typeof forms): { tried: number; failures: string[] } {
  const form = forms[mode];
  const memory = new PhysicalMemory();
  const registers = registersFor(modeNamed(mode), form.wide ? 0x1000 : PAGE_DIRECTORY);
  const features = { ...plainFeatures, maxPhyAddr: 40 };
  if (mode === '4level') memory.write32(0x1000, 0x2000 | OPEN);
  if (mode === '4level') memory.write32(0x2000, PAGE_DIRECTORY | OPEN);
  if (mode === 'pae') memory.write32(0x1000, PAGE_DIRECTORY | 1);
  loadPdptes(memory, registers, 40);
  const [cr4, efer] = [registers.cr4, registers.efer & ~EFER.NXE];
  const walker = new Walker(memory);
  const highBits = (nx: boolean, rsvd: boolean) =>
    (nx ? 0x80000000 : 0) | (rsvd ? 1 << 19 : 0) | (mode === '4level' ? KEY << 27 : 0);
  const failures: string[] = [];
  let tried = 0;
  const current = Object.fromEntries([...names, ...keyNames].map((name) => [name, false])) as Record<Name, boolean>;
  for (let bits = 0; bits < 2 ** form.names.length; bits++) {
    form.names.forEach((name, i) => {
      current[name] = ((bits >>> i) & 1) !== 0;
    });
    const c: Case = current;
    if (meaningless(c)) continue;
    tried++;
    const low = (e: 'pde' | 'pte') => (c[`${e}.p`] ? 1 : 0) | (c[`${e}.w`] ? 2 : 0) | (c[`${e}.u`] ? 4 : 0);
    const pde = low('pde') | (c['pde.ps'] ? 0x80 : 0) | (form.largePages && c['pde.ps'] ? 0 : PAGE_TABLE);
    memory.write32(PAGE_DIRECTORY, pde);
    memory.write32(PAGE_TABLE, low('pte'));
    if (form.wide) memory.write32(PAGE_DIRECTORY + 4, highBits(c['pde.nx'], c['pde.rsvd']));
    if (form.wide) memory.write32(PAGE_TABLE + 4, highBits(c['pte.nx'], c['pte.rsvd']));
    registers.cr0 = (CR0.PG | CR0.PE | (c['cr0.wp'] ? CR0.WP : 0)) >>> 0;
    registers.cr4 =
      cr4 | (c['cr4.smep'] ? CR4.SMEP : 0) | (c['cr4.smap'] ? CR4.SMAP : 0) | (c['cr4.pke'] ? CR4.PKE : 0);
    registers.efer = efer | (c['efer.nxe'] ? EFER.NXE : 0);
    registers.rflagsAc = c.ac ? 1 : 0;
    registers.pkru = ((c['pkru.ad'] ? 1 : 0) | (c['pkru.wd'] ? 2 : 0)) << (2 * KEY);
    walker.load(registers, features);
    walker.walk(0, 0, (c.user ? ACCESS.USER : 0) | (c.write ? ACCESS.WRITE : 0) | (c.fetch ? ACCESS.FETCH : 0));
    const expected = expectedFault(c, form);
    const got = walker.result.fault === 0 ? null : walker.result.errorCode;
    const marks = [memory.read32(PAGE_DIRECTORY) & 0x60, memory.read32(PAGE_TABLE) & 0x60];
    const wantedMarks = expectedMarks(c, form, expected);
    if (got === expected && marks[0] === wantedMarks[0] && marks[1] === wantedMarks[1]) continue;
    const words = form.names.filter((name) => c[name]).join(' ');
    const tell = (fault: number | null, [a, b]: number[]) =>
      `${fault === null ? 'none' : `fault ${fault}`}, marks ${a} ${b}`;
    failures.push(`${mode} ${words}: ${tell(got, marks)}; expected ${tell(expected, wantedMarks)}`);
  }
  return { tried, failures };
}

describe('every access against every entry', () => {
  it.each(Object.keys(forms) as (keyof typeof forms)[])('%s', (mode) => {
    const { tried, failures } = enumerate(mode);
    expect(failures.slice(0, 10)).toEqual([]);
    expect(tried).toBeGreaterThan(2 ** (forms[mode].names.length - 2));
  });
});
