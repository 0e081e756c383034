// SPDX-License-Identifier: GPL-2.0-only
/**
 * e5ed0fb01004 arch/x86/kvm/mmu/mmu.c: which roles an MMU has, and what follows from them.
 *
 * The vCPU's own paging mode (cpu_role) and the tables KVM builds (mmu_role) are computed apart from here on, but
 * mmu_role still carries the guest's register bits: the split prepares their removal.
 *
 * Left out: get_pdptr and inject_page_fault (each has one meaning per context here), the warnings about impossible
 * states, and the check that CPUID does not change after the first run (the machine sets it before).
 */
import { type Field, set } from '../../src/role/layout.ts';
import { probe } from '../../src/sim/log.ts';
import { CR0, CR4, EFER } from '../../src/sim/registers.ts';
import {
  reset_ept_shadow_zero_bits_mask,
  reset_guest_paging_metadata,
  reset_rsvds_bits_mask_ept,
  reset_shadow_zero_bits_mask,
  reset_tdp_shadow_zero_bits_mask,
  update_permission_bitmask,
} from './masks.ts';
import { kvm_mmu_new_pgd, kvm_mmu_reset_context } from './mmu_roots.ts';
import { cpu_role, is_cr0_pg, is_cr4_pae, kvm_mmu_extended_role, kvm_mmu_page_role, mmu_role } from './role.ts';
import type { kvm_mmu, kvm_mmu_role, kvm_vcpu } from './types.ts';

export { __is_rsvd_bits_set, PFERR_IMPLICIT_ACCESS, permission_fault, update_pkru_bitmask } from './masks.ts';
export {
  is_cr0_pg,
  is_cr0_wp,
  is_cr4_la57,
  is_cr4_pae,
  is_cr4_pke,
  is_cr4_pse,
  is_cr4_smap,
  is_cr4_smep,
  is_efer_nx,
} from './role.ts';

const ACC_ALL = 7;
const PT32E_ROOT_LEVEL = 3;
const PT64_ROOT_4LEVEL = 4;
const PT64_ROOT_5LEVEL = 5;

const base = kvm_mmu_page_role.at;
const ext = kvm_mmu_extended_role.at;

/** The word with a flag set, or left alone. */
const flag = (word: number, field: Field, value: boolean): number => (value ? set(word, field, 1) : word);

/** e5ed0fb01004 mmu.c struct kvm_mmu_role_regs: the registers a role is made of. */
export interface kvm_mmu_role_regs {
  readonly cr0: number;
  readonly cr4: number;
  readonly efer: number;
}

const ____is_cr0_pg = ({ cr0 }: kvm_mmu_role_regs): boolean => (cr0 & CR0.PG) !== 0;
const ____is_cr0_wp = ({ cr0 }: kvm_mmu_role_regs): boolean => (cr0 & CR0.WP) !== 0;
const ____is_cr4_pse = ({ cr4 }: kvm_mmu_role_regs): boolean => (cr4 & CR4.PSE) !== 0;
const ____is_cr4_pae = ({ cr4 }: kvm_mmu_role_regs): boolean => (cr4 & CR4.PAE) !== 0;
const ____is_cr4_smep = ({ cr4 }: kvm_mmu_role_regs): boolean => (cr4 & CR4.SMEP) !== 0;
const ____is_cr4_smap = ({ cr4 }: kvm_mmu_role_regs): boolean => (cr4 & CR4.SMAP) !== 0;
const ____is_cr4_pke = ({ cr4 }: kvm_mmu_role_regs): boolean => (cr4 & CR4.PKE) !== 0;
const ____is_cr4_la57 = ({ cr4 }: kvm_mmu_role_regs): boolean => (cr4 & CR4.LA57) !== 0;
const ____is_efer_nx = ({ efer }: kvm_mmu_role_regs): boolean => (efer & EFER.NXE) !== 0;
const ____is_efer_lma = ({ efer }: kvm_mmu_role_regs): boolean => (efer & EFER.LMA) !== 0;

