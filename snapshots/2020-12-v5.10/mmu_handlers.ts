// SPDX-License-Identifier: GPL-2.0-only
/**
 * v5.10.262 arch/x86/include/asm/kvm_host.h struct kvm_mmu: the function pointers of a context, which are kept by
 * name, and what each name calls.
 */
import { PTTYPE_32, PTTYPE_64, PTTYPE_EPT } from './guest_walker.ts';
import {
  kvm_tdp_page_fault,
  nonpaging_page_fault,
  PFERR_PRESENT_MASK,
  PFERR_RSVD_MASK,
  PFERR_USER_MASK,
} from './mmu_fault.ts';
import { kvm_mmu_invalidate_gva } from './mmu_write.ts';
import { nested_svm_get_tdp_pdptr, nested_svm_inject_npf_exit } from './nested_svm.ts';
import { nested_ept_inject_page_fault } from './nested_vmx.ts';
import { gva_to_gpa as FNAME_gva_to_gpa, gva_to_gpa_nested } from './paging_tmpl.ts';
import * as fetch from './paging_tmpl_fetch.ts';
import type { kvm_mmu, kvm_vcpu } from './types.ts';
import { kvm_inject_page_fault, kvm_pdptr_read } from './x86_pdptr.ts';

/** No translation: all ones in C. */
export const UNMAPPED_GVA = -1;

/** mmu->page_fault. Returns RET_PF_*. */
export function page_fault(vcpu: kvm_vcpu, addr: number, error_code: number): number {
  switch (vcpu.mmu.page_fault) {
    case 'nonpaging_page_fault':
      return nonpaging_page_fault(vcpu, addr, error_code);
    case 'paging64_page_fault':
      return fetch.page_fault(vcpu, PTTYPE_64, addr, error_code);
    case 'paging32_page_fault':
      return fetch.page_fault(vcpu, PTTYPE_32, addr, error_code);
    case 'ept_page_fault':
      return fetch.page_fault(vcpu, PTTYPE_EPT, addr, error_code);
    case 'kvm_tdp_page_fault':
      return kvm_tdp_page_fault(vcpu, addr, error_code);
    case 'none':
      throw new Error('page_fault of a context that was never set up');
  }
}

/** mmu->gva_to_gpa: address in the memory that the context's tables map to, or UNMAPPED_GVA with `vcpu.fault`. */
export function gva_to_gpa(vcpu: kvm_vcpu, mmu: kvm_mmu, addr: number, access: number): number {
  switch (mmu.gva_to_gpa) {
    case 'nonpaging_gva_to_gpa':
      return addr;
    case 'paging64_gva_to_gpa':
      return FNAME_gva_to_gpa(vcpu, PTTYPE_64, addr, access);
    case 'paging32_gva_to_gpa':
      return FNAME_gva_to_gpa(vcpu, PTTYPE_32, addr, access);
    case 'ept_gva_to_gpa':
      return FNAME_gva_to_gpa(vcpu, PTTYPE_EPT, addr, access);
    case 'nonpaging_gva_to_gpa_nested':
      return translate_gpa(vcpu, vcpu.nested_mmu, addr, access);
    case 'paging64_gva_to_gpa_nested':
      return gva_to_gpa_nested(vcpu, PTTYPE_64, addr, access);
    case 'paging32_gva_to_gpa_nested':
      return gva_to_gpa_nested(vcpu, PTTYPE_32, addr, access);
    case 'none':
      throw new Error('gva_to_gpa of a context that was never set up');
  }
}

/**
 * mmu->translate_gpa, v5.10.262 mmu.c translate_gpa, x86.c translate_nested_gpa: a guest-physical address is L1's already,
 * or it is L2's and goes through the tables L1 made for it. That walk is a user access, whoever L2's access is by.
 */
export function translate_gpa(vcpu: kvm_vcpu, mmu: kvm_mmu, gpa: number, access: number): number {
  if (mmu.name !== 'nested_mmu') return gpa;
  return gva_to_gpa(vcpu, vcpu.mmu, gpa, access | PFERR_USER_MASK);
}

/** mmu->sync_page: entries left, 0 when nothing is worth keeping. */
export function sync_page(vcpu: kvm_vcpu, sp: number): number {
  switch (vcpu.mmu.sync_page) {
    case 'paging64_sync_page':
      return fetch.sync_page(vcpu, PTTYPE_64, sp);
    case 'paging32_sync_page':
      return fetch.sync_page(vcpu, PTTYPE_32, sp);
    case 'ept_sync_page':
      return fetch.sync_page(vcpu, PTTYPE_EPT, sp);
    default:
      return 0;
  }
}

/** mmu->invlpg. Nothing where it is NULL: direct contexts, and the one that walks L2's tables. */
export function invlpg(vcpu: kvm_vcpu, mmu: kvm_mmu, gva: number, root_hpa: number): void {
  switch (mmu.invlpg) {
    case 'paging64_invlpg':
      fetch.invlpg(vcpu, PTTYPE_64, gva, root_hpa);
      break;
    case 'paging32_invlpg':
      fetch.invlpg(vcpu, PTTYPE_32, gva, root_hpa);
      break;
    case 'ept_invlpg':
      fetch.invlpg(vcpu, PTTYPE_EPT, gva, root_hpa);
  }
}

/** mmu->get_guest_pgd: CR3 (L2's while L2 runs), or the pointer of L1's two-dimensional tables. */
export function get_guest_pgd(vcpu: kvm_vcpu, mmu: kvm_mmu): number {
  return mmu.get_guest_pgd === 'get_cr3' ? vcpu.registers.cr3 : (vcpu.nested.pointer ?? 0);
}

/** mmu->get_pdptr */
export function get_pdptr(vcpu: kvm_vcpu, mmu: kvm_mmu, index: number): { readonly lo: number; readonly hi: number } {
  return mmu.get_pdptr === 'nested_svm_get_tdp_pdptr'
    ? nested_svm_get_tdp_pdptr(vcpu, index)
    : kvm_pdptr_read(vcpu, index);
}

/**
 * v5.10.262 x86.c kvm_inject_emulated_page_fault: `vcpu.fault` goes to the guest. What a TLB or SPTE still holds for
 * the address goes first, as hardware does it.
 */
export function kvm_inject_emulated_page_fault(vcpu: kvm_vcpu): void {
  const { error_code, address, nested_page_fault } = vcpu.fault;
  const fault_mmu = nested_page_fault ? vcpu.mmu : vcpu.walk_mmu;
  if ((error_code & PFERR_PRESENT_MASK) !== 0 && (error_code & PFERR_RSVD_MASK) === 0) {
    kvm_mmu_invalidate_gva(vcpu, fault_mmu, address, fault_mmu.root_hpa);
  }
  if (nested_page_fault) inject_page_fault(vcpu);
  else kvm_inject_page_fault(vcpu);
}

/** mmu->inject_page_fault of the MMU in use: `vcpu.fault` goes to the guest, or L1 gets an exit of L2. */
export function inject_page_fault(vcpu: kvm_vcpu): void {
  switch (vcpu.mmu.inject_page_fault) {
    case 'nested_ept_inject_page_fault':
      nested_ept_inject_page_fault(vcpu);
      break;
    case 'nested_svm_inject_npf_exit':
      nested_svm_inject_npf_exit(vcpu);
      break;
    default:
      kvm_inject_page_fault(vcpu);
  }
}
