// SPDX-License-Identifier: GPL-2.0-only
/**
 * v2.6.29 arch/x86/kvm/mmu.c: the reverse map, write protection, and the count that forbids large mappings.
 *
 * Left out: aliases of frames (unalias_gfn; VGA windows only), ageing and unmapping for the host's memory management
 * (the host never takes memory back here).
 */
import {
  index_of,
  is_large_pte,
  is_present_spte,
  is_writeble_pte,
  set_shadow_pte,
  set_trap_nonpresent,
  sp_of,
  spte_hi,
  spte_lo,
  spte_to_pfn,
} from './spte.ts';
import { PT_DIRECTORY_LEVEL, PT_PAGE_TABLE_LEVEL, PT_WRITABLE_MASK } from './spte_format.ts';
import type { kvm } from './types.ts';

/** 4 KiB frames of a large page. */
export const KVM_PAGES_PER_HPAGE = 512;

const level_of = (large: boolean): number => (large ? PT_DIRECTORY_LEVEL : PT_PAGE_TABLE_LEVEL);

/** v2.6.29 mmu.c rmap_add. Does nothing for an entry that maps nothing. */
export function rmap_add(kvm: kvm, sptep: number): void {
  if (!is_present_spte(kvm, sptep)) return;
  const level = level_of(is_large_pte(spte_lo(kvm, sptep)));
  kvm.vm.rmap.add(spte_to_pfn(kvm, sptep), level, sp_of(sptep), index_of(sptep));
}

/** v2.6.29 mmu.c rmap_remove. To be called while the entry still maps its frame. */
export function rmap_remove(kvm: kvm, sptep: number): void {
  if (!is_present_spte(kvm, sptep)) return;
  const level = level_of(is_large_pte(spte_lo(kvm, sptep)));
  kvm.vm.rmap.remove(spte_to_pfn(kvm, sptep), level, sp_of(sptep), index_of(sptep));
}

/**
 * v2.6.29 mmu.c rmap_write_protect
 * Small mappings lose W; writable large mappings go altogether. True when anything changed.
 */
export function rmap_write_protect(kvm: kvm, gfn: number): boolean {
  let write_protected = false;
  for (const sptep of kvm.vm.rmap.entries(gfn, PT_PAGE_TABLE_LEVEL)) {
    const lo = spte_lo(kvm, sptep);
    if (!is_writeble_pte(lo)) continue;
    set_shadow_pte(kvm, sptep, lo & ~PT_WRITABLE_MASK, spte_hi(kvm, sptep));
    write_protected = true;
  }
  for (const sptep of kvm.vm.rmap.entries(gfn, PT_DIRECTORY_LEVEL)) {
    if (!is_writeble_pte(spte_lo(kvm, sptep))) continue;
    rmap_remove(kvm, sptep);
    kvm.stat.lpages--;
    set_trap_nonpresent(kvm, sptep);
    write_protected = true;
  }
  return write_protected;
}

/** v2.6.29 mmu.c account_shadowed: a shadowed table forbids a large mapping around it */
export const account_shadowed = ({ vm }: kvm, gfn: number): void => vm.memslots.forbidLarge(gfn, 1);
export const unaccount_shadowed = ({ vm }: kvm, gfn: number): void => vm.memslots.forbidLarge(gfn, -1);

/** v2.6.29 mmu.c has_wrprotected_page. True where no slot covers the whole large page. */
export const has_wrprotected_page = ({ vm }: kvm, gfn: number): boolean =>
  !vm.memslots.allowsLarge(gfn, PT_DIRECTORY_LEVEL);

/** v2.6.29 mmu.c is_largepage_backed: the host must back the guest's RAM with hugetlbfs */
export const is_largepage_backed = (kvm: kvm, large_gfn: number): boolean =>
  !has_wrprotected_page(kvm, large_gfn) && kvm.vm.hostPageLevel >= PT_DIRECTORY_LEVEL;
