// SPDX-License-Identifier: GPL-2.0-only
import { describe, expect, it } from 'vitest';
import { eras } from '../../snapshots/index.ts';
import type { Era, EraVcpu, EraVm, Feature, Mode, NestedEntry } from '../../src/era.ts';
import { hostFor } from '../../src/replay/host.ts';
import { inertCpu } from '../../src/sim/cpu.ts';
import type { Host } from '../../src/sim/host.ts';
import { PhysicalMemory } from '../../src/sim/memory.ts';
import { CR0, CR4, EFER, Registers } from '../../src/sim/registers.ts';
import { Vm } from '../../src/sim/vm.ts';

/**
 * What every era must do with roots, whatever its policy: have one where the guest runs, keep it while nothing asks for
 * another, build it once when it is gone, and leave the guest's registers as the architecture says.
 */

/** Present, writable, user. */
const TABLE = 7;
/** A guest table with an entry for the first 512 GiB, and one for a second process: frames 16 and 17. */
const CR3_A = 16 * 4096;
const CR3_B = 17 * 4096;
const RESET_CR0 = 0x60000010;
const PROTECTED_CR0 = CR0.PE | 0x10;
const PAGED_CR0 = (CR0.PG | CR0.WP | PROTECTED_CR0) >>> 0;

/** One vCPU under an era and mode, and what hardware was told last. */
class Machine {
  readonly vm: Vm;
  readonly eraVm: EraVm;
  readonly vcpu: EraVcpu;
  loaded: { frame: number; levels: number } | null = null;

  constructor(era: Era, host: Host) {
    const memory = new PhysicalMemory();
    for (const cr3 of [CR3_A, CR3_B]) memory.write64(cr3, 0x20000 + TABLE, 0);
    this.vm = new Vm({ host, memory, guestFrames: 4096, pageLimit: 1000, reads: null });
    const registers = new Registers();
    registers.cr0 = RESET_CR0;
    this.eraVm = era.create(this.vm);
    const loadRoot = (frame: number, levels: number): void => {
      this.loaded = { frame, levels };
    };
    this.vcpu = this.eraVm.createVcpu(registers, { ...inertCpu, loadRoot });
  }

  /** Loads that an entry makes. */
  enter(): number {
    const before = this.vm.counters.mmu_load;
    expect(this.vcpu.enter()).toBe('entered');
    return this.vm.counters.mmu_load - before;
  }

  /** Long mode on the first table, entered. */
  toLongMode(): void {
    this.enter();
    const { vcpu } = this;
    expect(vcpu.writeCr0(PROTECTED_CR0)).toBe('done');
    expect(vcpu.writeCr4(CR4.PAE)).toBe('done');
    expect(vcpu.writeCr3(CR3_A, false)).toBe('done');
    expect(vcpu.writeEfer(EFER.LME | EFER.NXE)).toBe('done');
    expect(vcpu.writeCr0(PAGED_CR0)).toBe('done');
    this.enter();
  }

  state(): { registers: number[]; roles: ReturnType<EraVcpu['view']['roles']>; mmu: string } {
    const { registers, view } = this.vcpu;
    const { cr0, cr3, cr4, efer } = registers;
    return { registers: [cr0, cr3, cr4, efer], roles: view.roles(), mmu: view.mmu() };
  }
}

/** Every era with every mode it has, under both vendors where shadow paging leaves the choice. */
const cases = eras.flatMap((era) =>
  era.modes.flatMap((mode: Mode) => {
    const vendors: readonly Host['vendor'][] = mode.kind === 'shadow' ? ['svm', 'vmx'] : ['svm'];
    return vendors.map((vendor) => {
      const host = hostFor(era, { kind: mode.kind, implementation: mode.implementation, vendor });
      if ('unavailable' in host) throw new Error(host.unavailable);
      const name = `${era.id}: ${mode.kind} ${mode.implementation} on ${host.vendor}`;
      return { name, era, host, machine: () => new Machine(era, host) };
    });
  }),
);

