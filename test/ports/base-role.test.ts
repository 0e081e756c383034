// SPDX-License-Identifier: GPL-2.0-only
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { era } from '../../snapshots/2008-12-base-role/index.ts';
import { era as before } from '../../snapshots/2008-12-base-role-before/index.ts';
import { readVectorText } from '../../src/conform/file.ts';
import { parseVectorFile, type Row, type VectorFile } from '../../src/conform/format.ts';
import { conformParsed, same } from '../../src/conform/run.ts';
import type { Era, EraVcpu } from '../../src/era.ts';
import { hostFor } from '../../src/replay/host.ts';
import { replay } from '../../src/replay/run.ts';
import { decode, encode } from '../../src/role/layout.ts';
import { type Cpu, inertCpu } from '../../src/sim/cpu.ts';
import { PhysicalMemory } from '../../src/sim/memory.ts';
import { CR0, CR4, EFER, Registers } from '../../src/sim/registers.ts';
import { Vm } from '../../src/sim/vm.ts';
import { loadWorkload } from '../../src/workload/bundled.ts';

const vectorFile = (name: string): VectorFile => {
  const path = fileURLToPath(new URL(`../vectors/${name}`, import.meta.url));
  return parseVectorFile(path, readVectorText(path));
};
const roles = vectorFile('a770f6f2-roles.json');
const events = vectorFile('a770f6f2-events.json');
const traces = vectorFile('a770f6f2-traces.json.gz');

describe('what the real code answered', () => {
  it.each([
    { file: roles, counts: { init: 394, mode_sequence: 59, child: 3542, roots: 70, walk: 1123, spte: 975 } },
    { file: events, counts: { events: 4988 } },
    { file: traces, counts: { traces: 3990 } },
  ])('$counts', ({ file, counts }) => {
    const { sections } = conformParsed(file, era);
    expect(sections.flatMap(({ failures }) => failures)).toEqual([]);
    expect(Object.fromEntries(sections.map(({ name, passed }) => [name, passed]))).toEqual(counts);
    for (const { failed, excluded } of sections) expect([failed, excluded]).toEqual([0, 0]);
  });
});

// --- a vCPU to try things on ------------------------------------------------------------------------------------------

interface Bench {
  readonly vm: Vm;
  readonly vcpu: EraVcpu;
  readonly registers: Registers;
}
type Mode = 'none' | '2-level' | 'pae' | 'long';

const modes: Readonly<Record<Mode, { cr0: number; cr4: number; efer: number }>> = {
  none: { cr0: CR0.PE, cr4: 0, efer: 0 },
  '2-level': { cr0: (CR0.PE | CR0.WP | CR0.PG) >>> 0, cr4: 0, efer: 0 },
  pae: { cr0: (CR0.PE | CR0.WP | CR0.PG) >>> 0, cr4: CR4.PAE, efer: 0 },
  long: { cr0: (CR0.PE | CR0.WP | CR0.PG) >>> 0, cr4: CR4.PAE, efer: EFER.LME | EFER.LMA },
};
type Kind = 'shadow svm' | 'shadow vmx' | 'npt svm' | 'ept vmx';

/** A guest of 16 MiB with CR3 at 0x10000, not entered yet. */
function bench(
  kind: Kind,
  mode: Mode,
  options: { of?: Era; hostPageLevel?: number; cpu?: Cpu; hostLevels?: 3 } = {},
): Bench {
  const { of = era, hostPageLevel = 1, cpu = inertCpu, hostLevels } = options;
  const [paging, vendor] = kind.split(' ') as ['shadow' | 'npt' | 'ept', 'svm' | 'vmx'];
  const host = hostFor(of, { kind: paging, implementation: null, vendor });
  if ('unavailable' in host) throw new Error(host.unavailable);
  const memory = new PhysicalMemory();
  const forced = hostLevels === undefined ? host : { ...host, forcedTdpLevel: hostLevels };
  const vm = new Vm({ host: forced, memory, guestFrames: 4096, pageLimit: 1000, reads: null, hostPageLevel });
  const registers = new Registers();
  Object.assign(registers, modes[mode], { cr3: 0x10000 });
  return { vm, registers, vcpu: of.create(vm).createVcpu(registers, cpu) };
}

