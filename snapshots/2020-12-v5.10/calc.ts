// SPDX-License-Identifier: GPL-2.0-only
/** v5.10.262 arch/x86/kvm/mmu/mmu.c: roles computed from registers, and the set-up of each kind of context. */
import { get, set } from '../../src/role/layout.ts';
import { probe } from '../../src/sim/log.ts';
import { CR0, CR4, EFER } from '../../src/sim/registers.ts';
import {
  reset_ept_shadow_zero_bits_mask,
  reset_rsvds_bits_mask,
  reset_rsvds_bits_mask_ept,
  reset_shadow_zero_bits_mask,
  reset_tdp_shadow_zero_bits_mask,
  update_last_nonleaf_level,
  update_permission_bitmask,
  update_pkru_bitmask,
} from './masks.ts';
import { __kvm_mmu_new_pgd } from './mmu_roots.ts';
import { kvm_mmu_extended_role, kvm_mmu_page_role, mmu_role } from './role.ts';
import { ACC_ALL, PT32_ROOT_LEVEL, PT32E_ROOT_LEVEL, PT64_ROOT_4LEVEL, PT64_ROOT_5LEVEL } from './spte.ts';
import {
  HF_GUEST_MASK,
  HF_SMM_MASK,
  INVALID_PAGE,
  INVALID_PGD,
  type kvm_mmu,
  type kvm_mmu_role,
  type kvm_vcpu,
} from './types.ts';

const at = kvm_mmu_page_role.at;
const ext_at = kvm_mmu_extended_role.at;

// v5.10.262 arch/x86/kvm/x86.h
export const is_paging = (vcpu: kvm_vcpu): boolean => (vcpu.registers.cr0 & CR0.PG) !== 0;
export const is_long_mode = (vcpu: kvm_vcpu): boolean => (vcpu.registers.efer & EFER.LMA) !== 0;
const is_la57_mode = (vcpu: kvm_vcpu): boolean => is_long_mode(vcpu) && (vcpu.registers.cr4 & CR4.LA57) !== 0;
export const is_pae = (vcpu: kvm_vcpu): boolean => (vcpu.registers.cr4 & CR4.PAE) !== 0;
/** PDPTEs are in use: three levels. */
export const is_pae_paging = (vcpu: kvm_vcpu): boolean => !is_long_mode(vcpu) && is_pae(vcpu) && is_paging(vcpu);
export const is_smm = (vcpu: kvm_vcpu): boolean => (vcpu.hflags & HF_SMM_MASK) !== 0;
export const is_guest_mode = (vcpu: kvm_vcpu): boolean => (vcpu.hflags & HF_GUEST_MASK) !== 0;
/** L2 runs on tables of L1's, so linear addresses are walked by nested_mmu. x86.h mmu_is_nested */
const mmu_is_nested = (vcpu: kvm_vcpu): boolean => vcpu.walk_mmu === vcpu.nested_mmu;
const is_write_protection = (vcpu: kvm_vcpu): boolean => (vcpu.registers.cr0 & CR0.WP) !== 0;
const one = (bit: boolean): number => (bit ? 1 : 0);

/** v5.10.262 mmu.c is_nx */
const is_nx = (vcpu: kvm_vcpu): boolean => (vcpu.registers.efer & EFER.NXE) !== 0;

/** Levels of the guest's tables, 0 without paging; the tree that every set-up function repeats. */
function guest_levels(vcpu: kvm_vcpu): number {
  if (!is_paging(vcpu)) return 0;
  if (is_long_mode(vcpu)) return is_la57_mode(vcpu) ? PT64_ROOT_5LEVEL : PT64_ROOT_4LEVEL;
  return is_pae(vcpu) ? PT32E_ROOT_LEVEL : PT32_ROOT_LEVEL;
}

