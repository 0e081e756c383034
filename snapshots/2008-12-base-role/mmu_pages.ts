// SPDX-License-Identifier: GPL-2.0-only
/**
 * a770f6f28b1a arch/x86/kvm/mmu.c: shadow pages, from look-up to end.
 *
 * Left out: the hash's buckets (pages of other frames in a bucket are skipped anyway), gfns[] (a leaf's frame is the guest
 * frame here), memory caches and locks (nothing fails or sleeps here), kvm_mmu_change_mmu_pages and the shrinker (the quota
 * is fixed when the VM is made), kvm_mmu_slot_remove_write_access (slots are deleted, never changed).
 */
import { set } from '../../src/role/layout.ts';
import { get_page_role, type page_request } from './calc.ts';
import { mmu_prefetch_page } from './mmu_fault.ts';
import { account_shadowed, rmap_remove, rmap_write_protect, unaccount_shadowed } from './mmu_rmap.ts';
import {
  kvm_mmu_lookup_page,
  kvm_mmu_mark_parents_unsync,
  kvm_sync_page,
  kvm_unlink_unsync_page,
  mmu_zap_unsync_children,
} from './mmu_sync.ts';
import { kvm_mmu_page_role, page_role } from './role.ts';
import {
  child_of,
  index_of,
  is_large_pte,
  is_present_spte,
  set_trap_nonpresent,
  sp_of,
  spte_hi,
  spte_lo,
  sptep_of,
} from './spte.ts';
import { PT_PAGE_TABLE_LEVEL } from './spte_format.ts';
import { KVM_REQ, type kvm, type kvm_vcpu, NO_SPTE } from './types.ts';
import { kvm_flush_remote_tlbs, kvm_reload_remote_mmus } from './x86.ts';

const PT64_ENT_PER_PAGE = 512;
/** a770f6f28b1a kvm_host.h KVM_MIN_FREE_MMU_PAGES, KVM_REFILL_PAGES */
const KVM_MIN_FREE_MMU_PAGES = 5;
const KVM_REFILL_PAGES = 25;

/** A request for a page: the role's part, the frame, and the entry that will point to it (NO_SPTE for a root). */
export interface get_page_request extends page_request {
  readonly gfn: number;
  readonly parent_pte: number;
}

/**
 * a770f6f28b1a mmu.c kvm_mmu_get_page:1192
 * Pages of the frame that come before the match are synced whatever their role is, and may vanish on the way.
 */
export function kvm_mmu_get_page(vcpu: kvm_vcpu, request: get_page_request): number {
  const { kvm } = vcpu;
  const { pages, counters, existingByRole, newByRole } = kvm.vm;
  const { gfn, parent_pte, metaphysical } = request;
  const role = get_page_role(vcpu, request);
  for (let sp = pages.firstOf(gfn), next = 0; sp !== 0; sp = next) {
    next = pages.nextOf(sp);
    if (pages.unsync[sp] === 1 && kvm_sync_page(vcpu, sp)) continue;
    if (page_role.word(kvm.sp(sp), 'kvm_mmu_get_page') !== role) continue;
    mmu_page_add_parent_pte(kvm, sp, parent_pte);
    if (pages.unsyncChildren[sp]! > 0) {
      vcpu.requests |= KVM_REQ.MMU_SYNC;
      vcpu.log.note('req_mmu_sync');
      kvm_mmu_mark_parents_unsync(kvm, sp);
    }
    counters.get_page_existing++;
    existingByRole.add(role);
    return sp;
  }
  counters.get_page_new++;
  newByRole.add(role);
  const sp = pages.create(gfn, role);
  pages.mark[sp] = 1;
  mmu_page_add_parent_pte(kvm, sp, parent_pte);
  if (!metaphysical) {
    if (rmap_write_protect(kvm, gfn)) kvm_flush_remote_tlbs(kvm);
    account_shadowed(kvm, gfn);
  }
  mmu_prefetch_page(vcpu, sp);
  return sp;
}

/** a770f6f28b1a mmu.c nonpaging_prefetch_page:952 */
export function nonpaging_prefetch_page(kvm: kvm, sp: number): void {
  for (let i = 0; i < PT64_ENT_PER_PAGE; i++) set_trap_nonpresent(kvm, sptep_of(sp, i));
}

/** a770f6f28b1a mmu.c mmu_convert_notrap:1480: entries of an unsync page must not fault into the guest unseen */
export function mmu_convert_notrap(kvm: kvm, sp: number): void {
  const { trap_nonpresent: trap, notrap_nonpresent: notrap } = kvm.spte;
  if (trap.lo === notrap.lo && trap.hi === notrap.hi) return;
  for (let i = 0; i < PT64_ENT_PER_PAGE; i++) {
    const sptep = sptep_of(sp, i);
    if (spte_lo(kvm, sptep) === notrap.lo && spte_hi(kvm, sptep) === notrap.hi) set_trap_nonpresent(kvm, sptep);
  }
}

/** a770f6f28b1a mmu.c mmu_page_add_parent_pte:809 */
function mmu_page_add_parent_pte({ vm }: kvm, sp: number, parent_pte: number): void {
  if (parent_pte !== NO_SPTE) vm.pages.linkParent(sp, sp_of(parent_pte), index_of(parent_pte));
}

