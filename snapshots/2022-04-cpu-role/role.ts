// SPDX-License-Identifier: GPL-2.0-only
import { layout, pad } from '../../src/role/layout.ts';
import { memberReader, noteAccessor, pageRoleReader, roleReader } from '../../src/role/reads.ts';
import type { kvm_mmu } from './types.ts';

/** e5ed0fb01004 arch/x86/include/asm/kvm_host.h:319 union kvm_mmu_page_role */
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
  pad(6),
  ['smm', 8],
]);

/** e5ed0fb01004 arch/x86/include/asm/kvm_host.h:365 union kvm_mmu_extended_role */
export const kvm_mmu_extended_role = layout(32, [
  ['valid', 1],
  ['execonly', 1],
  ['cr0_pg', 1],
  ['cr4_pae', 1],
  ['cr4_pse', 1],
  ['cr4_pke', 1],
  ['cr4_smap', 1],
  ['cr4_smep', 1],
  ['cr4_la57', 1],
  ['efer_lma', 1],
  pad(22),
]);

/** The vCPU's paging mode: how the guest's own tables are walked and judged. */
export const cpu_role = {
  base: roleReader('cpu_role', kvm_mmu_page_role, (mmu: kvm_mmu) => mmu.cpu_role.base),
  ext: roleReader('cpu_role', kvm_mmu_extended_role, (mmu: kvm_mmu) => mmu.cpu_role.ext),
};

/** e5ed0fb01004 mmu.c BUILD_MMU_ROLE_ACCESSOR: facts of the guest's paging mode. `by` is the function that asks. */
export const is_cr0_pg = noteAccessor('is_cr0_pg', cpu_role.ext.cr0_pg);
export const is_cr0_wp = noteAccessor('is_cr0_wp', cpu_role.base.cr0_wp);
export const is_cr4_pse = noteAccessor('is_cr4_pse', cpu_role.ext.cr4_pse);
export const is_cr4_pae = noteAccessor('is_cr4_pae', cpu_role.ext.cr4_pae);
export const is_cr4_smep = noteAccessor('is_cr4_smep', cpu_role.ext.cr4_smep);
export const is_cr4_smap = noteAccessor('is_cr4_smap', cpu_role.ext.cr4_smap);
export const is_cr4_pke = noteAccessor('is_cr4_pke', cpu_role.ext.cr4_pke);
export const is_cr4_la57 = noteAccessor('is_cr4_la57', cpu_role.ext.cr4_la57);
export const is_efer_nx = noteAccessor('is_efer_nx', cpu_role.base.efer_nx);

/** What the tables KVM builds look like, and who may share them. */
export const mmu_role = {
  base: roleReader('mmu_role', kvm_mmu_page_role, (mmu: kvm_mmu) => mmu.mmu_role.base),
  ext: roleReader('mmu_role', kvm_mmu_extended_role, (mmu: kvm_mmu) => mmu.mmu_role.ext),
};

/** The role of one shadow page, `sp->role`. */
export const page_role = pageRoleReader(kvm_mmu_page_role);

/** Members of struct kvm_mmu that still repeat role facts in this commit. */
export const root_level = memberReader('root_level', (mmu: kvm_mmu) => mmu.root_level);
export const shadow_root_level = memberReader('shadow_root_level', (mmu: kvm_mmu) => mmu.shadow_root_level);
export const direct_map = memberReader('direct_map', (mmu: kvm_mmu) => (mmu.direct_map ? 1 : 0));
export const ept_ad = memberReader('ept_ad', (mmu: kvm_mmu) => (mmu.ept_ad ? 1 : 0));
