// SPDX-License-Identifier: GPL-2.0-only
/**
 * 7a458f0e1ba1 arch/x86/kvm/mmu/spte.{h,c}: the format of the entries KVM builds.
 *
 * Left out: MMIO SPTEs (guests here touch RAM only), the encryption bit (hardware strips it before it uses an address),
 * NX huge pages (a mitigation, off in the recorded runs), write protection for PML while L2 runs and dirty logging (no
 * dirty log), the rotation of leaked address bits against L1TF (non-present SPTEs are zero here).
 */
import { firstFrame, framesOf } from '../../src/sim/address-parts.ts';
import type { Host } from '../../src/sim/host.ts';
import { mmu_try_to_unsync_pages } from './mmu_pages.ts';
import { page_role } from './role.ts';
import type { kvm, kvm_vcpu } from './types.ts';

/** ACC_*_MASK: rights as role.access keeps them. */
export const ACC_EXEC_MASK = 1;
export const ACC_WRITE_MASK = 2;
export const ACC_USER_MASK = 4;
export const ACC_ALL = ACC_EXEC_MASK | ACC_WRITE_MASK | ACC_USER_MASK;

export const PG_LEVEL_4K = 1;
export const PG_LEVEL_2M = 2;
export const PT32E_ROOT_LEVEL = 3;
export const PT64_ROOT_4LEVEL = 4;

export const PT_PRESENT_MASK = 1 << 0;
export const PT_WRITABLE_MASK = 1 << 1;
export const PT_PAGE_SIZE_MASK = 1 << 7;
/** Bit 11 of every present SPTE, whatever the format: EPT entries may be present without bit 0. */
export const SPTE_MMU_PRESENT_MASK = 1 << 11;
/** Bit 52, in the high half: this SPTE has no accessed and dirty bits. */
const SPTE_TDP_AD_DISABLED_HI = 1 << 20;
/** Bits R and X of an access-tracked EPT entry are kept 54 bits up, which is 22 in the high half. */
const SHADOW_ACC_TRACK_SAVED_BITS = 5;
const SHADOW_ACC_TRACK_SAVED_SHIFT_HI = 22;

/** The shadow_*_mask variables: which bit means what. `_hi` names a mask of the high half; all others are of the low. */
export interface spte_masks {
  readonly shadow_present_mask: number;
  readonly shadow_user_mask: number;
  readonly shadow_accessed_mask: number;
  readonly shadow_dirty_mask: number;
  readonly shadow_nx_mask_hi: number;
  readonly shadow_x_mask: number;
  readonly shadow_acc_track_mask: number;
  readonly shadow_host_writable_mask: number;
  readonly shadow_host_writable_mask_hi: number;
  readonly shadow_mmu_writable_mask: number;
  readonly shadow_mmu_writable_mask_hi: number;
  /** Memory type of leaves: write-back, and guest PAT ignored. */
  readonly mt_mask: number;
}

/** kvm_mmu_reset_all_pte_masks: shadow paging and NPT share the format of ordinary page tables. */
const ordinary_masks: spte_masks = {
  shadow_present_mask: 1 << 0,
  shadow_user_mask: 1 << 2,
  shadow_accessed_mask: 1 << 5,
  shadow_dirty_mask: 1 << 6,
  shadow_nx_mask_hi: 0x80000000 | 0,
  shadow_x_mask: 0,
  shadow_acc_track_mask: 0,
  shadow_host_writable_mask: 1 << 9,
  shadow_host_writable_mask_hi: 0,
  shadow_mmu_writable_mask: 1 << 10,
  shadow_mmu_writable_mask_hi: 0,
  mt_mask: 0,
};

