// SPDX-License-Identifier: GPL-2.0-only
/**
 * v2.6.29 arch/x86/kvm/mmu.c: shadow PTEs, how they are read and how they are set. A shadow PTE is addressed as
 * `page id * 512 + index`.
 *
 * Left out: references to host pages and dirty logging (pages are never freed or migrated here), slot bitmaps (one slot),
 * MMIO memory types.
 */
import { CR4 } from '../../src/sim/registers.ts';
import { is_write_protection } from './calc.ts';
import { has_wrprotected_page, rmap_add, rmap_remove } from './mmu_rmap.ts';
import { kvm_mmu_mark_parents_unsync, kvm_unlink_unsync_global, mmu_need_write_protect } from './mmu_sync.ts';
import {
  ACC_EXEC_MASK,
  ACC_USER_MASK,
  ACC_WRITE_MASK,
  PT_DIRTY_MASK,
  PT_PAGE_SIZE_MASK,
  PT_WRITABLE_MASK,
  PT64_NX_MASK_HI,
} from './spte_format.ts';
import type { kvm, kvm_vcpu } from './types.ts';

/** Page that holds a shadow PTE: page_header(__pa(sptep)). */
export const sp_of = (sptep: number): number => sptep >>> 9;
export const index_of = (sptep: number): number => sptep & 511;
export const sptep_of = (sp: number, index: number): number => sp * 512 + index;

export const spte_lo = ({ vm }: kvm, sptep: number): number => vm.pages.low(sptep);
export const spte_hi = ({ vm }: kvm, sptep: number): number => vm.pages.high(sptep);

/** v2.6.29 mmu.c set_shadow_pte */
export const set_shadow_pte = ({ vm }: kvm, sptep: number, lo: number, hi: number): void => vm.pages.set(sptep, lo, hi);

export const set_trap_nonpresent = (kvm: kvm, sptep: number): void =>
  set_shadow_pte(kvm, sptep, kvm.spte.trap_nonpresent.lo, kvm.spte.trap_nonpresent.hi);
export const set_notrap_nonpresent = (kvm: kvm, sptep: number): void =>
  set_shadow_pte(kvm, sptep, kvm.spte.notrap_nonpresent.lo, kvm.spte.notrap_nonpresent.hi);

/** Whether an entry has the trap value. */
export const is_trap_nonpresent = ({ spte }: kvm, lo: number, hi: number): boolean =>
  lo === spte.trap_nonpresent.lo && hi === spte.trap_nonpresent.hi;

/** v2.6.29 mmu.c is_shadow_present_pte: neither of the two non-present values */
export const is_shadow_present_pte = (kvm: kvm, lo: number, hi: number): boolean =>
  !is_trap_nonpresent(kvm, lo, hi) && !(lo === kvm.spte.notrap_nonpresent.lo && hi === kvm.spte.notrap_nonpresent.hi);

export const is_present_spte = (kvm: kvm, sptep: number): boolean =>
  is_shadow_present_pte(kvm, spte_lo(kvm, sptep), spte_hi(kvm, sptep));

export const is_large_pte = (lo: number): boolean => (lo & PT_PAGE_SIZE_MASK) !== 0;
export const is_writeble_pte = (lo: number): boolean => (lo & PT_WRITABLE_MASK) !== 0;
/** v2.6.29 mmu.c is_dirty_pte: never true under EPT, whose dirty mask is 0 */
export const is_dirty_pte = (kvm: kvm, gpte_lo: number): boolean => (gpte_lo & kvm.spte.dirty_mask) !== 0;

/** v2.6.29 mmu.c spte_to_pfn. The guest frame too: RAM is mapped to host frames of the same number. */
export const pfn_of = (lo: number, hi: number): number => (lo >>> 12) + (hi & 0xfffff) * 2 ** 20;
export const spte_to_pfn = (kvm: kvm, sptep: number): number => pfn_of(spte_lo(kvm, sptep), spte_hi(kvm, sptep));

/** Bits of a frame number as they stand in an entry. */
const frame_lo = (frame: number): number => frame << 12;
const frame_hi = (frame: number): number => Math.floor(frame / 2 ** 20) & 0xfffff;

/** Points an entry to a shadow page. */
export function set_table_pte(kvm: kvm, sptep: number, sp: number, bits: number): void {
  const frame = kvm.vm.pages.frameOf(sp);
  set_shadow_pte(kvm, sptep, frame_lo(frame) | bits, frame_hi(frame));
}

/** The page that a non-leaf entry points to: page_header(spte & PT64_BASE_ADDR_MASK). */
export const child_of = (kvm: kvm, sptep: number): number => kvm.vm.pages.idOfFrame(spte_to_pfn(kvm, sptep));

/** What a leaf should map, and for whom. */
export interface leaf {
  readonly gfn: number;
  readonly pte_access: number;
  readonly user_fault: boolean;
  readonly write_fault: boolean;
  /** The guest's entry is dirty: else the leaf is not writable. */
  readonly dirty: boolean;
  readonly largepage: boolean;
  readonly global: boolean;
  /** Set ahead of use: the accessed bit is left for hardware to set. */
  readonly speculative: boolean;
}

