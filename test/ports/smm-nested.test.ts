// SPDX-License-Identifier: GPL-2.0-only
import { describe, expect, it } from 'vitest';
import { eras } from '../../snapshots/all.ts';
import type { MmuKind } from '../../src/era.ts';
import { hostFor } from '../../src/replay/host.ts';
import { CR0, CR4, EFER } from '../../src/sim/registers.ts';
import { CR3_B, l2, Machine, nestedPointer } from '../contract/root-machine.ts';

/**
 * An SMI that comes while L2 runs: KVM leaves L2 before the handler runs and goes back at RSM (vendor enter_smm and
 * leave_smm), so the handler runs on root_mmu and L2's registers, role and root are what they were.
 */
const modern = eras.filter(({ features }) => features.has('smm') && features.has('nested-vmx-ept'));

/**
 * In these RSM goes back into L2 with the registers of its own way through real mode, or with SMM still set, and roles of
 * guest_mmu (SVM with nested paging, EPT's extended half and SMM bit) or of root_mmu's L2 are made of that moment's state.
 */
const rolesOfTheWayBack: readonly string[] = ['role-union^', 'role-union', 'v4.20', 'v5.10'];

const kinds: readonly (readonly [kind: MmuKind, vendor: 'svm' | 'vmx', nestedPaging: boolean])[] = [
  ['shadow', 'svm', false],
  ['shadow', 'vmx', false],
  ['npt', 'svm', false],
  ['npt', 'svm', true],
  ['ept', 'vmx', false],
  ['ept', 'vmx', true],
];

describe.each(modern.map((era) => [era.id, era] as const))('%s', (_id, era) => {
  it.each(kinds)('%s on %s, nested paging in L1 %s', (kind, vendor, nestedPaging) => {
    const host = hostFor(era, { kind, implementation: null, vendor });
    if ('unavailable' in host) throw new Error(host.unavailable);
    const m = new Machine(era, host);
    const { vcpu } = m;
    m.toLongMode();
    if (vendor === 'svm') vcpu.writeEfer(vcpu.registers.efer | EFER.SVME);
    else vcpu.writeCr4(vcpu.registers.cr4 | CR4.VMXE);
    m.enter();
    const inL1 = m.state();
    const entry = l2(nestedPaging ? nestedPointer[vendor] : null);
    if (vendor === 'svm') vcpu.vmrun!(entry);
    else vcpu.vmentry!(entry);
    m.enter();
    const inL2 = m.state();
    expect(inL2.registers[1]).toBe(CR3_B);

    vcpu.smi!();
    m.enter();
    expect([vcpu.view.isSmm(), vcpu.view.isGuestMode(), vcpu.view.mmu()]).toEqual([true, false, 'root_mmu']);
    expect(vcpu.registers.cr0 & CR0.PG).toBe(0);
    vcpu.rsm!();
    m.enter();
    expect([vcpu.view.isSmm(), vcpu.view.isGuestMode()]).toEqual([false, true]);
    const { roles, ...back } = m.state();
    const { roles: before, ...rest } = inL2;
    expect(back).toEqual(rest);
    if (!rolesOfTheWayBack.includes(era.id)) expect(roles).toEqual(before);

    if (vendor === 'svm') vcpu.vmexit!();
    else vcpu.nestedVmexit!();
    m.enter();
    expect(m.state()).toEqual(inL1);
  });
});
