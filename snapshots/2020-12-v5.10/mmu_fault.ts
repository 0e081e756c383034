// SPDX-License-Identifier: GPL-2.0-only
/**
 * v5.10.262 arch/x86/kvm/mmu/mmu.c: setting leaf entries, mapping without guest tables, the fast path, the entry point.
 *
 * Left out: the host's page lookup with its waits and retries (guest RAM is there: frame n is host frame n),
 * transparent huge pages (hugetlbfs-like backing is Vm.hostPageLevel), MTRR checks, reserved-bit faults (there are no
 * MMIO SPTEs), host async faults.
 */
import { is_guest_mode } from './calc.ts';
import { gva_to_gpa, page_fault, UNMAPPED_GVA } from './mmu_handlers.ts';
import {
  child_of,
  drop_parent_pte,
  kvm_mmu_get_page,
  kvm_mmu_unprotect_page,
  link_shadow_page,
  make_mmu_pages_available,
} from './mmu_pages.ts';
import {
  disallow_lpage,
  drop_large_spte,
  drop_spte,
  kvm_mmu_page_get_gfn,
  kvm_page_track_is_active,
  rmap_add,
} from './mmu_rmap.ts';
import { mmu_need_write_protect } from './mmu_sync.ts';
import { direct_map, page_role } from './role.ts';
import { shadow_walk } from './shadow_walk.ts';
import {
  ACC_ALL,
  ACC_WRITE_MASK,
  allow_write,
  gfn_round,
  is_access_track_spte,
  is_executable_pte,
  is_large_pte,
  is_last_spte,
  is_shadow_present_pte,
  is_writable_pte,
  keep_write,
  mark_spte_for_access_track,
  mmu_spte_update,
  type new_spte,
  PT_DIRECTORY_LEVEL,
  PT_PAGE_TABLE_LEVEL,
  PT_PDPE_LEVEL,
  PT_PRESENT_MASK,
  PT_WRITABLE_MASK,
  PTE_PREFETCH_NUM,
  restore_acc_track_spte,
  sp_ad_disabled,
  spte_can_locklessly_be_made_writable,
  spte_hi,
  spte_index,
  spte_lo,
  spte_to_pfn,
  spte_without_write,
  sptep_of,
  sptep_to_sp,
} from './spte.ts';
import { kvm_tdp_mmu_map } from './tdp_mmu.ts';
import { kvm_flush_remote_tlbs, kvm_make_request } from './tlb.ts';
import {
  INVALID_PAGE,
  KVM_REQ,
  type kvm_vcpu,
  kvm_vcpu_memslots,
  RET_PF_EMULATE,
  RET_PF_FIXED,
  RET_PF_INVALID,
  RET_PF_RETRY,
  RET_PF_SPURIOUS,
} from './types.ts';

/** Bits of a page fault's error code. */
export const PFERR_PRESENT_MASK = 1 << 0;
export const PFERR_WRITE_MASK = 1 << 1;
export const PFERR_USER_MASK = 1 << 2;
export const PFERR_RSVD_MASK = 1 << 3;
export const PFERR_FETCH_MASK = 1 << 4;
export const PFERR_PK_MASK = 1 << 5;
/** Bit 33 of a nested fault, in the high half: the access was to a guest table. */
const PFERR_GUEST_PAGE_MASK_HI = 1 << 1;

/** Bits that set_spte returns. */
const SET_SPTE_WRITE_PROTECTED_PT = 1;
export const SET_SPTE_NEED_REMOTE_TLB_FLUSH = 2;
const SET_SPTE_SPURIOUS = 4;

/** A leaf to be made, and what stands in its place now (low half). */
interface leaf_request {
  readonly pte_access: number;
  readonly level: number;
  readonly gfn: number;
  readonly ad_disabled: boolean;
  readonly old_lo: number;
  readonly speculative: boolean;
  readonly can_unsync: boolean;
}

/**
 * v5.10.262 spte.c make_spte
 * `can_unsync`: a mapping that would write a last-level guest table may let that table go
 * out of sync. `write_protected`: it may not, and the entry cannot be written.
 */
