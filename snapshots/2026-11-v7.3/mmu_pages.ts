// SPDX-License-Identifier: GPL-2.0-only
/**
 * v7.3.4 arch/x86/kvm/mmu/mmu.c: shadow pages. Looking one up for a guest table, linking it into its parents,
 * letting it go out of sync and syncing it, zapping it when the guest reuses the table or KVM needs the page.
 *
 * Left out: hash buckets shared by different frames (a statistic only), yielding the CPU in the middle of a sync or zap
 * (one vCPU runs at a time here), NX huge page accounting, the shrinker.
 */
import { get, set } from '../../src/role/layout.ts';
import { CR4 } from '../../src/sim/registers.ts';
import { NO_PAGE } from '../../src/sim/shadow-pages.ts';
import { clearPath, collectUnsync, markParentsUnsync } from '../../src/sim/unsync-walk.ts';
import { sync_spte } from './mmu_fault.ts';
import {
  __kvm_write_track_add_gfn,
  __kvm_write_track_remove_gfn,
  drop_spte,
  kvm_flush_remote_tlbs,
  kvm_memslots_for_spte_role,
  kvm_mmu_slot_gfn_write_protect,
  kvm_vcpu_memslots,
  kvm_vcpu_write_protect_gfn,
  mmu_spte_clear_no_track,
  mmu_spte_set,
} from './mmu_rmap.ts';
import { kvm_mmu_page_role, page_role, root_role } from './role.ts';
import {
  is_large_pte,
  is_last_spte,
  is_shadow_present_pte,
  make_nonleaf_spte,
  PG_LEVEL_4K,
  sp_ad_disabled,
  spte_hi,
  spte_index,
  spte_lo,
  spte_to_pfn,
  sptep_of,
  sptep_to_sp,
} from './spte.ts';
import { kvm_tdp_mmu_invalidate_roots, kvm_tdp_mmu_zap_all, kvm_tdp_mmu_zap_invalidated_roots } from './tdp_mmu.ts';
import { KVM_REQ, type kvm, type kvm_vcpu } from './types.ts';
import { kvm_make_all_cpus_request } from './x86.ts';

const { at } = kvm_mmu_page_role;

/** Free pages that make_mmu_pages_available wants to see, and how many it makes: mmu_internal.h, kvm_host.h. */
const KVM_MIN_FREE_MMU_PAGES = 5;
const KVM_REFILL_PAGES = 25;

/** v7.3.4 mmu.c account_shadowed */
function account_shadowed(kvm: kvm, sp: number): void {
  const { gfn } = kvm.vm.pages;
  const slot = kvm_memslots_for_spte_role(kvm, sp, 'account_shadowed');
  kvm.indirect_shadow_pages++;
  // The guest must not write upper tables unseen: only leaf tables may be out of sync.
  if (page_role.level(kvm, sp, 'account_shadowed') > PG_LEVEL_4K) {
    __kvm_write_track_add_gfn(kvm, slot, gfn[sp]!);
    return;
  }
  slot.memslots.forbidLarge(gfn[sp]!, 1);
  if (kvm_mmu_slot_gfn_write_protect(kvm, slot, gfn[sp]!)) kvm_flush_remote_tlbs(kvm);
}

/** v7.3.4 mmu.c unaccount_shadowed */
function unaccount_shadowed(kvm: kvm, sp: number): void {
  const { gfn } = kvm.vm.pages;
  const slot = kvm_memslots_for_spte_role(kvm, sp, 'unaccount_shadowed');
  kvm.indirect_shadow_pages--;
  if (page_role.level(kvm, sp, 'unaccount_shadowed') > PG_LEVEL_4K) __kvm_write_track_remove_gfn(slot, gfn[sp]!);
  else slot.memslots.forbidLarge(gfn[sp]!, -1);
}

/** v7.3.4 mmu.c drop_parent_pte: the entry no longer points to the page. */
function drop_parent_pte(kvm: kvm, sp: number, sptep: number): void {
  kvm.vm.pages.unlinkParent(sp, sptep_to_sp(sptep), spte_index(sptep));
  mmu_spte_clear_no_track(kvm, sptep);
}