/** Four levels at frames 0x10 to 0x13 that map `leaf` at the address 0x1000. */
function longTables({ memory }: Vm, entries: { pud?: number; pmd?: number; leaf: number }): void {
  memory.write64(0x10000, 0x11067, 0);
  memory.write64(0x11000, entries.pud ?? 0x12067, 0);
  memory.write64(0x12000, entries.pmd ?? 0x13067, 0);
  memory.write64(0x13008, entries.leaf, 0);
}

const page = era.layouts.page;
/** Roles of all pages by frame, as 8 hex digits. */
const pagesOf = ({ pages }: Vm): string[] =>
  [...pages.live()].map((id) => `${pages.gfn[id]!.toString(16)}:${pages.role[id]!.toString(16)}`).sort();
const pageAt = ({ pages }: Vm, gfn: number): number => pages.firstOf(gfn);

describe('roots, by mmu_alloc_roots (mmu.c:1959) and the bit-fields of kvm_host.h:176', () => {
  const word = (glevels: number, level: number, quadrant: number, metaphysical: number): string =>
    encode(page, { glevels, level, quadrant, metaphysical, access: 7 }).toString(16);

  it('has the layout that gives the words of kvm_host.h:176', () => {
    expect(word(0, 2, 3, 1)).toBe('f0320');
    expect(word(2, 2, 1, 0)).toBe('e0122');
    expect(word(3, 2, 0, 0)).toBe('e0023');
    expect(word(4, 4, 0, 0)).toBe('e0044');
    expect(decode(page, 0x1f0040).fields).toMatchObject({ level: 4, metaphysical: 1, access: 7, invalid: 1 });
  });

  it('without paging: four slots of frame 0, told apart by the quadrant, as root_level 0 counts as 2-level', () => {
    const { vm, vcpu } = bench('shadow svm', 'none');
    vcpu.enter();
    expect(pagesOf(vm)).toEqual([0, 1, 2, 3].map((i) => `0:${word(0, 2, i, 1)}`));
  });

  it('2-level: four slots of the frame of CR3', () => {
    const { vm, vcpu } = bench('shadow svm', '2-level');
    vcpu.enter();
    expect(pagesOf(vm)).toEqual([0, 1, 2, 3].map((i) => `10:${word(2, 2, i, 0)}`));
  });

  it('two-dimensional, four levels: keyed by the frame of CR3, and without glevels', () => {
    const { vm, vcpu } = bench('ept vmx', 'long');
    vcpu.enter();
    expect(pagesOf(vm)).toEqual([`10:${word(0, 4, 0, 1)}`]);
    expect(vcpu.view.roles()).toEqual([{ base: 0, extended: null }]);
  });

  it('two-dimensional on a 32-bit host: an absent PDPTE leaves its slot empty', () => {
    const { vm, vcpu, registers } = bench('npt svm', 'pae', { hostLevels: 3 });
    registers.pdptes[2] = 0x101001;
    vcpu.enter();
    expect(pagesOf(vm)).toEqual([`101:${word(0, 2, 0, 1)}`]);
  });
});