export function make_spte(vcpu: kvm_vcpu, request: leaf_request): { spte: new_spte; write_protected: boolean } {
  const { masks } = vcpu.kvm;
  const { pte_access, level, gfn, ad_disabled, old_lo, speculative, can_unsync } = request;
  const spte = spte_without_write(masks, { ad_disabled, pte_access, level, pfn: gfn }, speculative);
  let write_protected = false;
  if (pte_access & ACC_WRITE_MASK) {
    if (!can_unsync && is_writable_pte(old_lo)) {
      // Nothing that may be written now shadows a table; the search is spared, and so is the rest.
      keep_write(spte);
      return { spte, write_protected };
    }
    if (mmu_need_write_protect(vcpu, gfn, can_unsync)) write_protected = true;
    else allow_write(masks, spte);
  }
  if (speculative) mark_spte_for_access_track(masks, spte);
  return { spte, write_protected };
}

/** v5.10.262 mmu.c set_spte */
export function set_spte(
  vcpu: kvm_vcpu,
  sptep: number,
  leaf: { readonly pte_access: number; readonly level: number; readonly gfn: number },
  options: { readonly speculative: boolean; readonly can_unsync: boolean },
): number {
  const { kvm } = vcpu;
  const ad_disabled = sp_ad_disabled(kvm, sptep_to_sp(sptep), 'set_spte');
  const old_lo = spte_lo(kvm, sptep);
  const { pte_access, level, gfn } = leaf;
  const { speculative, can_unsync } = options;
  const request = { pte_access, level, gfn, ad_disabled, old_lo, speculative, can_unsync };
  const { spte, write_protected } = make_spte(vcpu, request);
  let ret = write_protected ? SET_SPTE_WRITE_PROTECTED_PT : 0;
  if (spte.lo === old_lo && spte.hi === spte_hi(kvm, sptep)) ret |= SET_SPTE_SPURIOUS;
  else if (mmu_spte_update(kvm, sptep, spte.lo, spte.hi)) ret |= SET_SPTE_NEED_REMOTE_TLB_FLUSH;
  return ret;
}

/** v5.10.262 mmu.c mmu_set_spte: a leaf for the frame, whatever stood there before. */
export function mmu_set_spte(
  vcpu: kvm_vcpu,
  sptep: number,
  leaf: { readonly pte_access: number; readonly level: number; readonly gfn: number },
  options: { readonly write_fault: boolean; readonly speculative: boolean },
): number {
  const { kvm } = vcpu;
  const { level, gfn } = leaf;
  const { write_fault, speculative } = options;
  const old_lo = spte_lo(kvm, sptep);
  const old_hi = spte_hi(kvm, sptep);
  let was_rmapped = false;
  let flush = false;
  let ret = RET_PF_FIXED;
  if (is_shadow_present_pte(old_lo, old_hi)) {
    if (level > PT_PAGE_TABLE_LEVEL && !is_large_pte(old_lo)) {
      drop_parent_pte(kvm, child_of(kvm, sptep), sptep);
      flush = true;
    } else if (gfn !== spte_to_pfn(old_lo, old_hi)) {
      drop_spte(kvm, sptep);
      flush = true;
    } else was_rmapped = true;
  }
  const set_spte_ret = set_spte(vcpu, sptep, leaf, { speculative, can_unsync: true });
  if (set_spte_ret & SET_SPTE_WRITE_PROTECTED_PT) {
    if (write_fault) ret = RET_PF_EMULATE;
    kvm_make_request(KVM_REQ.TLB_FLUSH_CURRENT, vcpu);
  }
  if ((set_spte_ret & SET_SPTE_NEED_REMOTE_TLB_FLUSH) !== 0 || flush) kvm_flush_remote_tlbs(kvm);
  // An entry that stays as it was is not traced either, unless the access is emulated for it.
  if ((set_spte_ret & SET_SPTE_SPURIOUS) !== 0 && ret === RET_PF_FIXED) ret = RET_PF_SPURIOUS;
  else kvm.vm.counters.set_spte++;
  if (!was_rmapped && is_shadow_present_pte(spte_lo(kvm, sptep), spte_hi(kvm, sptep))) rmap_add(kvm, sptep, gfn);
  return ret;
}

/** v5.10.262 mmu.c direct_pte_prefetch_many, entries `from` to `to` - 1 of a last-level direct page. */
function direct_pte_prefetch_many(vcpu: kvm_vcpu, sp: number, from: number, to: number): boolean {
  const { kvm } = vcpu;
  const page = kvm.page(sp);
  const pte_access = page_role.access(page, 'direct_pte_prefetch_many');
  const level = page_role.level(page, 'direct_pte_prefetch_many');
  const gfn_of = (i: number): number => kvm_mmu_page_get_gfn(kvm, sp, i, 0);
  if (!kvm_vcpu_memslots(vcpu).memslots.isVisible(gfn_of(to - 1))) return false;
  for (let i = from; i < to; i++) {
    const gfn = gfn_of(i);
    mmu_set_spte(vcpu, sptep_of(sp, i), { pte_access, level, gfn }, { write_fault: false, speculative: true });
  }
  return true;
}

