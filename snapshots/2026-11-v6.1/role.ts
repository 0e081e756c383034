// SPDX-License-Identifier: GPL-2.0-only
import { layout, pad } from '../../src/role/layout.ts';
import { noteAccessor, pageRoleReader, roleReader } from '../../src/role/reads.ts';
import type { kvm_mmu } from './types.ts';

/** v6.1.192 arch/x86/include/asm/kvm_host.h union kvm_mmu_page_role */
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

/** v6.1.192 arch/x86/include/asm/kvm_host.h union kvm_mmu_extended_role */
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
 * v6.1.192 mmu.c BUILD_MMU_ROLE_ACCESSOR: facts of the guest's paging mode. `by` is the function that asks.
 * Paging and PAE are derived (since faf72962), and PAE means nothing without paging: ask for paging first.
 */
export const is_cr0_pg = noteAccessor('is_cr0_pg', cpu_role.base.level);
export const is_cr0_wp = noteAccessor('is_cr0_wp', cpu_role.base.cr0_wp);
export const is_cr4_pse = noteAccessor('is_cr4_pse', cpu_role.ext.cr4_pse);
const ____is_cr4_pae = noteAccessor('is_cr4_pae', cpu_role.base.has_4_byte_gpte);
export const is_cr4_pae = (mmu: kvm_mmu, by: string): boolean => !____is_cr4_pae(mmu, by);
export const is_cr4_smep = noteAccessor('is_cr4_smep', cpu_role.ext.cr4_smep);
export const is_cr4_smap = noteAccessor('is_cr4_smap', cpu_role.ext.cr4_smap);
export const is_cr4_pke = noteAccessor('is_cr4_pke', cpu_role.ext.cr4_pke);
export const is_cr4_la57 = noteAccessor('is_cr4_la57', cpu_role.ext.cr4_la57);
export const is_efer_nx = noteAccessor('is_efer_nx', cpu_role.base.efer_nx);

/** What the tables KVM builds look like, and who may share them. */
export const root_role = roleReader('root_role', kvm_mmu_page_role, (mmu: kvm_mmu) => mmu.root_role);

/** The role of one shadow page, `sp->role`. */
export const page_role = pageRoleReader(kvm_mmu_page_role);