describe.each(cases)('$name', ({ era, host, machine }) => {
  const has = (feature: Feature): boolean => era.features.has(feature);

  it('loads one root at the first entry and none at the second', () => {
    const m = machine();
    expect(m.vcpu.view.root()).toBeNull();
    expect(m.enter()).toBe(1);
    const root = m.vcpu.view.root();
    expect(root).not.toBeNull();
    expect(m.enter()).toBe(0);
    expect(m.vcpu.view.root()).toEqual(root);
  });

  it('tells hardware which root it is, and how deep', () => {
    const m = machine();
    m.toLongMode();
    const { view } = m.vcpu;
    expect(m.loaded).toEqual({ frame: view.root()!.frame, levels: view.hostLevels() });
    expect(view.guestLevels()).toBe(4);
    expect(view.roles()).toHaveLength(era.roleWords.length);
  });

  it('builds a root once when the memory slot goes', () => {
    const m = machine();
    m.toLongMode();
    m.eraVm.memslotsChanged();
    expect(m.enter()).toBe(1);
    expect(m.enter()).toBe(0);
  });

  it('changes nothing on a write that is refused with #GP', () => {
    const m = machine();
    m.toLongMode();
    const before = m.state();
    const root = m.vcpu.view.root();
    const { cr0, cr4, efer } = m.vcpu.registers;
    expect(m.vcpu.writeCr0((cr0 & ~CR0.PE) >>> 0)).toBe('gp');
    expect(m.vcpu.writeCr0((cr0 | CR0.NW) >>> 0)).toBe('gp');
    expect(m.vcpu.writeCr4(cr4 & ~CR4.PAE)).toBe('gp');
    expect(m.vcpu.writeCr4((cr4 | (1 << 30)) >>> 0)).toBe('gp');
    expect(m.vcpu.writeEfer(efer & ~EFER.LME)).toBe('gp');
    if (has('pcid')) expect(m.vcpu.writeCr3(CR3_B, true)).toBe('gp');
    expect(m.state()).toEqual(before);
    expect(m.enter()).toBe(0);
    expect(m.vcpu.view.root()).toEqual(root);
  });

  it('keeps the root when CR3, CR4 or EFER get the value they have', () => {
    const m = machine();
    m.toLongMode();
    const root = m.vcpu.view.root();
    m.vcpu.writeCr3(CR3_A, false);
    expect(m.enter()).toBe(0);
    m.vcpu.writeEfer(m.vcpu.registers.efer);
    expect(m.enter()).toBe(0);
    expect(m.vcpu.view.root()).toEqual(root);
  });

  it('follows MOV CR3, and shadows the table that CR3 points to', () => {
    const m = machine();
    m.toLongMode();
    for (const cr3 of [CR3_B, CR3_A, CR3_B, CR3_A]) {
      m.vcpu.writeCr3(cr3, false);
      m.enter();
      expect(m.vcpu.registers.cr3).toBe(cr3);
      if (host.tdp === 'none') expect(m.vcpu.view.root()!.pgd).toBe(cr3);
    }
  });

  it('is back at the same roles when CR0.WP was off for a while', () => {
    const m = machine();
    m.toLongMode();
    const before = m.state();
    m.vcpu.writeCr0((PAGED_CR0 & ~CR0.WP) >>> 0);
    m.enter();
    expect(m.state().registers).not.toEqual(before.registers);
    m.vcpu.writeCr0(PAGED_CR0);
    m.enter();
    expect(m.state()).toEqual(before);
  });

  it('lets EFER.LMA follow CR0.PG', () => {
    const m = machine();
    m.toLongMode();
    expect(m.vcpu.registers.efer).toBe(EFER.LME | EFER.LMA | EFER.NXE);
    m.vcpu.writeCr0(PROTECTED_CR0);
    m.enter();
    expect(m.vcpu.registers.efer).toBe(EFER.LME | EFER.NXE);
    expect(m.vcpu.view.guestLevels()).toBe(0);
  });

  if (has('smm'))
    it('returns from SMM to where it was', () => {
      const m = machine();
      m.toLongMode();
      const before = m.state();
      m.vcpu.smi!();
      m.enter();
      expect(m.vcpu.view.isSmm()).toBe(true);
      expect(m.vcpu.registers.cr0 & CR0.PG).toBe(0);
      m.vcpu.rsm!();
      m.enter();
      expect(m.vcpu.view.isSmm()).toBe(false);
      expect(m.state()).toEqual(before);
    });

  /** L2 in long mode on the second table; under L1's own nested tables (frame 18) or not. */
  const l2 = (pointer: number | null): NestedEntry => ({
    cr0: PAGED_CR0,
    cr3: CR3_B,
    cr4: CR4.PAE,
    efer: EFER.LME | EFER.LMA | EFER.NXE,
    pointer,
    tag: 1,
  });
  const [plain, nested] =
    host.vendor === 'svm' ? (['nested-svm', 'nested-svm-npt'] as const) : (['nested-vmx', 'nested-vmx-ept'] as const);

  const nestedCases = (
    [
      ['without nested paging', plain, null],
      ['with nested paging', nested, host.vendor === 'svm' ? 18 * 4096 : 18 * 4096 + 0x1e],
    ] as const
  ).filter(([, feature, pointer]) => has(feature) && (pointer === null || host.tdp !== 'none'));

  for (const [how, , pointer] of nestedCases)
    it(`runs L2 ${how} and returns to L1`, () => {
      const m = machine();
      m.toLongMode();
      if (host.vendor === 'svm') m.vcpu.writeEfer(m.vcpu.registers.efer | EFER.SVME);
      else m.vcpu.writeCr4(m.vcpu.registers.cr4 | CR4.VMXE);
      m.enter();
      const before = m.state();
      const [enter, leave] =
        host.vendor === 'svm' ? [m.vcpu.vmrun!, m.vcpu.vmexit!] : [m.vcpu.vmentry!, m.vcpu.nestedVmexit!];
      for (let round = 0; round < 3; round++) {
        enter.call(m.vcpu, l2(pointer));
        m.enter();
        expect(m.vcpu.view.isGuestMode()).toBe(true);
        expect(m.vcpu.registers.cr3).toBe(CR3_B);
        if (pointer !== null) expect(m.vcpu.view.root()!.pgd).toBe(pointer);
        leave.call(m.vcpu);
        m.enter();
        expect(m.vcpu.view.isGuestMode()).toBe(false);
        expect(m.state()).toEqual(before);
      }
    });
});