describe('faults', () => {
  it('every page of one fetch has the access of all levels above the leaf, also the wider ones', () => {
    const { vm, vcpu } = bench('shadow svm', 'long');
    longTables(vm, { pmd: 0x13065, leaf: 0x20067 });
    vcpu.enter();
    expect(vcpu.fault({ address: 0x1000, code: 4 })).toBe('retry');
    // Only the pmd entry (level 2) lacks W; the pud page (level 3) and the pmd page lose it too, the root is older.
    const access = (gfn: number) => decode(page, vm.pages.role[pageAt(vm, gfn)]!).fields.access;
    expect([0x10, 0x11, 0x12, 0x13].map(access)).toEqual([7, 5, 5, 5]);
  });

  it('with CR0.WP clear a supervisor write makes a page writable for the user too', () => {
    const { vm, vcpu, registers } = bench('shadow svm', 'long');
    longTables(vm, { leaf: 0x20065 });
    vcpu.writeCr0((registers.cr0 & ~CR0.WP) >>> 0);
    vcpu.enter();
    expect(vcpu.fault({ address: 0x1000, code: 2 })).toBe('retry');
    expect(vm.pages.entryLow(pageAt(vm, 0x13), 1) & 7).toBe(7);
  });

  it('reports the error code of the first violation, with F although NX is off', () => {
    const { vm, vcpu } = bench('shadow svm', 'long');
    longTables(vm, { pud: 0x12063, leaf: 0 });
    vcpu.enter();
    expect(vcpu.fault({ address: 0x1000, code: 0x14 })).toBe('injected');
    expect(vcpu.injected).toEqual({ errorCode: 0x15, address: 0x1000 });
  });

  it('under VMX, entries that are absent in the guest fault into the guest, all others have every reserved bit', () => {
    const { vm, vcpu } = bench('shadow vmx', 'long');
    longTables(vm, { leaf: 0x20067 });
    vm.memory.write64(0x13010, 0x21067, 0);
    vcpu.enter();
    vcpu.fault({ address: 0x1000, code: 4 });
    const table = pageAt(vm, 0x13);
    const entry = (i: number) => [vm.pages.entryLow(table, i) >>> 0, vm.pages.entryHigh(table, i) >>> 0];
    expect(entry(0)).toEqual([0, 0]);
    expect(entry(2)).toEqual([0xfffff001, 0xffffffff]);
    expect([vcpu.interceptsPageFault(4), vcpu.interceptsPageFault(5)]).toEqual([false, true]);
  });

  it('maps 2 MiB where the host has them, and not where a guest table is in the way', () => {
    const { vm, vcpu } = bench('npt svm', 'long', { hostPageLevel: 2 });
    vcpu.enter();
    vcpu.fault({ address: 0x400000, code: 0x100000006 });
    const table = [...vm.pages.live()].find((id) => decode(page, vm.pages.role[id]!).fields.level === 2)!;
    expect(vm.pages.entryLow(table, 2) & 0x83).toBe(0x83);

    const shadow = bench('shadow svm', 'long', { hostPageLevel: 2 });
    longTables(shadow.vm, { leaf: 0x20067 });
    // A 2 MiB page of the guest over its own tables: the shadow has to split it.
    shadow.vm.memory.write64(0x12008, 0xe7, 0);
    shadow.vcpu.enter();
    shadow.vcpu.fault({ address: 0x1000, code: 0 });
    shadow.vcpu.fault({ address: 0x201000, code: 0 });
    expect(pagesOf(shadow.vm)).toContain(
      `0:${encode(page, { glevels: 4, level: 1, metaphysical: 1, access: 7 }).toString(16)}`,
    );
  });
});

describe('writes to guest tables', () => {
  /** A guest whose table at frame 0x13 is shadowed, and a store of the emulator to one of its other entries. */
  function written(times: number): Bench {
    const made = bench('shadow svm', 'long');
    longTables(made.vm, { leaf: 0x20067 });
    made.vcpu.enter();
    made.vcpu.fault({ address: 0x1000, code: 0 });
    for (let i = 0; i < times; i++) {
      made.vm.memory.write64(0x13100 + 8 * i, 0, 0);
      made.vcpu.guestWrote(0x13100 + 8 * i, 8);
    }
    return made;
  }

  it('the third in a row zaps the page, of whatever level it is', () => {
    expect(pageAt(written(2).vm, 0x13)).not.toBe(0);
    const { vm } = written(3);
    expect(pageAt(vm, 0x13)).toBe(0);
    expect([vm.counters.mmu_flooded, vm.counters.mmu_pte_updated]).toEqual([1, 2]);
  });

  it('one of 2 bytes zaps at once, one across two entries too', () => {
    for (const [gpa, bytes] of [
      [0x13100, 2],
      [0x13104, 8],
    ] as const) {
      const { vm, vcpu } = written(0);
      vcpu.guestWrote(gpa, bytes);
      expect(pageAt(vm, 0x13)).toBe(0);
    }
  });

  it('always flush: at home, or everywhere when a mapping went', () => {
    const { vm, vcpu } = written(1);
    const { tlb_flush, remote_tlb_flush } = vm.counters;
    vm.memory.write64(0x13008, 0, 0);
    vcpu.guestWrote(0x13008, 8);
    expect([vm.counters.tlb_flush - tlb_flush, vm.counters.remote_tlb_flush - remote_tlb_flush]).toEqual([0, 1]);
  });
});