/** v5.10.262 mmu.c:3818 nonpaging_init_context. Masks and permissions of the mode before stay in place. */
function nonpaging_init_context(context: kvm_mmu): void {
  context.page_fault = 'nonpaging_page_fault';
  context.gva_to_gpa = 'nonpaging_gva_to_gpa';
  context.sync_page = 'nonpaging_sync_page';
  context.invlpg = 'none';
  context.root_level = 0;
  context.shadow_root_level = PT32E_ROOT_LEVEL;
  context.direct_map = true;
  context.nx = false;
}

/** v5.10.262 mmu.c paging64_init_context_common, for 4-, 5-level and (paging32E_init_context) PAE tables */
function paging64_init_context_common(vcpu: kvm_vcpu, context: kvm_mmu, level: number): void {
  context.nx = is_nx(vcpu);
  context.root_level = level;
  reset_rsvds_bits_mask(vcpu, context);
  update_permission_bitmask(vcpu, context, false);
  update_pkru_bitmask(vcpu, context, false);
  update_last_nonleaf_level(vcpu, context);
  context.page_fault = 'paging64_page_fault';
  context.gva_to_gpa = 'paging64_gva_to_gpa';
  context.sync_page = 'paging64_sync_page';
  context.invlpg = 'paging64_invlpg';
  context.shadow_root_level = level;
  context.direct_map = false;
}

/** v5.10.262 mmu.c paging32_init_context */
function paging32_init_context(vcpu: kvm_vcpu, context: kvm_mmu): void {
  context.nx = false;
  context.root_level = PT32_ROOT_LEVEL;
  reset_rsvds_bits_mask(vcpu, context);
  update_permission_bitmask(vcpu, context, false);
  update_pkru_bitmask(vcpu, context, false);
  update_last_nonleaf_level(vcpu, context);
  context.page_fault = 'paging32_page_fault';
  context.gva_to_gpa = 'paging32_gva_to_gpa';
  context.sync_page = 'paging32_sync_page';
  context.invlpg = 'paging32_invlpg';
  context.shadow_root_level = PT32E_ROOT_LEVEL;
  context.direct_map = false;
}

/**
 * v5.10.262 mmu.c:4452 kvm_calc_mmu_role_ext: bits that no page's role needs, but a set-up depends on, as they stand in
 * the registers. `valid` tells a computed role from that of a context never set up.
 */
function kvm_calc_mmu_role_ext(vcpu: kvm_vcpu): number {
  const { cr4 } = vcpu.registers;
  let ext = 0;
  ext = set(ext, ext_at.cr0_pg, one(is_paging(vcpu)));
  ext = set(ext, ext_at.cr4_pae, one(is_pae(vcpu)));
  ext = set(ext, ext_at.cr4_smep, one((cr4 & CR4.SMEP) !== 0));
  ext = set(ext, ext_at.cr4_smap, one((cr4 & CR4.SMAP) !== 0));
  ext = set(ext, ext_at.cr4_pse, one((cr4 & CR4.PSE) !== 0));
  ext = set(ext, ext_at.cr4_pke, one((cr4 & CR4.PKE) !== 0));
  ext = set(ext, ext_at.cr4_la57, one((cr4 & CR4.LA57) !== 0));
  ext = set(ext, ext_at.maxphyaddr, vcpu.kvm.vm.host.cpuid.maxPhyAddr);
  return set(ext, ext_at.valid, 1);
}

/**
 * v5.10.262 mmu.c:4470 kvm_calc_mmu_role_common. `base_only`: the role is to be compared with a page's, which has no
 * other half.
 */
function kvm_calc_mmu_role_common(vcpu: kvm_vcpu, base_only: boolean): kvm_mmu_role {
  let base = 0;
  base = set(base, at.access, ACC_ALL);
  base = set(base, at.nxe, one(is_nx(vcpu)));
  base = set(base, at.cr0_wp, one(is_write_protection(vcpu)));
  base = set(base, at.smm, one(is_smm(vcpu)));
  base = set(base, at.guest_mode, one(is_guest_mode(vcpu)));
  return { base, ext: base_only ? 0 : kvm_calc_mmu_role_ext(vcpu) };
}

