// SPDX-License-Identifier: GPL-2.0-only
/**
 * a770f6f28b1a arch/x86/kvm/mmu.c: pages that the guest may write to while they are shadowed, and how they are found
 * again. Counts of unsync children drift from their bitmaps in this era, as a walk clears bits without counting; so the
 * machine's walk over unsync pages, which keeps both in step, is not used.
 */
import { mmu_sync_page } from './mmu_fault.ts';
import { kvm_mmu_zap_page, mmu_convert_notrap } from './mmu_pages.ts';
import { rmap_write_protect } from './mmu_rmap.ts';
import { page_role, root_level } from './role.ts';
import { child_of, is_large_pte, is_present_spte, spte_lo, sptep_of } from './spte.ts';
import { PT_PAGE_TABLE_LEVEL, PT64_ROOT_LEVEL } from './spte_format.ts';
import type { kvm, kvm_vcpu } from './types.ts';
import { kvm_flush_remote_tlbs, kvm_mmu_flush_tlb } from './x86.ts';

/** a770f6f28b1a mmu.c KVM_PAGE_ARRAY_NR */
const KVM_PAGE_ARRAY_NR = 16;

/** a770f6f28b1a mmu.c kvm_mmu_mark_parents_unsync:945: marks every way from above to the page */
export function kvm_mmu_mark_parents_unsync(kvm: kvm, sp: number): void {
  const { pages } = kvm.vm;
  for (const parent_pte of pages.parentEntries(sp)) {
    kvm_mmu_mark_parents_unsync(kvm, parent_pte >>> 9);
    pages.setUnsyncBit(parent_pte >>> 9, parent_pte & 511);
  }
}

/** a770f6f28b1a mmu.c kvm_mmu_lookup_page:1051: the latest valid page that shadows a table in this frame, 0 for none */
export function kvm_mmu_lookup_page(kvm: kvm, gfn: number): number {
  const { pages } = kvm.vm;
  for (let sp = pages.firstOf(gfn); sp !== 0; sp = pages.nextOf(sp)) {
    const metaphysical = page_role.metaphysical(kvm.sp(sp), 'kvm_mmu_lookup_page');
    if (metaphysical === 0 && page_role.invalid(kvm.sp(sp), 'kvm_mmu_lookup_page') === 0) return sp;
  }
  return 0;
}

/** a770f6f28b1a mmu.c kvm_unlink_unsync_global:1068 */
export function kvm_unlink_unsync_global(kvm: kvm, sp: number): void {
  kvm.oos_global_pages.splice(kvm.oos_global_pages.indexOf(sp), 1);
  kvm.stat.mmu_unsync_global--;
}

/** a770f6f28b1a mmu.c kvm_unlink_unsync_page:1074 */
export function kvm_unlink_unsync_page(kvm: kvm, sp: number): void {
  const { pages } = kvm.vm;
  pages.unsync[sp] = 0;
  if (pages.mark[sp] === 1) kvm_unlink_unsync_global(kvm, sp);
  kvm.stat.mmu_unsync--;
}

/** a770f6f28b1a mmu.c kvm_sync_page:1088. True: the page is gone. */
export function kvm_sync_page(vcpu: kvm_vcpu, sp: number): boolean {
  const { kvm } = vcpu;
  kvm.vm.counters.sync_page++;
  if (page_role.glevels(kvm.sp(sp), 'kvm_sync_page') !== root_level(vcpu.mmu, 'kvm_sync_page')) {
    kvm_mmu_zap_page(kvm, sp);
    return true;
  }
  if (rmap_write_protect(kvm, kvm.vm.pages.gfn[sp]!)) kvm_flush_remote_tlbs(kvm);
  kvm_unlink_unsync_page(kvm, sp);
  if (mmu_sync_page(vcpu, sp)) {
    kvm_mmu_zap_page(kvm, sp);
    return true;
  }
  kvm_mmu_flush_tlb(vcpu);
  return false;
}

