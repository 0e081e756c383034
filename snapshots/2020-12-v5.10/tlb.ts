// SPDX-License-Identifier: GPL-2.0-only
/**
 * v5.10.262 virt/kvm/kvm_main.c, x86.c: requests to vCPUs and the flushes they lead to.
 *
 * Left out: kicking a vCPU out of the guest; here every vCPU serves its requests before it runs again.
 */
import { KVM_REQ, type kvm, type kvm_vcpu } from './types.ts';

const noteOf: Readonly<Record<number, string>> = {
  [KVM_REQ.TLB_FLUSH]: 'req_tlb_flush',
  [KVM_REQ.MMU_RELOAD]: 'req_mmu_reload',
  [KVM_REQ.TRIPLE_FAULT]: 'req_triple_fault',
  [KVM_REQ.MMU_SYNC]: 'req_mmu_sync',
  [KVM_REQ.LOAD_MMU_PGD]: 'req_load_mmu_pgd',
  [KVM_REQ.TLB_FLUSH_CURRENT]: 'req_tlb_flush_current',
  [KVM_REQ.TLB_FLUSH_GUEST]: 'req_tlb_flush_guest',
};

/** v5.10.262 kvm_host.h kvm_make_request; `request` is one of KVM_REQ. */
export function kvm_make_request(request: number, vcpu: kvm_vcpu): void {
  vcpu.log.note(noteOf[request]!);
  vcpu.requests |= request;
}

/** v5.10.262 kvm_main.c kvm_flush_remote_tlbs: all vCPUs, the calling one included, at their next entry. */
export function kvm_flush_remote_tlbs(kvm: kvm): void {
  kvm.vm.counters.remote_tlb_flush++;
  kvm.vm.log.note('flush_remote_tlbs');
  kvm.tlbs_dirty = 0;
  for (const vcpu of kvm.vcpus) kvm_make_request(KVM_REQ.TLB_FLUSH, vcpu);
}

/** v5.10.262 kvm_main.c kvm_reload_remote_mmus: a root that may be in use is good no more. */
export function kvm_reload_remote_mmus(kvm: kvm): void {
  for (const vcpu of kvm.vcpus) kvm_make_request(KVM_REQ.MMU_RELOAD, vcpu);
  kvm.vm.log.rootLost();
}
