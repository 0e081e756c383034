// SPDX-License-Identifier: GPL-2.0-only
/**
 * v5.10.262 arch/x86/kvm/mmu/mmu.c: the format of the entries KVM builds, and how one entry is changed.
 *
 * Left out: MMIO SPTEs (an access outside guest RAM is emulated each time), the encryption bit (hardware strips it
 * before it uses an address), the address bits turned over against L1TF (only MMIO SPTEs have them), lockless updates
 * of 32-bit hosts, the dirty and accessed marks of host pages.
 */
import { firstFrame, framesOf, tableIndex } from '../../src/sim/address-parts.ts';
import type { Host } from '../../src/sim/host.ts';
import { page_role } from './role.ts';
import type { kvm } from './types.ts';

/** ACC_*_MASK: rights as role.access keeps them. */
export const ACC_EXEC_MASK = 1;
export const ACC_WRITE_MASK = 2;
export const ACC_USER_MASK = 4;
export const ACC_ALL = ACC_EXEC_MASK | ACC_WRITE_MASK | ACC_USER_MASK;

export const PT_PAGE_TABLE_LEVEL = 1;
export const PT_DIRECTORY_LEVEL = 2;
export const PT_PDPE_LEVEL = 3;
export const PT32_ROOT_LEVEL = 2;
export const PT32E_ROOT_LEVEL = 3;
export const PT64_ROOT_4LEVEL = 4;
export const PT64_ROOT_5LEVEL = 5;

export const PT_PRESENT_MASK = 1 << 0;
export const PT_WRITABLE_MASK = 1 << 1;
export const PT_PAGE_SIZE_MASK = 1 << 7;
/** Software bits of an SPTE, in the low half. */
const SPTE_HOST_WRITEABLE = 1 << 10;
export const SPTE_MMU_WRITEABLE = 1 << 11;
/** Bit 52, in the high half: the entry has no accessed and dirty bits. */
const SPTE_AD_DISABLED_MASK_HI = 1 << 20;
/** Bits R and X of an access-tracked EPT entry are parked 54 bits up, which is 22 in the high half. */
const SHADOW_ACC_TRACK_SAVED_BITS = 5;
const SHADOW_ACC_TRACK_SAVED_SHIFT_HI = 22;

/** Neighbouring leaf entries filled with one fault. */
export const PTE_PREFETCH_NUM = 8;

/**
 * The shadow_*_mask variables: which bit means what. `_hi` names a mask of the high half; all others are of the low.
 */
export interface spte_masks {
  readonly shadow_present_mask: number;
  readonly shadow_user_mask: number;
  readonly shadow_accessed_mask: number;
  readonly shadow_dirty_mask: number;
  readonly shadow_nx_mask_hi: number;
  readonly shadow_x_mask: number;
  readonly shadow_acc_track_mask: number;
  /** get_mt_mask: write-back, and guest PAT ignored. */
  readonly mt_mask: number;
}

/** kvm_mmu_reset_all_pte_masks and the defaults of vmx.c/svm.c: shadow paging and NPT use ordinary page tables. */
const ordinary_masks: spte_masks = {
  shadow_present_mask: 1 << 0,
  shadow_user_mask: 1 << 2,
  shadow_accessed_mask: 1 << 5,
  shadow_dirty_mask: 1 << 6,
  shadow_nx_mask_hi: 0x80000000 | 0,
  shadow_x_mask: 0,
  shadow_acc_track_mask: 0,
  mt_mask: 0,
};

/**
 * vmx.c vmx_enable_tdp, on a CPU with execute-only entries (every one since 2010): no bit means "present" then, and
 * readable takes the place of user.
 */
const ept_masks: spte_masks = {
  shadow_present_mask: 0,
  shadow_user_mask: 1 << 0,
  shadow_accessed_mask: 1 << 8,
  shadow_dirty_mask: 1 << 9,
  shadow_nx_mask_hi: 0,
  shadow_x_mask: 1 << 2,
  shadow_acc_track_mask: 7,
  mt_mask: (6 << 3) | (1 << 6),
};

const ept_masks_without_ad: spte_masks = { ...ept_masks, shadow_accessed_mask: 0, shadow_dirty_mask: 0 };

/** The masks in force on a host. */
export function spte_masks_of({ tdp, adBits }: Host): spte_masks {
  if (tdp !== 'ept') return ordinary_masks;
  return adBits ? ept_masks : ept_masks_without_ad;
}

/** A pointer to an SPTE: page id and index in one number, as rmaps and parent links keep it. */
export const sptep_of = (sp: number, index: number): number => sp * 512 + index;
/** `page_header(__pa(sptep))` */
export const sptep_to_sp = (sptep: number): number => sptep >>> 9;
export const spte_index = (sptep: number): number => sptep & 511;