describe('register writes', () => {
  it('CR0 and CR4 drop the root even when nothing changes; EFER.NX and the same CR3 keep it', () => {
    const { vcpu, registers } = bench('shadow svm', 'long');
    vcpu.enter();
    const root = vcpu.view.root();
    expect(vcpu.writeEfer(registers.efer | EFER.NXE)).toBe('done');
    expect(vcpu.writeCr3(0x10000, false)).toBe('done');
    expect(vcpu.view.root()).toEqual(root);
    expect(vcpu.writeCr0(registers.cr0)).toBe('done');
    expect(vcpu.view.root()).toBeNull();
    vcpu.enter();
    expect(vcpu.view.root()).toEqual(root);
    expect(vcpu.writeCr4(registers.cr4)).toBe('done');
    expect(vcpu.view.root()).toBeNull();
  });

  it('PAE refuses a CR3 with PCD (bit 4), long mode does not', () => {
    expect(bench('shadow svm', 'pae').vcpu.writeCr3(0x10010, false)).toBe('gp');
    expect(bench('shadow svm', 'pae').vcpu.writeCr3(0x10008, false)).toBe('done');
    expect(bench('shadow svm', 'long').vcpu.writeCr3(0x10010, false)).toBe('done');
  });

  it('PAE cannot be cleared while LME is set, even before paging', () => {
    const { vcpu } = bench('shadow svm', 'none');
    vcpu.writeCr4(CR4.PAE);
    vcpu.writeEfer(EFER.LME);
    expect(vcpu.writeCr4(0)).toBe('gp');
  });

  it('VMX resets once more, on the way to virtual-8086 mode', () => {
    for (const [kind, resets] of [
      ['shadow svm', 1],
      ['shadow vmx', 2],
    ] as const) {
      const { vm, vcpu } = bench(kind, 'none');
      vcpu.enter();
      vcpu.writeCr0(0);
      expect([kind, vm.counters.reset_context]).toEqual([kind, resets]);
    }
  });

  it('which of them leave the guest', () => {
    const leaving = (kind: Kind, mode: Mode): string[] => {
      const { vcpu, registers } = bench(kind, mode);
      const writes = {
        cr0: registers.cr0 ^ CR0.WP,
        'cr0 same': registers.cr0,
        cr3: 0x20000,
        'cr4 PGE': registers.cr4 ^ CR4.PGE,
        'cr4 OSFXSR': registers.cr4 ^ 0x200,
        efer: registers.efer,
      };
      const register = (name: string) => name.split(' ')[0] as 'cr0' | 'cr3' | 'cr4' | 'efer';
      const exits = Object.entries(writes).filter(([name, value]) => vcpu.intercepts(register(name), value));
      return [...exits.map(([name]) => name), ...(vcpu.interceptsInvalidation() ? ['invlpg'] : [])];
    };
    expect(leaving('shadow svm', 'long')).toEqual([
      'cr0',
      'cr0 same',
      'cr3',
      'cr4 PGE',
      'cr4 OSFXSR',
      'efer',
      'invlpg',
    ]);
    expect(leaving('shadow vmx', 'long')).toEqual(['cr0', 'cr3', 'cr4 PGE', 'efer', 'invlpg']);
    expect(leaving('npt svm', 'long')).toEqual(['cr4 PGE', 'cr4 OSFXSR', 'efer']);
    expect(leaving('ept vmx', 'long')).toEqual(['cr0', 'cr4 PGE', 'efer']);
    expect(leaving('ept vmx', 'none')).toEqual(['cr0', 'cr3', 'cr4 PGE', 'efer']);
  });

  it('with nested paging KVM sees a change of CR0.PG at the next exit, and loads at once', () => {
    const { vm, vcpu, registers } = bench('npt svm', 'none');
    vcpu.enter();
    registers.cr0 = modes['2-level'].cr0;
    expect(vcpu.view.guestLevels()).toBe(0);
    vcpu.fault({ address: 0x5000, code: 4 });
    expect([vcpu.view.guestLevels(), vm.counters.reset_context, vm.counters.mmu_load]).toEqual([2, 1, 2]);
  });
});

