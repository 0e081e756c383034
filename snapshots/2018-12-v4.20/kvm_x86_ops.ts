// SPDX-License-Identifier: GPL-2.0-only
/**
 * v4.20 arch/x86/kvm/vmx.c, svm.c: what the vendor modules do for the MMU code (struct kvm_x86_ops).
 *
 * Left out: fixed bits of CR0 and CR4 in VMX operation, the registers hardware gets in place of the guest's (the
 * machine derives them), unrestricted guest as an option (with EPT it is on, as in every recording).
 */
import { CR0, CR4, EFER } from '../../src/sim/registers.ts';
import { kvm_mmu_reset_context } from './mmu_roots.ts';
import { PT32E_ROOT_LEVEL, PT64_ROOT_4LEVEL, PT64_ROOT_5LEVEL } from './spte.ts';
import { INVALID_PAGE, type kvm_vcpu } from './types.ts';

const is_vmx = (vcpu: kvm_vcpu): boolean => vcpu.kvm.vm.host.vendor === 'vmx';

/**
 * v4.20 vmx.c ~5330 get_ept_level, svm.c ~727 get_npt_level: nested paging is always of four levels here. A depth that
 * the vendor forces, which VMX does not, stands for a vendor function that answers just that.
 */
export function get_tdp_level(vcpu: kvm_vcpu): number {
  const { tdp, maxTdpLevel, forcedTdpLevel } = vcpu.kvm.vm.host;
  if (tdp === 'npt') return PT64_ROOT_4LEVEL;
  if (forcedTdpLevel !== 0) return forcedTdpLevel;
  return maxTdpLevel === PT64_ROOT_5LEVEL && vcpu.maxphyaddr > 48 ? PT64_ROOT_5LEVEL : PT64_ROOT_4LEVEL;
}

/** kvm_x86_ops->tlb_flush: everything of the current context, at once. */
export function tlb_flush(vcpu: kvm_vcpu): void {
  vcpu.log.note('tlb_flush');
  vcpu.cpu.flushCurrent();
}

/** kvm_x86_ops->tlb_flush_gva */
export function tlb_flush_gva(vcpu: kvm_vcpu, gva: number): void {
  vcpu.log.note('tlb_flush_gva');
  vcpu.kvm.vm.counters.tlb_flush_gva++;
  vcpu.cpu.flushAddress(gva);
}

/** v4.20 mmu.h:98 kvm_mmu_load_cr3 with the vendors' set_cr3: hardware gets the root, if there is one. */
export const kvm_mmu_load_cr3 = (vcpu: kvm_vcpu): void => {
  const { mmu } = vcpu;
  if (mmu.root_hpa === INVALID_PAGE) return;
  vcpu.log.note('set_cr3');
  vcpu.kvm.vm.counters.load_pgd++;
  // How deep hardware walks is the vendor's own knowledge, so it is no read of the MMU code.
  const level = mmu.shadow_root_level;
  const is_pae_root = level < PT64_ROOT_4LEVEL && mmu.pae_root !== null;
  vcpu.cpu.loadRoot(mmu.root_hpa, is_pae_root ? PT32E_ROOT_LEVEL : level);
};

/** EFER.LMA follows CR0.PG while EFER.LME is set. v4.20 svm.c svm_set_cr0, vmx.c enter_lmode and exit_lmode */
function update_lma(vcpu: kvm_vcpu, cr0: number): void {
  const { registers } = vcpu;
  if ((registers.efer & EFER.LME) === 0) return;
  const was_paging = (registers.cr0 & CR0.PG) !== 0;
  const paging = (cr0 & CR0.PG) !== 0;
  if (paging === was_paging) return;
  const efer = paging ? registers.efer | EFER.LMA : registers.efer & ~EFER.LMA;
  if (is_vmx(vcpu)) set_efer(vcpu, efer);
  else registers.efer = efer;
}

/**
 * kvm_x86_ops->set_cr0
 * VMX without unrestricted guest runs real mode as virtual-8086 mode; v4.20 vmx.c ~5044 enter_rmode resets the context,
 * with CR0 still as it was.
 */