export const spte_lo = (kvm: kvm, sptep: number): number => kvm.vm.pages.low(sptep);
export const spte_hi = (kvm: kvm, sptep: number): number => kvm.vm.pages.high(sptep);
const __set_spte = (kvm: kvm, sptep: number, lo: number, hi: number): void => kvm.vm.pages.set(sptep, lo, hi);

export const is_shadow_present_pte = (lo: number, hi: number): boolean => (lo | hi) !== 0;
export const is_large_pte = (lo: number): boolean => (lo & PT_PAGE_SIZE_MASK) !== 0;
export const is_last_spte = (lo: number, level: number): boolean => level === PT_PAGE_TABLE_LEVEL || is_large_pte(lo);
export const is_writable_pte = (lo: number): boolean => (lo & PT_WRITABLE_MASK) !== 0;
/** v5.10.262 spte.h is_executable_pte */
export const is_executable_pte = (masks: spte_masks, lo: number, hi: number): boolean =>
  (lo & masks.shadow_x_mask) === masks.shadow_x_mask && (hi & masks.shadow_nx_mask_hi) === 0;
/** The frame in an SPTE: a host frame, which for guest RAM is the guest frame of the same number. */
export const spte_to_pfn = (lo: number, hi: number): number => (lo >>> 12) + (hi & 0xfffff) * 2 ** 20;
/** The low and high half of an entry's frame bits. */
export const pfn_lo = (pfn: number): number => pfn << 12;
export const pfn_hi = (pfn: number): number => Math.floor(pfn / 2 ** 20) & 0xfffff;

/** Frames that one entry of a level maps. */
export const KVM_PAGES_PER_HPAGE = framesOf;
/** A frame without the bits below a page of the level. */
export const gfn_round = firstFrame;
/** Index of an address into a shadow table of a level. */
export const SHADOW_PT_INDEX = tableIndex;

export const sp_ad_disabled = (kvm: kvm, sp: number, by: string): boolean =>
  page_role.ad_disabled(kvm.page(sp), by) !== 0;

const spte_ad_enabled = (hi: number): boolean => (hi & SPTE_AD_DISABLED_MASK_HI) === 0;

/** v5.10.262 spte.h is_access_track_spte: no accessed bit, and the rights are parked in high bits. */
export const is_access_track_spte = (masks: spte_masks, lo: number, hi: number): boolean =>
  !spte_ad_enabled(hi) && (lo & masks.shadow_acc_track_mask) === 0;

/** v5.10.262 spte.h is_accessed_spte */
function is_accessed_spte(masks: spte_masks, lo: number, hi: number): boolean {
  const accessed_mask = spte_ad_enabled(hi) ? masks.shadow_accessed_mask : 0;
  return accessed_mask !== 0 ? (lo & accessed_mask) !== 0 : !is_access_track_spte(masks, lo, hi);
}

/** v5.10.262 spte.h is_dirty_spte */
function is_dirty_spte(masks: spte_masks, lo: number, hi: number): boolean {
  const dirty_mask = spte_ad_enabled(hi) ? masks.shadow_dirty_mask : 0;
  return (lo & (dirty_mask !== 0 ? dirty_mask : PT_WRITABLE_MASK)) !== 0;
}

/** v5.10.262 spte.h spte_can_locklessly_be_made_writable: neither host nor a shadowed table forbids the write. */
export function spte_can_locklessly_be_made_writable(lo: number): boolean {
  const both = SPTE_HOST_WRITEABLE | SPTE_MMU_WRITEABLE;
  return (lo & both) === both;
}

/** v5.10.262 mmu.c mmu_spte_set: an absent entry becomes present. */
export function mmu_spte_set(kvm: kvm, sptep: number, lo: number, hi: number): void {
  if (is_shadow_present_pte(spte_lo(kvm, sptep), spte_hi(kvm, sptep))) {
    throw new Error(`mmu_spte_set: entry ${spte_index(sptep)} of page ${sptep_to_sp(sptep)} is present`);
  }
  __set_spte(kvm, sptep, lo, hi);
}

/**
 * v5.10.262 mmu.c mmu_spte_update: state bits of an entry change, its frame does not.
 * Returns true when translations made with the old entry must be flushed.
 */
export function mmu_spte_update(kvm: kvm, sptep: number, lo: number, hi: number): boolean {
  const { masks } = kvm;
  const old_lo = spte_lo(kvm, sptep);
  const old_hi = spte_hi(kvm, sptep);
  __set_spte(kvm, sptep, lo, hi);
  if (!is_shadow_present_pte(old_lo, old_hi)) return false;
  if (spte_can_locklessly_be_made_writable(old_lo) && !is_writable_pte(lo)) return true;
  if (is_accessed_spte(masks, old_lo, old_hi) && !is_accessed_spte(masks, lo, hi)) return true;
  return is_dirty_spte(masks, old_lo, old_hi) && !is_dirty_spte(masks, lo, hi);
}