/** The page an SPTE that is no leaf points to: to_shadow_page(spte & PT64_BASE_ADDR_MASK). */
export const child_of = (kvm: kvm, sptep: number): number =>
  kvm.vm.pages.idOfFrame(spte_to_pfn(spte_lo(kvm, sptep), spte_hi(kvm, sptep)));

/** v7.3.4 mmu.c mark_unsync: the entry leads to an unsync page. */
function mark_unsync(kvm: kvm, sptep: number): void {
  const { pages } = kvm.vm;
  const sp = sptep_to_sp(sptep);
  if (pages.setUnsyncBit(sp, spte_index(sptep)) && pages.unsyncChildren[sp] === 1) markParentsUnsync(pages, sp);
}

/** v7.3.4 mmu.c kvm_unlink_unsync_page */
function kvm_unlink_unsync_page(kvm: kvm, sp: number): void {
  kvm.vm.counters.sync_page++;
  kvm.vm.pages.unsync[sp] = 0;
}

/** v7.3.4 mmu.c is_obsolete_sp (for_each_valid_sp skips these) */
export function is_obsolete_sp(kvm: kvm, sp: number): boolean {
  const { pages } = kvm.vm;
  if (page_role.invalid(kvm, sp, 'is_obsolete_sp') !== 0) return true;
  return !pages.isTreePage(sp) && pages.generation[sp] !== kvm.mmu_valid_gen;
}

/**
 * v7.3.4 mmu.c sp_has_gptes
 * Whether the guest's entries are behind the page's: not for direct pages, nor for the extra root above L1's nested
 * tables when the host has one level more.
 */
function sp_has_gptes(kvm: kvm, sp: number): boolean {
  const by = 'sp_has_gptes';
  return page_role.direct(kvm, sp, by) === 0 && page_role.passthrough(kvm, sp, by) === 0;
}

/** v7.3.4 mmu.c for_each_gfn_valid_sp_with_gptes, a macro: which pages it takes. */
const is_valid_sp_with_gptes = (kvm: kvm, sp: number): boolean => !is_obsolete_sp(kvm, sp) && sp_has_gptes(kvm, sp);

/** Role bits that may differ between a page and the MMU that syncs it. */
const sync_role_ign = [at.level, at.access, at.quadrant, at.passthrough].reduce(
  (bits, { mask, shift }) => bits | (mask << shift),
  0,
);

/** v7.3.4 mmu.c kvm_sync_page_check: whether this MMU can judge the page's guest entries. */
function kvm_sync_page_check(vcpu: kvm_vcpu, sp: number): boolean {
  const by = 'kvm_sync_page_check';
  const { kvm, mmu } = vcpu;
  const role = page_role.word(kvm, sp, by);
  const root_word = root_role.word(mmu, by);
  if (page_role.direct(kvm, sp, by) !== 0 || mmu.sync_spte === 'none') return false;
  return ((role ^ root_word) & ~sync_role_ign) === 0;
}

/** v7.3.4 mmu.c kvm_sync_spte: nothing for an entry that was never used. */
export function kvm_sync_spte(vcpu: kvm_vcpu, sp: number, index: number): number {
  const { pages } = vcpu.kvm.vm;
  if (pages.entryLow(sp, index) === 0 && pages.entryHigh(sp, index) === 0) return 0;
  return sync_spte(vcpu, sp, index);
}

/** v7.3.4 mmu.c __kvm_sync_page */
function __kvm_sync_page(vcpu: kvm_vcpu, sp: number): number {
  if (!kvm_sync_page_check(vcpu, sp)) return -1;
  let flush = 0;
  for (let index = 0; index < 512; index++) flush |= kvm_sync_spte(vcpu, sp, index);
  return flush;
}

/**
 * v7.3.4 mmu.c kvm_sync_page
 * Below 0: the page could not be synced and is on the list to be freed. Above 0: TLBs must be flushed.
 */