export function set_cr0(vcpu: kvm_vcpu, cr0: number): void {
  const { registers } = vcpu;
  if (is_vmx(vcpu) && vcpu.kvm.vm.host.tdp === 'none') {
    const real = (cr0 & CR0.PE) === 0;
    if (real && !vcpu.vm86_active) kvm_mmu_reset_context(vcpu);
    vcpu.vm86_active = real;
  }
  update_lma(vcpu, cr0);
  registers.cr0 = cr0 >>> 0;
}

/** kvm_x86_ops->set_cr4. True: refused, for AMD has no VMX and VMX operation is not to be had in SMM. */
export function set_cr4(vcpu: kvm_vcpu, cr4: number): boolean {
  const { registers } = vcpu;
  if (!is_vmx(vcpu)) {
    if (cr4 & CR4.VMXE) return true;
    // With nested paging hardware caches L1's translations, global ones too. v4.20 svm.c svm_set_cr4
    if (vcpu.kvm.vm.host.tdp === 'npt' && ((registers.cr4 ^ cr4) & CR4.PGE) !== 0) tlb_flush(vcpu);
  }
  registers.cr4 = cr4 >>> 0;
  return false;
}

/**
 * kvm_x86_ops->set_efer SVM hands the guest's EFER to hardware: under shadow paging with EFER.NX off, an entry that KVM
 * makes not executable for SMEP's sake (CR0.WP = 0) has a reserved bit set, and its fault never ends (v5.10 has the
 * repair). VMX keeps NX on.
 */
export function set_efer(vcpu: kvm_vcpu, efer: number): void {
  vcpu.log.called(is_vmx(vcpu) ? 'vmx_set_efer' : 'svm_set_efer');
  vcpu.registers.efer = efer >>> 0;
  if (!is_vmx(vcpu)) vcpu.cpu.setShadowNx?.((efer & EFER.NXE) !== 0);
}

/**
 * kvm_x86_ops->run, as far as it makes cached registers stale: VMX always forgets the PDPTEs, SVM under nested paging.
 * v4.20 vmx.c vmx_vcpu_run, svm.c svm_vcpu_run
 */
export function run(vcpu: kvm_vcpu): void {
  if (is_vmx(vcpu) || vcpu.kvm.vm.host.tdp === 'npt') vcpu.pdptr_avail = false;
}

/** CR4 bits that a VMX guest may change without an exit. v4.20 vmx.c KVM_CR4_GUEST_OWNED_BITS */
const KVM_CR4_GUEST_OWNED_BITS = (1 << 1) | (1 << 2) | (1 << 3) | (1 << 8) | (1 << 9) | (1 << 10) | CR4.LA57;
const CR0_MP = 1 << 1;
const CR0_TS = 1 << 3;

/** Whether a write of CR0 leaves the guest. */
function cr0_exits(vcpu: kvm_vcpu, value: number): boolean {
  const { cr0 } = vcpu.registers;
  if (is_vmx(vcpu)) return ((value ^ cr0) & ~CR0_TS) !== 0;
  // v4.20 svm.c update_cr0_intercept: with the same value in hardware only "selective" writes exit.
  const forced = vcpu.kvm.vm.host.tdp === 'npt' ? 0 : CR0.PG | CR0.WP;
  const hardware = (cr0 | forced) & ~(CR0.CD | CR0.NW);
  return hardware !== (cr0 | 0) || ((value ^ cr0) & ~(CR0_TS | CR0_MP)) !== 0;
}

/** Whether a register write leaves the guest: intercept bits (SVM), guest/host masks and exit controls (VMX). */
export function intercepts(vcpu: kvm_vcpu, register: 'cr0' | 'cr3' | 'cr4' | 'efer', value: number): boolean {
  const { tdp } = vcpu.kvm.vm.host;
  switch (register) {
    case 'cr0':
      return cr0_exits(vcpu, value);
    case 'cr3':
      return tdp === 'none';
    case 'cr4': {
      const owned = KVM_CR4_GUEST_OWNED_BITS | (tdp === 'ept' ? CR4.PGE : 0);
      return !is_vmx(vcpu) || ((value ^ vcpu.registers.cr4) & ~owned) !== 0;
    }
    case 'efer':
      return true;
  }
}
