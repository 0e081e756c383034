// SPDX-License-Identifier: GPL-2.0-only
/**
 * 01b31714bd90 arch/x86/kvm/svm/nested.c as far as it reaches the MMU: VMRUN and #VMEXIT, with and without NPT in L1.
 *
 * Left out: consistency checks of vmcb12, intercepts that L1 asks for, pages of the nested state, ASID flush commands
 * of L1 (KVM flushes on every transition here).
 */
import type { NestedEntry } from '../../src/era.ts';
import { CR0 } from '../../src/sim/registers.ts';
import { kvm_init_mmu, kvm_init_shadow_npt_mmu } from './calc.ts';
import { kvm_mmu_new_pgd } from './mmu_roots.ts';
import { KVM_REQ, type kvm_vcpu } from './types.ts';
import { because, is_pae_paging, kvm_make_request, kvm_x86_set_efer, load_pdptrs } from './x86.ts';

/**
 * 01b31714bd90 svm/nested.c:80 nested_svm_init_mmu_context. CR0 is PG and nothing else. The vCPU is not in guest mode
 * yet, so the role says guest_mode=0 (it does until v6.4 and later).
 */
function nested_svm_init_mmu_context(vcpu: kvm_vcpu): void {
  const { cr4, efer } = vcpu.nested.l1;
  vcpu.mmu = vcpu.guest_mmu;
  kvm_init_shadow_npt_mmu(vcpu, CR0.PG, cr4, efer, vcpu.nested_pgd);
  vcpu.mmu.get_guest_pgd = 'nested_svm_get_tdp_cr3';
  vcpu.walk_mmu = vcpu.nested_mmu;
}

/** 01b31714bd90 svm/nested.c nested_svm_uninit_mmu_context */
function nested_svm_uninit_mmu_context(vcpu: kvm_vcpu): void {
  vcpu.mmu = vcpu.root_mmu;
  vcpu.walk_mmu = vcpu.root_mmu;
}

/**
 * 01b31714bd90 svm/nested.c:476 nested_svm_transition_tlb_flush: one ASID serves L1 and L2, so all is flushed each
 * time.
 */
function nested_svm_transition_tlb_flush(vcpu: kvm_vcpu): void {
  kvm_make_request(KVM_REQ.MMU_SYNC, vcpu);
  kvm_make_request(KVM_REQ.TLB_FLUSH_CURRENT, vcpu);
}

/** 01b31714bd90 svm/nested.c:508 nested_svm_load_cr3: the role comes first, then the look-up. */
function nested_svm_load_cr3(vcpu: kvm_vcpu, cr3: number, nested_npt: boolean, reload_pdptrs: boolean): void {
  if (reload_pdptrs && !nested_npt && is_pae_paging(vcpu)) load_pdptrs(vcpu, cr3);
  because(vcpu, 'nested_svm_load_cr3', 'CR3');
  vcpu.registers.cr3 = cr3;
  kvm_init_mmu(vcpu);
  if (!nested_npt) kvm_mmu_new_pgd(vcpu, cr3);
}

/** 01b31714bd90 svm/nested.c enter_svm_guest_mode. NPT for L2 needs NPT in the host. */
export function enter_svm_guest_mode(vcpu: kvm_vcpu, vmcb12: NestedEntry, from_vmrun: boolean): void {
  const { registers, nested } = vcpu;
  // Back from SMM, L1's state is taken from the host save area again (svm_leave_smm).
  if (from_vmrun) nested.l1.copy(registers);
  nested.uses_tdp = vmcb12.pointer !== null;
  nested.vpid = vmcb12.tag;
  vcpu.nested_pgd = vmcb12.pointer ?? 0;
  if (nested.uses_tdp) {
    because(vcpu, 'nested_svm_init_mmu_context', 'nCR3');
    nested_svm_init_mmu_context(vcpu);
  }
  nested_svm_transition_tlb_flush(vcpu);
  vcpu.is_guest_mode = true;
  kvm_x86_set_efer(vcpu, vmcb12.efer);
  registers.cr0 = vmcb12.cr0;
  registers.cr4 = vmcb12.cr4;
  nested_svm_load_cr3(vcpu, vmcb12.cr3, nested.uses_tdp, from_vmrun);
}

/** 01b31714bd90 svm/nested.c nested_svm_vmexit */
export function nested_svm_vmexit(vcpu: kvm_vcpu): void {
  const { registers, nested } = vcpu;
  const { cr0, cr3, cr4, efer } = nested.l1;
  nested.l2.copy(registers);
  vcpu.is_guest_mode = false;
  kvm_x86_set_efer(vcpu, efer);
  registers.cr0 = cr0;
  registers.cr4 = cr4;
  nested_svm_transition_tlb_flush(vcpu);
  nested_svm_uninit_mmu_context(vcpu);
  nested_svm_load_cr3(vcpu, cr3, false, true);
}