export function kvm_sync_page(vcpu: kvm_vcpu, sp: number, invalid_list: number[]): number {
  const ret = __kvm_sync_page(vcpu, sp);
  if (ret < 0) kvm_mmu_prepare_zap_page(vcpu.kvm, sp, invalid_list);
  return ret;
}

/** v7.3.4 mmu.c kvm_mmu_remote_flush_or_zap */
function kvm_mmu_remote_flush_or_zap(kvm: kvm, invalid_list: number[], remote_flush: boolean): void {
  if (invalid_list.length > 0) kvm_mmu_commit_zap_page(kvm, invalid_list);
  else if (remote_flush) kvm_flush_remote_tlbs(kvm);
}

/**
 * v7.3.4 mmu.c mmu_sync_children
 * Syncs every unsync page below `parent`. Guest writes to them are caught again first, so that none slips between.
 * Never yields here, so `can_yield` is not looked at and the answer is always 0, "done".
 */
export function mmu_sync_children(vcpu: kvm_vcpu, parent: number, _can_yield: boolean): number {
  const { kvm } = vcpu;
  const { pages } = kvm.vm;
  const invalid_list: number[] = [];
  let flush = false;
  while (pages.unsyncChildren[parent]! > 0) {
    const found = collectUnsync(pages, parent);
    let protected_ = false;
    for (const { id } of found) if (kvm_vcpu_write_protect_gfn(vcpu, pages.gfn[id]!)) protected_ = true;
    if (protected_) {
      kvm_mmu_remote_flush_or_zap(kvm, invalid_list, true);
      flush = false;
    }
    for (const page of found) {
      kvm_unlink_unsync_page(kvm, page.id);
      if (kvm_sync_page(vcpu, page.id, invalid_list) > 0) flush = true;
      clearPath(pages, page);
    }
  }
  kvm_mmu_remote_flush_or_zap(kvm, invalid_list, flush);
  return 0;
}

/** v7.3.4 mmu.c __clear_sp_write_flooding_count */
export function __clear_sp_write_flooding_count(kvm: kvm, sp: number): void {
  kvm.vm.pages.writeFlooding[sp] = 0;
}

/**
 * v7.3.4 mmu.c kvm_mmu_find_shadow_page
 * The page of a frame with exactly this role, NO_PAGE when there is none.
 */
function kvm_mmu_find_shadow_page(vcpu: kvm_vcpu, gfn: number, role: number): number {
  const { kvm } = vcpu;
  const { pages } = kvm.vm;
  const invalid_list: number[] = [];
  let sp = NO_PAGE;
  for (let found = pages.firstOf(gfn); found !== NO_PAGE; found = pages.nextOf(found)) {
    if (is_obsolete_sp(kvm, found)) continue;
    if (page_role.word(kvm, found, 'kvm_mmu_find_shadow_page') !== role) {
      // An upper table is about to be write-protected, which an unsync page of the same frame would contradict.
      if (get(role, at.level) > PG_LEVEL_4K && pages.unsync[found] === 1)
        kvm_mmu_prepare_zap_page(kvm, found, invalid_list);
      continue;
    }
    // The page decides, no longer the MMU: direct pages are neither unsync nor written by the guest.
    if (page_role.direct(kvm, found, 'kvm_mmu_find_shadow_page') === 0) {
      if (pages.unsync[found] === 1) {
        // Brought up to date, but left unsync: guest writes stay uncaught until the guest flushes its TLB.
        const ret = kvm_sync_page(vcpu, found, invalid_list);
        if (ret < 0) break;
        if (ret > 0) kvm_flush_remote_tlbs(kvm);
      }
      __clear_sp_write_flooding_count(kvm, found);
    }
    sp = found;
    break;
  }
  kvm_mmu_commit_zap_page(kvm, invalid_list);
  return sp;
}

/** v7.3.4 mmu.c kvm_mmu_alloc_shadow_page */
function kvm_mmu_alloc_shadow_page(kvm: kvm, gfn: number, role: number): number {
  const { pages } = kvm.vm;
  const sp = pages.create(gfn, role);
  pages.generation[sp] = kvm.mmu_valid_gen;
  if (sp_has_gptes(kvm, sp)) account_shadowed(kvm, sp);
  return sp;
}

