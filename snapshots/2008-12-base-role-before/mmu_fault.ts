// SPDX-License-Identifier: GPL-2.0-only
/**
 * v2.6.29 arch/x86/kvm/mmu.c: page faults where no guest table is walked, and the hooks of struct kvm_mmu by name.
 *
 * Left out: retries against the host's memory management (mmu_notifier_retry; the host never takes memory back here).
 */
import { PFEC } from '../../src/sim/paging-bits.ts';
import { kvm_mmu_free_some_pages, kvm_mmu_get_page, nonpaging_prefetch_page } from './mmu_pages.ts';
import { is_largepage_backed, KVM_PAGES_PER_HPAGE } from './mmu_rmap.ts';
import { nonpaging_new_cr3, paging_new_cr3 } from './mmu_roots.ts';
import { paging32, paging64 } from './paging_tmpl.ts';
import { type kvm_shadow_walk, walk_shadow } from './shadow_walk.ts';
import { is_trap_nonpresent, mmu_set_spte, set_table_pte, spte_hi, spte_lo } from './spte.ts';
import { ACC_ALL, PT_DIRECTORY_LEVEL, PT_PAGE_TABLE_LEVEL, PT_PRESENT_MASK, PT_WRITABLE_MASK } from './spte_format.ts';
import type { kvm_vcpu } from './types.ts';

/** What a page fault handler returns: the fault is dealt with (the guest may have got a #PF), or KVM must emulate. */
export const FAULT_DONE = 0;
export const FAULT_EMULATE = 1;

/**
 * v2.6.29 mmu.c __direct_map with direct_map_entry:1830
 * Pages below are keyed by the address rounded down to 2 MiB, whatever their level.
 */
class direct_shadow_walk implements kvm_shadow_walk {
  pt_write = false;
  readonly #write: boolean;
  readonly #largepage: boolean;

  constructor(write: boolean, largepage: boolean) {
    this.#write = write;
    this.#largepage = largepage;
  }