/** v5.10.262 mmu.c:4489 kvm_mmu_get_tdp_level: five levels only where the guest's addresses need them. */
export function kvm_mmu_get_tdp_level(vcpu: kvm_vcpu): number {
  const { maxTdpLevel, vendor, cpuid } = vcpu.kvm.vm.host;
  // SVM offers the depth of its host's own tables, which in this release is never more than four (get_max_npt_level).
  if (vendor === 'svm') return PT64_ROOT_4LEVEL;
  return maxTdpLevel === PT64_ROOT_5LEVEL && cpuid.maxPhyAddr <= 48 ? PT64_ROOT_4LEVEL : maxTdpLevel;
}

/**
 * v5.10.262 mmu.c:4499 kvm_calc_tdp_mmu_root_page_role EFER.NX and CR0.WP enter here, though no page of two-dimensional
 * tables depends on them: each WP or NX has a tree of its own.
 */
export function kvm_calc_tdp_mmu_root_page_role(vcpu: kvm_vcpu, base_only: boolean): kvm_mmu_role {
  const role = kvm_calc_mmu_role_common(vcpu, base_only);
  let { base } = role;
  base = set(base, at.ad_disabled, one(vcpu.kvm.masks.shadow_accessed_mask === 0));
  base = set(base, at.level, kvm_mmu_get_tdp_level(vcpu));
  base = set(base, at.direct, 1);
  role.base = set(base, at.gpte_is_8_bytes, 1);
  return role;
}

/**
 * What the set-up functions begin with: whether the context has the role already, and nothing of it is touched. What is
 * in no role goes stale: EFER.LMA under TDP, the guest's 1 GiB pages and vendor.
 */
const has_role = (context: kvm_mmu, { base, ext }: kvm_mmu_role, by: string): boolean =>
  base === mmu_role.base.word(context, by) && ext === mmu_role.ext.word(context, by);

function store_role({ mmu_role: stored }: kvm_mmu, { base, ext }: kvm_mmu_role): void {
  stored.base = base;
  stored.ext = ext;
}

/** v5.10.262 mmu.c:4511 init_kvm_tdp_mmu */
function init_kvm_tdp_mmu(vcpu: kvm_vcpu): void {
  const context = vcpu.root_mmu;
  const new_role = kvm_calc_tdp_mmu_root_page_role(vcpu, false);
  if (has_role(context, new_role, 'init_kvm_tdp_mmu')) return;
  store_role(context, new_role);
  context.page_fault = 'kvm_tdp_page_fault';
  context.sync_page = 'nonpaging_sync_page';
  context.invlpg = 'none';
  context.shadow_root_level = kvm_mmu_get_tdp_level(vcpu);
  context.direct_map = true;
  context.get_guest_pgd = 'get_cr3';
  context.get_pdptr = 'kvm_pdptr_read';
  context.inject_page_fault = 'kvm_inject_page_fault';
  const level = guest_levels(vcpu);
  context.root_level = level;
  context.nx = level > PT32_ROOT_LEVEL && is_nx(vcpu);
  if (level === 0) context.gva_to_gpa = 'nonpaging_gva_to_gpa';
  else {
    reset_rsvds_bits_mask(vcpu, context);
    context.gva_to_gpa = level === PT32_ROOT_LEVEL ? 'paging32_gva_to_gpa' : 'paging64_gva_to_gpa';
  }
  update_permission_bitmask(vcpu, context, false);
  update_pkru_bitmask(vcpu, context, false);
  update_last_nonleaf_level(vcpu, context);
  reset_tdp_shadow_zero_bits_mask(vcpu, context);
}