/** v7.3.4 mmu.c kvm_mmu_get_shadow_page: the page of a frame with exactly this role, made when there is none. */
export function kvm_mmu_get_shadow_page(vcpu: kvm_vcpu, gfn: number, role: number): number {
  const { kvm } = vcpu;
  let sp = kvm_mmu_find_shadow_page(vcpu, gfn, role);
  if (sp !== NO_PAGE) {
    kvm.vm.counters.get_page_existing++;
    kvm.vm.existingByRole.add(role);
    return sp;
  }
  sp = kvm_mmu_alloc_shadow_page(kvm, gfn, role);
  kvm.vm.counters.get_page_new++;
  kvm.vm.newByRole.add(role);
  return sp;
}

/**
 * v7.3.4 mmu.c kvm_mmu_child_role
 * The role of the table below an entry: that of the page the entry is in, one level down. A 32-bit guest's leaf tables
 * are shadowed in two halves, which its level-2 entries take turns in.
 */
export function kvm_mmu_child_role(kvm: kvm, sptep: number, direct: boolean, access: number): number {
  const by = 'kvm_mmu_child_role';
  const parent = sptep_to_sp(sptep);
  let role = page_role.word(kvm, parent, by);
  role = set(role, at.level, page_role.level(kvm, parent, by) - 1);
  role = set(role, at.access, access);
  role = set(role, at.direct, direct ? 1 : 0);
  role = set(role, at.passthrough, 0);
  // No child of a page in use is invalid.
  role = set(role, at.invalid, 0);
  if (page_role.has_4_byte_gpte(kvm, parent, by) === 0) return role;
  if (get(role, at.level) !== PG_LEVEL_4K)
    throw new Error('kvm_mmu_child_role: a 32-bit guest has one level below the root');
  return set(role, at.quadrant, spte_index(sptep) & 1);
}

/** v7.3.4 mmu.c kvm_mmu_get_child_sp: NO_PAGE (-EEXIST in C) when the entry points to that very table already. */
export function kvm_mmu_get_child_sp(
  vcpu: kvm_vcpu,
  sptep: number,
  gfn: number,
  direct: boolean,
  access: number,
): number {
  const { kvm } = vcpu;
  const { pages } = kvm.vm;
  const role = kvm_mmu_child_role(kvm, sptep, direct, access);
  const lo = spte_lo(kvm, sptep);
  if (is_shadow_present_pte(lo) && !is_large_pte(lo)) {
    const child = child_of(kvm, sptep);
    if (pages.gfn[child] === gfn && pages.role[child] === role) return NO_PAGE;
  }
  return kvm_mmu_get_shadow_page(vcpu, gfn, role);
}

/** v7.3.4 mmu.c link_shadow_page */
export function link_shadow_page(vcpu: kvm_vcpu, sptep: number, sp: number): void {
  const { kvm } = vcpu;
  const { pages } = kvm.vm;
  // A large page or a table of another frame or role is in the way: tables that fit were kept by kvm_mmu_get_child_sp.
  const lo = spte_lo(kvm, sptep);
  if (is_shadow_present_pte(lo)) {
    const invalid_list: number[] = [];
    mmu_page_zap_pte(kvm, sptep_to_sp(sptep), sptep, invalid_list);
    kvm_mmu_remote_flush_or_zap(kvm, invalid_list, true);
  }
  make_nonleaf_spte(vcpu, pages.frameOf(sp), sp_ad_disabled(kvm, sp));
  mmu_spte_set(kvm, sptep, vcpu.new_spte.lo, vcpu.new_spte.hi);
  pages.linkParent(sp, sptep_to_sp(sptep), spte_index(sptep));
  if (pages.unsyncChildren[sp]! > 0 || pages.unsync[sp] === 1) mark_unsync(kvm, sptep);
}

/**
 * v7.3.4 mmu.c validate_direct_spte
 * A direct page below a guest's large page has the guest's rights in its role: unlinked when those have changed.
 */