  entry(vcpu: kvm_vcpu, addr: number, sptep: number, level: number): number {
    const { kvm } = vcpu;
    const gfn = Math.floor(addr / 4096);
    if (level === PT_PAGE_TABLE_LEVEL || (this.#largepage && level === PT_DIRECTORY_LEVEL)) {
      this.pt_write = mmu_set_spte(vcpu, sptep, {
        gfn,
        pte_access: ACC_ALL,
        user_fault: false,
        write_fault: this.#write,
        dirty: true,
        largepage: this.#largepage,
        global: false,
        speculative: false,
      });
      return 1;
    }
    if (is_trap_nonpresent(kvm, spte_lo(kvm, sptep), spte_hi(kvm, sptep))) {
      const sp = kvm_mmu_get_page(vcpu, {
        gfn: gfn - (gfn % KVM_PAGES_PER_HPAGE),
        gaddr: addr,
        level: level - 1,
        metaphysical: true,
        access: ACC_ALL,
        parent_pte: sptep,
      });
      const { user_mask, x_mask } = kvm.spte;
      set_table_pte(kvm, sptep, sp, PT_PRESENT_MASK | PT_WRITABLE_MASK | user_mask | x_mask);
    }
    return 0;
  }
}

/** nonpaging_map:1885 and tdp_page_fault:2079 from the choice of page size on: the two are alike. */
function direct_map(vcpu: kvm_vcpu, gfn: number, write: boolean): number {
  const { kvm } = vcpu;
  const large_gfn = gfn - (gfn % KVM_PAGES_PER_HPAGE);
  const largepage = is_largepage_backed(kvm, large_gfn);
  const mapped = largepage ? large_gfn : gfn;
  if (!kvm.gfn_to_memslot(mapped)) return FAULT_EMULATE;
  kvm_mmu_free_some_pages(vcpu);
  const walk = new direct_shadow_walk(write, largepage);
  walk_shadow(walk, vcpu, mapped * 4096);
  return walk.pt_write ? FAULT_EMULATE : FAULT_DONE;
}

/** v2.6.29 mmu.c nonpaging_page_fault */
const nonpaging_page_fault = (vcpu: kvm_vcpu, gva: number, error_code: number): number =>
  direct_map(vcpu, Math.floor(gva / 4096), (error_code & PFEC.W) !== 0);

/** v2.6.29 mmu.c tdp_page_fault */
const tdp_page_fault = (vcpu: kvm_vcpu, gpa: number, error_code: number): number =>
  direct_map(vcpu, Math.floor(gpa / 4096), (error_code & PFEC.W) !== 0);

// Wrapped, as the template's functions exist only once every file of the port is loaded.
const page_fault_handlers = {
  nonpaging_page_fault,
  paging64_page_fault: (vcpu: kvm_vcpu, gva: number, code: number): number => paging64.page_fault(vcpu, gva, code),
  paging32_page_fault: (vcpu: kvm_vcpu, gva: number, code: number): number => paging32.page_fault(vcpu, gva, code),
  tdp_page_fault,
};
const gva_to_gpa_handlers = {
  nonpaging_gva_to_gpa: (_vcpu: kvm_vcpu, vaddr: number): number => vaddr,
  paging64_gva_to_gpa: (vcpu: kvm_vcpu, vaddr: number): number => paging64.gva_to_gpa(vcpu, vaddr),
  paging32_gva_to_gpa: (vcpu: kvm_vcpu, vaddr: number): number => paging32.gva_to_gpa(vcpu, vaddr),
};
const prefetch_page_handlers = {
  nonpaging_prefetch_page: (vcpu: kvm_vcpu, sp: number): void => nonpaging_prefetch_page(vcpu.kvm, sp),
  paging64_prefetch_page: (vcpu: kvm_vcpu, sp: number): void => paging64.prefetch_page(vcpu, sp),
  paging32_prefetch_page: (vcpu: kvm_vcpu, sp: number): void => paging32.prefetch_page(vcpu, sp),
};
const sync_page_handlers = {
  nonpaging_sync_page: (_vcpu: kvm_vcpu, _sp: number): boolean => true,
  paging64_sync_page: (vcpu: kvm_vcpu, sp: number): boolean => paging64.sync_page(vcpu, sp),
  paging32_sync_page: (vcpu: kvm_vcpu, sp: number): boolean => paging32.sync_page(vcpu, sp),
};
const invlpg_handlers = {
  nonpaging_invlpg: (_vcpu: kvm_vcpu, _gva: number): void => {},
  paging64_invlpg: (vcpu: kvm_vcpu, gva: number): void => paging64.invlpg(vcpu, gva),
  paging32_invlpg: (vcpu: kvm_vcpu, gva: number): void => paging32.invlpg(vcpu, gva),
};
const new_cr3_handlers = {
  nonpaging_new_cr3: (vcpu: kvm_vcpu): void => nonpaging_new_cr3(vcpu),
  paging_new_cr3: (vcpu: kvm_vcpu): void => paging_new_cr3(vcpu),
};

/** vcpu->arch.mmu.new_cr3 */
export function mmu_new_cr3(vcpu: kvm_vcpu): void {
  vcpu.kvm.vm.counters.new_pgd++;
  vcpu.new_cr3_seen = true;
  new_cr3_handlers[vcpu.mmu.new_cr3](vcpu);
}

/** vcpu->arch.mmu.page_fault. FAULT_DONE or FAULT_EMULATE. */
export const mmu_page_fault = (vcpu: kvm_vcpu, addr: number, error_code: number): number =>
  page_fault_handlers[vcpu.mmu.page_fault](vcpu, addr, error_code);

/** vcpu->arch.mmu.gva_to_gpa. Guest-physical address or UNMAPPED_GVA. */
export const mmu_gva_to_gpa = (vcpu: kvm_vcpu, gva: number): number =>
  gva_to_gpa_handlers[vcpu.mmu.gva_to_gpa](vcpu, gva);

/** The end of kvm_mmu_get_page:1244: the hook is asked only where the two non-present values differ. */
export function mmu_prefetch_page(vcpu: kvm_vcpu, sp: number): void {
  const { trap_nonpresent: trap, notrap_nonpresent: notrap } = vcpu.kvm.spte;
  if (trap.lo === notrap.lo && trap.hi === notrap.hi) nonpaging_prefetch_page(vcpu.kvm, sp);
  else prefetch_page_handlers[vcpu.mmu.prefetch_page](vcpu, sp);
}

/** vcpu->arch.mmu.sync_page. True: nothing is left in the page. */
export const mmu_sync_page = (vcpu: kvm_vcpu, sp: number): boolean => sync_page_handlers[vcpu.mmu.sync_page](vcpu, sp);

/** vcpu->arch.mmu.invlpg */
export const mmu_invlpg = (vcpu: kvm_vcpu, gva: number): void => invlpg_handlers[vcpu.mmu.invlpg](vcpu, gva);
