// SPDX-License-Identifier: GPL-2.0-only
/**
 * v5.17 arch/x86/kvm/mmu/tdp_mmu.c: guest-physical memory as one tree for each root role, outside the hash of shadow
 * pages. A root is counted by its users; with the last of them the whole tree goes.
 *
 * Left out: everything that exists because many vCPUs work on a tree at once (frozen entries, RCU), MMIO, NX huge pages, dirty logging, ageing.
 */
import { set } from '../../src/role/layout.ts';
import { tableIndexOfFrame } from '../../src/sim/address-parts.ts';
import {
  kvm_mmu_hugepage_adjust,
  type kvm_page_fault,
  RET_PF_EMULATE,
  RET_PF_FIXED,
  RET_PF_SPURIOUS,
} from './mmu_fault.ts';
import { kvm_flush_remote_tlbs, tdp_spte_set } from './mmu_rmap.ts';
import { kvm_mmu_page_role, mmu_role, page_role, shadow_root_level } from './role.ts';
import {
  ACC_ALL,
  base_gfn_of,
  is_large_pte,
  is_last_spte,
  is_shadow_present_pte,
  make_nonleaf_spte,
  make_spte,
  PG_LEVEL_4K,
  spte_hi,
  spte_lo,
  spte_masks_of,
  spte_to_pfn,
  sptep_of,
} from './spte.ts';
import type { kvm, kvm_vcpu } from './types.ts';

const { at } = kvm_mmu_page_role;

/** v5.17 tdp_mmu.c:160 page_role_for_level: made from the MMU's role, for the root and for every table below it. */
function page_role_for_level(vcpu: kvm_vcpu, level: number): number {
  const by = 'page_role_for_level';
  let role = mmu_role.base.word(vcpu.mmu, by);
  role = set(role, at.level, level);
  role = set(role, at.direct, 1);
  role = set(role, at.has_4_byte_gpte, 0);
  role = set(role, at.access, ACC_ALL);
  return set(role, at.ad_disabled, spte_masks_of(vcpu.kvm.vm.host).shadow_accessed_mask === 0 ? 1 : 0);
}

/** v5.17 tdp_mmu.c alloc_tdp_mmu_page */
function alloc_tdp_mmu_page(kvm: kvm, gfn: number, role: number): number {
  kvm.vm.counters.get_page_new++;
  kvm.vm.newByRole.add(role);
  return kvm.vm.pages.createTreePage(gfn, role);
}

/**
 * v5.17 tdp_mmu.c kvm_tdp_mmu_get_vcpu_root_hpa
 * The root of exactly the wanted role, with one more user; a new one when there is none. Returns its page id.
 */
export function kvm_tdp_mmu_get_vcpu_root(vcpu: kvm_vcpu): number {
  const { kvm } = vcpu;
  const { pages } = kvm.vm;
  const role = page_role_for_level(vcpu, shadow_root_level(vcpu.mmu, 'kvm_tdp_mmu_get_vcpu_root_hpa'));
  let root = kvm.tdp_mmu_roots.find((id) => page_role.word(kvm, id, 'kvm_tdp_mmu_get_vcpu_root_hpa') === role);
  if (root === undefined) {
    root = alloc_tdp_mmu_page(kvm, 0, role);
    kvm.tdp_mmu_roots.unshift(root);
  }
  pages.rootCount[root] = pages.rootCount[root]! + 1;
  return root;
}

/** v5.17 tdp_mmu.c:82 kvm_tdp_mmu_put_root: with the last user the tree goes, at once. */
export function kvm_tdp_mmu_put_root(kvm: kvm, root: number): void {
  const { pages } = kvm.vm;
  pages.rootCount[root] = pages.rootCount[root]! - 1;
  if (pages.rootCount[root]! > 0) return;
  kvm.tdp_mmu_roots.splice(kvm.tdp_mmu_roots.indexOf(root), 1);
  tdp_mmu_zap_root(kvm, root);
  pages.destroy(root);
}