/** v5.10.262 mmu.c __direct_pte_prefetch: the absent neighbours in the same group of eight. */
export function __direct_pte_prefetch(vcpu: kvm_vcpu, sptep: number): void {
  const { kvm } = vcpu;
  const sp = sptep_to_sp(sptep);
  const first = spte_index(sptep) & ~(PTE_PREFETCH_NUM - 1);
  let start = -1;
  for (let i = first; i < first + PTE_PREFETCH_NUM; i++) {
    const at = sptep_of(sp, i);
    // A run of absent entries at the end of the group has nothing that closes it, and is not filled.
    if (is_shadow_present_pte(spte_lo(kvm, at), spte_hi(kvm, at)) || at === sptep) {
      if (start < 0) continue;
      if (!direct_pte_prefetch_many(vcpu, sp, start, i)) break;
      start = -1;
    } else if (start < 0) start = i;
  }
}

/**
 * v5.10.262 mmu.c direct_pte_prefetch: without accessed bits a prefetched entry could not be told from a used
 * one.
 */
function direct_pte_prefetch(vcpu: kvm_vcpu, sptep: number): void {
  const { kvm } = vcpu;
  const sp = sptep_to_sp(sptep);
  if (sp_ad_disabled(kvm, sp, 'direct_pte_prefetch')) return;
  if (page_role.level(kvm.page(sp), 'direct_pte_prefetch') > PT_PAGE_TABLE_LEVEL) return;
  __direct_pte_prefetch(vcpu, sptep);
}

/** v5.10.262 mmu.c kvm_mmu_hugepage_adjust: largest mapping that host backing, slot and shadowed tables allow. */
export function kvm_mmu_hugepage_adjust(vcpu: kvm_vcpu, gfn: number, max_level: number): number {
  const { host, hostPageLevel } = vcpu.kvm.vm;
  let level = Math.min(max_level, host.maxHugePageLevel, hostPageLevel);
  while (level > PT_PAGE_TABLE_LEVEL && disallow_lpage(vcpu, gfn, level)) level--;
  return level;
}

/** v5.10.262 mmu.c:2850 __direct_map */
function __direct_map(vcpu: kvm_vcpu, addr: number, write: boolean, max_level: number): number {
  const { kvm, mmu } = vcpu;
  if (mmu.root_hpa === INVALID_PAGE) return RET_PF_RETRY;
  const gfn = Math.floor(addr / 4096);
  const level = kvm_mmu_hugepage_adjust(vcpu, gfn, max_level);
  const it = shadow_walk(vcpu, mmu.root_hpa, addr);
  for (; it.okay() && it.level > level; it.next()) {
    drop_large_spte(vcpu, it.sptep);
    if (is_shadow_present_pte(spte_lo(kvm, it.sptep), spte_hi(kvm, it.sptep))) continue;
    const base_gfn = gfn_round(gfn, it.level);
    link_shadow_page(vcpu, it.sptep, kvm_mmu_get_page(vcpu, base_gfn, addr, it.level - 1, true, ACC_ALL));
  }
  const leaf = { pte_access: ACC_ALL, level, gfn: gfn_round(gfn, level) };
  const ret = mmu_set_spte(vcpu, it.sptep, leaf, { write_fault: write, speculative: false });
  if (ret !== RET_PF_SPURIOUS) direct_pte_prefetch(vcpu, it.sptep);
  return ret;
}

/** v5.10.262 mmu.c page_fault_can_be_fast */
function page_fault_can_be_fast(vcpu: kvm_vcpu, error_code: number): boolean {
  if (error_code & PFERR_RSVD_MASK) return false;
  const fetch = PFERR_FETCH_MASK | PFERR_PRESENT_MASK;
  if ((error_code & fetch) === fetch) return false;
  const write = PFERR_WRITE_MASK | PFERR_PRESENT_MASK;
  return vcpu.kvm.masks.shadow_acc_track_mask !== 0 || (error_code & write) === write;
}

/** v5.10.262 mmu.c is_access_allowed */
function is_access_allowed(vcpu: kvm_vcpu, error_code: number, lo: number, hi: number): boolean {
  if (error_code & PFERR_FETCH_MASK) return is_executable_pte(vcpu.kvm.masks, lo, hi);
  if (error_code & PFERR_WRITE_MASK) return is_writable_pte(lo);
  return (lo & PT_PRESENT_MASK) !== 0;
}

