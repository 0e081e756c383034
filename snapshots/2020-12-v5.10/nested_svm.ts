// SPDX-License-Identifier: GPL-2.0-only
/**
 * v5.10.262 arch/x86/kvm/svm/nested.c: VMRUN and #VMEXIT of an L1 that runs guests of its own, as far as the MMU sees
 * them.
 *
 * Left out: everything else in a VMCB; checks of L1's VMCB other than "nested paging asked for, but KVM itself has
 * none".
 */
import type { NestedEntry } from '../../src/era.ts';
import { probe } from '../../src/sim/log.ts';
import { CR0 } from '../../src/sim/registers.ts';
import { is_pae_paging, kvm_init_mmu, kvm_init_shadow_npt_mmu } from './calc.ts';
import { set_cr0, set_cr4, set_efer } from './kvm_x86_ops.ts';
import { reset_shadow_zero_bits_mask } from './masks.ts';
import { kvm_mmu_new_pgd } from './mmu_roots.ts';
import { HF_GUEST_MASK, type kvm_vcpu } from './types.ts';
import { load_pdptrs, pdptrs_changed } from './x86_pdptr.ts';

/** v5.10.262 svm/nested.c nested_svm_get_tdp_pdptr: read from L1's table each time. */
export function nested_svm_get_tdp_pdptr(vcpu: kvm_vcpu, index: number): { readonly lo: number; readonly hi: number } {
  const { memory } = vcpu.kvm.vm;
  const cr3 = vcpu.nested.pointer ?? 0;
  const at = cr3 - (cr3 & 0x1f) + 8 * index;
  return { lo: memory.read32(at) | 0, hi: memory.read32(at + 4) | 0 };
}

/**
 * v5.10.262 svm/nested.c nested_svm_init_mmu_context
 * Runs with L2's registers and before guest mode begins: the pages that
 * shadow L1's nested tables have guest_mode 0, and roles made of L2's CR0, CR4 and EFER. The host state saved at VMRUN,
 * L1's, only says how many levels L1's tables have.
 */
function nested_svm_init_mmu_context(vcpu: kvm_vcpu): void {
  const { cr4, efer } = vcpu.nested.l1;
  vcpu.mmu = vcpu.guest_mmu;
  kvm_init_shadow_npt_mmu(vcpu, { cr0: CR0.PG, cr4, efer }, vcpu.nested.pointer ?? 0);
  vcpu.mmu.get_guest_pgd = 'nested_svm_get_tdp_cr3';
  vcpu.mmu.get_pdptr = 'nested_svm_get_tdp_pdptr';
  vcpu.mmu.inject_page_fault = 'nested_svm_inject_npf_exit';
  reset_shadow_zero_bits_mask(vcpu, vcpu.mmu);
  vcpu.walk_mmu = vcpu.nested_mmu;
}

/** v5.10.262 svm/nested.c nested_svm_uninit_mmu_context */
function nested_svm_uninit_mmu_context(vcpu: kvm_vcpu): void {
  vcpu.mmu = vcpu.root_mmu;
  vcpu.walk_mmu = vcpu.root_mmu;
}

/** v5.10.262 svm/nested.c nested_vmcb_check_controls: VMRUN fails when L1 asks for nested paging that KVM has not. */
const nested_vmcb_check_controls = (vcpu: kvm_vcpu, { pointer }: Pick<NestedEntry, 'pointer'>): boolean =>
  pointer === null || vcpu.kvm.vm.host.tdp === 'npt';

/** v5.10.262 svm/nested.c nested_svm_vmrun: false when VMRUN fails, and L1 goes on. */
export function nested_svm_vmrun(vcpu: kvm_vcpu, state: NestedEntry): boolean {
  if (!nested_vmcb_check_controls(vcpu, state)) return false;
  vcpu.nested.l1.copy(vcpu.registers);
  enter_svm_guest_mode(vcpu, state);
  return true;
}

/**
 * v5.10.262 svm/nested.c nested_svm_load_cr3: without nested paging of L1's, CR3 is looked for among the cached roots; the
 * role looked for has guest_mode as it is now. Last comes the set-up.
 */
function nested_svm_load_cr3(vcpu: kvm_vcpu, cr3: number, nested_npt: boolean): void {
  const { registers } = vcpu;
  if (!nested_npt && is_pae_paging(vcpu) && (cr3 !== registers.cr3 || pdptrs_changed(vcpu))) {
    load_pdptrs(vcpu, vcpu.walk_mmu, cr3);
  }
  if (!nested_npt) kvm_mmu_new_pgd(vcpu, cr3, false, false);
  registers.cr3 = cr3;
  kvm_init_mmu(vcpu, false);
}

/** v5.10.262 svm/nested.c enter_svm_guest_mode: nothing is reset, roots of both MMUs stay. */
export const enter_svm_guest_mode = probe(
  'enter_svm_guest_mode',
  (vcpu: kvm_vcpu, state: Omit<NestedEntry, 'tag'>): void => {
    const { log, nested } = vcpu;
    nested.pointer = state.pointer;
    log.because('enter_svm_guest_mode', 'VMRUN');
    set_efer(vcpu, state.efer);
    set_cr0(vcpu, state.cr0);
    set_cr4(vcpu, state.cr4);
    if (state.pointer !== null) nested_svm_init_mmu_context(vcpu);
    vcpu.hflags |= HF_GUEST_MASK;
    nested_svm_load_cr3(vcpu, state.cr3, state.pointer !== null);
  },
  { skipped: undefined },
);

/** v5.10.262 svm/nested.c nested_svm_vmexit: L1's root is looked for; if it is gone, the next entry loads one. */
export const nested_svm_vmexit = probe(
  'nested_svm_vmexit',
  (vcpu: kvm_vcpu): void => {
    const { log, nested } = vcpu;
    const { efer, cr0, cr3, cr4 } = nested.l1;
    vcpu.hflags &= ~HF_GUEST_MASK;
    nested.pointer = null;
    log.because('nested_svm_vmexit', '#VMEXIT');
    set_efer(vcpu, efer);
    set_cr0(vcpu, cr0);
    set_cr4(vcpu, cr4);
    nested_svm_uninit_mmu_context(vcpu);
    nested_svm_load_cr3(vcpu, cr3, false);
  },
  { skipped: undefined },
);

/** v5.10.262 svm/nested.c nested_svm_inject_npf_exit: L1's nested tables refuse L2's access, so L1 gets a #VMEXIT. */
export function nested_svm_inject_npf_exit(vcpu: kvm_vcpu): void {
  vcpu.faults_injected++;
  vcpu.injected.errorCode = vcpu.fault.error_code;
  vcpu.injected.address = vcpu.fault.address;
  nested_svm_vmexit(vcpu);
}
