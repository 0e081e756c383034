// SPDX-License-Identifier: GPL-2.0-only
/**
 * v5.10.262 arch/x86/kvm/mmu/mmu.c: tables that the guest may write without an exit (unsync), and how they are brought
 * back in line. The bitmaps and the batched walk over them are the machine's (src/sim/unsync-walk.ts).
 *
 * Left out: breaks of the lock in long syncs.
 */
import { CR4 } from '../../src/sim/registers.ts';
import { NO_PAGE } from '../../src/sim/shadow-pages.ts';
import { clearPath, collectUnsync, markParentsUnsync } from '../../src/sim/unsync-walk.ts';
import { sync_page } from './mmu_handlers.ts';
import { is_indirect_valid_sp, kvm_mmu_flush_or_zap, kvm_mmu_prepare_zap_page } from './mmu_pages.ts';
import { kvm_page_track_is_active, rmap_write_protect } from './mmu_rmap.ts';
import { page_role } from './role.ts';
import { PT_PAGE_TABLE_LEVEL, spte_index, sptep_to_sp } from './spte.ts';
import { kvm_flush_remote_tlbs } from './tlb.ts';
import type { kvm, kvm_mmu_page, kvm_vcpu } from './types.ts';

/** v5.10.262 mmu.c mark_unsync: this entry leads to something unsync, and so do those that lead here. */
export function kvm_mmu_mark_parent_unsync(kvm: kvm, sptep: number): void {
  const { pages } = kvm.vm;
  const parent = sptep_to_sp(sptep);
  if (pages.setUnsyncBit(parent, spte_index(sptep)) && pages.unsyncChildren[parent] === 1)
    markParentsUnsync(pages, parent);
}

/** v5.10.262 mmu.c kvm_unlink_unsync_page */
export function kvm_unlink_unsync_page(kvm: kvm, sp: number): void {
  kvm.vm.counters.sync_page++;
  kvm.vm.pages.unsync[sp] = 0;
}

/** v5.10.262 mmu.c:1822 is_ept_sp: marked by two bits that no other page has together. */
const is_ept_sp = (sp: kvm_mmu_page): boolean =>
  page_role.cr0_wp(sp, '__kvm_sync_page') !== 0 && page_role.smap_andnot_wp(sp, '__kvm_sync_page') !== 0;

/**
 * v5.10.262 mmu.c:1828 __kvm_sync_page: false when the page had to go, for it is of another entry size than the
 * vCPU's tables now, or nothing was left in it.
 */
export function __kvm_sync_page(vcpu: kvm_vcpu, sp: number, invalid_list: number[]): boolean {
  const { kvm } = vcpu;
  const is_pae = (vcpu.registers.cr4 & CR4.PAE) !== 0 ? 1 : 0;
  const page = kvm.page(sp);
  const other_size = !is_ept_sp(page) && page_role.gpte_is_8_bytes(page, '__kvm_sync_page') !== is_pae;
  if (!other_size && sync_page(vcpu, sp) !== 0) return true;
  kvm_mmu_prepare_zap_page(kvm, sp, invalid_list);
  return false;
}

/** v5.10.262 mmu.c kvm_sync_page */
function kvm_sync_page(vcpu: kvm_vcpu, sp: number, invalid_list: number[]): boolean {
  kvm_unlink_unsync_page(vcpu.kvm, sp);
  return __kvm_sync_page(vcpu, sp, invalid_list);
}

/** v5.10.262 mmu.c:1886 kvm_sync_pages: all unsync tables of a frame. True: translations may have changed. */
export function kvm_sync_pages(vcpu: kvm_vcpu, gfn: number, invalid_list: number[]): boolean {
  let flush = false;
  for (let sp = vcpu.kvm.vm.pages.firstOf(gfn); sp !== NO_PAGE; sp = vcpu.kvm.vm.pages.nextOf(sp)) {
    if (!is_indirect_valid_sp(vcpu.kvm, sp, 'kvm_sync_pages')) continue;
    if (vcpu.kvm.vm.pages.unsync[sp] !== 0 && kvm_sync_page(vcpu, sp, invalid_list)) flush = true;
  }
  return flush;
}

/** v5.10.262 mmu.c:1975 mmu_sync_children: every unsync page below, in rounds of at most 16 pages. */
export function mmu_sync_children(vcpu: kvm_vcpu, parent: number): void {
  const { kvm } = vcpu;
  const { pages } = kvm.vm;
  const invalid_list: number[] = [];
  let flush = false;
  while (pages.unsyncChildren[parent]! > 0) {
    const batch = collectUnsync(pages, parent);
    let protected_ = false;
    for (const { id } of batch) if (rmap_write_protect(vcpu, pages.gfn[id]!)) protected_ = true;
    if (protected_) {
      kvm_flush_remote_tlbs(kvm);
      flush = false;
    }
    for (const page of batch) {
      if (kvm_sync_page(vcpu, page.id, invalid_list)) flush = true;
      clearPath(pages, page);
    }
  }
  kvm_mmu_flush_or_zap(vcpu, invalid_list, false, flush);
}

/** v5.10.262 mmu.c mmu_zap_unsync_children: nobody would sync them once the way to them is gone. */
export function mmu_zap_unsync_children(kvm: kvm, parent: number, invalid_list: number[]): number {
  const { pages } = kvm.vm;
  if (page_role.level(kvm.page(parent), 'mmu_zap_unsync_children') === PT_PAGE_TABLE_LEVEL) return 0;
  let zapped = 0;
  while (pages.unsyncChildren[parent]! > 0) {
    for (const page of collectUnsync(pages, parent)) {
      kvm_mmu_prepare_zap_page(kvm, page.id, invalid_list);
      clearPath(pages, page);
      zapped++;
    }
  }
  return zapped;
}

function kvm_unsync_page(kvm: kvm, sp: number): void {
  const { pages, counters } = kvm.vm;
  counters.unsync_page++;
  pages.unsync[sp] = 1;
  markParentsUnsync(pages, sp);
}

/**
 * v5.10.262 mmu.c:2499 mmu_need_write_protect
 * Whether a mapping of the frame must stay read-only. If not, all last-level tables of the frame, of whatever role, go
 * out of sync together.
 */
export function mmu_need_write_protect(vcpu: kvm_vcpu, gfn: number, can_unsync: boolean): boolean {
  const { kvm } = vcpu;
  if (kvm_page_track_is_active(vcpu, gfn)) return true;
  for (let sp = kvm.vm.pages.firstOf(gfn); sp !== NO_PAGE; sp = kvm.vm.pages.nextOf(sp)) {
    if (!is_indirect_valid_sp(kvm, sp, 'mmu_need_write_protect')) continue;
    if (!can_unsync) return true;
    if (kvm.vm.pages.unsync[sp] === 0) kvm_unsync_page(kvm, sp);
  }
  return false;
}