export function validate_direct_spte(vcpu: kvm_vcpu, sptep: number, direct_access: number): void {
  const { kvm } = vcpu;
  const lo = spte_lo(kvm, sptep);
  if (!is_shadow_present_pte(lo) || is_large_pte(lo)) return;
  const child = child_of(kvm, sptep);
  if (page_role.access(kvm, child, 'validate_direct_spte') === direct_access) return;
  drop_parent_pte(kvm, child, sptep);
  kvm_flush_remote_tlbs(kvm);
}

/** v7.3.4 mmu.c mmu_set_spte, first part: makes way for a large page where a table was. */
export function unlink_child(kvm: kvm, sptep: number): void {
  drop_parent_pte(kvm, child_of(kvm, sptep), sptep);
}

/**
 * v7.3.4 mmu.c mmu_page_zap_pte
 * Clears one entry. Pages of L2's tables that lose their last parent go too (only with a list, and only under
 * two-dimensional paging), roots excepted: they are unlikely to be found again. Returns how many pages that zapped.
 */
export function mmu_page_zap_pte(kvm: kvm, sp: number, sptep: number, invalid_list: number[] | null): number {
  const lo = spte_lo(kvm, sptep);
  if (!is_shadow_present_pte(lo)) return 0;
  if (is_last_spte(lo, page_role.level(kvm, sp, 'mmu_page_zap_pte'))) {
    drop_spte(kvm, sptep);
    return 0;
  }
  const { pages, host } = kvm.vm;
  const child = child_of(kvm, sptep);
  drop_parent_pte(kvm, child, sptep);
  const nested = page_role.guest_mode(kvm, child, 'mmu_page_zap_pte') !== 0;
  if (host.tdp === 'none' || invalid_list === null || !nested) return 0;
  if (pages.hasParents(child) || pages.rootCount[child]! > 0) return 0;
  return kvm_mmu_prepare_zap_page(kvm, child, invalid_list);
}

/** v7.3.4 mmu.c kvm_mmu_page_unlink_children */
function kvm_mmu_page_unlink_children(kvm: kvm, sp: number, invalid_list: number[]): number {
  let zapped = 0;
  for (let index = 0; index < 512; index++) {
    zapped += mmu_page_zap_pte(kvm, sp, sptep_of(sp, index), invalid_list);
  }
  return zapped;
}

/** v7.3.4 mmu.c kvm_mmu_unlink_parents */
function kvm_mmu_unlink_parents(kvm: kvm, sp: number): void {
  for (const sptep of kvm.vm.pages.parentEntries(sp)) drop_parent_pte(kvm, sp, sptep);
}

/** v7.3.4 mmu.c mmu_zap_unsync_children */
function mmu_zap_unsync_children(kvm: kvm, parent: number, invalid_list: number[]): number {
  const { pages } = kvm.vm;
  let zapped = 0;
  if (page_role.level(kvm, parent, 'mmu_zap_unsync_children') === PG_LEVEL_4K) return 0;
  while (pages.unsyncChildren[parent]! > 0) {
    for (const page of collectUnsync(pages, parent)) {
      kvm_mmu_prepare_zap_page(kvm, page.id, invalid_list);
      clearPath(pages, page);
      zapped++;
    }
  }
  return zapped;
}

/**
 * v7.3.4 mmu.c __kvm_mmu_prepare_zap_page
 * Empties a page and takes it out of use; it is freed when the list is committed, or, as a root, with its last user.
 * `nr_zapped` counts what went, itself included; `list_unstable` when others than itself went.
 */