/** v5.10.262 mmu.c mmu_spte_clear_no_track, also mmu_spte_clear_track_bits: host page marks are not modelled. */
export const mmu_spte_clear_no_track = (kvm: kvm, sptep: number): void => __set_spte(kvm, sptep, 0, 0);

/** v5.10.262 mmu.c spte_write_protect: `pt_protect` = a table is shadowed (else dirty logging). True: flush. */
export function spte_write_protect(kvm: kvm, sptep: number, pt_protect: boolean): boolean {
  const lo = spte_lo(kvm, sptep);
  if (!is_writable_pte(lo) && !(pt_protect && spte_can_locklessly_be_made_writable(lo))) return false;
  const kept = pt_protect ? lo & ~SPTE_MMU_WRITEABLE : lo;
  return mmu_spte_update(kvm, sptep, kept & ~PT_WRITABLE_MASK, spte_hi(kvm, sptep));
}

/** An entry under construction, low and high half. */
export interface new_spte {
  lo: number;
  hi: number;
}

/** v5.10.262 spte.c make_spte, first half: everything but the write right, which depends on shadowed tables. */
export function spte_without_write(
  masks: spte_masks,
  leaf: { readonly ad_disabled: boolean; readonly pte_access: number; readonly level: number; readonly pfn: number },
  speculative: boolean,
): new_spte {
  const { ad_disabled, pte_access, level, pfn } = leaf;
  let lo = masks.shadow_present_mask | masks.mt_mask | SPTE_HOST_WRITEABLE | pfn_lo(pfn);
  let hi = (ad_disabled ? SPTE_AD_DISABLED_MASK_HI : 0) | pfn_hi(pfn);
  if (!speculative && !ad_disabled) lo |= masks.shadow_accessed_mask;
  if (pte_access & ACC_EXEC_MASK) lo |= masks.shadow_x_mask;
  else hi |= masks.shadow_nx_mask_hi;
  if (pte_access & ACC_USER_MASK) lo |= masks.shadow_user_mask;
  if (level > PT_PAGE_TABLE_LEVEL) lo |= PT_PAGE_SIZE_MASK;
  return { lo, hi };
}

/** v5.10.262 spte.c make_spte, the write right and the dirty bit it brings along. */
export function allow_write(masks: spte_masks, spte: new_spte): void {
  spte.lo |= PT_WRITABLE_MASK | SPTE_MMU_WRITEABLE;
  if (spte_ad_enabled(spte.hi)) spte.lo |= masks.shadow_dirty_mask;
}

/** As `allow_write`, for an entry that was writable before: it keeps out of the dirty bit. */
export function keep_write(spte: new_spte): void {
  spte.lo |= PT_WRITABLE_MASK | SPTE_MMU_WRITEABLE;
}

/**
 * v5.10.262 spte.c mark_spte_for_access_track
 * A prefetched entry must not look accessed. Where hardware has no accessed
 * bit, all rights go and the first use faults.
 */
export function mark_spte_for_access_track(masks: spte_masks, spte: new_spte): void {
  if (spte_ad_enabled(spte.hi)) spte.lo &= ~masks.shadow_accessed_mask;
  else if (!is_access_track_spte(masks, spte.lo, spte.hi)) {
    spte.hi |= (spte.lo & SHADOW_ACC_TRACK_SAVED_BITS) << SHADOW_ACC_TRACK_SAVED_SHIFT_HI;
    spte.lo &= ~masks.shadow_acc_track_mask;
  }
}

/** v5.10.262 mmu.c restore_acc_track_spte, but for the write right, which the fast fault path adds itself. */
export function restore_acc_track_spte(masks: spte_masks, spte: new_spte): void {
  const saved = SHADOW_ACC_TRACK_SAVED_BITS << SHADOW_ACC_TRACK_SAVED_SHIFT_HI;
  spte.lo = (spte.lo & ~masks.shadow_acc_track_mask) | ((spte.hi & saved) >>> SHADOW_ACC_TRACK_SAVED_SHIFT_HI);
  spte.hi &= ~saved;
}

/** v5.10.262 spte.c make_nonleaf_spte: an entry that points to a table. It grants everything: rights are the leaf's. */
export function nonleaf_spte(masks: spte_masks, pfn: number, ad_disabled: boolean): new_spte {
  const rights = masks.shadow_present_mask | PT_WRITABLE_MASK | masks.shadow_user_mask | masks.shadow_x_mask;
  return {
    lo: rights | (ad_disabled ? 0 : masks.shadow_accessed_mask) | pfn_lo(pfn),
    hi: pfn_hi(pfn) | (ad_disabled ? SPTE_AD_DISABLED_MASK_HI : 0),
  };
}
