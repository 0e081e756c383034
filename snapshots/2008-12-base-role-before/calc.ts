// SPDX-License-Identifier: GPL-2.0-only
/**
 * v2.6.29 arch/x86/kvm/mmu.c: which MMU a register state gives, and the role its pages start from.
 *
 * Left out: `context->free` (always mmu_free_roots), error returns (none is possible).
 */
import { set } from '../../src/role/layout.ts';
import { CR0, CR4, EFER } from '../../src/sim/registers.ts';
import { kvm_mmu_page_role, root_level } from './role.ts';
import { PT32_ROOT_LEVEL, PT32E_ROOT_LEVEL, PT64_ROOT_LEVEL } from './spte_format.ts';
import { INVALID_PAGE, type kvm, type kvm_mmu, type kvm_vcpu } from './types.ts';

/** v2.6.29 mmu.h:73 */
export const is_paging = (vcpu: kvm_vcpu): boolean => (vcpu.cr0 & CR0.PG) !== 0;
/**
 * v2.6.29 mmu.h:54. EFER.LME, not LMA: long mode counts as on before paging is. v2.6.30 tests LMA.
 */
export const is_long_mode = (vcpu: kvm_vcpu): boolean => (vcpu.registers.efer & EFER.LME) !== 0;
/** v2.6.29 mmu.h:63 */
export const is_pae = (vcpu: kvm_vcpu): boolean => (vcpu.registers.cr4 & CR4.PAE) !== 0;
/** v2.6.29 mmu.h:68 */
export const is_pse = (vcpu: kvm_vcpu): boolean => (vcpu.registers.cr4 & CR4.PSE) !== 0;
/** v2.6.29 mmu.c */
export const is_write_protection = (vcpu: kvm_vcpu): boolean => (vcpu.cr0 & CR0.WP) !== 0;
/** v2.6.29 mmu.c */
export const is_nx = (vcpu: kvm_vcpu): boolean => (vcpu.registers.efer & EFER.NXE) !== 0;
/** The module variable of the same name. */
export const tdp_enabled = (kvm: kvm): boolean => kvm.vm.host.tdp !== 'none';

/** kvm_x86_ops->get_tdp_level: EPT walks four levels (v2.6.29 vmx.c:3569); NPT as the host, 3 on a 32-bit one (svm.c get_npt_level). */
const get_tdp_level = ({ vm }: kvm): number =>
  vm.host.tdp === 'npt' && vm.host.forcedTdpLevel === PT32E_ROOT_LEVEL ? PT32E_ROOT_LEVEL : PT64_ROOT_LEVEL;

/** v2.6.29 mmu.c nonpaging_init_context */
function nonpaging_init_context(context: kvm_mmu): void {
  context.new_cr3 = 'nonpaging_new_cr3';
  context.page_fault = 'nonpaging_page_fault';
  context.gva_to_gpa = 'nonpaging_gva_to_gpa';
  context.prefetch_page = 'nonpaging_prefetch_page';
  context.sync_page = 'nonpaging_sync_page';
  context.invlpg = 'nonpaging_invlpg';
  context.root_level = 0;
  context.shadow_root_level = PT32E_ROOT_LEVEL;
  context.root_hpa = INVALID_PAGE;
}

/** v2.6.29 mmu.c paging64_init_context_common, for long mode (2194) and for PAE (paging32E_init_context:2216) */
function paging64_init_context_common(context: kvm_mmu, level: number): void {
  context.new_cr3 = 'paging_new_cr3';
  context.page_fault = 'paging64_page_fault';
  context.gva_to_gpa = 'paging64_gva_to_gpa';
  context.prefetch_page = 'paging64_prefetch_page';
  context.sync_page = 'paging64_sync_page';
  context.invlpg = 'paging64_invlpg';
  context.root_level = level;
  context.shadow_root_level = level;
  context.root_hpa = INVALID_PAGE;
}