function __kvm_mmu_prepare_zap_page(kvm: kvm, sp: number, invalid_list: number[]): zapped {
  const { pages, counters } = kvm.vm;
  counters.zap_pages++;
  kvm.vm.zappedByRole.add(pages.role[sp]!);
  let nr_zapped = mmu_zap_unsync_children(kvm, sp, invalid_list);
  nr_zapped += kvm_mmu_page_unlink_children(kvm, sp, invalid_list);
  kvm_mmu_unlink_parents(kvm, sp);
  const list_unstable = nr_zapped > 0;
  const invalid = page_role.invalid(kvm, sp, '__kvm_mmu_prepare_zap_page') !== 0;
  if (!invalid && sp_has_gptes(kvm, sp)) unaccount_shadowed(kvm, sp);
  if (pages.unsync[sp] === 1) kvm_unlink_unsync_page(kvm, sp);
  let zapped_root = false;
  if (pages.rootCount[sp] === 0) {
    nr_zapped++;
    invalid_list.push(sp);
  } else zapped_root = !is_obsolete_sp(kvm, sp);
  pages.deactivate(sp);
  pages.role[sp] = set(pages.role[sp]!, at.invalid, 1);
  if (zapped_root) kvm_make_all_cpus_request(kvm, KVM_REQ.MMU_FREE_OBSOLETE_ROOTS);
  return { nr_zapped, list_unstable };
}

interface zapped {
  readonly nr_zapped: number;
  readonly list_unstable: boolean;
}

/** v7.3.4 mmu.c kvm_mmu_prepare_zap_page: how many pages were zapped. */
export function kvm_mmu_prepare_zap_page(kvm: kvm, sp: number, invalid_list: number[]): number {
  return __kvm_mmu_prepare_zap_page(kvm, sp, invalid_list).nr_zapped;
}

/** v7.3.4 mmu.c kvm_mmu_commit_zap_page: flushes, then frees the pages on the list and empties it. */
export function kvm_mmu_commit_zap_page(kvm: kvm, invalid_list: number[]): void {
  if (invalid_list.length === 0) return;
  kvm_flush_remote_tlbs(kvm);
  for (const sp of invalid_list) kvm.vm.pages.destroy(sp);
  invalid_list.length = 0;
}

/** v7.3.4 mmu.c kvm_mmu_zap_oldest_mmu_pages: from the oldest on, roots in use excepted. */
function kvm_mmu_zap_oldest_mmu_pages(kvm: kvm, nr_to_zap: number): void {
  const { pages, counters } = kvm.vm;
  const invalid_list: number[] = [];
  let total_zapped = 0;
  let sp = pages.oldest;
  while (sp !== NO_PAGE && total_zapped < nr_to_zap) {
    const newer = pages.newerThan(sp);
    if (pages.rootCount[sp] === 0) {
      const { nr_zapped, list_unstable } = __kvm_mmu_prepare_zap_page(kvm, sp, invalid_list);
      total_zapped += nr_zapped;
      // What went along may have been the neighbour: begin again at the oldest that is left.
      sp = list_unstable ? pages.oldest : newer;
    } else sp = newer;
  }
  kvm_mmu_commit_zap_page(kvm, invalid_list);
  counters.mmu_recycled += total_zapped;
}

/** v7.3.4 mmu.c kvm_mmu_available_pages */
const kvm_mmu_available_pages = ({ vm }: kvm): number => Math.max(vm.pageLimit - vm.pages.used, 0);

/** v7.3.4 mmu.c make_mmu_pages_available: 0, or below 0 when not one page could be had (-ENOSPC). */
export function make_mmu_pages_available(vcpu: kvm_vcpu): number {
  const { kvm } = vcpu;
  const avail = kvm_mmu_available_pages(kvm);
  if (avail >= KVM_MIN_FREE_MMU_PAGES) return 0;
  kvm_mmu_zap_oldest_mmu_pages(kvm, KVM_REFILL_PAGES - avail);
  return kvm_mmu_available_pages(kvm) > 0 ? 0 : -1;
}

/** v7.3.4 mmu.c __kvm_mmu_unprotect_gfn_and_retry, its loop: the frame is no guest table any more. True when it was one. */
export function unprotect_gfn(kvm: kvm, gfn: number): boolean {
  const invalid_list: number[] = [];
  let found = false;
  for (let sp = kvm.vm.pages.firstOf(gfn); sp !== NO_PAGE; sp = kvm.vm.pages.nextOf(sp)) {
    if (!is_valid_sp_with_gptes(kvm, sp)) continue;
    found = true;
    kvm_mmu_prepare_zap_page(kvm, sp, invalid_list);
  }
  kvm_mmu_commit_zap_page(kvm, invalid_list);
  return found;
}

