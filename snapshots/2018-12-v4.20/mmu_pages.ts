// SPDX-License-Identifier: GPL-2.0-only
/**
 * v4.20 arch/x86/kvm/mmu.c: shadow pages - lookup, linking, zapping, reclaim, generations.
 *
 * Left out: the hash function (the store looks up by gfn itself), memory caches, collision statistics, the shrinker
 * that host memory pressure calls, the change of the page quota at run time.
 */
import { set } from '../../src/role/layout.ts';
import { NO_PAGE } from '../../src/sim/shadow-pages.ts';
import { account_shadowed, drop_spte, rmap_write_protect, unaccount_shadowed } from './mmu_rmap.ts';
import {
  __kvm_sync_page,
  kvm_mmu_mark_parent_unsync,
  kvm_sync_pages,
  kvm_unlink_unsync_page,
  mmu_zap_unsync_children,
} from './mmu_sync.ts';
import { direct_map, kvm_mmu_page_role, mmu_role, page_role, root_level } from './role.ts';
import {
  is_large_pte,
  is_last_spte,
  is_shadow_present_pte,
  mmu_spte_clear_no_track,
  mmu_spte_set,
  nonleaf_spte,
  PT_PAGE_TABLE_LEVEL,
  PT32_ROOT_LEVEL,
  sp_ad_disabled,
  spte_hi,
  spte_index,
  spte_lo,
  spte_to_pfn,
  sptep_of,
  sptep_to_sp,
} from './spte.ts';
import { kvm_flush_remote_tlbs, kvm_make_request, kvm_reload_remote_mmus } from './tlb.ts';
import { KVM_REQ, type kvm, type kvm_vcpu } from './types.ts';

const { level: LEVEL, cr4_pae: CR4_PAE, quadrant: QUADRANT, direct: DIRECT } = kvm_mmu_page_role.at;
const { access: ACCESS, invalid: INVALID } = kvm_mmu_page_role.at;

/** v4.20 mmu.c kvm_mmu_free_page. C asks whether there is a gfns[] to free, which is not kept here. */
function kvm_mmu_free_page(kvm: kvm, sp: number): void {
  page_role.direct(kvm.page(sp), 'kvm_mmu_free_page');
  kvm.vm.pages.destroy(sp);
}

/** v4.20 mmu.c drop_parent_pte */
export function drop_parent_pte(kvm: kvm, sp: number, sptep: number): void {
  kvm.vm.pages.unlinkParent(sp, sptep_to_sp(sptep), spte_index(sptep));
  mmu_spte_clear_no_track(kvm, sptep);
}

/** The page an upper entry points to. */
export const child_of = (kvm: kvm, sptep: number): number =>
  kvm.vm.pages.idOfFrame(spte_to_pfn(spte_lo(kvm, sptep), spte_hi(kvm, sptep)));

/** A page of an older generation is as good as gone. v4.20 mmu.c is_obsolete_sp */
const is_obsolete_sp = (kvm: kvm, sp: number): boolean => kvm.vm.pages.generation[sp] !== kvm.mmu_valid_gen;

const is_invalid = (kvm: kvm, sp: number, by: string): boolean => page_role.invalid(kvm.page(sp), by) !== 0;

/**
 * for_each_valid_sp, a macro: which pages of a frame it takes, newest first. Zapped ones stay in the chain until they are
 * freed. What it reads, the function around it reads.
 */
const is_valid_sp = (kvm: kvm, sp: number, by: string): boolean => !is_obsolete_sp(kvm, sp) && !is_invalid(kvm, sp, by);

/** for_each_gfn_indirect_valid_sp: those of them that shadow a guest table. */
export const is_indirect_valid_sp = (kvm: kvm, sp: number, by: string): boolean =>
  is_valid_sp(kvm, sp, by) && page_role.direct(kvm.page(sp), by) === 0;

