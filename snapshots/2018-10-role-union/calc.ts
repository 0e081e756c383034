// SPDX-License-Identifier: GPL-2.0-only
/**
 * 36d9594dfbf2 arch/x86/kvm/mmu.c: roles computed from registers, and the set-up of each kind of context.
 *
 * Left out: set_cr3 of a context, which is the vendor's for every context of a vCPU (kvm_x86_ops.ts).
 */
import { set } from '../../src/role/layout.ts';
import { probe } from '../../src/sim/log.ts';
import { CR0, CR4, EFER } from '../../src/sim/registers.ts';
import { get_tdp_level } from './kvm_x86_ops.ts';
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
import { __kvm_mmu_new_cr3 } from './mmu_roots.ts';
import { kvm_mmu_page_role, mmu_base_role_mask, mmu_role } from './role.ts';
import { ACC_ALL, PT32_ROOT_LEVEL, PT32E_ROOT_LEVEL, PT64_ROOT_4LEVEL, PT64_ROOT_5LEVEL } from './spte.ts';
import { HF_GUEST_MASK, HF_SMM_MASK, INVALID_CR3, INVALID_PAGE, type kvm_mmu, type kvm_vcpu } from './types.ts';

const at = kvm_mmu_page_role.at;

// v4.20 arch/x86/kvm/x86.h ~84-137
export const is_paging = (vcpu: kvm_vcpu): boolean => (vcpu.registers.cr0 & CR0.PG) !== 0;
export const is_long_mode = (vcpu: kvm_vcpu): boolean => (vcpu.registers.efer & EFER.LMA) !== 0;
const is_la57_mode = (vcpu: kvm_vcpu): boolean => is_long_mode(vcpu) && (vcpu.registers.cr4 & CR4.LA57) !== 0;
export const is_pae = (vcpu: kvm_vcpu): boolean => (vcpu.registers.cr4 & CR4.PAE) !== 0;
export const is_smm = (vcpu: kvm_vcpu): boolean => (vcpu.hflags & HF_SMM_MASK) !== 0;
export const is_guest_mode = (vcpu: kvm_vcpu): boolean => (vcpu.hflags & HF_GUEST_MASK) !== 0;
/** L2 runs on tables of L1's, so linear addresses are walked by nested_mmu. x86.h mmu_is_nested */
const mmu_is_nested = (vcpu: kvm_vcpu): boolean => vcpu.walk_mmu === vcpu.nested_mmu;
const is_write_protection = (vcpu: kvm_vcpu): boolean => (vcpu.registers.cr0 & CR0.WP) !== 0;
const one = (bit: boolean): number => (bit ? 1 : 0);

/**
 * 36d9594dfbf2 mmu.c:469 is_nx: EFER.NX as it stands in the register, 0x800. A bool (`mmu.nx`) takes it right; a 1-bit
 * field keeps bit 0 of it, which is 0. So `role.nxe` never says anything, and pages of NX and non-NX contexts share one
 * role. v4.20 has the repair.
 */
const is_nx = (vcpu: kvm_vcpu): number => vcpu.registers.efer & EFER.NXE;

/** Levels of the guest's tables, 0 without paging; the tree that every set-up function repeats. */
function guest_levels(vcpu: kvm_vcpu): number {
  if (!is_paging(vcpu)) return 0;
  if (is_long_mode(vcpu)) return is_la57_mode(vcpu) ? PT64_ROOT_5LEVEL : PT64_ROOT_4LEVEL;
  return is_pae(vcpu) ? PT32E_ROOT_LEVEL : PT32_ROOT_LEVEL;
}

/** 36d9594dfbf2 mmu.c:4102 nonpaging_init_context. Masks and permissions of the mode before stay in place. */
function nonpaging_init_context(context: kvm_mmu): void {
  context.page_fault = 'nonpaging_page_fault';
  context.gva_to_gpa = 'nonpaging_gva_to_gpa';
  context.sync_page = 'nonpaging_sync_page';
  context.invlpg = 'nonpaging_invlpg';
  context.update_pte = 'nonpaging_update_pte';
  context.root_level = 0;
  context.shadow_root_level = PT32E_ROOT_LEVEL;
  context.direct_map = true;
  context.nx = false;
}

/**
 * 36d9594dfbf2 mmu.c:4670 paging64_init_context_common, for 4-, 5-level and (4721 paging32E_init_context) PAE tables
 */