/** v7.3.4 mmu.c kvm_unsync_page */
function kvm_unsync_page(kvm: kvm, sp: number): void {
  kvm.vm.counters.unsync_page++;
  kvm.vm.pages.unsync[sp] = 1;
  markParentsUnsync(kvm.vm.pages, sp);
}

/**
 * v7.3.4 mmu.c mmu_try_to_unsync_pages
 * A writable mapping of the frame is about to be made. Lets every leaf table kept there go out of sync and returns
 * true, or returns false: then the mapping must be read-only.
 */
export function mmu_try_to_unsync_pages(
  vcpu: kvm_vcpu,
  gfn: number,
  { synchronizing, prefetch }: { readonly synchronizing: boolean; readonly prefetch: boolean },
): boolean {
  const { kvm } = vcpu;
  const { pages } = kvm.vm;
  if (kvm_vcpu_memslots(vcpu).memslots.isTracked(gfn)) return false;
  for (let sp = pages.firstOf(gfn); sp !== NO_PAGE; sp = pages.nextOf(sp)) {
    if (is_obsolete_sp(kvm, sp) || !sp_has_gptes(kvm, sp)) continue;
    if (synchronizing) return false;
    if (pages.unsync[sp] === 1) continue;
    if (prefetch) return false;
    kvm_unsync_page(kvm, sp);
  }
  return true;
}

/** v7.3.4 mmu.c detect_write_flooding: the third write since the last use says it is no table any more. */
function detect_write_flooding(kvm: kvm, sp: number): boolean {
  if (page_role.level(kvm, sp, 'detect_write_flooding') === PG_LEVEL_4K) return false;
  const { writeFlooding } = kvm.vm.pages;
  writeFlooding[sp] = writeFlooding[sp]! + 1;
  return writeFlooding[sp]! >= 3;
}

/** v7.3.4 mmu.c detect_write_misaligned */
function detect_write_misaligned(kvm: kvm, sp: number, gpa: number, bytes: number): boolean {
  const offset = gpa & 0xfff;
  const pte_size = page_role.has_4_byte_gpte(kvm, sp, 'detect_write_misaligned') !== 0 ? 4 : 8;
  // One byte at the start of an entry changes status bits only, as clear_bit() does.
  if (bytes === 1 && (offset & (pte_size - 1)) === 0) return false;
  return ((offset ^ (offset + bytes - 1)) & -pte_size) !== 0 || bytes < 4;
}

/**
 * v7.3.4 mmu.c get_written_sptes: first entry and number of those a write touches, none when it is another quadrant's.
 */
function get_written_sptes(kvm: kvm, sp: number, gpa: number): { index: number; nspte: number } {
  const by = 'get_written_sptes';
  const level = page_role.level(kvm, sp, by);
  let page_offset = gpa & 0xfff;
  let nspte = 1;
  if (page_role.has_4_byte_gpte(kvm, sp, by) !== 0) {
    page_offset *= 2;
    // A 32-bit PDE covers 4 MiB, an SPTE of level 2 covers 2 MiB.
    if (level === 2) {
      page_offset = (page_offset & ~7) * 2;
      nspte = 2;
    }
    if (page_offset >>> 12 !== page_role.quadrant(kvm, sp, by)) return { index: 0, nspte: 0 };
    page_offset &= 0xfff;
  }
  return { index: page_offset >>> 3, nspte };
}

/**
 * v7.3.4 mmu.c kvm_mmu_track_write
 * KVM itself has written guest memory (`bytes` at `gpa`, already stored). Pages that shadow it lose the entries
 * written, or go altogether when the write does not look like one of a page-table entry.
 */