/**
 * v5.10.262 mmu.c:3034 fast_page_fault
 * Faults that need no shadow page: an entry that allows the access already, or whose rights were parked or taken away.
 */
function fast_page_fault(vcpu: kvm_vcpu, addr: number, error_code: number): number {
  const { kvm, mmu } = vcpu;
  if (!page_fault_can_be_fast(vcpu, error_code)) return RET_PF_INVALID;
  kvm.vm.counters.fast_page_fault++;
  let sptep = -1;
  let lo = 0;
  let hi = 0;
  for (const it = shadow_walk(vcpu, mmu.root_hpa, addr); it.okay(); it.next()) {
    sptep = it.sptep;
    lo = spte_lo(kvm, sptep);
    hi = spte_hi(kvm, sptep);
    if (!is_shadow_present_pte(lo, hi)) break;
  }
  if (sptep < 0) return RET_PF_INVALID;
  const sp_level = page_role.level(kvm.page(sptep_to_sp(sptep)), 'fast_page_fault');
  if (!is_last_spte(lo, sp_level)) return RET_PF_INVALID;
  if (is_access_allowed(vcpu, error_code, lo, hi)) return RET_PF_SPURIOUS;
  const spte = { lo, hi };
  if (is_access_track_spte(kvm.masks, lo, hi)) restore_acc_track_spte(kvm.masks, spte);
  if ((error_code & PFERR_WRITE_MASK) !== 0 && spte_can_locklessly_be_made_writable(lo)) {
    spte.lo |= PT_WRITABLE_MASK;
    if (sp_level > PT_PAGE_TABLE_LEVEL) return RET_PF_INVALID;
  }
  const same = spte.lo === lo && spte.hi === hi;
  if (same || !is_access_allowed(vcpu, error_code, spte.lo, spte.hi)) return RET_PF_INVALID;
  kvm.vm.pages.set(sptep, spte.lo, spte.hi);
  return RET_PF_FIXED;
}

/** try_async_pf and handle_abnormal_pfn: whether there is RAM behind the frame. */
export const is_noslot = (vcpu: kvm_vcpu, gfn: number): boolean => !kvm_vcpu_memslots(vcpu).memslots.isBacked(gfn);

/** v5.10.262 mmu.c:3602 page_fault_handle_page_track: a write to a table that never goes unsync. */
export function page_fault_handle_page_track(vcpu: kvm_vcpu, error_code: number, gfn: number): boolean {
  const write = PFERR_PRESENT_MASK | PFERR_WRITE_MASK;
  if ((error_code & PFERR_RSVD_MASK) !== 0 || (error_code & write) !== write) return false;
  return kvm_page_track_is_active(vcpu, gfn);
}

/** v5.10.262 tdp_mmu.c is_tdp_mmu_root: told by the root page, not by a role. */
const is_tdp_mmu_root = ({ kvm, mmu }: kvm_vcpu): boolean =>
  kvm.vm.pages.isTreePage(kvm.vm.pages.idOfFrame(mmu.root_hpa));

/** v5.10.262 mmu.c:3702 direct_page_fault */
function direct_page_fault(vcpu: kvm_vcpu, addr: number, error_code: number, max_level: number): number {
  const gfn = Math.floor(addr / 4096);
  const write = (error_code & PFERR_WRITE_MASK) !== 0;
  if (page_fault_handle_page_track(vcpu, error_code, gfn)) return RET_PF_EMULATE;
  const in_tree = is_tdp_mmu_root(vcpu);
  if (!in_tree) {
    const fast = fast_page_fault(vcpu, addr, error_code);
    if (fast !== RET_PF_INVALID) return fast;
  }
  if (is_noslot(vcpu, gfn)) return RET_PF_EMULATE;
  if (!make_mmu_pages_available(vcpu)) return RET_PF_RETRY;
  return in_tree ? kvm_tdp_mmu_map(vcpu, gfn, write, max_level) : __direct_map(vcpu, addr, write, max_level);
}

/** v5.10.262 mmu.c nonpaging_page_fault: PAE tables, 2 MiB mappings at most. */
export const nonpaging_page_fault = (vcpu: kvm_vcpu, addr: number, error_code: number): number =>
  direct_page_fault(vcpu, addr - (addr & 0xfff), error_code, PT_DIRECTORY_LEVEL);