function paging64_init_context_common(vcpu: kvm_vcpu, context: kvm_mmu, level: number): void {
  context.nx = is_nx(vcpu) !== 0;
  context.root_level = level;
  reset_rsvds_bits_mask(vcpu, context);
  update_permission_bitmask(vcpu, context, false);
  update_pkru_bitmask(vcpu, context, false);
  update_last_nonleaf_level(vcpu, context);
  context.page_fault = 'paging64_page_fault';
  context.gva_to_gpa = 'paging64_gva_to_gpa';
  context.sync_page = 'paging64_sync_page';
  context.invlpg = 'paging64_invlpg';
  context.update_pte = 'paging64_update_pte';
  context.shadow_root_level = level;
  context.direct_map = false;
}

/** 36d9594dfbf2 mmu.c:4701 paging32_init_context */
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
  context.update_pte = 'paging32_update_pte';
  context.shadow_root_level = PT32E_ROOT_LEVEL;
  context.direct_map = false;
}

/** 36d9594dfbf2 mmu.c:4728 kvm_calc_tdp_mmu_root_page_role: no register of the guest enters. */
function kvm_calc_tdp_mmu_root_page_role(vcpu: kvm_vcpu): number {
  let role = 0;
  role = set(role, at.guest_mode, one(is_guest_mode(vcpu)));
  role = set(role, at.smm, one(is_smm(vcpu)));
  role = set(role, at.ad_disabled, one(vcpu.kvm.masks.shadow_accessed_mask === 0));
  role = set(role, at.level, get_tdp_level(vcpu));
  role = set(role, at.direct, 1);
  role = set(role, at.access, ACC_ALL);
  return role;
}