/** a770f6f28b1a mmu.c kvm_mmu_put_page:1321 and mmu_page_remove_parent_pte:847. An unused page stays in the hash. */
export const kvm_mmu_put_page = ({ vm }: kvm, sp: number, parent_pte: number): void =>
  vm.pages.unlinkParent(sp, sp_of(parent_pte), index_of(parent_pte));

/** a770f6f28b1a mmu.c kvm_mmu_page_unlink_children:1288 */
function kvm_mmu_page_unlink_children(kvm: kvm, sp: number): void {
  const leaf_table = page_role.level(kvm.sp(sp), 'kvm_mmu_page_unlink_children') === PT_PAGE_TABLE_LEVEL;
  for (let i = 0; i < PT64_ENT_PER_PAGE; i++) {
    const sptep = sptep_of(sp, i);
    if (is_present_spte(kvm, sptep)) {
      const large = !leaf_table && is_large_pte(spte_lo(kvm, sptep));
      if (large) kvm.stat.lpages--;
      if (leaf_table || large) rmap_remove(kvm, sptep);
      else kvm_mmu_put_page(kvm, child_of(kvm, sptep), sptep);
    }
    set_trap_nonpresent(kvm, sptep);
  }
}

/** a770f6f28b1a mmu.c kvm_mmu_unlink_parents:1335 */
function kvm_mmu_unlink_parents(kvm: kvm, sp: number): void {
  for (const parent_pte of kvm.vm.pages.parentEntries(sp)) {
    kvm_mmu_put_page(kvm, sp, parent_pte);
    set_trap_nonpresent(kvm, parent_pte);
  }
}

/**
 * a770f6f28b1a mmu.c kvm_mmu_zap_page:1382
 * A page in use as a root lives on as invalid, is looked up no more, and is freed when its last vCPU lets go of it.
 * True when pages below were zapped too, so that whoever walks a list of pages has to begin anew.
 */
export function kvm_mmu_zap_page(kvm: kvm, sp: number): boolean {
  const { pages, counters, zappedByRole, log } = kvm.vm;
  counters.zap_pages++;
  zappedByRole.add(pages.role[sp]!);
  const zapped_others = mmu_zap_unsync_children(kvm, sp);
  kvm_mmu_page_unlink_children(kvm, sp);
  kvm_mmu_unlink_parents(kvm, sp);
  kvm_flush_remote_tlbs(kvm);
  const by = 'kvm_mmu_zap_page';
  if (page_role.invalid(kvm.sp(sp), by) === 0 && page_role.metaphysical(kvm.sp(sp), by) === 0)
    unaccount_shadowed(kvm, pages.gfn[sp]!);
  if (pages.unsync[sp] === 1) kvm_unlink_unsync_page(kvm, sp);
  if (pages.rootCount[sp] === 0) pages.destroy(sp);
  else {
    pages.role[sp] = set(pages.role[sp]!, kvm_mmu_page_role.at.invalid, 1);
    pages.makeNewest(sp);
    log.rootLost();
    kvm_reload_remote_mmus(kvm);
  }
  for (const vcpu of kvm.vcpus) vcpu.last_pte_updated = NO_SPTE;
  return zapped_others;
}

/**
 * a770f6f28b1a mmu.c kvm_mmu_unprotect_page:1440: zaps what shadows the frame, invalid pages included. True: there was
 * something.
 */
export function kvm_mmu_unprotect_page(kvm: kvm, gfn: number): boolean {
  const { pages } = kvm.vm;
  let r = false;
  for (let sp = pages.firstOf(gfn), next = 0; sp !== 0; sp = next) {
    next = pages.nextOf(sp);
    if (page_role.metaphysical(kvm.sp(sp), 'kvm_mmu_unprotect_page') !== 0) continue;
    r = true;
    if (kvm_mmu_zap_page(kvm, sp)) next = pages.firstOf(gfn);
  }
  return r;
}

/** a770f6f28b1a mmu.c mmu_unshadow:1463 */
export function mmu_unshadow(kvm: kvm, gfn: number): void {
  for (let sp = kvm_mmu_lookup_page(kvm, gfn); sp !== 0; sp = kvm_mmu_lookup_page(kvm, gfn)) kvm_mmu_zap_page(kvm, sp);
}

/** v2.6.29 mmu.h kvm_mmu_free_some_pages:40, a770f6f28b1a mmu.c __kvm_mmu_free_some_pages:2584: oldest first, hits do not refresh */
export function kvm_mmu_free_some_pages(vcpu: kvm_vcpu): void {
  const { kvm } = vcpu;
  const { pages, counters } = kvm.vm;
  const n_free_mmu_pages = (): number => kvm.vm.pageLimit - pages.used;
  if (n_free_mmu_pages() >= KVM_MIN_FREE_MMU_PAGES) return;
  vcpu.log.because('__kvm_mmu_free_some_pages', '');
  while (n_free_mmu_pages() < KVM_REFILL_PAGES) {
    kvm_mmu_zap_page(kvm, pages.oldest);
    counters.mmu_recycled++;
  }
}

/** a770f6f28b1a mmu.c kvm_mmu_zap_all:2745 */
export function kvm_mmu_zap_all(kvm: kvm): void {
  const { pages, log } = kvm.vm;
  log.because('kvm_mmu_zap_all', '');
  for (let sp = pages.newest, next = 0; sp !== 0; sp = next) {
    next = pages.olderThan(sp);
    if (kvm_mmu_zap_page(kvm, sp)) next = pages.newest;
  }
  kvm_flush_remote_tlbs(kvm);
}