/** v5.10.262 mmu.c kvm_tdp_page_fault */
export const kvm_tdp_page_fault = (vcpu: kvm_vcpu, addr: number, error_code: number): number =>
  direct_page_fault(vcpu, addr, error_code, PT_PDPE_LEVEL);

/**
 * v5.10.262 mmu.c kvm_mmu_unprotect_page_virt
 * The page an event's delivery could not use is a guest table no more: emulating the delivery is not possible. Found by
 * a read at the guest's privilege level, so not when ring 3 was interrupted and the page is the kernel's.
 */
export function kvm_mmu_unprotect_page_virt(vcpu: kvm_vcpu, gva: number): void {
  if (direct_map(vcpu.mmu, 'kvm_mmu_unprotect_page_virt') !== 0) return;
  const gpa = gva_to_gpa(vcpu, vcpu.walk_mmu, gva, vcpu.registers.cpl === 3 ? PFERR_USER_MASK : 0);
  if (gpa !== UNMAPPED_GVA) kvm_mmu_unprotect_page(vcpu.kvm, Math.floor(gpa / 4096));
}

/**
 * v5.10.262 x86.c retry_instruction and, for an instruction that the emulator lacks, reexecute_instruction: what it hit is
 * shadowed no longer, and it runs in the guest again. The same instruction at the same address twice in a row is emulated.
 */
export function retry_instruction(vcpu: kvm_vcpu, eip: number, emulatable: boolean): boolean {
  const { retry } = vcpu;
  const { cr2_or_gpa } = retry;
  const again = eip === retry.last_eip && cr2_or_gpa === retry.last_addr;
  retry.last_eip = -1;
  if (!retry.allowed || (again && emulatable)) return false;
  if (!again) {
    retry.last_eip = eip;
    retry.last_addr = cr2_or_gpa;
  }
  const user = vcpu.registers.cpl === 3 ? PFERR_USER_MASK : 0;
  const direct = direct_map(vcpu.mmu, 'retry_instruction') !== 0;
  const gpa = direct ? cr2_or_gpa : gva_to_gpa(vcpu, vcpu.walk_mmu, cr2_or_gpa, PFERR_WRITE_MASK | user);
  if (gpa !== UNMAPPED_GVA) kvm_mmu_unprotect_page(vcpu.kvm, Math.floor(gpa / 4096));
  return true;
}

/** The end of v5.10.262 mmu.c kvm_mmu_page_fault: no retry for devices (mmio_info_in_cache), nor for L2. */
function allow_retry(vcpu: kvm_vcpu, addr: number): void {
  const { retry, mmu, walker } = vcpu;
  const gfn = direct_map(mmu, 'kvm_mmu_page_fault') !== 0 ? Math.floor(addr / 4096) : walker.gfn;
  retry.allowed = !is_guest_mode(vcpu) && !is_noslot(vcpu, gfn);
  retry.cr2_or_gpa = addr;
}

/**
 * v5.10.262 mmu.c kvm_mmu_page_fault
 * `code_hi` is the high half of the error code: bits 32 and 33 of a fault under two-dimensional paging.
 * RET_PF_RETRY lets the guest try again (a fault may have been injected), RET_PF_EMULATE has KVM do the access.
 */
export function kvm_mmu_page_fault(vcpu: kvm_vcpu, addr: number, error_code: number, code_hi: number): number {
  if (vcpu.mmu.root_hpa === INVALID_PAGE) return RET_PF_RETRY;
  let r = RET_PF_INVALID;
  // handle_mmio_page_fault: with no MMIO SPTE about, a reserved-bit fault means the entry changed meanwhile.
  if (error_code & PFERR_RSVD_MASK) r = RET_PF_RETRY;
  if (r === RET_PF_INVALID) r = page_fault(vcpu, addr, error_code);
  if (r !== RET_PF_EMULATE) return RET_PF_RETRY;
  // The guest's own page walk wrote a table that is shadowed for L2: forget that shadow instead of emulating a walk.
  const nested_guest_page = PFERR_WRITE_MASK | PFERR_PRESENT_MASK;
  if (
    direct_map(vcpu.mmu, 'kvm_mmu_page_fault') !== 0 &&
    (code_hi & PFERR_GUEST_PAGE_MASK_HI) !== 0 &&
    (error_code & nested_guest_page) === nested_guest_page
  ) {
    kvm_mmu_unprotect_page(vcpu.kvm, Math.floor(addr / 4096));
    return RET_PF_RETRY;
  }
  allow_retry(vcpu, addr);
  return r;
}