export function kvm_mmu_track_write(vcpu: kvm_vcpu, gpa: number, bytes: number): void {
  const { kvm } = vcpu;
  const { counters, memory } = kvm.vm;
  counters.pte_write++;
  if (kvm.indirect_shadow_pages === 0) return;
  // PAE guests on 32-bit kernels write an entry in two halves (mmu_pte_write_fetch_gpte).
  if (bytes === 4 && (vcpu.registers.cr4 & CR4.PAE) !== 0) {
    gpa -= gpa & 7;
    bytes = 8;
  }
  const gentry = bytes === 4 || bytes === 8 ? memory.read32(gpa) | (bytes === 8 ? memory.read32(gpa + 4) : 0) : 0;
  const invalid_list: number[] = [];
  let flush = false;
  for (let sp = kvm.vm.pages.firstOf(Math.floor(gpa / 4096)); sp !== NO_PAGE; sp = kvm.vm.pages.nextOf(sp)) {
    if (!is_valid_sp_with_gptes(kvm, sp)) continue;
    if (detect_write_misaligned(kvm, sp, gpa, bytes) || detect_write_flooding(kvm, sp)) {
      kvm_mmu_prepare_zap_page(kvm, sp, invalid_list);
      counters.mmu_flooded++;
      continue;
    }
    const { index, nspte } = get_written_sptes(kvm, sp, gpa);
    for (let i = 0; i < nspte; i++) {
      const sptep = sptep_of(sp, index + i);
      if (is_shadow_present_pte(spte_lo(kvm, sptep))) flush = true;
      mmu_page_zap_pte(kvm, sp, sptep, invalid_list);
      if (gentry !== 0 && page_role.level(kvm, sp, 'kvm_mmu_track_write') !== PG_LEVEL_4K) counters.mmu_pde_zapped++;
    }
  }
  kvm_mmu_remote_flush_or_zap(kvm, invalid_list, flush);
}

/**
 * v7.3.4 mmu.c kvm_zap_obsolete_pages
 * From the oldest on until one is of the current generation: the list is in order of creation.
 */
function kvm_zap_obsolete_pages(kvm: kvm): void {
  const { pages } = kvm.vm;
  const zapped_obsolete_pages: number[] = [];
  let sp = pages.oldest;
  while (sp !== NO_PAGE && is_obsolete_sp(kvm, sp)) {
    const newer = pages.newerThan(sp);
    const { list_unstable } = __kvm_mmu_prepare_zap_page(kvm, sp, zapped_obsolete_pages);
    sp = list_unstable ? pages.oldest : newer;
  }
  kvm_mmu_commit_zap_page(kvm, zapped_obsolete_pages);
}

/**
 * v7.3.4 mmu.c kvm_mmu_zap_all: the VM's memory goes, from the newest page on. Pages used as root are marked, and go
 * with their last user.
 */
export function kvm_mmu_zap_all(kvm: kvm): void {
  const { pages } = kvm.vm;
  const invalid_list: number[] = [];
  for (let sp = pages.newest; sp !== NO_PAGE; ) {
    const older = pages.olderThan(sp);
    if (get(pages.role[sp]!, at.invalid) !== 0) {
      sp = older;
      continue;
    }
    const { list_unstable } = __kvm_mmu_prepare_zap_page(kvm, sp, invalid_list);
    sp = list_unstable ? pages.newest : older;
  }
  kvm_mmu_commit_zap_page(kvm, invalid_list);
  if (kvm.vm.host.tdpMmu) kvm_tdp_mmu_zap_all(kvm);
}

/**
 * v7.3.4 mmu.c kvm_mmu_zap_all_fast
 * A memslot goes: every page becomes obsolete at once, vCPUs are told to drop their roots, and the pages are zapped.
 */
export function kvm_mmu_zap_all_fast(kvm: kvm): void {
  kvm.mmu_valid_gen = kvm.mmu_valid_gen === 0 ? 1 : 0;
  if (kvm.vm.host.tdpMmu) kvm_tdp_mmu_invalidate_roots(kvm);
  kvm_make_all_cpus_request(kvm, KVM_REQ.MMU_FREE_OBSOLETE_ROOTS);
  kvm_zap_obsolete_pages(kvm);
  if (kvm.vm.host.tdpMmu) kvm_tdp_mmu_zap_invalidated_roots(kvm);
}
