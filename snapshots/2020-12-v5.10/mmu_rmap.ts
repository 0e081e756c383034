// SPDX-License-Identifier: GPL-2.0-only
/**
 * v5.10.262 mmu.c and page_track.c: which entries map a guest frame, and which frames hold guest
 * tables.
 *
 * Left out: rmap_recycle (a frame mapped more than 1000 times loses all its mappings; no workload gets there), the
 * encoding of the lists, everything that dirty logging and the host's own memory management ask of an rmap.
 */
import type { ReverseMap } from '../../src/sim/rmap.ts';
import type { AddressSpace } from '../../src/sim/vm.ts';
import { page_role } from './role.ts';
import {
  is_large_pte,
  is_last_spte,
  is_shadow_present_pte,
  KVM_PAGES_PER_HPAGE,
  mmu_spte_clear_no_track,
  PT_PAGE_TABLE_LEVEL,
  PT_PDPE_LEVEL,
  PT_WRITABLE_MASK,
  SHADOW_PT_INDEX,
  SPTE_MMU_WRITEABLE,
  spte_hi,
  spte_index,
  spte_lo,
  spte_to_pfn,
  spte_write_protect,
  sptep_to_sp,
} from './spte.ts';
import { kvm_flush_remote_tlbs } from './tlb.ts';
import { type kvm, type kvm_vcpu, kvm_vcpu_memslots } from './types.ts';

/** v5.10.262 arch/x86/include/asm/kvm_host.h kvm_memslots_for_spte_role: guest memory as the vCPUs see it that use the page. */
function kvm_memslots_for_spte_role(kvm: kvm, sp: number, by: string): AddressSpace {
  return kvm.vm.addressSpaces[page_role.smm(kvm.page(sp), by) === 0 ? 0 : 1];
}

/** v5.10.262 mmu.c gfn_to_rmap */
const gfn_to_rmap = (kvm: kvm, sp: number): ReverseMap => kvm_memslots_for_spte_role(kvm, sp, 'gfn_to_rmap').rmap;

/** v5.10.262 mmu.c rmap_add */
export function rmap_add(kvm: kvm, sptep: number, gfn: number): void {
  const sp = sptep_to_sp(sptep);
  gfn_to_rmap(kvm, sp).add(gfn, page_role.level(kvm.page(sp), 'gfn_to_rmap'), sp, spte_index(sptep));
}

/**
 * v5.10.262 mmu.c kvm_mmu_page_get_gfn: frame that a leaf of the page maps. What C keeps in gfns[] for pages
 * that shadow a guest table is the frame in the entry itself.
 */
export function kvm_mmu_page_get_gfn(kvm: kvm, sp: number, index: number, pfn: number): number {
  const page = kvm.page(sp);
  if (page_role.direct(page, 'kvm_mmu_page_get_gfn') === 0) return pfn;
  return kvm.vm.pages.gfn[sp]! + index * KVM_PAGES_PER_HPAGE(page_role.level(page, 'kvm_mmu_page_get_gfn'));
}

/** v5.10.262 mmu.c rmap_remove */
function rmap_remove(kvm: kvm, sptep: number, pfn: number): void {
  const sp = sptep_to_sp(sptep);
  const gfn = kvm_mmu_page_get_gfn(kvm, sp, spte_index(sptep), pfn);
  gfn_to_rmap(kvm, sp).remove(gfn, page_role.level(kvm.page(sp), 'gfn_to_rmap'), sp, spte_index(sptep));
}

/** v5.10.262 mmu.c drop_spte: a leaf becomes absent. */
export function drop_spte(kvm: kvm, sptep: number): void {
  const lo = spte_lo(kvm, sptep);
  const hi = spte_hi(kvm, sptep);
  mmu_spte_clear_no_track(kvm, sptep);
  if (is_shadow_present_pte(lo, hi)) rmap_remove(kvm, sptep, spte_to_pfn(lo, hi));
}

/** v5.10.262 mmu.c drop_large_spte: a large mapping stands where a table is wanted. */
export function drop_large_spte(vcpu: kvm_vcpu, sptep: number): void {
  const { kvm } = vcpu;
  if (!is_large_pte(spte_lo(kvm, sptep))) return;
  drop_spte(kvm, sptep);
  kvm_flush_remote_tlbs(kvm);
}

/**
 * v5.10.262 mmu.c kvm_mmu_slot_gfn_write_protect: every mapping of the frame, of any size, and of any tree of the TDP MMU.
 * True: flush.
 */
