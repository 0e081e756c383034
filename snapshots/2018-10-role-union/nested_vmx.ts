// SPDX-License-Identifier: GPL-2.0-only
/**
 * v4.20 arch/x86/kvm/vmx.c: VM entry and exit of an L1 that runs guests of its own, as far as the MMU sees them.
 *
 * Left out: everything else in a VMCS; checks of L1's VMCS other than "EPT asked for, but KVM itself has none"; VMFUNC,
 * INVVPID; late entry failures (the state handed in is good).
 */
import type { NestedEntry } from '../../src/era.ts';
import { is_long_mode, is_pae, is_paging, kvm_init_mmu, kvm_init_shadow_ept_mmu } from './calc.ts';
import { set_cr0, set_cr4, set_efer, tlb_flush } from './kvm_x86_ops.ts';
import { kvm_mmu_free_roots, kvm_mmu_new_cr3, kvm_mmu_sync_roots } from './mmu_roots.ts';
import { kvm_make_request } from './tlb.ts';
import { HF_GUEST_MASK, KVM_MMU_ROOTS_ALL, KVM_REQ, type kvm_vcpu } from './types.ts';
import { load_pdptrs, pdptrs_changed } from './x86_pdptr.ts';

/** Bit 6 of an EPTP: hardware keeps accessed and dirty bits. SDM vol. 3C 25.6.11 */
const VMX_EPTP_AD_ENABLE_BIT = 1 << 6;

/**
 * v4.20 vmx.c ~11863 nested_ept_init_mmu_context
 * The look-up of the EPT12 root files the outgoing root of guest_mmu under get_cr3, which is the *new* EPTP by now. So
 * the first entry that comes back to an EPTP misses and the second hits, and a changed EPTP can hit another's root
 * (repaired in v5.0).
 */
function nested_ept_init_mmu_context(vcpu: kvm_vcpu, eptp: number): void {
  vcpu.mmu = vcpu.guest_mmu;
  // L1 is offered execute-only entries, as the CPU has them.
  kvm_init_shadow_ept_mmu(vcpu, true, (eptp & VMX_EPTP_AD_ENABLE_BIT) !== 0, eptp);
  vcpu.mmu.get_cr3 = 'nested_ept_get_cr3';
  vcpu.mmu.inject_page_fault = 'nested_ept_inject_page_fault';
  vcpu.mmu.get_pdptr = 'kvm_pdptr_read';
  vcpu.walk_mmu = vcpu.nested_mmu;
}

/** v4.20 vmx.c nested_ept_uninit_mmu_context */
function nested_ept_uninit_mmu_context(vcpu: kvm_vcpu): void {
  vcpu.mmu = vcpu.root_mmu;
  vcpu.walk_mmu = vcpu.root_mmu;
}

/** v4.20 vmx.c ~12455 nested_vmx_load_cr3 */
function nested_vmx_load_cr3(vcpu: kvm_vcpu, cr3: number, nested_ept: boolean): void {
  const { registers, walk_mmu } = vcpu;
  if (cr3 !== registers.cr3 || (!nested_ept && pdptrs_changed(vcpu))) {
    // With EPT the PDPTEs come from the VMCS, and CR3 means nothing to KVM.
    if (!is_long_mode(vcpu) && is_pae(vcpu) && is_paging(vcpu) && !nested_ept) load_pdptrs(vcpu, walk_mmu, cr3);
  }
  if (!nested_ept) kvm_mmu_new_cr3(vcpu, cr3, false);
  registers.cr3 = cr3;
  kvm_init_mmu(vcpu, false);
}

/** v4.20 vmx.c nested_vmx_run: false when the entry fails, and L1 goes on. */
export function nested_vmx_run(vcpu: kvm_vcpu, state: NestedEntry): boolean {
  if (state.pointer !== null && vcpu.kvm.vm.host.tdp !== 'ept') return false;
  vcpu.nested.l1.copy(vcpu.registers);
  nested_vmx_enter_non_root_mode(vcpu, state);
  return true;
}

/** v4.20 vmx.c nested_vmx_enter_non_root_mode with prepare_vmcs02 ~12865. VPID 0: L1 gave L2 no tag of its own. */
export function nested_vmx_enter_non_root_mode(vcpu: kvm_vcpu, state: NestedEntry): void {
  const { nested, log } = vcpu;
  vcpu.hflags |= HF_GUEST_MASK;
  nested.pointer = state.pointer;
  nested.vpid = state.tag;
  if (state.tag === 0) tlb_flush(vcpu);
  else if (state.tag !== nested.last_vpid) {
    // __vmx_flush_tlb of VPID02 only, which hardware does not tell from the current context here.
    nested.last_vpid = state.tag;
    vcpu.cpu.flushGuest();
  }
  log.because('prepare_vmcs02', 'VM entry');
  if (state.pointer !== null) nested_ept_init_mmu_context(vcpu, state.pointer);
  set_cr0(vcpu, state.cr0);
  set_cr4(vcpu, state.cr4);
  set_efer(vcpu, state.efer);
  nested_vmx_load_cr3(vcpu, state.cr3, state.pointer !== null);
}

/**
 * v4.20 vmx.c nested_vmx_vmexit with load_vmcs12_host_state ~13884
 * When the switch back to L1's root looks at get_cr3, CR3 is still L2's: with EPT12, L1's own root is filed under that
 * and is not found again (repaired in v5.0).
 */
export function nested_vmx_vmexit(vcpu: kvm_vcpu): void {
  const { nested, log } = vcpu;
  const { efer, cr0, cr3, cr4 } = nested.l1;
  vcpu.hflags &= ~HF_GUEST_MASK;
  log.because('load_vmcs12_host_state', 'VM exit');
  set_efer(vcpu, efer);
  set_cr0(vcpu, cr0);
  set_cr4(vcpu, cr4);
  nested_ept_uninit_mmu_context(vcpu);
  nested_vmx_load_cr3(vcpu, cr3, false);
  if (nested.vpid === 0) tlb_flush(vcpu);
  // nested.pointer stays: vmcs12 is current until L1 changes it, and get_cr3 of guest_mmu still reads it.
}

/** v4.20 vmx.c nested_ept_inject_page_fault: L1's EPT refuses L2's access, so L1 gets a VM exit. */
export function nested_ept_inject_page_fault(vcpu: kvm_vcpu): void {
  vcpu.faults_injected++;
  vcpu.injected.errorCode = vcpu.fault.error_code;
  vcpu.injected.address = vcpu.fault.address;
  nested_vmx_vmexit(vcpu);
}

/** v4.20 vmx.c ~9460 handle_invept, of either type: the roots of the MMU in use are synced, which is L1's. */
export function handle_invept(vcpu: kvm_vcpu): void {
  kvm_mmu_sync_roots(vcpu);
  kvm_make_request(KVM_REQ.TLB_FLUSH, vcpu);
}

/** v4.20 vmx.c ~8472 nested_release_vmcs12 (VMPTRLD, VMCLEAR, VMXOFF): roots that shadow L1's EPT go. */
export function nested_release_vmcs12(vcpu: kvm_vcpu): void {
  kvm_mmu_free_roots(vcpu, vcpu.guest_mmu, KVM_MMU_ROOTS_ALL);
}