/** e5ed0fb01004 x86.h mmu_is_nested: L2 runs on nested paging. */
export const mmu_is_nested = (vcpu: kvm_vcpu): boolean => vcpu.walk_mmu === vcpu.nested_mmu;

/** e5ed0fb01004 mmu.c:237 vcpu_to_role_regs: the registers as they are now, L2's while L2 runs. */
function vcpu_to_role_regs({ registers }: kvm_vcpu): kvm_mmu_role_regs {
  return { cr0: registers.cr0, cr4: registers.cr4, efer: registers.efer };
}

/** e5ed0fb01004 mmu.c:248 role_regs_to_root_level: levels of the guest's tables, 0 without paging. */
function role_regs_to_root_level(regs: kvm_mmu_role_regs): number {
  if (!____is_cr0_pg(regs)) return 0;
  if (____is_efer_lma(regs)) return ____is_cr4_la57(regs) ? PT64_ROOT_5LEVEL : PT64_ROOT_4LEVEL;
  return ____is_cr4_pae(regs) ? PT32E_ROOT_LEVEL : 2;
}

/**
 * e5ed0fb01004 mmu.c:2028 kvm_mmu_get_page, its first part: the role of a page asked for under an MMU's role.
 * It starts from the MMU's role whatever the parent's is. A page for a table of 4-byte entries covers a half (level 1)
 * or a quarter (level 2) of what the table maps; `gaddr` says which.
 */
export function kvm_mmu_page_role_for(
  mmu: kvm_mmu,
  level: number,
  direct: boolean,
  access: number,
  gaddr: number,
): number {
  let role = mmu_role.base.word(mmu, 'kvm_mmu_get_page');
  role = set(role, base.level, level);
  role = set(role, base.direct, direct ? 1 : 0);
  role = set(role, base.access, access);
  if (mmu_role.base.has_4_byte_gpte(mmu, 'kvm_mmu_get_page')) {
    const quadrant = Math.floor(gaddr / 2 ** (12 + 9 * level)) & ((1 << level) - 1);
    role = set(role, base.quadrant, quadrant);
  }
  return role;
}

/** e5ed0fb01004 mmu.c:4142 nonpaging_init_context */
function nonpaging_init_context(context: kvm_mmu): void {
  context.page_fault = 'nonpaging_page_fault';
  context.gva_to_gpa = 'nonpaging_gva_to_gpa';
  context.sync_page = 'nonpaging_sync_page';
  context.invlpg = 'none';
  context.direct_map = true;
}

/** e5ed0fb01004 mmu.c:4733 paging64_init_context: PAE, 4 and 5 levels. */
function paging64_init_context(context: kvm_mmu): void {
  context.page_fault = 'paging64_page_fault';
  context.gva_to_gpa = 'paging64_gva_to_gpa';
  context.sync_page = 'paging64_sync_page';
  context.invlpg = 'paging64_invlpg';
  context.direct_map = false;
}

/** e5ed0fb01004 mmu.c paging32_init_context */
function paging32_init_context(context: kvm_mmu): void {
  context.page_fault = 'paging32_page_fault';
  context.gva_to_gpa = 'paging32_gva_to_gpa';
  context.sync_page = 'paging32_sync_page';
  context.invlpg = 'paging32_invlpg';
  context.direct_map = false;
}

/** Flags that cpu_role and mmu_role both take from paging registers: those of the extended half. */
function ext_of_paging(regs: kvm_mmu_role_regs): number {
  let word = set(0, ext.cr0_pg, 1);
  word = flag(word, ext.cr4_pae, ____is_cr4_pae(regs));
  word = flag(word, ext.cr4_smep, ____is_cr4_smep(regs));
  word = flag(word, ext.cr4_smap, ____is_cr4_smap(regs));
  word = flag(word, ext.cr4_pse, ____is_cr4_pse(regs));
  // Protection keys and 57-bit addresses exist in long mode only.
  const lma = ____is_efer_lma(regs);
  word = flag(word, ext.cr4_pke, lma && ____is_cr4_pke(regs));
  word = flag(word, ext.cr4_la57, lma && ____is_cr4_la57(regs));
  return flag(word, ext.efer_lma, lma);
}