/**
 * kvm_mmu_set_ept_masks, on a CPU with execute-only entries (every one since 2010): no bit means "present" then, and
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
  shadow_host_writable_mask: 0,
  shadow_host_writable_mask_hi: 1 << 25,
  shadow_mmu_writable_mask: 0,
  shadow_mmu_writable_mask_hi: 1 << 26,
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
export const sptep_to_sp = (sptep: number): number => sptep >>> 9;
export const spte_index = (sptep: number): number => sptep & 511;

export const spte_lo = (kvm: kvm, sptep: number): number => kvm.vm.pages.low(sptep);
export const spte_hi = (kvm: kvm, sptep: number): number => kvm.vm.pages.high(sptep);

export const is_shadow_present_pte = (lo: number): boolean => (lo & SPTE_MMU_PRESENT_MASK) !== 0;
export const is_large_pte = (lo: number): boolean => (lo & PT_PAGE_SIZE_MASK) !== 0;
export const is_last_spte = (lo: number, level: number): boolean => level === PG_LEVEL_4K || is_large_pte(lo);
export const is_writable_pte = (lo: number): boolean => (lo & PT_WRITABLE_MASK) !== 0;
/** The frame in an SPTE: a host frame, which for guest RAM is the guest frame of the same number. */
export const spte_to_pfn = (lo: number, hi: number): number => (lo >>> 12) + (hi & 0xfffff) * 2 ** 20;
/** Frames that one entry of a level maps: KVM_PAGES_PER_HPAGE. */
export const KVM_PAGES_PER_HPAGE = framesOf;
/** A frame without the bits below a large page of the level. */
export const base_gfn_of = firstFrame;

/** 7a458f0e1ba1 arch/x86/kvm/mmu/spte.h sp_ad_disabled */
export const sp_ad_disabled = (kvm: kvm, sp: number): boolean => page_role.ad_disabled(kvm, sp, 'sp_ad_disabled') !== 0;

/** 7a458f0e1ba1 spte.h spte_ad_enabled */
const spte_ad_enabled = (hi: number): boolean => (hi & SPTE_TDP_AD_DISABLED_HI) === 0;

/** 7a458f0e1ba1 spte.h is_access_track_spte: no accessed bit, and the rights are parked in high bits. */
export function is_access_track_spte(masks: spte_masks, lo: number, hi: number): boolean {
  return !spte_ad_enabled(hi) && (lo & masks.shadow_acc_track_mask) === 0;
}

/** 7a458f0e1ba1 spte.h is_accessed_spte */
export function is_accessed_spte(masks: spte_masks, lo: number, hi: number): boolean {
  return spte_ad_enabled(hi) ? (lo & masks.shadow_accessed_mask) !== 0 : !is_access_track_spte(masks, lo, hi);
}

/** 7a458f0e1ba1 spte.h is_dirty_spte */
export function is_dirty_spte(masks: spte_masks, lo: number, hi: number): boolean {
  return spte_ad_enabled(hi) ? (lo & masks.shadow_dirty_mask) !== 0 : is_writable_pte(lo);
}

/** 7a458f0e1ba1 spte.h spte_can_locklessly_be_made_writable: neither host nor shadowed tables forbid the write. */
export function spte_can_locklessly_be_made_writable(masks: spte_masks, lo: number, hi: number): boolean {
  const { shadow_host_writable_mask, shadow_mmu_writable_mask } = masks;
  const { shadow_host_writable_mask_hi, shadow_mmu_writable_mask_hi } = masks;
  const low = shadow_host_writable_mask | shadow_mmu_writable_mask;
  const high = shadow_host_writable_mask_hi | shadow_mmu_writable_mask_hi;
  return (lo & low) === low && (hi & high) === high;
}

/**
 * 7a458f0e1ba1 spte.c make_spte
 * Builds a leaf in `vcpu.new_spte`. `old_lo` is the low half of the entry it replaces: one that was writable already
 * needs no second look at the shadowed tables. Returns true when the write right was taken away because the frame holds
 * a guest table.
 */