/** v4.20 mmu.c kvm_mmu_flush_or_zap: freeing pages brings a remote flush along. */
export function kvm_mmu_flush_or_zap(
  vcpu: kvm_vcpu,
  invalid_list: number[],
  remote_flush: boolean,
  local_flush: boolean,
): void {
  if (invalid_list.length > 0) kvm_mmu_commit_zap_page(vcpu.kvm, invalid_list);
  else if (remote_flush) kvm_flush_remote_tlbs(vcpu.kvm);
  else if (local_flush) kvm_make_request(KVM_REQ.TLB_FLUSH, vcpu);
}

/** Role of the page that `kvm_mmu_get_page` looks for: what the context's pages share, and what is the page's own. */
function role_of_page(vcpu: kvm_vcpu, gaddr: number, level: number, direct: boolean, access: number): number {
  const { mmu } = vcpu;
  let role = mmu_role.base.word(mmu, 'kvm_mmu_get_page');
  role = set(role, LEVEL, level);
  role = set(role, DIRECT, direct ? 1 : 0);
  if (direct) role = set(role, CR4_PAE, 0);
  role = set(role, ACCESS, access);
  // The mmu's form is asked, not `direct`: pages that split a 4 MiB guest page get a quadrant as well.
  if (direct_map(mmu, 'kvm_mmu_get_page') === 0 && root_level(mmu, 'kvm_mmu_get_page') <= PT32_ROOT_LEVEL) {
    const quadrant = Math.floor(gaddr / 2 ** (12 + 9 * level)) % 2 ** level;
    role = set(role, QUADRANT, quadrant);
  }
  return role;
}

/**
 * v4.20 arch/x86/kvm/mmu.c:2369 kvm_mmu_get_page
 * The page of a frame with exactly this role, found or made. `gaddr` tells which part of a 2-level guest table it is.
 */
export function kvm_mmu_get_page(
  vcpu: kvm_vcpu,
  gfn: number,
  gaddr: number,
  level: number,
  direct: boolean,
  access: number,
): number {
  const { kvm } = vcpu;
  const { pages, counters, existingByRole, newByRole } = kvm.vm;
  const role = role_of_page(vcpu, gaddr, level, direct, access);
  const invalid_list: number[] = [];
  let need_sync = false;

  for (let sp = pages.firstOf(gfn); sp !== NO_PAGE; sp = pages.nextOf(sp)) {
    if (!is_valid_sp(kvm, sp, 'kvm_mmu_get_page')) continue;
    if (pages.unsync[sp] !== 0) need_sync = true;
    if (page_role.word(kvm.page(sp), 'kvm_mmu_get_page') !== role) continue;
    if (pages.unsync[sp] !== 0) {
      // The sync can end with a zap; then the page is built anew.
      if (!__kvm_sync_page(vcpu, sp, invalid_list)) break;
      kvm_make_request(KVM_REQ.TLB_FLUSH, vcpu);
    }
    if (pages.unsyncChildren[sp]! > 0) kvm_make_request(KVM_REQ.MMU_SYNC, vcpu);
    pages.writeFlooding[sp] = 0;
    counters.get_page_existing++;
    existingByRole.add(role);
    return sp;
  }

  counters.get_page_new++;
  newByRole.add(role);
  let flush = false;
  const sp = pages.create(gfn, role);
  kvm.n_used_mmu_pages++;
  if (!direct) {
    // Write protection comes before the syncs: what they copy must not change behind them.
    account_shadowed(kvm, sp);
    if (level === PT_PAGE_TABLE_LEVEL && rmap_write_protect(vcpu, gfn)) kvm_flush_remote_tlbs(kvm);
    // The new page is in the chain with generation 0 still, as in C; it is not unsync, so the loop passes it by.
    if (level > PT_PAGE_TABLE_LEVEL && need_sync) flush = kvm_sync_pages(vcpu, gfn, invalid_list);
  }
  pages.generation[sp] = kvm.mmu_valid_gen;
  kvm_mmu_flush_or_zap(vcpu, invalid_list, false, flush);
  return sp;
}