/**
 * v5.10.262 mmu.c:4559 kvm_calc_shadow_root_page_role_common SMEP and SMAP are read from the extended half of this very
 * role: a role made with `base_only` never has smep_andnot_wp or smap_andnot_wp, and a switch of tables with CR0.WP = 0
 * and one of them on finds no root (repaired in v5.18).
 */
function kvm_calc_shadow_root_page_role_common(vcpu: kvm_vcpu, base_only: boolean): kvm_mmu_role {
  const role = kvm_calc_mmu_role_common(vcpu, base_only);
  const wp = is_write_protection(vcpu);
  let { base } = role;
  base = set(base, at.smep_andnot_wp, one(get(role.ext, ext_at.cr4_smep) !== 0 && !wp));
  base = set(base, at.smap_andnot_wp, one(get(role.ext, ext_at.cr4_smap) !== 0 && !wp));
  role.base = set(base, at.gpte_is_8_bytes, one(is_pae(vcpu)));
  return role;
}

/**
 * v5.10.262 mmu.c:4573 kvm_calc_shadow_mmu_root_page_role. Level 3 is nominal: such a context's root pages have level
 * 2.
 */
export function kvm_calc_shadow_mmu_root_page_role(vcpu: kvm_vcpu, base_only: boolean): kvm_mmu_role {
  const role = kvm_calc_shadow_root_page_role_common(vcpu, base_only);
  const base = set(role.base, at.direct, one(!is_paging(vcpu)));
  const long_level = is_la57_mode(vcpu) ? PT64_ROOT_5LEVEL : PT64_ROOT_4LEVEL;
  role.base = set(base, at.level, is_long_mode(vcpu) ? long_level : PT32E_ROOT_LEVEL);
  return role;
}

/** The registers that choose how a context walks: L1's for nested NPT, while the vCPU has L2's already. */
interface mode_registers {
  readonly cr0: number;
  readonly cr4: number;
  readonly efer: number;
}

/**
 * v5.10.262 mmu.c:4590 shadow_mmu_init_context: the tree goes by the registers handed in, everything inside it (NX,
 * LA57, PSE, permissions, reserved bits) by the vCPU's.
 */
function shadow_mmu_init_context(
  vcpu: kvm_vcpu,
  context: kvm_mmu,
  { cr0, cr4, efer }: mode_registers,
  new_role: kvm_mmu_role,
): void {
  if ((cr0 & CR0.PG) === 0) nonpaging_init_context(context);
  else if ((efer & EFER.LMA) !== 0) {
    const level = is_la57_mode(vcpu) ? PT64_ROOT_5LEVEL : PT64_ROOT_4LEVEL;
    paging64_init_context_common(vcpu, context, level);
  } else if ((cr4 & CR4.PAE) !== 0) paging64_init_context_common(vcpu, context, PT32E_ROOT_LEVEL);
  else paging32_init_context(vcpu, context);
  store_role(context, new_role);
  reset_shadow_zero_bits_mask(vcpu, context);
}

/** v5.10.262 mmu.c:4607 kvm_init_shadow_mmu */
function kvm_init_shadow_mmu(vcpu: kvm_vcpu, registers: mode_registers): void {
  const context = vcpu.root_mmu;
  const new_role = kvm_calc_shadow_mmu_root_page_role(vcpu, false);
  if (has_role(context, new_role, 'kvm_init_shadow_mmu')) return;
  shadow_mmu_init_context(vcpu, context, registers, new_role);
}

/** v5.10.262 mmu.c:4618 kvm_calc_shadow_npt_root_page_role */
export function kvm_calc_shadow_npt_root_page_role(vcpu: kvm_vcpu): kvm_mmu_role {
  const role = kvm_calc_shadow_root_page_role_common(vcpu, false);
  const base = set(role.base, at.direct, 0);
  role.base = set(base, at.level, kvm_mmu_get_tdp_level(vcpu));
  return role;
}