/** e5ed0fb01004 mmu.c:4752 kvm_calc_cpu_role: how the guest's tables are walked and judged. */
export function kvm_calc_cpu_role(vcpu: kvm_vcpu, regs: kvm_mmu_role_regs): kvm_mmu_role {
  let word = set(0, base.access, ACC_ALL);
  word = flag(word, base.smm, vcpu.is_smm);
  word = flag(word, base.guest_mode, vcpu.is_guest_mode);
  const valid = set(0, ext.valid, 1);
  if (!____is_cr0_pg(regs)) return { base: set(word, base.direct, 1), ext: valid };
  const wp = ____is_cr0_wp(regs);
  word = flag(word, base.efer_nx, ____is_efer_nx(regs));
  word = flag(word, base.cr0_wp, wp);
  word = flag(word, base.smep_andnot_wp, ____is_cr4_smep(regs) && !wp);
  word = flag(word, base.smap_andnot_wp, ____is_cr4_smap(regs) && !wp);
  word = flag(word, base.has_4_byte_gpte, !____is_cr4_pae(regs));
  word = set(word, base.level, role_regs_to_root_level(regs));
  return { base: word, ext: valid | ext_of_paging(regs) };
}

/** e5ed0fb01004 mmu.c:4786 kvm_calc_mmu_role_common */
function kvm_calc_mmu_role_common(vcpu: kvm_vcpu, regs: kvm_mmu_role_regs): kvm_mmu_role {
  let word = set(0, base.access, ACC_ALL);
  const paging = ____is_cr0_pg(regs);
  word = flag(word, base.efer_nx, paging && ____is_efer_nx(regs));
  word = flag(word, base.cr0_wp, paging && ____is_cr0_wp(regs));
  word = flag(word, base.smm, vcpu.is_smm);
  word = flag(word, base.guest_mode, vcpu.is_guest_mode);
  return { base: word, ext: set(paging ? ext_of_paging(regs) : 0, ext.valid, 1) };
}

/** e5ed0fb01004 mmu.c:4814 kvm_mmu_get_tdp_level: five levels only where the guest's addresses need them. */
export function kvm_mmu_get_tdp_level(vcpu: kvm_vcpu): number {
  const { forcedTdpLevel, maxTdpLevel } = vcpu.kvm.vm.host;
  if (forcedTdpLevel) return forcedTdpLevel;
  return maxTdpLevel === 5 && vcpu.maxphyaddr <= 48 ? 4 : maxTdpLevel;
}

/**
 * e5ed0fb01004 mmu.c:4828 kvm_calc_tdp_mmu_root_page_role
 * The guest's CR0.WP and EFER.NX still enter, although two-dimensional tables do not depend on them: toggling one
 * asks for another root. 2ba67677 makes them constants.
 */
export function kvm_calc_tdp_mmu_root_page_role(vcpu: kvm_vcpu, regs: kvm_mmu_role_regs): kvm_mmu_role {
  const role = kvm_calc_mmu_role_common(vcpu, regs);
  let word = flag(role.base, base.ad_disabled, !vcpu.kvm.vm.host.adBits);
  word = set(word, base.level, kvm_mmu_get_tdp_level(vcpu));
  word = set(word, base.direct, 1);
  return { base: word, ext: role.ext };
}

/** Whether an MMU's role is this one: all 64 bits. */
const same = (a: kvm_mmu_role, b: kvm_mmu_role): boolean => a.base === b.base && a.ext === b.ext;

/** Replaces a stored role. */
function store(role: kvm_mmu_role, { base, ext }: kvm_mmu_role): void {
  role.base = base;
  role.ext = ext;
}

