// SPDX-License-Identifier: GPL-2.0-only
/**
 * v6.12.117 arch/x86/kvm/mmu/mmu.c, first part, and page_track.c: changing a single SPTE, which SPTEs map a guest
 * frame (rmap), and keeping the guest from writing frames that hold its tables.
 *
 * Left out: ageing and unmapping for the host's memory management and dirty logging (the host here never takes a page
 * away), host page statistics, and the limit of 1000 mappings of one frame after which KVM drops them all.
 */
import { tableIndexOfFrame } from '../../src/sim/address-parts.ts';
import type { AddressSpace } from '../../src/sim/vm.ts';
import { page_role } from './role.ts';
import {
  is_accessed_spte,
  is_dirty_spte,
  is_large_pte,
  is_mmu_writable_spte,
  is_shadow_present_pte,
  is_writable_pte,
  PG_LEVEL_4K,
  PT_WRITABLE_MASK,
  spte_hi,
  spte_index,
  spte_lo,
  spte_masks_of,
  spte_to_pfn,
  sptep_to_sp,
} from './spte.ts';
import { KVM_REQ, type kvm, type kvm_vcpu } from './types.ts';

import { kvm_make_all_cpus_request } from './x86.ts';

/** KVM_MAX_HUGEPAGE_LEVEL: 1 GiB. */
export const KVM_MAX_HUGEPAGE_LEVEL = 3;

/** v6.12.117 arch/x86/include/asm/kvm_host.h kvm_memslots_for_spte_role: SMM has memslots of its own. */
export const kvm_memslots_for_spte_role = (kvm: kvm, sp: number, by: string): AddressSpace =>
  kvm.vm.addressSpaces[page_role.smm(kvm, sp, by) === 0 ? 0 : 1];

/** virt/kvm/kvm_main.c kvm_vcpu_memslots */
export const kvm_vcpu_memslots = (vcpu: kvm_vcpu): AddressSpace => vcpu.kvm.vm.addressSpaces[vcpu.is_smm ? 1 : 0];

/** virt/kvm/kvm_main.c kvm_flush_remote_tlbs: every vCPU flushes before it runs guest code again. */
export function kvm_flush_remote_tlbs(kvm: kvm): void {
  kvm.vm.counters.remote_tlb_flush++;
  kvm_make_all_cpus_request(kvm, KVM_REQ.TLB_FLUSH);
}

/** v6.12.117 mmu.c mmu_spte_set */
export function mmu_spte_set(kvm: kvm, sptep: number, lo: number, hi: number): void {
  kvm.vm.pages.set(sptep, lo, hi);
}

/**
 * v6.12.117 mmu.c mmu_spte_update
 * Replaces an SPTE by one for the same frame. True when TLBs may hold more than the new one grants or has marked.
 */
export function mmu_spte_update(kvm: kvm, sptep: number, lo: number, hi: number): boolean {
  const old_lo = spte_lo(kvm, sptep);
  const old_hi = spte_hi(kvm, sptep);
  mmu_spte_set(kvm, sptep, lo, hi);
  if (!is_shadow_present_pte(old_lo)) return false;
  const masks = spte_masks_of(kvm.vm.host);
  if (is_mmu_writable_spte(masks, old_lo, old_hi) && !is_writable_pte(lo)) return true;
  if (is_accessed_spte(masks, old_lo, old_hi) && !is_accessed_spte(masks, lo, hi)) return true;
  return is_dirty_spte(masks, old_lo, old_hi) && !is_dirty_spte(masks, lo, hi);
}

/** v6.12.117 mmu.c mmu_spte_clear_no_track */
export function mmu_spte_clear_no_track(kvm: kvm, sptep: number): void {
  mmu_spte_set(kvm, sptep, 0, 0);
}

/** v6.12.117 mmu.c kvm_mmu_page_set_access: the rights the guest's tables give, before any that KVM takes away. */
export function kvm_mmu_page_set_access(kvm: kvm, sptep: number, access: number): void {
  // C keeps none for direct pages, and nothing asks for them.
  kvm.shadowed_access.set(sptep, access);
}

/** v6.12.117 mmu.c rmap_add: the caller knows the address space already. */
export function rmap_add(kvm: kvm, { rmap }: AddressSpace, sptep: number, gfn: number, pte_access: number): void {
  const sp = sptep_to_sp(sptep);
  kvm_mmu_page_set_access(kvm, sptep, pte_access);
  rmap.add(gfn, page_role.level(kvm, sp, 'rmap_add'), sp, spte_index(sptep));
}

/** v6.12.117 mmu.c drop_spte: clears a leaf and takes it out of the rmap. */
export function drop_spte(kvm: kvm, sptep: number): void {
  const sp = sptep_to_sp(sptep);
  const lo = spte_lo(kvm, sptep);
  const gfn = spte_to_pfn(lo, spte_hi(kvm, sptep));
  mmu_spte_clear_no_track(kvm, sptep);
  if (!is_shadow_present_pte(lo)) return;
  const { rmap } = kvm_memslots_for_spte_role(kvm, sp, 'rmap_remove');
  rmap.remove(gfn, page_role.level(kvm, sp, 'rmap_remove'), sp, spte_index(sptep));
}