/** v4.20 mmu.c link_shadow_page */
export function link_shadow_page(vcpu: kvm_vcpu, sptep: number, sp: number): void {
  const { kvm } = vcpu;
  const { pages } = kvm.vm;
  const spte = nonleaf_spte(kvm.masks, pages.frameOf(sp), sp_ad_disabled(kvm, sp, 'link_shadow_page'));
  mmu_spte_set(kvm, sptep, spte.lo, spte.hi);
  pages.linkParent(sp, sptep_to_sp(sptep), spte_index(sptep));
  if (pages.unsyncChildren[sp]! > 0 || pages.unsync[sp] !== 0) kvm_mmu_mark_parent_unsync(kvm, sptep);
}

/**
 * v4.20 mmu.c validate_direct_spte
 * A direct page that splits a large guest page carries the guest entry's rights; when those changed (a clean entry got
 * dirty), another page takes its place.
 */
export function validate_direct_spte(vcpu: kvm_vcpu, sptep: number, direct_access: number): void {
  const { kvm } = vcpu;
  const lo = spte_lo(kvm, sptep);
  if (!is_shadow_present_pte(lo, spte_hi(kvm, sptep)) || is_large_pte(lo)) return;
  const child = child_of(kvm, sptep);
  if (page_role.access(kvm.page(child), 'validate_direct_spte') === direct_access) return;
  drop_parent_pte(kvm, child, sptep);
  kvm_flush_remote_tlbs(kvm);
}

/** v4.20 mmu.c mmu_page_zap_pte: true when the entry was present. */
export function mmu_page_zap_pte(kvm: kvm, sp: number, sptep: number): boolean {
  const lo = spte_lo(kvm, sptep);
  if (!is_shadow_present_pte(lo, spte_hi(kvm, sptep))) return false;
  if (is_last_spte(lo, page_role.level(kvm.page(sp), 'mmu_page_zap_pte'))) drop_spte(kvm, sptep);
  else drop_parent_pte(kvm, child_of(kvm, sptep), sptep);
  return true;
}

function kvm_mmu_page_unlink_children(kvm: kvm, sp: number): void {
  for (let i = 0; i < 512; i++) mmu_page_zap_pte(kvm, sp, sptep_of(sp, i));
}

function kvm_mmu_unlink_parents(kvm: kvm, sp: number): void {
  const { pages } = kvm.vm;
  for (let parent = pages.anyParent(sp); parent >= 0; parent = pages.anyParent(sp)) drop_parent_pte(kvm, sp, parent);
}

/**
 * v4.20 mmu.c kvm_mmu_prepare_zap_page
 * Takes the page and the unsync pages below it out of use; they are freed with the commit. A root in use only becomes
 * invalid, and is freed with its last user. Returns how many pages went to the list.
 */
export function kvm_mmu_prepare_zap_page(kvm: kvm, sp: number, invalid_list: number[]): number {
  const { pages, counters, zappedByRole } = kvm.vm;
  const by = 'kvm_mmu_prepare_zap_page';
  counters.zap_pages++;
  zappedByRole.add(pages.role[sp]!);
  let zapped = mmu_zap_unsync_children(kvm, sp, invalid_list);
  kvm_mmu_page_unlink_children(kvm, sp);
  kvm_mmu_unlink_parents(kvm, sp);
  if (!is_invalid(kvm, sp, by) && page_role.direct(kvm.page(sp), by) === 0) unaccount_shadowed(kvm, sp);
  if (pages.unsync[sp] !== 0) kvm_unlink_unsync_page(kvm, sp);
  if (pages.rootCount[sp] === 0) {
    zapped++;
    pages.deactivate(sp);
    invalid_list.push(sp);
    kvm.n_used_mmu_pages--;
  } else {
    pages.makeNewest(sp);
    // Users of an obsolete page were told to reload when the generation changed.
    if (!is_invalid(kvm, sp, by) && !is_obsolete_sp(kvm, sp)) kvm_reload_remote_mmus(kvm);
  }
  pages.role[sp] = set(pages.role[sp]!, INVALID, 1);
  return zapped;
}

