// SPDX-License-Identifier: GPL-2.0-only
import { layout, pad } from '../../src/role/layout.ts';
import { roleReader } from '../../src/role/reads.ts';
import type { kvm_mmu, shadow_page } from './types.ts';

/** v6.12.117 arch/x86/include/asm/kvm_host.h union kvm_mmu_page_role */
export const kvm_mmu_page_role = layout(32, [
  ['level', 4],
  ['has_4_byte_gpte', 1],
  ['quadrant', 2],
  ['direct', 1],
  ['access', 3],
  ['invalid', 1],
  ['efer_nx', 1],
  ['cr0_wp', 1],
  ['smep_andnot_wp', 1],
  ['smap_andnot_wp', 1],
  ['ad_disabled', 1],
  ['guest_mode', 1],
  ['passthrough', 1],
  pad(5),
  ['smm', 8],
]);

/** v6.12.117 arch/x86/include/asm/kvm_host.h union kvm_mmu_extended_role */
export const kvm_mmu_extended_role = layout(32, [
  ['valid', 1],
  ['execonly', 1],
  ['cr4_pse', 1],
  ['cr4_pke', 1],
  ['cr4_smap', 1],
  ['cr4_smep', 1],
  ['cr4_la57', 1],
  ['efer_lma', 1],
  pad(24),
]);

/** The vCPU's paging mode: how the guest's own tables are walked and judged. */
export const cpu_role = {
  base: roleReader('cpu_role', kvm_mmu_page_role, (mmu: kvm_mmu) => mmu.cpu_role.base),
  ext: roleReader('cpu_role', kvm_mmu_extended_role, (mmu: kvm_mmu) => mmu.cpu_role.ext),
};

/**
 * v6.12.117 mmu.c BUILD_MMU_ROLE_ACCESSOR: facts of the guest's paging mode. `by` is the function that asks.
 * Paging and PAE are derived (since faf72962), and PAE means nothing without paging: ask for paging first.
 */
export const is_cr0_pg = (mmu: kvm_mmu, by: string): boolean => cpu_role.base.level(mmu, by) > 0;
export const is_cr0_wp = (mmu: kvm_mmu, by: string): boolean => cpu_role.base.cr0_wp(mmu, by) !== 0;
export const is_cr4_pse = (mmu: kvm_mmu, by: string): boolean => cpu_role.ext.cr4_pse(mmu, by) !== 0;
export const is_cr4_pae = (mmu: kvm_mmu, by: string): boolean => cpu_role.base.has_4_byte_gpte(mmu, by) === 0;
export const is_cr4_smep = (mmu: kvm_mmu, by: string): boolean => cpu_role.ext.cr4_smep(mmu, by) !== 0;
export const is_cr4_smap = (mmu: kvm_mmu, by: string): boolean => cpu_role.ext.cr4_smap(mmu, by) !== 0;
export const is_cr4_pke = (mmu: kvm_mmu, by: string): boolean => cpu_role.ext.cr4_pke(mmu, by) !== 0;
export const is_cr4_la57 = (mmu: kvm_mmu, by: string): boolean => cpu_role.ext.cr4_la57(mmu, by) !== 0;
export const is_efer_nx = (mmu: kvm_mmu, by: string): boolean => cpu_role.base.efer_nx(mmu, by) !== 0;

/** What the tables KVM builds look like, and who may share them. */
export const root_role = roleReader('root_role', kvm_mmu_page_role, (mmu: kvm_mmu) => mmu.root_role);

/** The role of one shadow page, `sp->role`. */
export const page_role = roleReader('page_role', kvm_mmu_page_role, (sp: shadow_page) => sp.kvm.vm.pages.role[sp.id]!);
