// SPDX-License-Identifier: GPL-2.0-only
/**
 * v4.20 arch/x86/kvm/mmu.c: roles computed from registers, and the set-up of each kind of context.
 *
 * Left out: set_cr3 of a context, which is the vendor's for every context of a vCPU (kvm_x86_ops.ts).
 */
import { get, set } from '../../src/role/layout.ts';
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
import { kvm_mmu_extended_role, kvm_mmu_page_role, mmu_base_role_mask, mmu_role } from './role.ts';
import { ACC_ALL, PT32_ROOT_LEVEL, PT32E_ROOT_LEVEL, PT64_ROOT_4LEVEL, PT64_ROOT_5LEVEL } from './spte.ts';
import {
  HF_GUEST_MASK,
  HF_SMM_MASK,
  INVALID_CR3,
  INVALID_PAGE,
  type kvm_mmu,
  type kvm_mmu_role,
  type kvm_vcpu,
} from './types.ts';

const at = kvm_mmu_page_role.at;
const ext_at = kvm_mmu_extended_role.at;

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

/** v4.20 mmu.c:469 is_nx. A bool; until shortly before this release the role took bit 0 of the register bit's value. */
const is_nx = (vcpu: kvm_vcpu): boolean => (vcpu.registers.efer & EFER.NXE) !== 0;

/** Levels of the guest's tables, 0 without paging; the tree that every set-up function repeats. */
function guest_levels(vcpu: kvm_vcpu): number {
  if (!is_paging(vcpu)) return 0;
  if (is_long_mode(vcpu)) return is_la57_mode(vcpu) ? PT64_ROOT_5LEVEL : PT64_ROOT_4LEVEL;
  return is_pae(vcpu) ? PT32E_ROOT_LEVEL : PT32_ROOT_LEVEL;
}

/** v4.20 mmu.c:4099 nonpaging_init_context. Masks and permissions of the mode before stay in place. */
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

/** v4.20 mmu.c paging64_init_context_common, for 4-, 5-level and (paging32E_init_context) PAE tables */
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
  context.update_pte = 'paging64_update_pte';
  context.shadow_root_level = level;
  context.direct_map = false;
}

/** v4.20 mmu.c paging32_init_context */
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

/**
 * v4.20 mmu.c:4724 kvm_calc_mmu_role_ext: bits that no page's role needs, but a set-up depends on, as they stand in the
 * registers. `valid` tells a computed role from that of a context never set up.
 */
function kvm_calc_mmu_role_ext(vcpu: kvm_vcpu): number {
  const { cr4 } = vcpu.registers;
  let ext = 0;
  ext = set(ext, ext_at.cr0_pg, one(is_paging(vcpu)));
  ext = set(ext, ext_at.cr4_smep, one((cr4 & CR4.SMEP) !== 0));
  ext = set(ext, ext_at.cr4_smap, one((cr4 & CR4.SMAP) !== 0));
  ext = set(ext, ext_at.cr4_pse, one((cr4 & CR4.PSE) !== 0));
  ext = set(ext, ext_at.cr4_pke, one((cr4 & CR4.PKE) !== 0));
  ext = set(ext, ext_at.cr4_la57, one((cr4 & CR4.LA57) !== 0));
  return set(ext, ext_at.valid, 1);
}

/**
 * v4.20 mmu.c:4740 kvm_calc_mmu_role_common. `base_only`: the role is to be compared with a page's, which has no other
 * half.
 */
function kvm_calc_mmu_role_common(vcpu: kvm_vcpu, base_only: boolean): kvm_mmu_role {
  let base = 0;
  base = set(base, at.access, ACC_ALL);
  base = set(base, at.nxe, one(is_nx(vcpu)));
  base = set(base, at.cr4_pae, one(is_pae(vcpu)));
  base = set(base, at.cr0_wp, one(is_write_protection(vcpu)));
  base = set(base, at.smm, one(is_smm(vcpu)));
  base = set(base, at.guest_mode, one(is_guest_mode(vcpu)));
  return { base, ext: base_only ? 0 : kvm_calc_mmu_role_ext(vcpu) };
}

/**
 * v4.20 mmu.c:4761 kvm_calc_tdp_mmu_root_page_role
 * CR4.PAE, EFER.NX and CR0.WP enter here, though no page of two-dimensional tables depends on them: each WP or NX has a
 * tree of its own. A direct page loses cr4_pae again (kvm_mmu_get_page), so that no root page has the role that a CR3
 * switch looks for while CR4.PAE is on (repaired by turning the bit round, in v5.1).
 */
export function kvm_calc_tdp_mmu_root_page_role(vcpu: kvm_vcpu, base_only: boolean): kvm_mmu_role {
  const role = kvm_calc_mmu_role_common(vcpu, base_only);
  let { base } = role;
  base = set(base, at.ad_disabled, one(vcpu.kvm.masks.shadow_accessed_mask === 0));
  base = set(base, at.level, get_tdp_level(vcpu));
  role.base = set(base, at.direct, 1);
  return role;
}

/**
 * What the four set-up functions begin with: the new role, base half masked, is stored; false when it is the one the
 * context has, and then nothing of it is touched. What is in no role goes stale: EFER.LMA on its own, the guest's
 * MAXPHYADDR and 1 GiB pages, the levels of two-dimensional tables.
 */
function store_role(context: kvm_mmu, { base, ext }: kvm_mmu_role, by: string): boolean {
  const masked = (base & mmu_base_role_mask) >>> 0;
  if (masked === mmu_role.base.word(context, by) && ext === mmu_role.ext.word(context, by)) return false;
  context.mmu_role.base = masked;
  context.mmu_role.ext = ext;
  return true;
}