/**
 * v5.10.262 mmu.c:4629 kvm_init_shadow_npt_mmu, on guest_mmu, for L1's nested tables
 * `registers` are L1's and only
 * choose the tree. The role, and with it the root that is looked for, is made of the vCPU's, which are L2's by now: an
 * L2 with another CR0.WP, EFER.NX and so on gets another root for the same tables of L1. The root is looked for first,
 * while the context still has its old levels.
 */
export function kvm_init_shadow_npt_mmu(vcpu: kvm_vcpu, registers: mode_registers, nested_cr3: number): void {
  const context = vcpu.guest_mmu;
  const new_role = kvm_calc_shadow_npt_root_page_role(vcpu);
  __kvm_mmu_new_pgd(vcpu, nested_cr3, new_role.base, false, false);
  if (has_role(context, new_role, 'kvm_init_shadow_npt_mmu')) return;
  shadow_mmu_init_context(vcpu, context, registers, new_role);
  context.shadow_root_level = get(new_role.base, at.level);
}

/**
 * v5.10.262 mmu.c:4650 kvm_calc_shadow_ept_root_page_role
 * No register of the guest enters the base half; cr0_wp
 * together with smap_andnot_wp, which exclude each other otherwise, marks a page of EPT. The extended half has L1's
 * registers: L2's are loaded later.
 */
export function kvm_calc_shadow_ept_root_page_role(
  vcpu: kvm_vcpu,
  accessed_dirty: boolean,
  execonly: boolean,
  level: number,
): kvm_mmu_role {
  let base = set(0, at.smm, mmu_role.base.smm(vcpu.root_mmu, 'kvm_calc_shadow_ept_root_page_role'));
  base = set(base, at.level, level);
  base = set(base, at.gpte_is_8_bytes, 1);
  base = set(base, at.direct, 0);
  base = set(base, at.ad_disabled, one(!accessed_dirty));
  base = set(base, at.guest_mode, 1);
  base = set(base, at.access, ACC_ALL);
  base = set(base, at.cr0_wp, 1);
  base = set(base, at.smap_andnot_wp, 1);
  return { base, ext: set(kvm_calc_mmu_role_ext(vcpu), ext_at.execonly, one(execonly)) };
}

/**
 * Depth of an EPT structure, from bits 5:3 of the EPTP. SDM vol. 3C 25.6.11; v5.10.262 vmx.h vmx_eptp_page_walk_level
 */
const vmx_eptp_page_walk_level = (eptp: number): number => (((eptp % 64) >> 3) & 7) + 1;

/**
 * v5.10.262 mmu.c:4678 kvm_init_shadow_ept_mmu, on guest_mmu; the look-up comes first here too, and asks for no flush.
 */
export function kvm_init_shadow_ept_mmu(
  vcpu: kvm_vcpu,
  execonly: boolean,
  accessed_dirty: boolean,
  new_eptp: number,
): void {
  const context = vcpu.guest_mmu;
  const level = vmx_eptp_page_walk_level(new_eptp);
  const new_role = kvm_calc_shadow_ept_root_page_role(vcpu, accessed_dirty, execonly, level);
  __kvm_mmu_new_pgd(vcpu, new_eptp, new_role.base, true, true);
  if (has_role(context, new_role, 'kvm_init_shadow_ept_mmu')) return;
  context.shadow_root_level = level;
  context.nx = true;
  context.ept_ad = accessed_dirty;
  context.page_fault = 'ept_page_fault';
  context.gva_to_gpa = 'ept_gva_to_gpa';
  context.sync_page = 'ept_sync_page';
  context.invlpg = 'ept_invlpg';
  context.root_level = level;
  context.direct_map = false;
  store_role(context, new_role);
  update_permission_bitmask(vcpu, context, true);
  update_pkru_bitmask(vcpu, context, true);
  update_last_nonleaf_level(vcpu, context);
  reset_rsvds_bits_mask_ept(vcpu, context, execonly);
  reset_ept_shadow_zero_bits_mask(vcpu, context, execonly);
}