/** Notes the comparison of stored role words, which reads all of each. */
function note_role_words(context: kvm_mmu, by: string): void {
  cpu_role.base.word(context, by);
  cpu_role.ext.word(context, by);
  mmu_role.base.word(context, by);
  mmu_role.ext.word(context, by);
}

/** e5ed0fb01004 mmu.c:4841 init_kvm_tdp_mmu */
function init_kvm_tdp_mmu(vcpu: kvm_vcpu, regs: kvm_mmu_role_regs): void {
  const by = 'init_kvm_tdp_mmu';
  const context = vcpu.root_mmu;
  const new_cpu_role = kvm_calc_cpu_role(vcpu, regs);
  const new_mmu_role = kvm_calc_tdp_mmu_root_page_role(vcpu, regs);
  note_role_words(context, by);
  if (same(new_cpu_role, context.cpu_role) && same(new_mmu_role, context.mmu_role)) return;
  store(context.cpu_role, new_cpu_role);
  store(context.mmu_role, new_mmu_role);
  context.page_fault = 'kvm_tdp_page_fault';
  context.sync_page = 'nonpaging_sync_page';
  context.invlpg = 'none';
  context.shadow_root_level = kvm_mmu_get_tdp_level(vcpu);
  context.direct_map = true;
  context.get_guest_pgd = 'get_cr3';
  context.root_level = role_regs_to_root_level(regs);
  if (!is_cr0_pg(context, by)) context.gva_to_gpa = 'nonpaging_gva_to_gpa';
  else context.gva_to_gpa = is_cr4_pae(context, by) ? 'paging64_gva_to_gpa' : 'paging32_gva_to_gpa';
  reset_guest_paging_metadata(vcpu, context);
  reset_tdp_shadow_zero_bits_mask(vcpu, context);
}

/** e5ed0fb01004 mmu.c:4877 kvm_calc_shadow_root_page_role_common */
function kvm_calc_shadow_root_page_role_common(vcpu: kvm_vcpu, regs: kvm_mmu_role_regs): kvm_mmu_role {
  const role = kvm_calc_mmu_role_common(vcpu, regs);
  const paging = ____is_cr0_pg(regs);
  const wp = ____is_cr0_wp(regs);
  let word = flag(role.base, base.smep_andnot_wp, paging && ____is_cr4_smep(regs) && !wp);
  word = flag(word, base.smap_andnot_wp, paging && ____is_cr4_smap(regs) && !wp);
  word = flag(word, base.has_4_byte_gpte, paging && !____is_cr4_pae(regs));
  return { base: word, ext: role.ext };
}

/** e5ed0fb01004 mmu.c:4890 kvm_calc_shadow_mmu_root_page_role: at least the three levels of PAE. */
export function kvm_calc_shadow_mmu_root_page_role(vcpu: kvm_vcpu, regs: kvm_mmu_role_regs): kvm_mmu_role {
  const role = kvm_calc_shadow_root_page_role_common(vcpu, regs);
  let word = flag(role.base, base.direct, !____is_cr0_pg(regs));
  let level = PT32E_ROOT_LEVEL;
  if (____is_efer_lma(regs)) level = ____is_cr4_la57(regs) ? PT64_ROOT_5LEVEL : PT64_ROOT_4LEVEL;
  word = set(word, base.level, level);
  return { base: word, ext: role.ext };
}

/** e5ed0fb01004 mmu.c:4908 shadow_mmu_init_context */
function shadow_mmu_init_context(
  vcpu: kvm_vcpu,
  context: kvm_mmu,
  new_cpu_role: kvm_mmu_role,
  new_mmu_role: kvm_mmu_role,
): void {
  const by = 'shadow_mmu_init_context';
  note_role_words(context, by);
  if (same(new_cpu_role, context.cpu_role) && same(new_mmu_role, context.mmu_role)) return;
  store(context.cpu_role, new_cpu_role);
  store(context.mmu_role, new_mmu_role);
  if (!is_cr0_pg(context, by)) nonpaging_init_context(context);
  else if (is_cr4_pae(context, by)) paging64_init_context(context);
  else paging32_init_context(context);
  context.root_level = cpu_role.base.level(context, by);
  reset_guest_paging_metadata(vcpu, context);
  context.shadow_root_level = mmu_role.base.level(context, by);
  reset_shadow_zero_bits_mask(vcpu, context);
}

