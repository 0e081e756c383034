// SPDX-License-Identifier: GPL-2.0-only
/**
 * SMM entry (v6.1.192 arch/x86/kvm/x86.c) and RSM (v6.1.192 arch/x86/kvm/emulate.c) as far as they reach the MMU.
 *
 * Left out: segments, descriptor tables and everything else of the save area; NMI masking; a guest CPU without long
 * mode.
 */
import { CR0, CR3_PCID, CR4, EFER } from '../../src/sim/registers.ts';
import { kvm_mmu_reset_context } from './mmu_roots.ts';
import { enter_svm_guest_mode, nested_svm_vmexit } from './nested_svm.ts';
import { nested_vmx_enter_non_root_mode, nested_vmx_vmexit } from './nested_vmx.ts';
import type { kvm_vcpu } from './types.ts';
import { because, kvm_set_cr0, kvm_set_cr3, kvm_set_cr4, kvm_x86_set_cr0, kvm_x86_set_efer, set_efer } from './x86.ts';

/** CR0.EM and CR0.TS, which SMM entry clears besides PE and PG. */
const CR0_EM_TS = 0xc;

/** v6.1.192 x86.c kvm_smm_changed */
export function kvm_smm_changed(vcpu: kvm_vcpu, entering_smm: boolean): void {
  vcpu.is_smm = entering_smm;
  because(vcpu, 'kvm_smm_changed', 'SMM');
  kvm_mmu_reset_context(vcpu);
}

/** Vendor enter_smm: an SMI that comes while L2 runs leaves L2 first. */
function kvm_x86_enter_smm(vcpu: kvm_vcpu): void {
  vcpu.nested.smi_in_guest_mode = vcpu.is_guest_mode;
  if (!vcpu.is_guest_mode) return;
  if (vcpu.kvm.vm.host.vendor === 'vmx') nested_vmx_vmexit(vcpu);
  else nested_svm_vmexit(vcpu);
}

/** Vendor leave_smm: back to L2 when the SMI had left it. */
function kvm_x86_leave_smm(vcpu: kvm_vcpu): void {
  const { nested } = vcpu;
  if (!nested.smi_in_guest_mode) return;
  nested.smi_in_guest_mode = false;
  const { cr0, cr3, cr4, efer } = nested.l2;
  const state = { cr0, cr3, cr4, efer, pointer: nested.uses_tdp ? vcpu.nested_pgd : null, tag: nested.vpid };
  if (vcpu.kvm.vm.host.vendor === 'vmx') nested_vmx_enter_non_root_mode(vcpu, state, false);
  else enter_svm_guest_mode(vcpu, state, false);
}

/**
 * v6.1.192 x86.c enter_smm: registers are stored below the setters, so no PDPTEs are loaded and no flush is asked
 * for.
 */
export function enter_smm(vcpu: kvm_vcpu): void {
  const { registers } = vcpu;
  vcpu.nested.smram.copy(registers);
  kvm_x86_enter_smm(vcpu);
  kvm_smm_changed(vcpu, true);
  kvm_x86_set_cr0(vcpu, registers.cr0 & ~(CR0.PE | CR0_EM_TS | CR0.PG));
  registers.cr4 = 0;
  kvm_x86_set_efer(vcpu, 0);
  registers.cpl = 0;
  registers.rflagsAc = 0;
  because(vcpu, 'enter_smm', 'SMM');
  kvm_mmu_reset_context(vcpu);
}

const hex = (value: number): string => value.toString(16);

/** Register writes as the emulator makes them, through the ordinary setters. */
function set_cr(vcpu: kvm_vcpu, nr: 0 | 3 | 4, value: number): void {
  vcpu.log.note(`cr${nr}<-`, hex(value));
  if (nr === 0) kvm_set_cr0(vcpu, value);
  else if (nr === 3) kvm_set_cr3(vcpu, value, false);
  else kvm_set_cr4(vcpu, value);
}

/**
 * v6.1.192 emulate.c em_rsm: to real mode step by step, as CR4.PCIDE must be cleared before CR0.PG and
 * CR4.PAE before EFER.LME; then the saved state.
 */
export function em_rsm(vcpu: kvm_vcpu): void {
  const { registers, log, nested } = vcpu;
  kvm_smm_changed(vcpu, false);
  if ((registers.cr4 & CR4.PCIDE) !== 0) set_cr(vcpu, 4, registers.cr4 & ~CR4.PCIDE);
  if ((registers.cr0 & CR0.PE) !== 0) set_cr(vcpu, 0, (registers.cr0 & ~(CR0.PG | CR0.PE)) >>> 0);
  if ((registers.cr4 & CR4.PAE) !== 0) set_cr(vcpu, 4, registers.cr4 & ~CR4.PAE);
  log.note('efer<-', hex(0));
  set_efer(vcpu, 0, false);
  kvm_x86_leave_smm(vcpu);
  const { cr0, cr3, cr4, efer, cpl, rflagsAc } = nested.smram;
  log.note('efer<-=', hex(efer & ~EFER.LMA));
  set_efer(vcpu, efer & ~EFER.LMA, false);
  rsm_enter_protected_mode(vcpu, cr0, cr3, cr4);
  registers.cpl = cpl;
  registers.rflagsAc = rflagsAc;
}

/** v6.1.192 emulate.c rsm_enter_protected_mode: CR4.PCIDE can be set only in long mode and with CR3 11:0 clear. */
function rsm_enter_protected_mode(vcpu: kvm_vcpu, cr0: number, cr3: number, cr4: number): void {
  const pcid = (cr4 & CR4.PCIDE) !== 0 ? cr3 & CR3_PCID : 0;
  set_cr(vcpu, 3, cr3 - pcid);
  set_cr(vcpu, 4, cr4 & ~CR4.PCIDE);
  set_cr(vcpu, 0, cr0);
  if ((cr4 & CR4.PCIDE) === 0) return;
  set_cr(vcpu, 4, cr4);
  if (pcid !== 0) set_cr(vcpu, 3, cr3);
}