/** v5.17 tdp_mmu.c zap_gfn_range of everything: empties the tree from its top entries on. */
function tdp_mmu_zap_root(kvm: kvm, root: number): void {
  let flush = false;
  const level = page_role.level(kvm, root, 'zap_gfn_range');
  for (let index = 0; index < 512; index++) {
    if (!is_shadow_present_pte(kvm.vm.pages.entryLow(root, index))) continue;
    tdp_mmu_zap_spte(kvm, root, index, level);
    flush = true;
  }
  if (flush) kvm_flush_remote_tlbs(kvm);
}

/** v5.17 tdp_mmu.c __handle_changed_spte for an entry that becomes empty: the table below goes with it. */
function tdp_mmu_zap_spte(kvm: kvm, sp: number, index: number, level: number): void {
  const { pages } = kvm.vm;
  const lo = pages.entryLow(sp, index);
  const hi = pages.entryHigh(sp, index);
  tdp_spte_set(kvm, sp, index, 0, 0);
  if (is_last_spte(lo, level)) return;
  handle_removed_tdp_mmu_page(kvm, pages.idOfFrame(spte_to_pfn(lo, hi)));
}

/** v5.17 tdp_mmu.c handle_removed_tdp_mmu_page */
function handle_removed_tdp_mmu_page(kvm: kvm, sp: number): void {
  const { pages, counters } = kvm.vm;
  counters.zap_pages++;
  kvm.vm.zappedByRole.add(pages.role[sp]!);
  const level = page_role.level(kvm, sp, 'handle_removed_tdp_mmu_page');
  for (let index = 0; index < 512; index++) {
    if (is_shadow_present_pte(pages.entryLow(sp, index))) tdp_mmu_zap_spte(kvm, sp, index, level);
  }
  pages.destroy(sp);
}

/** v5.17 tdp_mmu.c kvm_tdp_mmu_invalidate_all_roots: no root is found by its role any more. */
export function kvm_tdp_mmu_invalidate_all_roots(kvm: kvm): void {
  const { pages } = kvm.vm;
  for (const root of kvm.tdp_mmu_roots) pages.role[root] = set(pages.role[root]!, at.invalid, 1);
}

/** v5.17 tdp_mmu.c kvm_tdp_mmu_zap_invalidated_roots: their users keep empty trees until they let go. */
export function kvm_tdp_mmu_zap_invalidated_roots(kvm: kvm): void {
  for (const root of kvm.tdp_mmu_roots) {
    if (page_role.invalid(kvm, root, 'next_invalidated_root') !== 0) tdp_mmu_zap_root(kvm, root);
  }
}

/** v5.17 tdp_mmu.c kvm_tdp_mmu_zap_all: empties every tree; the roots stay with their users. */
export function kvm_tdp_mmu_zap_all(kvm: kvm): void {
  for (const root of kvm.tdp_mmu_roots) tdp_mmu_zap_root(kvm, root);
}

/** v5.17 tdp_iter.c: the last entry on the way to a frame (kvm_tdp_mmu_fast_pf_get_last_sptep). */
export function tdp_mmu_walk(vcpu: kvm_vcpu, gfn: number): number {
  const { kvm } = vcpu;
  const { pages } = kvm.vm;
  let sp = pages.idOfFrame(vcpu.mmu.root_hpa);
  for (let level = shadow_root_level(vcpu.mmu, 'kvm_tdp_mmu_fast_pf_get_last_sptep'); ; level--) {
    const sptep = sptep_of(sp, index_of(gfn, level));
    const lo = spte_lo(kvm, sptep);
    if (!is_shadow_present_pte(lo) || is_last_spte(lo, level)) return sptep;
    sp = pages.idOfFrame(spte_to_pfn(lo, spte_hi(kvm, sptep)));
  }
}

const index_of = tableIndexOfFrame;