/**
 * v2.6.29 mmu.c set_spte
 * True: the page must stay write-protected. With CR0.WP clear a supervisor write makes a read-only page writable while
 * the user bit stays, so user mode can write to it too until the entry goes away.
 */
export function set_spte(vcpu: kvm_vcpu, sptep: number, leaf: leaf, can_unsync: boolean): boolean {
  const { kvm } = vcpu;
  const { spte: format, vm } = kvm;
  const sp = sp_of(sptep);
  vm.counters.set_spte++;
  const global = leaf.global && (vcpu.registers.cr4 & CR4.PGE) !== 0;
  if (!global && vm.pages.mark[sp] === 1) {
    vm.pages.mark[sp] = 0;
    if (vm.pages.unsync[sp] === 1) {
      kvm_unlink_unsync_global(kvm, sp);
      kvm_mmu_mark_parents_unsync(kvm, sp);
    }
  }
  let lo = format.base_present_pte | format.dirty_mask;
  let hi = 0;
  if (!leaf.speculative) lo |= format.accessed_mask;
  let pte_access = leaf.pte_access;
  if (!leaf.dirty) pte_access &= ~ACC_WRITE_MASK;
  if ((pte_access & ACC_EXEC_MASK) !== 0) lo |= format.x_mask;
  else hi |= format.nx_mask_hi;
  if ((pte_access & ACC_USER_MASK) !== 0) lo |= format.user_mask;
  if (leaf.largepage) lo |= PT_PAGE_SIZE_MASK;
  lo |= format.mt_mask | frame_lo(leaf.gfn);
  hi |= frame_hi(leaf.gfn);

  let ret = false;
  const supervisor_write = leaf.write_fault && !is_write_protection(vcpu) && !leaf.user_fault;
  if ((pte_access & ACC_WRITE_MASK) !== 0 || supervisor_write) {
    if (leaf.largepage && has_wrprotected_page(kvm, leaf.gfn)) {
      set_trap_nonpresent(kvm, sptep);
      return true;
    }
    lo |= PT_WRITABLE_MASK;
    // During a sync an entry that was writable needs no look-up: the sync has write-protected its own table.
    const known_writable = !can_unsync && is_writeble_pte(spte_lo(kvm, sptep));
    if (!known_writable && mmu_need_write_protect(vcpu, leaf.gfn, can_unsync)) {
      ret = true;
      lo &= ~PT_WRITABLE_MASK;
    }
  }
  set_shadow_pte(kvm, sptep, lo, hi);
  return ret;
}

/**
 * v2.6.29 mmu.c mmu_set_spte
 * Returns `*ptwrite`: a write to a page that must stay write-protected, for the caller to emulate.
 */
export function mmu_set_spte(vcpu: kvm_vcpu, sptep: number, leaf: leaf): boolean {
  const { kvm } = vcpu;
  const old_lo = spte_lo(kvm, sptep);
  const old_hi = spte_hi(kvm, sptep);
  let was_rmapped = false;
  if (is_shadow_present_pte(kvm, old_lo, old_hi)) {
    if (leaf.largepage && !is_large_pte(old_lo)) {
      kvm.vm.pages.unlinkParent(child_of(kvm, sptep), sp_of(sptep), index_of(sptep));
    } else if (leaf.gfn !== pfn_of(old_lo, old_hi)) rmap_remove(kvm, sptep);
    else was_rmapped = leaf.largepage ? is_large_pte(old_lo) : true;
  }
  const protect = set_spte(vcpu, sptep, leaf, true);
  if (protect) vcpu.cpu.flushCurrent();
  if (!was_rmapped && is_large_pte(spte_lo(kvm, sptep))) kvm.stat.lpages++;
  if (!was_rmapped) rmap_add(kvm, sptep);
  if (leaf.speculative) {
    vcpu.last_pte_updated = sptep;
    vcpu.last_pte_gfn = leaf.gfn;
  }
  return protect && leaf.write_fault;
}

/** v2.6.29 mmu.c need_remote_flush: a present mapping lost its frame or a permission */
export function need_remote_flush(kvm: kvm, old_lo: number, old_hi: number, sptep: number): boolean {
  const lo = spte_lo(kvm, sptep);
  const hi = spte_hi(kvm, sptep);
  if (!is_shadow_present_pte(kvm, old_lo, old_hi)) return false;
  if (!is_shadow_present_pte(kvm, lo, hi)) return true;
  if (pfn_of(old_lo, old_hi) !== pfn_of(lo, hi)) return true;
  // NX is a permission by its absence.
  const lost_nx = (hi & ~old_hi & PT64_NX_MASK_HI) !== 0;
  return lost_nx || (old_lo & ~lo & 7) !== 0;
}

/** PT_DIRTY_MASK of a guest entry, as the fetch and update_pte test it, whatever the shadow's dirty mask is. */
export const gpte_is_dirty = (gpte_lo: number): boolean => (gpte_lo & PT_DIRTY_MASK) !== 0;
