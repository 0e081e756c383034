// SPDX-License-Identifier: GPL-2.0-only
/**
 * v2.6.30 arch/x86/kvm/svm.c: nested SVM, as far as it reaches the MMU, and the exit path of nested paging. L1 cannot use
 * nested paging itself: its nested_ctl is not looked at.
 *
 * Left out: permission and I/O bitmaps, intercepts of L1, interrupts, everything of a VMCB that is no paging register.
 */
import { probe } from '../../src/sim/log.ts';
import { CR0, EFER } from '../../src/sim/registers.ts';
import { is_long_mode, is_pae, is_paging } from './calc.ts';
import { kvm_mmu_load, kvm_mmu_reset_context } from './mmu_roots.ts';
import type { kvm_vcpu } from './types.ts';
import { kvm_set_cr3, load_pdptrs, store_efer, update_lma } from './x86.ts';

/** What L1's VMCB holds of L2. */
export interface vmcb_save {
  readonly cr0: number;
  readonly cr3: number;
  readonly cr4: number;
  readonly efer: number;
}

const npt_enabled = ({ kvm }: kvm_vcpu): boolean => kvm.vm.host.tdp === 'npt';

/** svm.c svm_set_efer:191. Under shadow paging LME is kept from the guest's view too while LMA is clear. */
function svm_set_efer(vcpu: kvm_vcpu, efer: number): void {
  const visible = !npt_enabled(vcpu) && (efer & EFER.LMA) === 0 ? efer & ~EFER.LME : efer;
  store_efer(vcpu, visible, vcpu.registers.cr0);
}

/** svm.c svm_set_cr0:879. With nested paging only the VMCB changes; arch.cr0 follows at the next exit. */
function svm_set_cr0(vcpu: kvm_vcpu, cr0: number): void {
  update_lma(vcpu, cr0);
  if (!npt_enabled(vcpu)) vcpu.cr0 = cr0 >>> 0;
  vcpu.registers.cr0 = cr0 >>> 0;
}

/**
 * svm.c handle_exit:2158, the part before the exit's own handler: with nested paging the guest writes CR0 and CR3 without
 * an exit, and this is where KVM notices. False: the PDPTRs are bad, and the guest gets #GP in place of its exit.
 */
export const handle_exit = probe(
  'handle_exit',
  (vcpu: kvm_vcpu): boolean => {
    if (!npt_enabled(vcpu)) return true;
    const { registers } = vcpu;
    const mmu_reload = ((vcpu.cr0 ^ registers.cr0) & CR0.PG) !== 0;
    if (mmu_reload) svm_set_cr0(vcpu, registers.cr0);
    vcpu.cr0 = registers.cr0;
    if (is_paging(vcpu) && is_pae(vcpu) && !is_long_mode(vcpu) && !load_pdptrs(vcpu, registers.cr3)) {
      vcpu.kvm.vm.counters.injected_gp++;
      return false;
    }
    if (mmu_reload) {
      vcpu.log.because('handle_exit', 'CR0.PG');
      kvm_mmu_reset_context(vcpu);
      kvm_mmu_load(vcpu);
    }
    return true;
  },
  { skipped: true },
);

/** svm.c nested_svm_vmrun:1624 */
export const nested_svm_vmrun = probe(
  'nested_svm_vmrun',
  (vcpu: kvm_vcpu, nested_vmcb: vmcb_save): void => {
    const { registers } = vcpu;
    // The whole VMCB is saved, so under shadow paging L1's CR0 is kept as hardware has it, with PG and WP forced on.
    const forced = npt_enabled(vcpu) ? 0 : CR0.PG | CR0.WP;
    vcpu.hsave = {
      cr0: ((registers.cr0 | forced) & ~(CR0.CD | CR0.NW)) >>> 0,
      cr3: registers.cr3,
      cr4: registers.cr4,
      efer: registers.efer,
    };
    svm_set_efer(vcpu, nested_vmcb.efer);
    svm_set_cr0(vcpu, nested_vmcb.cr0);
    registers.cr4 = nested_vmcb.cr4;
    if (npt_enabled(vcpu)) registers.cr3 = nested_vmcb.cr3;
    else {
      kvm_set_cr3(vcpu, nested_vmcb.cr3);
      vcpu.log.because('nested_svm_vmrun', 'VMRUN');
      kvm_mmu_reset_context(vcpu);
    }
    vcpu.cpu.flushCurrent();
  },
  { skipped: undefined },
);

/**
 * svm.c nested_svm_vmexit:1599, with nested_svm_vmexit_real. Comes before handle_exit's look at CR0, so with nested paging
 * the context is reset while arch.cr0 still is L2's of its last exit but one. Nothing happens outside L2.
 */
export const nested_svm_vmexit = probe(
  'nested_svm_vmexit',
  (vcpu: kvm_vcpu): void => {
    const { hsave, registers } = vcpu;
    if (hsave === null) return;
    vcpu.hsave = null;
    svm_set_efer(vcpu, hsave.efer);
    svm_set_cr0(vcpu, hsave.cr0 | CR0.PE);
    registers.cr4 = hsave.cr4;
    if (npt_enabled(vcpu)) registers.cr3 = hsave.cr3;
    else kvm_set_cr3(vcpu, hsave.cr3);
    vcpu.log.because('nested_svm_vmexit', '#VMEXIT');
    kvm_mmu_reset_context(vcpu);
    kvm_mmu_load(vcpu);
  },
  { skipped: undefined },
);