/** v2.6.29 mmu.c paging32_init_context */
function paging32_init_context(context: kvm_mmu): void {
  context.new_cr3 = 'paging_new_cr3';
  context.page_fault = 'paging32_page_fault';
  context.gva_to_gpa = 'paging32_gva_to_gpa';
  context.prefetch_page = 'paging32_prefetch_page';
  context.sync_page = 'paging32_sync_page';
  context.invlpg = 'paging32_invlpg';
  context.root_level = PT32_ROOT_LEVEL;
  context.shadow_root_level = PT32E_ROOT_LEVEL;
  context.root_hpa = INVALID_PAGE;
}

/** v2.6.29 mmu.c init_kvm_tdp_mmu */
function init_kvm_tdp_mmu(vcpu: kvm_vcpu): void {
  const context = vcpu.mmu;
  context.new_cr3 = 'nonpaging_new_cr3';
  context.page_fault = 'tdp_page_fault';
  context.prefetch_page = 'nonpaging_prefetch_page';
  context.sync_page = 'nonpaging_sync_page';
  context.invlpg = 'nonpaging_invlpg';
  context.shadow_root_level = get_tdp_level(vcpu.kvm);
  context.root_hpa = INVALID_PAGE;
  if (!is_paging(vcpu)) {
    context.gva_to_gpa = 'nonpaging_gva_to_gpa';
    context.root_level = 0;
  } else if (is_long_mode(vcpu)) {
    context.gva_to_gpa = 'paging64_gva_to_gpa';
    context.root_level = PT64_ROOT_LEVEL;
  } else if (is_pae(vcpu)) {
    context.gva_to_gpa = 'paging64_gva_to_gpa';
    context.root_level = PT32E_ROOT_LEVEL;
  } else {
    context.gva_to_gpa = 'paging32_gva_to_gpa';
    context.root_level = PT32_ROOT_LEVEL;
  }
}

/** v2.6.29 mmu.c init_kvm_softmmu */
function init_kvm_softmmu(vcpu: kvm_vcpu): void {
  const context = vcpu.mmu;
  if (!is_paging(vcpu)) nonpaging_init_context(context);
  else if (is_long_mode(vcpu)) paging64_init_context_common(context, PT64_ROOT_LEVEL);
  else if (is_pae(vcpu)) paging64_init_context_common(context, PT32E_ROOT_LEVEL);
  else paging32_init_context(context);
}

/** v2.6.29 mmu.c init_kvm_mmu */
export function init_kvm_mmu(vcpu: kvm_vcpu): void {
  vcpu.kvm.vm.counters.init_mmu++;
  vcpu.update_pte.valid = false;
  if (tdp_enabled(vcpu.kvm)) init_kvm_tdp_mmu(vcpu);
  else init_kvm_softmmu(vcpu);
}

/** What kvm_mmu_get_page is asked for, without gfn and parent. `gaddr` is a double. */
export interface page_request {
  readonly gaddr: number;
  readonly level: number;
  readonly metaphysical: boolean;
  readonly access: number;
}

/**
 * v2.6.29 mmu.c kvm_mmu_get_page, the start of `role`: all zero but the guest's levels of the moment, under
 * two-dimensional paging too, where nothing else depends on them. a770f6f28b1a copies a word that the vCPU set-up fills.
 */
export const start_role = (root_level: number): number => set(0, kvm_mmu_page_role.at.glevels, root_level);

/**
 * v2.6.29 mmu.c kvm_mmu_get_page, the lines that build the role.
 * root_level 0 counts as 2-level here, and neither two-dimensional paging nor a page without guest table is excluded.
 * The quadrant's mask is `level` bits wide and the bit-field keeps two of them.
 */
export function get_page_role(vcpu: kvm_vcpu, { gaddr, level, metaphysical, access }: page_request): number {
  const { at } = kvm_mmu_page_role;
  let role = start_role(root_level(vcpu.mmu, 'kvm_mmu_get_page'));
  role = set(role, at.level, level);
  role = set(role, at.metaphysical, metaphysical ? 1 : 0);
  role = set(role, at.access, access);
  if (root_level(vcpu.mmu, 'kvm_mmu_get_page') <= PT32_ROOT_LEVEL) {
    role = set(role, at.quadrant, Math.floor(gaddr / 2 ** (12 + 9 * level)) % 2 ** level);
  }
  return role;
}
