// SPDX-License-Identifier: GPL-2.0-only
/**
 * v4.20 arch/x86/kvm/svm.c: VMRUN and #VMEXIT of an L1 that runs guests of its own, as far as the MMU sees them.
 *
 * Left out: everything else in a VMCB; checks of L1's VMCB other than "nested paging asked for, but KVM itself has
 * none".
 */
import type { NestedEntry } from '../../src/era.ts';
import { kvm_init_shadow_mmu } from './calc.ts';
import { get_tdp_level, set_cr0, set_cr4, set_efer, tlb_flush } from './kvm_x86_ops.ts';
import { reset_shadow_zero_bits_mask } from './masks.ts';
import { kvm_mmu_load, kvm_mmu_reset_context } from './mmu_roots.ts';
import { HF_GUEST_MASK, type kvm_vcpu } from './types.ts';
import { kvm_set_cr3 } from './x86.ts';

/** v4.20 svm.c nested_svm_get_tdp_pdptr: read from L1's table each time. */
export function nested_svm_get_tdp_pdptr(vcpu: kvm_vcpu, index: number): { readonly lo: number; readonly hi: number } {
  const { memory } = vcpu.kvm.vm;
  const cr3 = vcpu.nested.pointer ?? 0;
  const at = cr3 - (cr3 & 0x1f) + 8 * index;
  return { lo: memory.read32(at) | 0, hi: memory.read32(at + 4) | 0 };
}

/**
 * v4.20 svm.c ~2937 nested_svm_init_mmu_context
 * Runs with L1's registers and before guest mode begins: the pages that shadow L1's nested tables have guest_mode 0.
 */
export function nested_svm_init_mmu_context(vcpu: kvm_vcpu): void {
  vcpu.mmu = vcpu.guest_mmu;
  kvm_init_shadow_mmu(vcpu);
  vcpu.mmu.get_cr3 = 'nested_svm_get_tdp_cr3';
  vcpu.mmu.get_pdptr = 'nested_svm_get_tdp_pdptr';
  vcpu.mmu.inject_page_fault = 'nested_svm_inject_npf_exit';
  vcpu.mmu.shadow_root_level = get_tdp_level(vcpu);
  reset_shadow_zero_bits_mask(vcpu, vcpu.mmu);
  vcpu.walk_mmu = vcpu.nested_mmu;
}

/** v4.20 svm.c nested_svm_uninit_mmu_context */
function nested_svm_uninit_mmu_context(vcpu: kvm_vcpu): void {
  vcpu.mmu = vcpu.root_mmu;
  vcpu.walk_mmu = vcpu.root_mmu;
}

/** v4.20 svm.c nested_vmcb_checks: VMRUN fails when L1 asks for nested paging that KVM has not. */
const nested_vmcb_checks = (vcpu: kvm_vcpu, { pointer }: Pick<NestedEntry, 'pointer'>): boolean =>
  pointer === null || vcpu.kvm.vm.host.tdp === 'npt';

/** v4.20 svm.c nested_svm_vmrun: false when VMRUN fails, and L1 goes on. */
export function nested_svm_vmrun(vcpu: kvm_vcpu, state: NestedEntry): boolean {
  if (!nested_vmcb_checks(vcpu, state)) return false;
  vcpu.nested.l1.copy(vcpu.registers);
  enter_svm_guest_mode(vcpu, state);
  return true;
}

/** v4.20 svm.c ~3455 enter_svm_guest_mode: the context is reset in any case, which frees the roots of both MMUs. */
export function enter_svm_guest_mode(vcpu: kvm_vcpu, state: Omit<NestedEntry, 'tag'>): void {
  const { registers, log, nested } = vcpu;
  log.because('enter_svm_guest_mode', 'VMRUN');
  nested.pointer = state.pointer;
  if (state.pointer !== null) nested_svm_init_mmu_context(vcpu);
  set_efer(vcpu, state.efer);
  set_cr0(vcpu, state.cr0);
  set_cr4(vcpu, state.cr4);
  if (vcpu.kvm.vm.host.tdp === 'npt') registers.cr3 = state.cr3;
  else kvm_set_cr3(vcpu, state.cr3, false);
  log.because('enter_svm_guest_mode', 'VMRUN');
  // With nested paging the root that goes is no longer that of the MMU in use.
  log.rootLost();
  kvm_mmu_reset_context(vcpu);
  tlb_flush(vcpu);
  vcpu.hflags |= HF_GUEST_MASK;
}

/** v4.20 svm.c ~3283 nested_svm_vmexit: reset, and the root of L1 is loaded at once. */
export function nested_svm_vmexit(vcpu: kvm_vcpu): void {
  const { registers, log, nested } = vcpu;
  const { efer, cr0, cr3, cr4 } = nested.l1;
  vcpu.hflags &= ~HF_GUEST_MASK;
  nested.pointer = null;
  log.because('nested_svm_vmexit', '#VMEXIT');
  set_efer(vcpu, efer);
  set_cr0(vcpu, cr0);
  set_cr4(vcpu, cr4);
  if (vcpu.kvm.vm.host.tdp === 'npt') registers.cr3 = cr3;
  else kvm_set_cr3(vcpu, cr3, false);
  nested_svm_uninit_mmu_context(vcpu);
  log.because('nested_svm_vmexit', '#VMEXIT');
  log.rootLost();
  kvm_mmu_reset_context(vcpu);
  kvm_mmu_load(vcpu);
}

/** v4.20 svm.c nested_svm_inject_npf_exit: L1's nested tables refuse L2's access, so L1 gets a #VMEXIT. */
export function nested_svm_inject_npf_exit(vcpu: kvm_vcpu): void {
  vcpu.faults_injected++;
  vcpu.injected.errorCode = vcpu.fault.error_code;
  vcpu.injected.address = vcpu.fault.address;
  nested_svm_vmexit(vcpu);
}