/** e5ed0fb01004 mmu.c:4933 kvm_init_shadow_mmu */
function kvm_init_shadow_mmu(vcpu: kvm_vcpu, regs: kvm_mmu_role_regs): void {
  const new_cpu_role = kvm_calc_cpu_role(vcpu, regs);
  const new_mmu_role = kvm_calc_shadow_mmu_root_page_role(vcpu, regs);
  shadow_mmu_init_context(vcpu, vcpu.root_mmu, new_cpu_role, new_mmu_role);
}

/** e5ed0fb01004 mmu.c:4945 kvm_calc_shadow_npt_root_page_role */
export function kvm_calc_shadow_npt_root_page_role(vcpu: kvm_vcpu, regs: kvm_mmu_role_regs): kvm_mmu_role {
  const role = kvm_calc_shadow_root_page_role_common(vcpu, regs);
  return { base: set(role.base, base.level, kvm_mmu_get_tdp_level(vcpu)), ext: role.ext };
}

/**
 * e5ed0fb01004 mmu.c:4957 kvm_init_shadow_npt_mmu
 * Shadows L1's nested page tables. The registers are L1's; nSVM passes CR0 with PG alone, so L1's SMEP and SMAP show
 * up as *_andnot_wp.
 */
export function kvm_init_shadow_npt_mmu(
  vcpu: kvm_vcpu,
  cr0: number,
  cr4: number,
  efer: number,
  nested_cr3: number,
): void {
  const regs = { cr0, cr4: cr4 & ~CR4.PKE, efer };
  const new_cpu_role = kvm_calc_cpu_role(vcpu, regs);
  const new_mmu_role = kvm_calc_shadow_npt_root_page_role(vcpu, regs);
  shadow_mmu_init_context(vcpu, vcpu.guest_mmu, new_cpu_role, new_mmu_role);
  kvm_mmu_new_pgd(vcpu, nested_cr3);
}

/** e5ed0fb01004 mmu.c:4975 kvm_calc_shadow_ept_root_page_role: no register of the guest matters, nor SMM. */
export function kvm_calc_shadow_ept_root_page_role(
  accessed_dirty: boolean,
  execonly: boolean,
  level: number,
): kvm_mmu_role {
  let word = set(0, base.level, level);
  word = flag(word, base.ad_disabled, !accessed_dirty);
  word = set(word, base.guest_mode, 1);
  word = set(word, base.access, ACC_ALL);
  return { base: word, ext: flag(set(0, ext.valid, 1), ext.execonly, execonly) };
}

/** Depth of an EPT structure, from bits 5:3 of the EPTP. SDM vol. 3C 25.6.11; vmx.h vmx_eptp_page_walk_level. */
const vmx_eptp_page_walk_level = (eptp: number): number => ((eptp & 0x38) >> 3) + 1;

/**
 * e5ed0fb01004 mmu.c:4999 kvm_init_shadow_ept_mmu
 * Shadows L1's EPT. Only cpu_role decides whether anything changed.
 */