/** v4.20 mmu.c kvm_mmu_commit_zap_page */
export function kvm_mmu_commit_zap_page(kvm: kvm, invalid_list: number[]): void {
  if (invalid_list.length === 0) return;
  kvm_flush_remote_tlbs(kvm);
  for (const sp of invalid_list) kvm_mmu_free_page(kvm, sp);
  invalid_list.length = 0;
}

/** v4.20 mmu.c prepare_zap_oldest_mmu_page: first in, first out. False when nothing could be freed. */
function prepare_zap_oldest_mmu_page(kvm: kvm, invalid_list: number[]): boolean {
  const { oldest } = kvm.vm.pages;
  return oldest !== NO_PAGE && kvm_mmu_prepare_zap_page(kvm, oldest, invalid_list) > 0;
}

/** v4.20 kvm_host.h, mmu.h: below this many free pages a fault reclaims, up to that many. */
const KVM_MIN_FREE_MMU_PAGES = 5;
const KVM_REFILL_PAGES = 25;

const kvm_mmu_available_pages = (kvm: kvm): number => Math.max(0, kvm.vm.pageLimit - kvm.n_used_mmu_pages);

/** v4.20 mmu.c make_mmu_pages_available: false (-ENOSPC) when no page is left. */
export function make_mmu_pages_available(vcpu: kvm_vcpu): boolean {
  const { kvm } = vcpu;
  if (kvm_mmu_available_pages(kvm) >= KVM_MIN_FREE_MMU_PAGES) return true;
  const invalid_list: number[] = [];
  vcpu.log.because('make_mmu_pages_available', '');
  while (kvm_mmu_available_pages(kvm) < KVM_REFILL_PAGES) {
    if (!prepare_zap_oldest_mmu_page(kvm, invalid_list)) break;
    kvm.vm.counters.mmu_recycled++;
  }
  kvm_mmu_commit_zap_page(kvm, invalid_list);
  return kvm_mmu_available_pages(kvm) > 0;
}

/** v4.20 mmu.c kvm_mmu_unprotect_page: no table of this frame is shadowed afterwards. True: some was. */
export function kvm_mmu_unprotect_page(kvm: kvm, gfn: number): boolean {
  const invalid_list: number[] = [];
  let found = false;
  for (let sp = kvm.vm.pages.firstOf(gfn); sp !== NO_PAGE; sp = kvm.vm.pages.nextOf(sp)) {
    if (!is_indirect_valid_sp(kvm, sp, 'kvm_mmu_unprotect_page')) continue;
    found = true;
    kvm_mmu_prepare_zap_page(kvm, sp, invalid_list);
  }
  kvm_mmu_commit_zap_page(kvm, invalid_list);
  return found;
}

/**
 * v4.20 mmu.c kvm_zap_obsolete_pages, oldest first. C starts over after each freed page, because the zap of
 * one can take others with it.
 */
function kvm_zap_obsolete_pages(kvm: kvm): void {
  const { pages } = kvm.vm;
  for (let sp = pages.oldest; sp !== NO_PAGE && is_obsolete_sp(kvm, sp); ) {
    // A zapped root moved to the head of the list: without this the walk would meet it for ever.
    if (is_invalid(kvm, sp, 'kvm_zap_obsolete_pages')) {
      sp = pages.newerThan(sp);
      continue;
    }
    const newer = pages.newerThan(sp);
    sp = kvm_mmu_prepare_zap_page(kvm, sp, kvm.zapped_obsolete_pages) > 0 ? pages.oldest : newer;
  }
  kvm_mmu_commit_zap_page(kvm, kvm.zapped_obsolete_pages);
}

/** v4.20 mmu.c:5809 kvm_mmu_invalidate_zap_all_pages: the memory slots changed, every page goes. */
export function kvm_mmu_invalidate_zap_all_pages(kvm: kvm): void {
  kvm.vm.log.because('kvm_mmu_invalidate_zap_all_pages', 'memslots');
  kvm.mmu_valid_gen++;
  kvm_reload_remote_mmus(kvm);
  kvm_zap_obsolete_pages(kvm);
}
