// SPDX-License-Identifier: GPL-2.0-only
/**
 * v4.20 arch/x86/kvm/x86.c, kvm_cache_regs.h: the PDPTEs of PAE paging, and #PF injection.
 *
 * Left out: reads of guest memory that need more than one page (a PDPT never crosses one).
 */
import { CR0, CR4, EFER } from '../../src/sim/registers.ts';
import { PFERR_USER_MASK, PFERR_WRITE_MASK } from './mmu_fault.ts';
import { translate_gpa, UNMAPPED_GVA } from './mmu_handlers.ts';
import { note_member } from './role.ts';
import type { kvm_mmu, kvm_vcpu } from './types.ts';

/** Where the table that CR3 names is in L1's memory; -1 when there is no RAM. `mmu` translates L2's addresses. */
function pdpt_gpa(vcpu: kvm_vcpu, mmu: kvm_mmu, cr3: number): number {
  const table = cr3 - (cr3 & 0x1f);
  const real = translate_gpa(vcpu, mmu, table - (table & 0xfff), PFERR_USER_MASK | PFERR_WRITE_MASK);
  if (real === UNMAPPED_GVA || !vcpu.kvm.vm.memslots.isVisible(Math.floor(real / 4096))) return -1;
  return real - (real & 0xfff) + (table & 0xfff);
}

/**
 * v4.20 x86.c:670 load_pdptrs
 * A present entry is tested with the reserved bits of the *current* MMU's level 3, set up for the mode before this one:
 * on a fresh vCPU nothing is reserved. The call itself has no effect on roots.
 */
export function load_pdptrs(vcpu: kvm_vcpu, mmu: kvm_mmu, cr3: number): boolean {
  const { memory } = vcpu.kvm.vm;
  vcpu.log.enter('load_pdptrs', '');
  try {
    const table = pdpt_gpa(vcpu, mmu, cr3);
    if (table < 0) return false;
    const level3 = (3 - 1) * 2;
    note_member(vcpu.mmu, 'load_pdptrs', 'guest_rsvd_check');
    const { rsvd_bits_mask } = vcpu.mmu.guest_rsvd_check;
    for (let i = 0; i < 4; i++) {
      const lo = memory.read32(table + 8 * i);
      const hi = memory.read32(table + 8 * i + 4);
      if ((lo & 1) !== 0 && ((lo & rsvd_bits_mask[level3]!) !== 0 || (hi & rsvd_bits_mask[level3 + 1]!) !== 0))
        return false;
    }
    for (let word = 0; word < 8; word++) mmu.pdptrs[word] = memory.read32(table + 4 * word);
    // Under EPT these become the guest's PDPTE fields; under NPT hardware reads the table itself.
    if (mmu === vcpu.walk_mmu) vcpu.registers.pdptes.set(mmu.pdptrs);
    vcpu.pdptr_avail = true;
    return true;
  } finally {
    vcpu.log.leave();
  }
}

/** v4.20 x86.c:706 pdptrs_changed: also true when the cached ones may not be the ones in force. */
export function pdptrs_changed(vcpu: kvm_vcpu): boolean {
  const { cr0, cr3, cr4, efer } = vcpu.registers;
  if ((efer & EFER.LMA) !== 0 || (cr4 & CR4.PAE) === 0 || (cr0 & CR0.PG) === 0) return false;
  if (!vcpu.pdptr_avail) return true;
  const table = pdpt_gpa(vcpu, vcpu.walk_mmu, cr3 >>> 0);
  if (table < 0) return true;
  const { pdptrs } = vcpu.walk_mmu;
  for (let word = 0; word < 8; word++) {
    if ((vcpu.kvm.vm.memory.read32(table + 4 * word) | 0) !== pdptrs[word]) return true;
  }
  return false;
}

/**
 * v4.20 kvm_cache_regs.h kvm_pdptr_read with the vendors' cache_reg: EPT keeps the four in fields of the VMCS, NPT
 * makes KVM read the table again.
 */
export function kvm_pdptr_read(vcpu: kvm_vcpu, index: number): { readonly lo: number; readonly hi: number } {
  const { walk_mmu } = vcpu;
  if (!vcpu.pdptr_avail) {
    const { tdp } = vcpu.kvm.vm.host;
    if (tdp === 'ept') walk_mmu.pdptrs.set(vcpu.registers.pdptes);
    else if (tdp === 'npt') load_pdptrs(vcpu, walk_mmu, vcpu.registers.cr3);
    vcpu.pdptr_avail = true;
  }
  return { lo: walk_mmu.pdptrs[2 * index]!, hi: walk_mmu.pdptrs[2 * index + 1]! };
}

/** v4.20 x86.c kvm_inject_page_fault: `vcpu.fault` is delivered with the next entry. */
export function kvm_inject_page_fault(vcpu: kvm_vcpu): void {
  vcpu.kvm.vm.counters.injected_page_faults++;
  vcpu.faults_injected++;
  vcpu.injected.errorCode = vcpu.fault.error_code;
  vcpu.injected.address = vcpu.fault.address;
}
