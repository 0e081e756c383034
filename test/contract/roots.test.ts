// SPDX-License-Identifier: GPL-2.0-only
import { describe, expect, it } from 'vitest';
import { eras } from '../../snapshots/all.ts';
import type { Feature, Mode } from '../../src/era.ts';
import { hostFor } from '../../src/replay/host.ts';
import type { Host } from '../../src/sim/host.ts';
import { CR0, CR4, EFER } from '../../src/sim/registers.ts';
import { CR3_A, CR3_B, l2, Machine, nestedPointer, PAGED_CR0, PROTECTED_CR0 } from './root-machine.ts';

/**
 * What every era must do with roots, whatever its policy: have one where the guest runs, keep it while nothing asks for
 * another, build it once when it is gone, and leave the guest's registers as the architecture says.
 */

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

  const [plain, nested] =
    host.vendor === 'svm' ? (['nested-svm', 'nested-svm-npt'] as const) : (['nested-vmx', 'nested-vmx-ept'] as const);

  const nestedCases = (
    [
      ['without nested paging', plain, null],
      ['with nested paging', nested, nestedPointer[host.vendor]],
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