export function make_spte(
  vcpu: kvm_vcpu,
  sp: number,
  pte_access: number,
  gfn: number,
  options: { readonly old_lo: number; readonly prefetch: boolean; readonly can_unsync: boolean },
): boolean {
  const { kvm, new_spte } = vcpu;
  const masks = spte_masks_of(kvm.vm.host);
  const level = page_role.level(kvm, sp, 'make_spte');
  const ad_disabled = page_role.ad_disabled(kvm, sp, 'make_spte') !== 0;
  let lo = SPTE_MMU_PRESENT_MASK | masks.shadow_present_mask;
  let hi = ad_disabled ? SPTE_TDP_AD_DISABLED_HI : 0;
  let wrprot = false;
  if (!options.prefetch && !ad_disabled) lo |= masks.shadow_accessed_mask;
  if (pte_access & ACC_EXEC_MASK) lo |= masks.shadow_x_mask;
  else hi |= masks.shadow_nx_mask_hi;
  if (pte_access & ACC_USER_MASK) lo |= masks.shadow_user_mask;
  if (level > PG_LEVEL_4K) lo |= PT_PAGE_SIZE_MASK;
  lo |= masks.mt_mask | masks.shadow_host_writable_mask;
  hi |= masks.shadow_host_writable_mask_hi;
  lo |= gfn << 12;
  hi |= (gfn / 2 ** 20) & 0xfffff;
  if (pte_access & ACC_WRITE_MASK) {
    wrprot = !is_writable_pte(options.old_lo) && !mmu_try_to_unsync_pages(vcpu, gfn, options);
    if (!wrprot) {
      lo |= PT_WRITABLE_MASK | masks.shadow_mmu_writable_mask;
      hi |= masks.shadow_mmu_writable_mask_hi;
      // An entry that was writable keeps out of the dirty bit: hardware sets it.
      if (!is_writable_pte(options.old_lo) && !ad_disabled) lo |= masks.shadow_dirty_mask;
    }
  }
  new_spte.lo = lo;
  new_spte.hi = hi;
  if (options.prefetch) mark_spte_for_access_track(masks, new_spte);
  return wrprot;
}

/**
 * 7a458f0e1ba1 spte.c mark_spte_for_access_track
 * A prefetched entry must not look accessed. Where hardware has no accessed bit, all rights go and the first use faults.
 */
export function mark_spte_for_access_track(masks: spte_masks, spte: { lo: number; hi: number }): void {
  if (spte_ad_enabled(spte.hi)) spte.lo &= ~masks.shadow_accessed_mask;
  else if (!is_access_track_spte(masks, spte.lo, spte.hi)) {
    spte.hi |= (spte.lo & SHADOW_ACC_TRACK_SAVED_BITS) << SHADOW_ACC_TRACK_SAVED_SHIFT_HI;
    spte.lo &= ~masks.shadow_acc_track_mask;
  }
}

/** 7a458f0e1ba1 spte.h restore_acc_track_spte, but for the write right, which the fast fault path adds itself. */
export function restore_acc_track_spte(masks: spte_masks, spte: { lo: number; hi: number }): void {
  const saved = SHADOW_ACC_TRACK_SAVED_BITS << SHADOW_ACC_TRACK_SAVED_SHIFT_HI;
  spte.lo = (spte.lo & ~masks.shadow_acc_track_mask) | ((spte.hi & saved) >>> SHADOW_ACC_TRACK_SAVED_SHIFT_HI);
  spte.hi &= ~saved;
}

/**
 * 7a458f0e1ba1 spte.c make_nonleaf_spte
 * Points to the table at a host frame, in `vcpu.new_spte`. Upper entries grant everything: rights are the leaf's.
 */
export function make_nonleaf_spte(vcpu: kvm_vcpu, frame: number, ad_disabled: boolean): void {
  const { new_spte } = vcpu;
  const masks = spte_masks_of(vcpu.kvm.vm.host);
  const { shadow_present_mask, shadow_user_mask, shadow_x_mask } = masks;
  const rights = shadow_present_mask | PT_WRITABLE_MASK | shadow_user_mask | shadow_x_mask;
  new_spte.lo = SPTE_MMU_PRESENT_MASK | rights | (ad_disabled ? 0 : masks.shadow_accessed_mask) | (frame << 12);
  new_spte.hi = ((frame / 2 ** 20) & 0xfffff) | (ad_disabled ? SPTE_TDP_AD_DISABLED_HI : 0);
}