function kvm_mmu_slot_gfn_write_protect(kvm: kvm, slot: AddressSpace, gfn: number): boolean {
  let flush = false;
  for (let level = PT_PAGE_TABLE_LEVEL; level <= PT_PDPE_LEVEL; level++) {
    for (const sptep of slot.rmap.entries(gfn, level)) {
      if (spte_write_protect(kvm, sptep, true)) flush = true;
    }
  }
  if (kvm_tdp_mmu_write_protect_gfn(kvm, slot, gfn)) flush = true;
  return flush;
}

/** v5.10.262 tdp_mmu.c kvm_tdp_mmu_write_protect_gfn: in the trees of the address space. True: flush. */
function kvm_tdp_mmu_write_protect_gfn(kvm: kvm, slot: AddressSpace, gfn: number): boolean {
  let spte_set = false;
  for (const root of kvm.tdp_mmu_roots) {
    if (kvm_memslots_for_spte_role(kvm, root, 'kvm_mmu_page_as_id') !== slot) continue;
    if (write_protect_gfn(kvm, root, gfn)) spte_set = true;
  }
  return spte_set;
}

/**
 * v5.10.262 tdp_mmu.c write_protect_gfn: the leaf for the frame in one tree. Levels are counted, as C's iterator does: the
 * role of a table says that of the entry above.
 */
function write_protect_gfn(kvm: kvm, root: number, gfn: number): boolean {
  const { pages, counters } = kvm.vm;
  let sp = root;
  for (let level = page_role.level(kvm.page(root), 'write_protect_gfn'); ; level--) {
    const index = SHADOW_PT_INDEX(gfn * 4096, level);
    const lo = pages.entryLow(sp, index);
    const hi = pages.entryHigh(sp, index);
    if (!is_shadow_present_pte(lo, hi)) return false;
    if (is_last_spte(lo, level)) {
      const new_lo = lo & ~(PT_WRITABLE_MASK | SPTE_MMU_WRITEABLE);
      if (new_lo === lo) return false;
      counters.tdp_spte_changed++;
      pages.setEntry(sp, index, new_lo, hi);
      return true;
    }
    sp = pages.idOfFrame(spte_to_pfn(lo, hi));
  }
}

/** v5.10.262 mmu.c rmap_write_protect, in the address space that the vCPU is in. */
export function rmap_write_protect(vcpu: kvm_vcpu, gfn: number): boolean {
  return kvm_mmu_slot_gfn_write_protect(vcpu.kvm, kvm_vcpu_memslots(vcpu), gfn);
}

/**
 * v5.10.262 mmu.c account_shadowed
 * Upper tables stay read-only for good: their frame is write-tracked. Last-level tables may go unsync later.
 */
export function account_shadowed(kvm: kvm, sp: number): void {
  const gfn = kvm.vm.pages.gfn[sp]!;
  const slots = kvm_memslots_for_spte_role(kvm, sp, 'account_shadowed');
  kvm.indirect_shadow_pages++;
  slots.memslots.forbidLarge(gfn, 1);
  if (page_role.level(kvm.page(sp), 'account_shadowed') > PT_PAGE_TABLE_LEVEL) {
    slots.memslots.track(gfn, 1);
    if (kvm_mmu_slot_gfn_write_protect(kvm, slots, gfn)) kvm_flush_remote_tlbs(kvm);
  }
}

/** v5.10.262 mmu.c unaccount_shadowed */
export function unaccount_shadowed(kvm: kvm, sp: number): void {
  const gfn = kvm.vm.pages.gfn[sp]!;
  const { memslots } = kvm_memslots_for_spte_role(kvm, sp, 'unaccount_shadowed');
  kvm.indirect_shadow_pages--;
  memslots.forbidLarge(gfn, -1);
  if (page_role.level(kvm.page(sp), 'unaccount_shadowed') > PT_PAGE_TABLE_LEVEL) memslots.track(gfn, -1);
}

/** v5.10.262 page_track.c kvm_page_track_is_active for writes: some upper table of the frame is shadowed. */
export const kvm_page_track_is_active = (vcpu: kvm_vcpu, gfn: number): boolean =>
  kvm_vcpu_memslots(vcpu).memslots.isTracked(gfn);

/** v5.10.262 mmu.c lpage_info_slot: its count disallow_lpage; also true where no slot covers the large page. */
export const disallow_lpage = (vcpu: kvm_vcpu, gfn: number, level: number): boolean =>
  !kvm_vcpu_memslots(vcpu).memslots.allowsLarge(gfn, level);
