// SPDX-License-Identifier: GPL-2.0-only
import { layout, pad } from '../../src/role/layout.ts';
import { memberReader, roleReader } from '../../src/role/reads.ts';
import type { kvm_mmu, kvm_mmu_page } from './types.ts';

/** 36d9594dfbf2 arch/x86/include/asm/kvm_host.h:257 union kvm_mmu_page_role */
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

/**
 * 36d9594dfbf2 mmu.c:181 mmu_base_role_mask: cr4_pae, nxe, cr0_wp, smep_andnot_wp, smap_andnot_wp, ad_disabled,
 * guest_mode, and the lowest of the eight smm bits. What a context keeps of a root's role, and what must agree before a
 * written guest entry is prefetched.
 */
export const mmu_base_role_mask = 0x0103f010;

/**
 * The base role of a context: what all its pages have in common. The extended half has no fields yet and is never read.
 */
export const mmu_role = {
  base: roleReader('mmu_role', kvm_mmu_page_role, (mmu: kvm_mmu) => mmu.mmu_role.base),
};

/** The role of one shadow page, `sp->role`. */
export const page_role = roleReader('page_role', kvm_mmu_page_role, (sp: kvm_mmu_page) => sp.kvm.vm.pages.role[sp.id]!);

/** Members of struct kvm_mmu that repeat role facts in this commit. */
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
