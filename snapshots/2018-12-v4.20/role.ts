// SPDX-License-Identifier: GPL-2.0-only
import { layout, pad } from '../../src/role/layout.ts';
import { memberReader, roleReader } from '../../src/role/reads.ts';
import type { kvm_mmu, kvm_mmu_page } from './types.ts';

/** v4.20 arch/x86/include/asm/kvm_host.h union kvm_mmu_page_role */
export const kvm_mmu_page_role = layout(32, [
  ['level', 4],
  ['cr4_pae', 1],
  ['quadrant', 2],
  ['direct', 1],
  ['access', 3],
  ['invalid', 1],
  ['nxe', 1],
  ['cr0_wp', 1],
  ['smep_andnot_wp', 1],
  ['smap_andnot_wp', 1],
  ['ad_disabled', 1],
  ['guest_mode', 1],
  pad(6),
  ['smm', 8],
]);

/** v4.20 arch/x86/include/asm/kvm_host.h union kvm_mmu_extended_role: what the base role has no room for. */
export const kvm_mmu_extended_role = layout(32, [
  ['valid', 1],
  ['execonly', 1],
  ['cr0_pg', 1],
  ['cr4_pse', 1],
  ['cr4_pke', 1],
  ['cr4_smap', 1],
  ['cr4_smep', 1],
  ['cr4_la57', 1],
  pad(24),
]);

/**
 * v4.20 mmu.c mmu_base_role_mask: cr4_pae, nxe, cr0_wp, smep_andnot_wp, smap_andnot_wp, ad_disabled,
 * guest_mode, and the lowest of the eight smm bits. What a context keeps of a root's role, and what must agree before a
 * written guest entry is prefetched.
 */
export const mmu_base_role_mask = 0x0103f010;

/**
 * The role of a context. `base` is what all its pages have in common; both halves together tell whether a set-up has
 * anything to do. No other function reads `ext`.
 */
export const mmu_role = {
  base: roleReader('mmu_role', kvm_mmu_page_role, (mmu: kvm_mmu) => mmu.mmu_role.base),
  ext: roleReader('mmu_role', kvm_mmu_extended_role, (mmu: kvm_mmu) => mmu.mmu_role.ext),
};

/** The role of one shadow page, `sp->role`. */
export const page_role = roleReader('page_role', kvm_mmu_page_role, (sp: kvm_mmu_page) => sp.kvm.vm.pages.role[sp.id]!);

/** Members of struct kvm_mmu that repeat role facts in this release. */
export const root_level = memberReader('root_level', (mmu: kvm_mmu) => mmu.root_level);
export const shadow_root_level = memberReader('shadow_root_level', (mmu: kvm_mmu) => mmu.shadow_root_level);
export const direct_map = memberReader('direct_map', (mmu: kvm_mmu) => (mmu.direct_map ? 1 : 0));
export const mmu_nx = memberReader('nx', (mmu: kvm_mmu) => (mmu.nx ? 1 : 0));
export const ept_ad = memberReader('ept_ad', (mmu: kvm_mmu) => (mmu.ept_ad ? 1 : 0));
export const last_nonleaf_level = memberReader('last_nonleaf_level', (mmu: kvm_mmu) => mmu.last_nonleaf_level);

/** A read of a member that is no number, for the tables of who reads what. */
export function note_member(mmu: kvm_mmu, by: string, name: string): void {
  if (mmu.reads !== null) mmu.reads.note(by, 'mmu', name);
}