/** v4.20 mmu.c:4772 init_kvm_tdp_mmu */
function init_kvm_tdp_mmu(vcpu: kvm_vcpu): void {
  const context = vcpu.mmu;
  if (!store_role(context, kvm_calc_tdp_mmu_root_page_role(vcpu, false), 'init_kvm_tdp_mmu')) return;
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
 * v4.20 mmu.c:4823 kvm_calc_shadow_mmu_root_page_role SMEP and SMAP are read from the extended half of this very role:
 * a role made with `base_only` never has smep_andnot_wp or smap_andnot_wp, and a CR3 switch with CR0.WP = 0 and one of
 * them on finds no root (repaired in v5.18). Level 3 is nominal: such a context's root pages have level 2.
 */
export function kvm_calc_shadow_mmu_root_page_role(vcpu: kvm_vcpu, base_only: boolean): kvm_mmu_role {
  const role = kvm_calc_mmu_role_common(vcpu, base_only);
  const wp = is_write_protection(vcpu);
  let { base } = role;
  base = set(base, at.smep_andnot_wp, one(get(role.ext, ext_at.cr4_smep) !== 0 && !wp));
  base = set(base, at.smap_andnot_wp, one(get(role.ext, ext_at.cr4_smap) !== 0 && !wp));
  base = set(base, at.direct, one(!is_paging(vcpu)));
  const long_level = is_la57_mode(vcpu) ? PT64_ROOT_5LEVEL : PT64_ROOT_4LEVEL;
  role.base = set(base, at.level, is_long_mode(vcpu) ? long_level : PT32E_ROOT_LEVEL);
  return role;
}

/** v4.20 mmu.c:4843 kvm_init_shadow_mmu */
export function kvm_init_shadow_mmu(vcpu: kvm_vcpu): void {
  const context = vcpu.mmu;
  if (!store_role(context, kvm_calc_shadow_mmu_root_page_role(vcpu, false), 'kvm_init_shadow_mmu')) return;
  const level = guest_levels(vcpu);
  if (level === 0) nonpaging_init_context(context);
  else if (level === PT32_ROOT_LEVEL) paging32_init_context(vcpu, context);
  else paging64_init_context_common(vcpu, context, level);
  reset_shadow_zero_bits_mask(vcpu, context);
}

/**
 * v4.20 mmu.c:4868 kvm_calc_shadow_ept_root_page_role
 * Inherits the base role of root_mmu, of L1's last set-up. Under
 * EPT that has L1's cr4_pae, which is taken for the size of EPT12's entries by everything that reads it (repaired in
 * v5.1).
 */
export function kvm_calc_shadow_ept_root_page_role(
  vcpu: kvm_vcpu,
  accessed_dirty: boolean,
  execonly: boolean,
): kvm_mmu_role {
  let base = mmu_role.base.word(vcpu.root_mmu, 'kvm_calc_shadow_ept_root_page_role');
  base = set(base, at.level, PT64_ROOT_4LEVEL);
  base = set(base, at.direct, 0);
  base = set(base, at.ad_disabled, one(!accessed_dirty));
  base = set(base, at.guest_mode, 1);
  base = set(base, at.access, ACC_ALL);
  return { base, ext: set(kvm_calc_mmu_role_ext(vcpu), ext_at.execonly, one(execonly)) };
}

/**
 * v4.20 mmu.c:4888 kvm_init_shadow_ept_mmu, on guest_mmu
 * The root is looked for first, with the complete role and
 * whether or not a set-up follows, while the context still has its old levels: right after creation they are 0 and
 * nothing is looked up.
 */
export function kvm_init_shadow_ept_mmu(
  vcpu: kvm_vcpu,
  execonly: boolean,
  accessed_dirty: boolean,
  new_eptp: number,
): void {
  const context = vcpu.mmu;
  const root_page_role = kvm_calc_shadow_ept_root_page_role(vcpu, accessed_dirty, execonly);
  __kvm_mmu_new_cr3(vcpu, new_eptp, root_page_role.base, false);
  if (!store_role(context, root_page_role, 'kvm_init_shadow_ept_mmu')) return;
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
  update_permission_bitmask(vcpu, context, true);
  update_pkru_bitmask(vcpu, context, true);
  update_last_nonleaf_level(vcpu, context);
  reset_rsvds_bits_mask_ept(vcpu, context, execonly);
  reset_ept_shadow_zero_bits_mask(vcpu, context, execonly);
}

/** v4.20 mmu.c:4923 init_kvm_softmmu */
function init_kvm_softmmu(vcpu: kvm_vcpu): void {
  const context = vcpu.mmu;
  kvm_init_shadow_mmu(vcpu);
  context.get_cr3 = 'get_cr3';
  context.get_pdptr = 'kvm_pdptr_read';
  context.inject_page_fault = 'kvm_inject_page_fault';
}

/**
 * v4.20 mmu.c:4934 init_kvm_nested_mmu. This context walks L2's own tables only: its role has no levels, and it no
 * roots.
 */
function init_kvm_nested_mmu(vcpu: kvm_vcpu): void {
  const g_context = vcpu.nested_mmu;
  if (!store_role(g_context, kvm_calc_mmu_role_common(vcpu, false), 'init_kvm_nested_mmu')) return;
  g_context.get_cr3 = 'get_cr3';
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
 * v4.20 mmu.c:4983 kvm_init_mmu
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

/** v4.20 mmu.c kvm_mmu_calc_root_page_role: the base role of root_mmu's next root, nested or not. */
export function kvm_mmu_calc_root_page_role(vcpu: kvm_vcpu): number {
  const role =
    vcpu.kvm.vm.host.tdp !== 'none'
      ? kvm_calc_tdp_mmu_root_page_role(vcpu, true)
      : kvm_calc_shadow_mmu_root_page_role(vcpu, true);
  return role.base;
}