export function kvm_init_shadow_ept_mmu(
  vcpu: kvm_vcpu,
  execonly: boolean,
  huge_page_level: number,
  accessed_dirty: boolean,
  new_eptp: number,
): void {
  const context = vcpu.guest_mmu;
  const level = vmx_eptp_page_walk_level(new_eptp);
  const new_mode = kvm_calc_shadow_ept_root_page_role(accessed_dirty, execonly, level);
  cpu_role.base.word(context, 'kvm_init_shadow_ept_mmu');
  cpu_role.ext.word(context, 'kvm_init_shadow_ept_mmu');
  if (!same(new_mode, context.cpu_role)) {
    store(context.cpu_role, new_mode);
    store(context.mmu_role, new_mode);
    context.shadow_root_level = level;
    context.ept_ad = accessed_dirty;
    context.page_fault = 'ept_page_fault';
    context.gva_to_gpa = 'ept_gva_to_gpa';
    context.sync_page = 'ept_sync_page';
    context.invlpg = 'ept_invlpg';
    context.root_level = level;
    context.direct_map = false;
    update_permission_bitmask(context, true);
    context.pkru_mask = 0;
    reset_rsvds_bits_mask_ept(vcpu, context, execonly, huge_page_level);
    reset_ept_shadow_zero_bits_mask(vcpu, context, execonly);
  }
  kvm_mmu_new_pgd(vcpu, new_eptp);
}

/** e5ed0fb01004 mmu.c:5033 init_kvm_softmmu */
function init_kvm_softmmu(vcpu: kvm_vcpu, regs: kvm_mmu_role_regs): void {
  kvm_init_shadow_mmu(vcpu, regs);
  vcpu.root_mmu.get_guest_pgd = 'get_cr3';
}

/**
 * e5ed0fb01004 mmu.c:5045 init_kvm_nested_mmu
 * The walker of L2's own tables. It owns no roots, so its mmu_role stays 0. How addresses are translated is chosen
 * from the registers, not from the role.
 */
function init_kvm_nested_mmu(vcpu: kvm_vcpu, regs: kvm_mmu_role_regs): void {
  const by = 'init_kvm_nested_mmu';
  const g_context = vcpu.nested_mmu;
  const new_mode = kvm_calc_cpu_role(vcpu, regs);
  cpu_role.base.word(g_context, by);
  cpu_role.ext.word(g_context, by);
  if (same(new_mode, g_context.cpu_role)) return;
  store(g_context.cpu_role, new_mode);
  g_context.get_guest_pgd = 'get_cr3';
  g_context.root_level = cpu_role.base.level(g_context, by);
  g_context.invlpg = 'none';
  if (!____is_cr0_pg(regs)) g_context.gva_to_gpa = 'nonpaging_gva_to_gpa';
  else if (____is_efer_lma(regs) || ____is_cr4_pae(regs)) g_context.gva_to_gpa = 'paging64_gva_to_gpa';
  else g_context.gva_to_gpa = 'paging32_gva_to_gpa';
  reset_guest_paging_metadata(vcpu, g_context);
}

/** e5ed0fb01004 mmu.c:5086 kvm_init_mmu: brings roles and what follows from them in line with the registers. */
export const kvm_init_mmu = probe(
  'kvm_init_mmu',
  (vcpu: kvm_vcpu): void => {
    vcpu.kvm.vm.counters.init_mmu++;
    const regs = vcpu_to_role_regs(vcpu);
    if (mmu_is_nested(vcpu)) init_kvm_nested_mmu(vcpu, regs);
    else if (vcpu.kvm.vm.host.tdp !== 'none') init_kvm_tdp_mmu(vcpu, regs);
    else init_kvm_softmmu(vcpu, regs);
  },
  { skipped: undefined },
);

/**
 * e5ed0fb01004 mmu.c:5099 kvm_mmu_after_set_cpuid
 * CPUID goes into reserved bits but into no role, so every stored role is made to differ from any that can be computed.
 */
export const kvm_mmu_after_set_cpuid = probe(
  'kvm_mmu_after_set_cpuid',
  (vcpu: kvm_vcpu): void => {
    for (const context of [vcpu.root_mmu, vcpu.guest_mmu, vcpu.nested_mmu]) {
      context.mmu_role.ext = set(context.mmu_role.ext, ext.valid, 0);
      context.cpu_role.ext = set(context.cpu_role.ext, ext.valid, 0);
    }
    kvm_mmu_reset_context(vcpu);
  },
  { skipped: undefined },
);