/** v6.12.117 mmu.c spte_write_protect with pt_protect: KVM must see writes, and no fast path may undo that. */
function spte_write_protect(kvm: kvm, sptep: number): boolean {
  const masks = spte_masks_of(kvm.vm.host);
  const lo = spte_lo(kvm, sptep);
  const hi = spte_hi(kvm, sptep);
  if (!is_writable_pte(lo) && !is_mmu_writable_spte(masks, lo, hi)) return false;
  const { shadow_mmu_writable_mask, shadow_mmu_writable_mask_hi } = masks;
  const new_lo = lo & ~(PT_WRITABLE_MASK | shadow_mmu_writable_mask);
  return mmu_spte_update(kvm, sptep, new_lo, hi & ~shadow_mmu_writable_mask_hi);
}

/**
 * v6.12.117 mmu.c kvm_mmu_slot_gfn_write_protect
 * Takes the write right from every SPTE of every size that maps the frame, and from the TDP MMU's. True when TLBs must
 * be flushed.
 */
export function kvm_mmu_slot_gfn_write_protect(kvm: kvm, slot: AddressSpace, gfn: number): boolean {
  let write_protected = false;
  for (let level = PG_LEVEL_4K; level <= KVM_MAX_HUGEPAGE_LEVEL; level++) {
    if (slot.rmap.isEmpty(gfn, level)) continue;
    for (const sptep of slot.rmap.entries(gfn, level)) {
      if (spte_write_protect(kvm, sptep)) write_protected = true;
    }
  }
  for (const root of kvm.tdp_mmu_roots) {
    if (kvm_memslots_for_spte_role(kvm, root, 'kvm_mmu_page_as_id') !== slot) continue;
    if (write_protect_tdp(kvm, root, gfn)) write_protected = true;
  }
  return write_protected;
}

/** v6.12.117 tdp_mmu.c write_protect_gfn: the leaf for the frame in one tree. */
function write_protect_tdp(kvm: kvm, root: number, gfn: number): boolean {
  const { pages } = kvm.vm;
  let sp = root;
  for (let level = page_role.level(kvm, root, 'tdp_iter_start'); ; level--) {
    const index = tableIndexOfFrame(gfn, level);
    const lo = pages.entryLow(sp, index);
    if (!is_shadow_present_pte(lo)) return false;
    if (level === PG_LEVEL_4K || is_large_pte(lo)) {
      const masks = spte_masks_of(kvm.vm.host);
      const hi = pages.entryHigh(sp, index);
      const locked_lo = PT_WRITABLE_MASK | masks.shadow_mmu_writable_mask;
      const locked_hi = masks.shadow_mmu_writable_mask_hi;
      if ((lo & locked_lo) === 0 && (hi & locked_hi) === 0) return false;
      tdp_spte_set(kvm, sp, index, lo & ~locked_lo, hi & ~locked_hi);
      return true;
    }
    sp = pages.idOfFrame(spte_to_pfn(lo, pages.entryHigh(sp, index)));
  }
}

/**
 * Stores an entry of a TDP MMU tree and counts it as the tracepoint kvm_tdp_mmu_spte_changed does: whenever the value
 * changes.
 */
export function tdp_spte_set(kvm: kvm, sp: number, index: number, lo: number, hi: number): void {
  const { pages, counters } = kvm.vm;
  if (pages.entryLow(sp, index) !== lo || pages.entryHigh(sp, index) !== hi) counters.tdp_spte_changed++;
  pages.setEntry(sp, index, lo, hi);
}

/** v6.12.117 mmu.c kvm_vcpu_write_protect_gfn */
export function kvm_vcpu_write_protect_gfn(vcpu: kvm_vcpu, gfn: number): boolean {
  return kvm_mmu_slot_gfn_write_protect(vcpu.kvm, kvm_vcpu_memslots(vcpu), gfn);
}

/** v6.12.117 page_track.c __kvm_write_track_add_gfn: writes to the frame reach KVM from now on. */
export function __kvm_write_track_add_gfn(kvm: kvm, slot: AddressSpace, gfn: number): void {
  slot.memslots.track(gfn, 1);
  slot.memslots.forbidLarge(gfn, 1);
  if (kvm_mmu_slot_gfn_write_protect(kvm, slot, gfn)) kvm_flush_remote_tlbs(kvm);
}

/** v6.12.117 page_track.c __kvm_write_track_remove_gfn */
export function __kvm_write_track_remove_gfn(slot: AddressSpace, gfn: number): void {
  slot.memslots.track(gfn, -1);
  slot.memslots.forbidLarge(gfn, -1);
}

/**
 * v6.12.117 mmu.c kvm_mmu_max_mapping_level
 * Largest page that memslot, shadowed tables and the host's own mapping allow for the frame.
 */
export function kvm_mmu_max_mapping_level(kvm: kvm, slot: AddressSpace, gfn: number, max_level: number): number {
  let level = Math.min(max_level, kvm.vm.host.maxHugePageLevel);
  while (level > PG_LEVEL_4K && !slot.memslots.allowsLarge(gfn, level)) level--;
  return Math.min(level, kvm.vm.hostPageLevel);
}
