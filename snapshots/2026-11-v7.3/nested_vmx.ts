// SPDX-License-Identifier: GPL-2.0-only
/**
 * v7.3.4 arch/x86/kvm/vmx/nested.c as far as it reaches the MMU: entry to L2 and exit from it, with and without
 * EPT in L1.
 *
 * Left out: consistency checks of vmcs12, intercepts that L1 asks for, pages of the nested state, VMFUNC, INVEPT and
 * INVVPID, and the PDPTEs that vmcs12 holds for a PAE L2 on EPT.
 */
import type { NestedEntry } from '../../src/era.ts';
import { kvm_init_mmu, kvm_init_shadow_ept_mmu } from './calc.ts';
import { kvm_mmu_new_pgd, kvm_mmu_reset_context } from './mmu_roots.ts';
import { KVM_REQ, type kvm_vcpu } from './types.ts';
import { because, is_pae_paging, kvm_make_request, kvm_service_local_tlb_flush_requests, load_pdptrs } from './x86.ts';

/** Bit 6 of an EPTP: accessed and dirty bits of L1's EPT are in use. SDM vol. 3C 25.6.11. */
const VMX_EPTP_AD_ENABLE_BIT = 1 << 6;
/** Largest EPT page that L1 is offered: 2 is 2 MiB, 3 is 1 GiB. */
const ept_lpage_level = ({ kvm }: kvm_vcpu): number => Math.min(3, Math.max(2, kvm.vm.host.maxHugePageLevel));

/**
 * v7.3.4 vmx/nested.c nested_ept_new_eptp: shadow L1's EPT. Execute-only entries are offered to L1 as the CPU
 * has them. Left out: mode-based execute control, which L1 is not offered.
 */
function nested_ept_new_eptp(vcpu: kvm_vcpu): void {
  const eptp = vcpu.nested_pgd;
  kvm_init_shadow_ept_mmu(vcpu, true, ept_lpage_level(vcpu), (eptp & VMX_EPTP_AD_ENABLE_BIT) !== 0, eptp, false);
}

/** v7.3.4 vmx/nested.c nested_ept_init_mmu_context */
function nested_ept_init_mmu_context(vcpu: kvm_vcpu): void {
  vcpu.mmu = vcpu.guest_mmu;
  nested_ept_new_eptp(vcpu);
  vcpu.ngpa_walk.get_guest_pgd = 'nested_ept_get_eptp';
}

/** v7.3.4 vmx/nested.c nested_ept_uninit_mmu_context */
function nested_ept_uninit_mmu_context(vcpu: kvm_vcpu): void {
  vcpu.mmu = vcpu.root_mmu;
}

/** v7.3.4 vmx/nested.c nested_vmx_load_cr3: the role comes first, then the look-up. */
function nested_vmx_load_cr3(vcpu: kvm_vcpu, cr3: number, nested_ept: boolean, reload_pdptrs: boolean): void {
  if (reload_pdptrs && !nested_ept && is_pae_paging(vcpu)) load_pdptrs(vcpu, cr3);
  because(vcpu, 'nested_vmx_load_cr3', 'CR3');
  vcpu.registers.cr3 = cr3;
  kvm_init_mmu(vcpu);
  if (!nested_ept) kvm_mmu_new_pgd(vcpu, cr3);
}

/**
 * v7.3.4 vmx/nested.c nested_has_guest_tlb_tag: hardware tells L2's translations from L1's. With EPT in the
 * host it does by the root, as guest_mode is in the role.
 */
const nested_has_guest_tlb_tag = ({ nested, kvm }: kvm_vcpu): boolean =>
  kvm.vm.host.tdp !== 'none' || (nested.vpid !== 0 && nested.has_vpid02);

/** v7.3.4 vmx/nested.c nested_vmx_transition_tlb_flush */
function nested_vmx_transition_tlb_flush(vcpu: kvm_vcpu, is_vmenter: boolean): void {
  const { nested } = vcpu;
  if (nested.vpid === 0) {
    kvm_make_request(KVM_REQ.TLB_FLUSH_GUEST, vcpu);
  } else if (is_vmenter && nested.vpid !== nested.last_vpid) {
    nested.last_vpid = nested.vpid;
    kvm_make_request(KVM_REQ.TLB_FLUSH_GUEST, vcpu);
  } else if (!nested_has_guest_tlb_tag(vcpu)) {
    kvm_make_request(KVM_REQ.TLB_FLUSH_CURRENT, vcpu);
  }
}

/** v7.3.4 vmx/nested.c prepare_vmcs02 */
function prepare_vmcs02(vcpu: kvm_vcpu, { cr0, cr3, cr4, efer }: NestedEntry, from_vmentry: boolean): void {
  const { registers, nested } = vcpu;
  nested_vmx_transition_tlb_flush(vcpu, true);
  if (nested.uses_tdp) {
    because(vcpu, 'nested_ept_init_mmu_context', 'EPTP');
    nested_ept_init_mmu_context(vcpu);
  }
  registers.efer = efer;
  registers.cr0 = cr0;
  registers.cr4 = cr4;
  nested_vmx_load_cr3(vcpu, cr3, nested.uses_tdp, from_vmentry);
}

/** v7.3.4 vmx/nested.c nested_vmx_enter_non_root_mode. EPT for L2 needs EPT in the host. */
export function nested_vmx_enter_non_root_mode(vcpu: kvm_vcpu, vmcs12: NestedEntry, from_vmentry: boolean): void {
  const { nested, registers } = vcpu;
  kvm_service_local_tlb_flush_requests(vcpu);
  // Back from SMM, the host state of vmcs12 is what it was.
  if (from_vmentry) nested.l1.copy(registers);
  nested.uses_tdp = vmcs12.pointer !== null;
  nested.vpid = vmcs12.tag;
  vcpu.nested_pgd = vmcs12.pointer ?? 0;
  vcpu.is_guest_mode = true;
  prepare_vmcs02(vcpu, vmcs12, from_vmentry);
}

/** v7.3.4 vmx/nested.c load_vmcs12_host_state */
function load_vmcs12_host_state(vcpu: kvm_vcpu): void {
  const { registers, nested } = vcpu;
  const { cr0, cr3, cr4, efer } = nested.l1;
  registers.efer = efer;
  registers.cr0 = cr0;
  registers.cr4 = cr4;
  nested_ept_uninit_mmu_context(vcpu);
  nested_vmx_load_cr3(vcpu, cr3, false, true);
  nested_vmx_transition_tlb_flush(vcpu, false);
}

/** v7.3.4 vmx/nested.h nested_vmx_vmexit */
export function nested_vmx_vmexit(vcpu: kvm_vcpu): void {
  kvm_service_local_tlb_flush_requests(vcpu);
  vcpu.nested.l2.copy(vcpu.registers);
  vcpu.is_guest_mode = false;
  load_vmcs12_host_state(vcpu);
}

/**
 * v7.3.4 vmx/nested.c nested_vmx_restore_host_state: hardware refused L2's state late, L1 goes on as if nothing
 * was.
 */
export function nested_vmx_restore_host_state(vcpu: kvm_vcpu): void {
  const { registers, nested } = vcpu;
  vcpu.is_guest_mode = false;
  registers.copy(nested.l1);
  nested_ept_uninit_mmu_context(vcpu);
  because(vcpu, 'nested_vmx_restore_host_state', 'VM entry');
  kvm_mmu_reset_context(vcpu);
}