/** struct kvm_mmu_pages: what one round of a walk collects, tables on the way included. */
interface kvm_mmu_pages {
  readonly page: { readonly sp: number; readonly idx: number }[];
}

/** a770f6f28b1a mmu.c mmu_pages_add:985. True: the vector is full. */
function mmu_pages_add(kvm: kvm, pvec: kvm_mmu_pages, sp: number, idx: number): boolean {
  if (kvm.vm.pages.unsync[sp] === 1 && pvec.page.some((entry) => entry.sp === sp)) return false;
  pvec.page.push({ sp, idx });
  return pvec.page.length === KVM_PAGE_ARRAY_NR;
}

/**
 * a770f6f28b1a mmu.c __mmu_unsync_walk:1002. Number of unsync pages below, -1 when the vector is full.
 * A bit that leads to nothing unsync is cleared only where a table lies between, and unsync_children is not reduced
 * with it: it becomes 0 when the whole bitmap is empty.
 */
function __mmu_unsync_walk(kvm: kvm, sp: number, pvec: kvm_mmu_pages): number {
  const { pages } = kvm.vm;
  let nr_unsync_leaf = 0;
  for (let i = pages.nextUnsyncBit(sp, 0); i >= 0; i = pages.nextUnsyncBit(sp, i + 1)) {
    const sptep = sptep_of(sp, i);
    if (!is_present_spte(kvm, sptep) || is_large_pte(spte_lo(kvm, sptep))) continue;
    const child = child_of(kvm, sptep);
    if (pages.unsyncChildren[child]! > 0) {
      if (mmu_pages_add(kvm, pvec, child, i)) return -1;
      const below = __mmu_unsync_walk(kvm, child, pvec);
      if (below < 0) return below;
      if (below === 0) clear_bit_only(kvm, sp, i);
      nr_unsync_leaf += below;
    }
    if (pages.unsync[child] === 1) {
      nr_unsync_leaf++;
      if (mmu_pages_add(kvm, pvec, child, i)) return -1;
    }
  }
  if (pages.nextUnsyncBit(sp, 0) < 0) pages.unsyncChildren[sp] = 0;
  return nr_unsync_leaf;
}

/** __clear_bit on the bitmap: the count stays. */
function clear_bit_only({ vm }: kvm, sp: number, idx: number): void {
  const count = vm.pages.unsyncChildren[sp]!;
  vm.pages.clearUnsyncBit(sp, idx);
  vm.pages.unsyncChildren[sp] = count;
}

/** struct mmu_page_path: by level, the table and the entry in it that lead to the page at hand. */
interface mmu_page_path {
  readonly parent: number[];
  readonly idx: number[];
}

/** a770f6f28b1a mmu.c mmu_pages_clear_parents:1136 */
function mmu_pages_clear_parents({ vm }: kvm, parents: mmu_page_path): void {
  for (let level = 0; level < PT64_ROOT_LEVEL - 1; level++) {
    const sp = parents.parent[level]!;
    if (sp === 0) return;
    const count = vm.pages.unsyncChildren[sp]! - 1;
    vm.pages.clearUnsyncBit(sp, parents.idx[level]!);
    vm.pages.unsyncChildren[sp] = count;
    if (count !== 0) return;
  }
}

/**
 * mmu_unsync_walk:1035 with for_each_sp:1110 around it: rounds of up to 16 pages until nothing below `parent` is unsync.
 * Returns how many places of the vectors were used, tables on the way included.
 */
