// SPDX-License-Identifier: GPL-2.0-only
/**
 * v5.10.262 arch/x86/kvm/vmx/nested.c: VM entry and exit of an L1 that runs guests of its own, as far as the MMU sees
 * them.
 *
 * Left out: everything else in a VMCS; checks of L1's VMCS other than "EPT asked for, but KVM itself has none"; VMFUNC,
 * INVVPID; late entry failures (the state handed in is good).
 */
import type { NestedEntry } from '../../src/era.ts';
import { is_pae_paging, kvm_init_mmu, kvm_init_shadow_ept_mmu } from './calc.ts';
import { set_cr0, set_cr4, set_efer } from './kvm_x86_ops.ts';
import { kvm_mmu_new_pgd } from './mmu_roots.ts';
import { kvm_make_request } from './tlb.ts';
import { HF_GUEST_MASK, KVM_REQ, type kvm_vcpu } from './types.ts';
import { load_pdptrs, pdptrs_changed } from './x86_pdptr.ts';

/** Bit 6 of an EPTP: hardware keeps accessed and dirty bits. SDM vol. 3C 25.6.11 */
const VMX_EPTP_AD_ENABLE_BIT = 1 << 6;

/**
 * v5.10.262 vmx/nested.c:354 nested_ept_init_mmu_context
 * The look-up of the EPT12 root goes by the EPTP that each root was made for. L2's registers are not loaded yet, so the
 * extended half of the role has L1's.
 */
function nested_ept_init_mmu_context(vcpu: kvm_vcpu, eptp: number): void {
  vcpu.mmu = vcpu.guest_mmu;
  // L1 is offered execute-only entries, as the CPU has them.
  kvm_init_shadow_ept_mmu(vcpu, true, (eptp & VMX_EPTP_AD_ENABLE_BIT) !== 0, eptp);
  vcpu.mmu.get_guest_pgd = 'nested_ept_get_eptp';
  vcpu.mmu.inject_page_fault = 'nested_ept_inject_page_fault';
  vcpu.mmu.get_pdptr = 'kvm_pdptr_read';
  vcpu.walk_mmu = vcpu.nested_mmu;
}

/** v5.10.262 vmx/nested.c nested_ept_uninit_mmu_context */
function nested_ept_uninit_mmu_context(vcpu: kvm_vcpu): void {
  vcpu.mmu = vcpu.root_mmu;
  vcpu.walk_mmu = vcpu.root_mmu;
}

/**
 * v5.10.262 vmx/nested.c:1124 nested_vmx_load_cr3. With L1's EPT the PDPTEs come from the VMCS, and CR3 means nothing to
 * KVM.
 */
function nested_vmx_load_cr3(vcpu: kvm_vcpu, cr3: number, nested_ept: boolean): void {
  const { registers, walk_mmu, kvm, nested } = vcpu;
  if (!nested_ept && is_pae_paging(vcpu) && (cr3 !== registers.cr3 || pdptrs_changed(vcpu))) {
    load_pdptrs(vcpu, walk_mmu, cr3);
  }
  if (!nested_ept) {
    kvm_mmu_new_pgd(vcpu, cr3, true, true);
    // Without EPT and VPID an entry or exit flushes what L1 or L2 knows of all tables.
    if (kvm.vm.host.tdp === 'none' && nested.vpid === 0) kvm_make_request(KVM_REQ.TLB_FLUSH_GUEST, vcpu);
  }
  registers.cr3 = cr3;
  kvm_init_mmu(vcpu, false);
}

/**
 * v5.10.262 vmx/nested.c nested_has_guest_tlb_tag: hardware tells L2's translations from L1's, by EPT's root or by VPID02.
 */
const nested_has_guest_tlb_tag = ({ nested, kvm }: kvm_vcpu): boolean =>
  (kvm.vm.host.tdp !== 'none' && nested.pointer !== null) || nested.vpid !== 0;

/** v5.10.262 vmx/nested.c nested_vmx_transition_tlb_flush. VPID 0: L1 gave L2 no tag of its own. */
function nested_vmx_transition_tlb_flush(vcpu: kvm_vcpu, is_vmenter: boolean): void {
  const { nested, cpu } = vcpu;
  if (!nested_has_guest_tlb_tag(vcpu)) kvm_make_request(KVM_REQ.TLB_FLUSH_CURRENT, vcpu);
  else if (is_vmenter && nested.vpid !== nested.last_vpid) {
    // vpid_sync_context of VPID02 only, which hardware does not tell from the current context here.
    nested.last_vpid = nested.vpid;
    cpu.flushGuest();
  }
}

/** v5.10.262 vmx/nested.c nested_vmx_run: false when the entry fails, and L1 goes on. */
export function nested_vmx_run(vcpu: kvm_vcpu, state: NestedEntry): boolean {
  if (state.pointer !== null && vcpu.kvm.vm.host.tdp !== 'ept') return false;
  vcpu.nested.l1.copy(vcpu.registers);
  nested_vmx_enter_non_root_mode(vcpu, state);
  return true;
}

/** v5.10.262 vmx/nested.c nested_vmx_enter_non_root_mode with prepare_vmcs02:2580. */
export function nested_vmx_enter_non_root_mode(vcpu: kvm_vcpu, state: NestedEntry): void {
  const { nested, log } = vcpu;
  vcpu.hflags |= HF_GUEST_MASK;
  nested.pointer = state.pointer;
  nested.vpid = state.tag;
  nested_vmx_transition_tlb_flush(vcpu, true);
  log.because('prepare_vmcs02', 'VM entry');
  if (state.pointer !== null) nested_ept_init_mmu_context(vcpu, state.pointer);
  set_cr0(vcpu, state.cr0);
  set_cr4(vcpu, state.cr4);
  set_efer(vcpu, state.efer);
  nested_vmx_load_cr3(vcpu, state.cr3, state.pointer !== null);
}

/**
 * v5.10.262 vmx/nested.c nested_vmx_vmexit with load_vmcs12_host_state: L1's root is looked for by the pgd it was made for.
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
  nested_vmx_transition_tlb_flush(vcpu, false);
}

/** v5.10.262 vmx/nested.c nested_ept_inject_page_fault: L1's EPT refuses L2's access, so L1 gets a VM exit. */
export function nested_ept_inject_page_fault(vcpu: kvm_vcpu): void {
  vcpu.faults_injected++;
  vcpu.injected.errorCode = vcpu.fault.error_code;
  vcpu.injected.address = vcpu.fault.address;
  nested_vmx_vmexit(vcpu);
}