/** v5.10.262 mmu.c:4712 init_kvm_softmmu */
function init_kvm_softmmu(vcpu: kvm_vcpu): void {
  const context = vcpu.root_mmu;
  kvm_init_shadow_mmu(vcpu, vcpu.registers);
  context.get_guest_pgd = 'get_cr3';
  context.get_pdptr = 'kvm_pdptr_read';
  context.inject_page_fault = 'kvm_inject_page_fault';
}

/** v5.10.262 mmu.c:4726 kvm_calc_nested_mmu_role: `direct` whatever the mode, as this context builds no tables. */
function kvm_calc_nested_mmu_role(vcpu: kvm_vcpu): kvm_mmu_role {
  const role = kvm_calc_shadow_root_page_role_common(vcpu, false);
  const base = set(role.base, at.direct, 1);
  role.base = set(base, at.level, guest_levels(vcpu));
  return role;
}

/** v5.10.262 mmu.c:4750 init_kvm_nested_mmu. This context walks L2's own tables only. */
function init_kvm_nested_mmu(vcpu: kvm_vcpu): void {
  const g_context = vcpu.nested_mmu;
  const new_role = kvm_calc_nested_mmu_role(vcpu);
  if (has_role(g_context, new_role, 'init_kvm_nested_mmu')) return;
  store_role(g_context, new_role);
  g_context.get_guest_pgd = 'get_cr3';
  g_context.invlpg = 'none';
  g_context.get_pdptr = 'kvm_pdptr_read';
  g_context.inject_page_fault = 'kvm_inject_page_fault';
  const level = guest_levels(vcpu);
  g_context.root_level = level;
  g_context.nx = level > PT32_ROOT_LEVEL && is_nx(vcpu);
  if (level === 0) g_context.gva_to_gpa = 'nonpaging_gva_to_gpa_nested';
  else {
    reset_rsvds_bits_mask(vcpu, g_context);
    g_context.gva_to_gpa = level === PT32_ROOT_LEVEL ? 'paging32_gva_to_gpa_nested' : 'paging64_gva_to_gpa_nested';
  }
  update_permission_bitmask(vcpu, g_context, false);
  update_pkru_bitmask(vcpu, g_context, false);
  update_last_nonleaf_level(vcpu, g_context);
}

/**
 * v5.10.262 mmu.c:4804 kvm_init_mmu
 * `reset_roots` forgets the roots of the current context without freeing them: callers unload first. It may be another
 * context than the one that is set up: while L2 runs on nested paging, guest_mmu loses its roots and keeps its role.
 */
export const kvm_init_mmu = probe(
  'kvm_init_mmu',
  (vcpu: kvm_vcpu, reset_roots: boolean): void => {
    const { kvm, mmu } = vcpu;
    kvm.vm.counters.init_mmu++;
    if (reset_roots) {
      mmu.root_hpa = INVALID_PAGE;
      for (const root of mmu.prev_roots) {
        root.pgd = INVALID_PGD;
        root.hpa = INVALID_PAGE;
      }
    }
    if (mmu_is_nested(vcpu)) init_kvm_nested_mmu(vcpu);
    else if (kvm.vm.host.tdp !== 'none') init_kvm_tdp_mmu(vcpu);
    else init_kvm_softmmu(vcpu);
  },
  { skipped: undefined },
);

/** v5.10.262 mmu.c:4825 kvm_mmu_calc_root_page_role: the base role of root_mmu's next root, nested or not. */
export function kvm_mmu_calc_root_page_role(vcpu: kvm_vcpu): number {
  const role =
    vcpu.kvm.vm.host.tdp !== 'none'
      ? kvm_calc_tdp_mmu_root_page_role(vcpu, true)
      : kvm_calc_shadow_mmu_root_page_role(vcpu, true);
  return role.base;
}