/** 36d9594dfbf2 mmu.c:4742 init_kvm_tdp_mmu */
function init_kvm_tdp_mmu(vcpu: kvm_vcpu): void {
  const context = vcpu.mmu;
  context.mmu_role.base = (mmu_base_role_mask & kvm_calc_tdp_mmu_root_page_role(vcpu)) >>> 0;
  context.page_fault = 'tdp_page_fault';
  context.sync_page = 'nonpaging_sync_page';
  context.invlpg = 'nonpaging_invlpg';
  context.update_pte = 'nonpaging_update_pte';
  context.shadow_root_level = get_tdp_level(vcpu);
  context.direct_map = true;
  context.get_cr3 = 'get_cr3';
  context.get_pdptr = 'kvm_pdptr_read';
  context.inject_page_fault = 'kvm_inject_page_fault';
  const level = guest_levels(vcpu);
  context.root_level = level;
  context.nx = level > PT32_ROOT_LEVEL && is_nx(vcpu) !== 0;
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
 * 36d9594dfbf2 mmu.c:4788 kvm_calc_shadow_mmu_root_page_role
 * The register bits enter whether paging is on or not. Level 3 is nominal: such a context's root pages have level 2.
 */
function kvm_calc_shadow_mmu_root_page_role(vcpu: kvm_vcpu): number {
  const { cr4 } = vcpu.registers;
  const wp = is_write_protection(vcpu);
  let role = 0;
  role = set(role, at.nxe, is_nx(vcpu));
  role = set(role, at.cr4_pae, one(is_pae(vcpu)));
  role = set(role, at.cr0_wp, one(wp));
  role = set(role, at.smep_andnot_wp, one((cr4 & CR4.SMEP) !== 0 && !wp));
  role = set(role, at.smap_andnot_wp, one((cr4 & CR4.SMAP) !== 0 && !wp));
  role = set(role, at.guest_mode, one(is_guest_mode(vcpu)));
  role = set(role, at.smm, one(is_smm(vcpu)));
  role = set(role, at.direct, one(!is_paging(vcpu)));
  role = set(role, at.access, ACC_ALL);
  const long_level = is_la57_mode(vcpu) ? PT64_ROOT_5LEVEL : PT64_ROOT_4LEVEL;
  return set(role, at.level, is_long_mode(vcpu) ? long_level : PT32E_ROOT_LEVEL);
}

/** 36d9594dfbf2 mmu.c:4814 kvm_init_shadow_mmu */
export function kvm_init_shadow_mmu(vcpu: kvm_vcpu): void {
  const context = vcpu.mmu;
  const level = guest_levels(vcpu);
  if (level === 0) nonpaging_init_context(context);
  else if (level === PT32_ROOT_LEVEL) paging32_init_context(vcpu, context);
  else paging64_init_context_common(vcpu, context, level);
  context.mmu_role.base = (mmu_base_role_mask & kvm_calc_shadow_mmu_root_page_role(vcpu)) >>> 0;
  reset_shadow_zero_bits_mask(vcpu, context);
}

/**
 * 36d9594dfbf2 mmu.c:4834 kvm_calc_shadow_ept_root_page_role
 * Inherits the base role of root_mmu, which under EPT has no cr4_pae: so EPT12's 8-byte entries are taken for 4-byte
 * ones by everything that reads `role.cr4_pae` (repaired in v5.1). As published this function still reads `base_role`,
 * a member that the same commit renames, and does not compile; the next commit of the series reads what is read here.
 */
export function kvm_calc_shadow_ept_root_page_role(vcpu: kvm_vcpu, accessed_dirty: boolean): number {
  let role = mmu_role.base.word(vcpu.root_mmu, 'kvm_calc_shadow_ept_root_page_role');
  role = set(role, at.level, PT64_ROOT_4LEVEL);
  role = set(role, at.direct, 0);
  role = set(role, at.ad_disabled, one(!accessed_dirty));
  role = set(role, at.guest_mode, 1);
  return set(role, at.access, ACC_ALL);
}

/**
 * 36d9594dfbf2 mmu.c:4850 kvm_init_shadow_ept_mmu, on guest_mmu
 * The root is looked for first, while the context still has its old levels: right after creation they are 0 and nothing
 * is looked up.
 */
export function kvm_init_shadow_ept_mmu(
  vcpu: kvm_vcpu,
  execonly: boolean,
  accessed_dirty: boolean,
  new_eptp: number,
): void {
  const context = vcpu.mmu;
  const root_page_role = kvm_calc_shadow_ept_root_page_role(vcpu, accessed_dirty);
  __kvm_mmu_new_cr3(vcpu, new_eptp, root_page_role, false);
  context.shadow_root_level = PT64_ROOT_4LEVEL;
  context.nx = true;
  context.ept_ad = accessed_dirty;
  context.page_fault = 'ept_page_fault';
  context.gva_to_gpa = 'ept_gva_to_gpa';
  context.sync_page = 'ept_sync_page';
  context.invlpg = 'ept_invlpg';
  context.update_pte = 'ept_update_pte';
  context.root_level = PT64_ROOT_4LEVEL;
  context.direct_map = false;
  context.mmu_role.base = (root_page_role & mmu_base_role_mask) >>> 0;
  update_permission_bitmask(vcpu, context, true);
  update_pkru_bitmask(vcpu, context, true);
  update_last_nonleaf_level(vcpu, context);
  reset_rsvds_bits_mask_ept(vcpu, context, execonly);
  reset_ept_shadow_zero_bits_mask(vcpu, context, execonly);
}

/** 36d9594dfbf2 mmu.c:4880 init_kvm_softmmu */
function init_kvm_softmmu(vcpu: kvm_vcpu): void {
  const context = vcpu.mmu;
  kvm_init_shadow_mmu(vcpu);
  context.get_cr3 = 'get_cr3';
  context.get_pdptr = 'kvm_pdptr_read';
  context.inject_page_fault = 'kvm_inject_page_fault';
}

/**
 * 36d9594dfbf2 mmu.c:4891 init_kvm_nested_mmu. This context walks L2's own tables only; it gets no role and no roots.
 */
function init_kvm_nested_mmu(vcpu: kvm_vcpu): void {
  const g_context = vcpu.nested_mmu;
  g_context.get_cr3 = 'get_cr3';
  g_context.get_pdptr = 'kvm_pdptr_read';
  g_context.inject_page_fault = 'kvm_inject_page_fault';
  const level = guest_levels(vcpu);
  g_context.root_level = level;
  g_context.nx = level > PT32_ROOT_LEVEL && is_nx(vcpu) !== 0;
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
 * 36d9594dfbf2 mmu.c:4934 kvm_init_mmu
 * `reset_roots` forgets the roots of the current context without freeing them: callers unload first.
 */
export const kvm_init_mmu = probe(
  'kvm_init_mmu',
  (vcpu: kvm_vcpu, reset_roots: boolean): void => {
    const { kvm, mmu } = vcpu;
    kvm.vm.counters.init_mmu++;
    if (reset_roots) {
      mmu.root_hpa = INVALID_PAGE;
      for (const root of mmu.prev_roots) {
        root.cr3 = INVALID_CR3;
        root.hpa = INVALID_PAGE;
      }
    }
    if (mmu_is_nested(vcpu)) init_kvm_nested_mmu(vcpu);
    else if (kvm.vm.host.tdp !== 'none') init_kvm_tdp_mmu(vcpu);
    else init_kvm_softmmu(vcpu);
  },
  { skipped: undefined },
);

/** 36d9594dfbf2 mmu.c:4955 kvm_mmu_calc_root_page_role: the role of root_mmu's next root, nested or not. */
export function kvm_mmu_calc_root_page_role(vcpu: kvm_vcpu): number {
  return vcpu.kvm.vm.host.tdp !== 'none'
    ? kvm_calc_tdp_mmu_root_page_role(vcpu)
    : kvm_calc_shadow_mmu_root_page_role(vcpu);
}