/** v5.17 tdp_mmu.c kvm_tdp_mmu_map */
export function kvm_tdp_mmu_map(vcpu: kvm_vcpu, fault: kvm_page_fault): number {
  const { kvm } = vcpu;
  const { pages } = kvm.vm;
  kvm_mmu_hugepage_adjust(vcpu, fault);
  let sp = pages.idOfFrame(vcpu.mmu.root_hpa);
  for (let level = shadow_root_level(vcpu.mmu, 'kvm_tdp_mmu_map'); level > fault.goal_level; level--) {
    const index = index_of(fault.gfn, level);
    if (is_shadow_present_pte(pages.entryLow(sp, index)) && is_large_pte(pages.entryLow(sp, index))) {
      // A large page in the way is dropped; the small pages fault in again one by one.
      tdp_mmu_zap_spte(kvm, sp, index, level);
      kvm_flush_remote_tlbs(kvm);
    }
    const lo = pages.entryLow(sp, index);
    if (is_shadow_present_pte(lo)) sp = pages.idOfFrame(spte_to_pfn(lo, pages.entryHigh(sp, index)));
    else sp = tdp_mmu_link_page(vcpu, sp, index, base_gfn_of(fault.gfn, level), level - 1);
  }
  return tdp_mmu_map_handle_target_level(vcpu, fault, sp);
}

/** v5.17 tdp_mmu.c kvm_tdp_mmu_map, tdp_mmu_link_page */
function tdp_mmu_link_page(vcpu: kvm_vcpu, parent: number, index: number, gfn: number, level: number): number {
  const { kvm } = vcpu;
  const { pages } = kvm.vm;
  const sp = alloc_tdp_mmu_page(kvm, gfn, page_role_for_level(vcpu, level));
  make_nonleaf_spte(vcpu, pages.frameOf(sp), spte_masks_of(kvm.vm.host).shadow_accessed_mask === 0);
  tdp_spte_set(kvm, parent, index, vcpu.new_spte.lo, vcpu.new_spte.hi);
  return sp;
}

/** v5.17 tdp_mmu.c tdp_mmu_map_handle_target_level: installs the leaf. Neighbours are not mapped ahead. */
function tdp_mmu_map_handle_target_level(vcpu: kvm_vcpu, fault: kvm_page_fault, sp: number): number {
  const { kvm, new_spte } = vcpu;
  const { pages } = kvm.vm;
  const level = page_role.level(kvm, sp, 'tdp_mmu_map_handle_target_level');
  const index = index_of(fault.gfn, level);
  const old_lo = pages.entryLow(sp, index);
  const old_hi = pages.entryHigh(sp, index);
  const gfn = base_gfn_of(fault.gfn, level);
  const wrprot = make_spte(vcpu, sp, ACC_ALL, gfn, { old_lo, prefetch: false, can_unsync: true });
  let ret = RET_PF_FIXED;
  if (new_spte.lo === old_lo && new_spte.hi === old_hi) ret = RET_PF_SPURIOUS;
  else {
    tdp_spte_set(kvm, sp, index, new_spte.lo, new_spte.hi);
    if (is_shadow_present_pte(old_lo) && level > PG_LEVEL_4K && !is_large_pte(old_lo)) {
      handle_removed_tdp_mmu_page(kvm, pages.idOfFrame(spte_to_pfn(old_lo, old_hi)));
      kvm_flush_remote_tlbs(kvm);
    }
  }
  if (wrprot && fault.write) ret = RET_PF_EMULATE;
  kvm.vm.counters.set_spte++;
  return ret;
}

/** v5.17 tdp_mmu.c kvm_tdp_mmu_zap_gfn_range of everything: the tables go with their leaves. */
export function kvm_tdp_mmu_zap_gfn_range(kvm: kvm): void {
  for (const root of kvm.tdp_mmu_roots) tdp_mmu_zap_root(kvm, root);
}
