// SPDX-License-Identifier: GPL-2.0-only
/**
 * v4.20 arch/x86/kvm/x86.c enter_smm ~7362, kvm_smm_changed ~6142, and emulate.c em_rsm: system-management mode.
 *
 * Left out: the state-save area in guest memory (registers are kept with the vCPU) and all state the MMU does not see.
 */
import { CR0, CR4, Registers } from '../../src/sim/registers.ts';
import { is_guest_mode, is_smm } from './calc.ts';
import { set_cr0, set_cr4, set_efer } from './kvm_x86_ops.ts';
import { kvm_mmu_reset_context } from './mmu_roots.ts';
import { enter_svm_guest_mode, nested_svm_vmexit } from './nested_svm.ts';
import { nested_vmx_enter_non_root_mode, nested_vmx_vmexit } from './nested_vmx.ts';
import { kvm_make_request } from './tlb.ts';
import { HF_SMM_MASK, KVM_REQ, type kvm_vcpu } from './types.ts';
import { kvm_set_cr0, kvm_set_cr3, kvm_set_cr4, kvm_set_efer, kvm_update_cpuid } from './x86.ts';

/** PE, EM, TS, PG: off while the handler starts. */
const CR0_CLEARED = CR0.PE | (1 << 2) | (1 << 3) | CR0.PG;

/** v4.20 x86.c ~6142 kvm_smm_changed, on the way out of SMM. */
function kvm_smm_changed(vcpu: kvm_vcpu): void {
  vcpu.log.because('kvm_smm_changed', 'RSM');
  vcpu.hflags &= ~HF_SMM_MASK;
  kvm_mmu_reset_context(vcpu);
}

/** kvm_x86_ops->pre_enter_smm: L2 is left, and noted for RSM to go on with. */
function pre_enter_smm(vcpu: kvm_vcpu): void {
  const { nested, kvm } = vcpu;
  nested.smm = null;
  if (!is_guest_mode(vcpu)) return;
  const l2 = new Registers();
  l2.copy(vcpu.registers);
  nested.smm = { pointer: nested.pointer, tag: nested.vpid, l2 };
  if (kvm.vm.host.vendor === 'svm') nested_svm_vmexit(vcpu);
  else nested_vmx_vmexit(vcpu);
}

/** kvm_x86_ops->pre_leave_smm: back into L2, as a VMRUN or VM entry of its state would. */
function pre_leave_smm(vcpu: kvm_vcpu): void {
  const { nested, kvm } = vcpu;
  if (nested.smm === null) return;
  const { pointer, tag, l2 } = nested.smm;
  const { cr0, cr3, cr4, efer } = l2;
  nested.smm = null;
  vcpu.hflags &= ~HF_SMM_MASK;
  if (kvm.vm.host.vendor === 'svm') enter_svm_guest_mode(vcpu, { cr0, cr3, cr4, efer, pointer });
  else nested_vmx_enter_non_root_mode(vcpu, { cr0, cr3, cr4, efer, pointer, tag });
  vcpu.hflags |= HF_SMM_MASK;
}

/**
 * v4.20 x86.c ~7362 enter_smm. The registers change through the vendor's functions, which reset nothing; then the
 * context is reset twice, once by the CPUID update.
 */
export function enter_smm(vcpu: kvm_vcpu): void {
  if (is_smm(vcpu)) return;
  vcpu.smram.copy(vcpu.registers);
  pre_enter_smm(vcpu);
  vcpu.hflags |= HF_SMM_MASK;
  vcpu.log.because('enter_smm', 'SMI');
  set_cr0(vcpu, vcpu.registers.cr0 & ~CR0_CLEARED);
  set_cr4(vcpu, 0);
  set_efer(vcpu, 0);
  kvm_update_cpuid(vcpu);
  kvm_mmu_reset_context(vcpu);
}

/**
 * v4.20 emulate.c em_rsm: everything is written through the ordinary setters, with SMM still set, and each write that
 * changes a watched bit resets the context. The last reset is that of kvm_smm_changed.
 */
export function em_rsm(vcpu: kvm_vcpu): void {
  if (!is_smm(vcpu)) return;
  const { registers, smram } = vcpu;
  if ((registers.cr4 & CR4.PCIDE) !== 0) kvm_set_cr4(vcpu, registers.cr4 & ~CR4.PCIDE);
  if ((registers.cr0 & CR0.PE) !== 0) kvm_set_cr0(vcpu, registers.cr0 & ~(CR0.PG | CR0.PE), false);
  if ((registers.cr4 & CR4.PAE) !== 0) kvm_set_cr4(vcpu, registers.cr4 & ~CR4.PAE);
  kvm_set_efer(vcpu, 0);
  pre_leave_smm(vcpu);
  // The saved EFER goes in without LMA; CR0.PG brings that bit.
  kvm_set_efer(vcpu, smram.efer & ~(1 << 10));
  const { cr0, cr3, cr4 } = smram;
  // A state that cannot be resumed is an emulation failure, which ends the guest.
  if (!rsm_enter_protected_mode(vcpu, cr0, cr3, cr4)) kvm_make_request(KVM_REQ.TRIPLE_FAULT, vcpu);
  kvm_smm_changed(vcpu);
}

/** v4.20 emulate.c rsm_enter_protected_mode: PCIDE waits until long mode is on. False: a value was refused. */
function rsm_enter_protected_mode(vcpu: kvm_vcpu, cr0: number, cr3: number, cr4: number): boolean {
  const pcide = (cr4 & CR4.PCIDE) !== 0;
  const pcid = pcide ? cr3 & 0xfff : 0;
  if (kvm_set_cr3(vcpu, cr3 - pcid, false)) return false;
  if (kvm_set_cr4(vcpu, cr4 & ~CR4.PCIDE)) return false;
  if (kvm_set_cr0(vcpu, cr0, false)) return false;
  if (!pcide) return true;
  return !kvm_set_cr4(vcpu, cr4) && (pcid === 0 || !kvm_set_cr3(vcpu, cr3, false));
}