function for_each_unsync_batch(
  kvm: kvm,
  parent: number,
  visit: { readonly batch: (found: readonly number[]) => void; readonly page: (sp: number) => void },
): number {
  const { pages } = kvm.vm;
  let used = 0;
  for (;;) {
    const pvec: kvm_mmu_pages = { page: [] };
    if (pages.unsyncChildren[parent] === 0) return used;
    mmu_pages_add(kvm, pvec, parent, 0);
    if (__mmu_unsync_walk(kvm, parent, pvec) === 0) return used;
    visit.batch(pvec.page.filter(({ sp }) => is_leaf_table(kvm, sp)).map(({ sp }) => sp));
    const parents: mmu_page_path = { parent: [0, 0, 0, 0], idx: [0, 0, 0, 0] };
    for (const { sp, idx } of pvec.page) {
      const level = page_role.level(kvm.sp(sp), 'mmu_pages_next');
      parents.idx[level - 1] = idx;
      if (level === PT_PAGE_TABLE_LEVEL) {
        visit.page(sp);
        mmu_pages_clear_parents(kvm, parents);
      } else parents.parent[level - 2] = sp;
    }
    used += pvec.page.length;
  }
}

const is_leaf_table = (kvm: kvm, sp: number): boolean =>
  page_role.level(kvm.sp(sp), 'mmu_pages_next') === PT_PAGE_TABLE_LEVEL;

/** a770f6f28b1a mmu.c mmu_sync_children:1165 */
export function mmu_sync_children(vcpu: kvm_vcpu, parent: number): void {
  const { kvm } = vcpu;
  for_each_unsync_batch(kvm, parent, {
    batch: (found) => {
      let protected_any = false;
      for (const sp of found) if (rmap_write_protect(kvm, kvm.vm.pages.gfn[sp]!)) protected_any = true;
      if (protected_any) kvm_flush_remote_tlbs(kvm);
    },
    page: (sp) => {
      kvm_sync_page(vcpu, sp);
    },
  });
}

/** a770f6f28b1a mmu.c mmu_zap_unsync_children:1357. True when anything was zapped: lists have to be read again. */
export function mmu_zap_unsync_children(kvm: kvm, parent: number): boolean {
  if (page_role.level(kvm.sp(parent), 'mmu_zap_unsync_children') === PT_PAGE_TABLE_LEVEL) return false;
  return (
    for_each_unsync_batch(kvm, parent, {
      batch: () => {},
      page: (sp) => {
        kvm_mmu_zap_page(kvm, sp);
      },
    }) > 0
  );
}

/**
 * a770f6f28b1a mmu.c kvm_unsync_page:1613. True: the page must stay write-protected.
 * A page whose entries are all global goes to a list of its own and its parents are not told, so neither MOV CR3 nor a
 * root load syncs it.
 */
function kvm_unsync_page(vcpu: kvm_vcpu, sp: number): boolean {
  const { kvm } = vcpu;
  const { pages, counters } = kvm.vm;
  const word = page_role.word(kvm.sp(sp), 'kvm_unsync_page');
  for (let s = pages.firstOf(pages.gfn[sp]!); s !== 0; s = pages.nextOf(s)) {
    if (page_role.metaphysical(kvm.sp(s), 'kvm_unsync_page') !== 0) continue;
    if (page_role.word(kvm.sp(s), 'kvm_unsync_page') !== word) return true;
  }
  counters.unsync_page++;
  kvm.stat.mmu_unsync++;
  pages.unsync[sp] = 1;
  if (pages.mark[sp] === 1) {
    kvm.oos_global_pages.unshift(sp);
    kvm.stat.mmu_unsync_global++;
  } else kvm_mmu_mark_parents_unsync(kvm, sp);
  mmu_convert_notrap(kvm, sp);
  return false;
}

/** a770f6f28b1a mmu.c mmu_need_write_protect:1642, with oos_shadow at its default of 1 */
export function mmu_need_write_protect(vcpu: kvm_vcpu, gfn: number, can_unsync: boolean): boolean {
  const { kvm } = vcpu;
  const shadow = kvm_mmu_lookup_page(kvm, gfn);
  if (shadow === 0) return false;
  if (page_role.level(kvm.sp(shadow), 'mmu_need_write_protect') !== PT_PAGE_TABLE_LEVEL) return true;
  if (kvm.vm.pages.unsync[shadow] === 1) return false;
  return can_unsync ? kvm_unsync_page(vcpu, shadow) : true;
}