describe('nested SVM', () => {
  const l2 = { cr0: modes['2-level'].cr0, cr3: 0x20000, cr4: 0, efer: EFER.SVME, pointer: null, tag: 1 };

  it('under shadow paging both ways reset, and L1 comes back with CR0.WP set', () => {
    const { vm, vcpu, registers } = bench('shadow svm', 'long');
    vcpu.writeCr0((registers.cr0 & ~CR0.WP) >>> 0);
    vcpu.enter();
    vcpu.vmrun!(l2);
    expect([vcpu.view.isGuestMode(), vcpu.view.guestLevels(), registers.cr3]).toEqual([true, 2, 0x20000]);
    vcpu.enter();
    const loads = vm.counters.mmu_load;
    vcpu.vmexit!();
    // kvm_mmu_load runs within the exit; the saved CR0 is the one hardware had, where PG and WP are always on.
    expect(vm.counters.mmu_load).toBe(loads + 1);
    expect([vcpu.view.guestLevels(), registers.cr3]).toEqual([4, 0x10000]);
    expect(registers.cr0 & CR0.WP).toBe(CR0.WP);
  });

  it('with nested paging VMRUN keeps the root, #VMEXIT does not', () => {
    const { vm, vcpu } = bench('npt svm', 'long');
    vcpu.enter();
    vcpu.vmrun!(l2);
    expect([vm.counters.reset_context, vcpu.view.root() === null]).toEqual([0, false]);
    vcpu.vmexit!();
    expect([vm.counters.reset_context, vm.counters.mmu_load]).toEqual([1, 2]);
  });
});

describe('before the commit', () => {
  const child = roles.sections.find(({ name }) => name === 'child')!;
  const rows: readonly Row[] = child.kind === 'rows' ? child.rows : [];
  const differing = ({ input }: Row): string[] => {
    const [a, b] = [before, era].map((one) => one.vectors.rows.child!(input, roles.context));
    return Object.keys(b!).filter((column) => !same(a![column], b![column]));
  };

  it('shadow paging gave pages the same roles', () => {
    const shadow = rows.filter(({ input }) => input.tdp === 0);
    expect(shadow.length).toBeGreaterThan(1000);
    expect(shadow.filter((row) => differing(row).length > 0)).toEqual([]);
  });

  it('two-dimensional paging put the guest levels there, and differs in that field alone', () => {
    const tdp = rows.filter(({ input }) => input.tdp === 1);
    expect(tdp.length).toBeGreaterThan(1000);
    for (const row of tdp) {
      expect(differing(row)).toEqual(row.input.mode === 0 ? [] : ['role', 'role_glevels']);
      expect(before.vectors.rows.child!(row.input, roles.context).role_glevels).toBe(row.input.mode);
    }
  });

  it('register writes, walks and entries were the same; sequences under shadow paging too', () => {
    expect(conformParsed(events, before).sections.map(({ failed }) => failed)).toEqual([0]);
    const { sections } = conformParsed(roles, before);
    const failed = Object.fromEntries(sections.map((section) => [section.name, section.failed]));
    expect(failed).toMatchObject({ walk: 0, spte: 0 });
    expect(failed.child).toBe(rows.filter(({ input }) => input.tdp === 1 && input.mode !== 0).length);
    const shadow = traces.sections.map((section) =>
      section.kind === 'rows'
        ? section
        : { ...section, sessions: section.sessions.filter(({ start }) => start.tdp === 0) },
    );
    expect(conformParsed({ ...traces, sections: shadow }, before).sections.map(({ failed }) => failed)).toEqual([0]);
  });

  it('a guest that changes its paging mode got new pages under nested paging, and gets them no more', () => {
    const run = (of: Era) => {
      const result = replay(of, loadWorkload('boot-modes'), { kind: 'npt', vendor: 'svm', implementation: null });
      if ('unavailable' in result) throw new Error(result.unavailable);
      const glevels = Object.keys(result.total.newByRole).map((text) => Number.parseInt(text.slice(5), 16) & 0xf);
      return { made: result.total.kvm.get_page_new, glevels: [...new Set(glevels)].sort() };
    };
    expect(run(before).glevels).toEqual([0, 2, 3, 4]);
    expect(run(era).glevels).toEqual([0]);
    expect(run(before).made).toBeGreaterThan(run(era).made);
  });
});
