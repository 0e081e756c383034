// SPDX-License-Identifier: GPL-2.0-only
/**
 * e5ed0fb01004 arch/x86/kvm/mmu/tdp_mmu.c: guest-physical memory as one tree for each root role, outside the hash of shadow
 * pages. A root is counted by its users; with the last of them the whole tree goes.
 *
 * Left out: everything that exists because many vCPUs work on a tree at once (frozen entries, RCU, the worker that zaps a
 * dead root in the background: here it is gone when its last user lets go), MMIO, NX huge pages, dirty logging, ageing.
 */
import { get, set } from '../../src/role/layout.ts';
import { tableIndexOfFrame } from '../../src/sim/address-parts.ts';
import {
  kvm_mmu_hugepage_adjust,
  type kvm_page_fault,
  RET_PF_EMULATE,
  RET_PF_FIXED,
  RET_PF_SPURIOUS,
} from './mmu_fault.ts';
import { kvm_flush_remote_tlbs, tdp_spte_set } from './mmu_rmap.ts';
import { kvm_mmu_page_role, mmu_role, page_role } from './role.ts';
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

/** e5ed0fb01004 tdp_mmu.c tdp_mmu_init_sp */
function tdp_mmu_alloc_sp(kvm: kvm, gfn: number, role: number): number {
  kvm.vm.counters.get_page_new++;
  kvm.vm.newByRole.add(role);
  return kvm.vm.pages.createTreePage(gfn, role);
}

/**
 * e5ed0fb01004 tdp_mmu.c kvm_tdp_mmu_get_vcpu_root_hpa
 * The root of exactly the wanted role, with one more user; a new one when there is none. Returns its page id.
 */
export function kvm_tdp_mmu_get_vcpu_root(vcpu: kvm_vcpu): number {
  const { kvm } = vcpu;
  const { pages } = kvm.vm;
  const role = mmu_role.base.word(vcpu.mmu, 'kvm_tdp_mmu_get_vcpu_root_hpa');
  let root = kvm.tdp_mmu_roots.find((id) => page_role.word(kvm, id, 'kvm_tdp_mmu_get_vcpu_root_hpa') === role);
  if (root === undefined) {
    root = tdp_mmu_alloc_sp(kvm, 0, role);
    kvm.tdp_mmu_roots.unshift(root);
  }
  pages.rootCount[root] = pages.rootCount[root]! + 1;
  return root;
}

/** e5ed0fb01004 tdp_mmu.c kvm_tdp_mmu_put_root, tdp_mmu_zap_root_work: with the last user the tree goes. */
export function kvm_tdp_mmu_put_root(kvm: kvm, root: number): void {
  const { pages } = kvm.vm;
  pages.rootCount[root] = pages.rootCount[root]! - 1;
  if (pages.rootCount[root]! > 0) return;
  kvm.tdp_mmu_roots.splice(kvm.tdp_mmu_roots.indexOf(root), 1);
  pages.role[root] = set(pages.role[root]!, at.invalid, 1);
  tdp_mmu_zap_root(kvm, root);
  pages.destroy(root);
}

/** e5ed0fb01004 tdp_mmu.c tdp_mmu_zap_root: empties the tree. */
function tdp_mmu_zap_root(kvm: kvm, root: number): void {
  let flush = false;
  const level = page_role.level(kvm, root, 'tdp_mmu_zap_root');
  for (let index = 0; index < 512; index++) {
    if (!is_shadow_present_pte(kvm.vm.pages.entryLow(root, index))) continue;
    tdp_mmu_zap_spte(kvm, root, index, level);
    flush = true;
  }
  if (flush) kvm_flush_remote_tlbs(kvm);
}

/** e5ed0fb01004 tdp_mmu.c __handle_changed_spte for an entry that becomes empty: the table below goes with it. */
function tdp_mmu_zap_spte(kvm: kvm, sp: number, index: number, level: number): void {
  const { pages } = kvm.vm;
  const lo = pages.entryLow(sp, index);
  const hi = pages.entryHigh(sp, index);
  tdp_spte_set(kvm, sp, index, 0, 0);
  if (is_last_spte(lo, level)) return;
  handle_removed_pt(kvm, pages.idOfFrame(spte_to_pfn(lo, hi)));
}

/** e5ed0fb01004 tdp_mmu.c handle_removed_pt */
function handle_removed_pt(kvm: kvm, sp: number): void {
  const { pages, counters } = kvm.vm;
  counters.zap_pages++;
  kvm.vm.zappedByRole.add(pages.role[sp]!);
  const level = page_role.level(kvm, sp, 'handle_removed_pt');
  for (let index = 0; index < 512; index++) {
    if (is_shadow_present_pte(pages.entryLow(sp, index))) tdp_mmu_zap_spte(kvm, sp, index, level);
  }
  pages.destroy(sp);
}

/** e5ed0fb01004 tdp_mmu.c kvm_tdp_mmu_invalidate_all_roots: no root is found by its role any more. */
export function kvm_tdp_mmu_invalidate_all_roots(kvm: kvm): void {
  const { pages } = kvm.vm;
  for (const root of kvm.tdp_mmu_roots) {
    if (page_role.invalid(kvm, root, 'kvm_tdp_mmu_invalidate_all_roots') !== 0) continue;
    pages.role[root] = set(pages.role[root]!, at.invalid, 1);
  }
}

/** e5ed0fb01004 tdp_mmu.c kvm_tdp_mmu_zap_invalidated_roots: their users keep empty trees until they let go. */
export function kvm_tdp_mmu_zap_invalidated_roots(kvm: kvm): void {
  // C has them on a queue of work.
  for (const root of kvm.tdp_mmu_roots) {
    if (get(kvm.vm.pages.role[root]!, at.invalid) !== 0) tdp_mmu_zap_root(kvm, root);
  }
}

/** e5ed0fb01004 tdp_mmu.c kvm_tdp_mmu_zap_all: empties every tree; the roots stay with their users. */
export function kvm_tdp_mmu_zap_all(kvm: kvm): void {
  for (const root of kvm.tdp_mmu_roots) tdp_mmu_zap_root(kvm, root);
}

/** e5ed0fb01004 tdp_iter.c: the last entry on the way to a frame (kvm_tdp_mmu_fast_pf_get_last_sptep). */
export function tdp_mmu_walk(vcpu: kvm_vcpu, gfn: number): number {
  const { kvm } = vcpu;
  const { pages } = kvm.vm;
  let sp = pages.idOfFrame(vcpu.mmu.root.hpa);
  for (let level = page_role.level(kvm, sp, 'tdp_iter_start'); ; level--) {
    const sptep = sptep_of(sp, index_of(gfn, level));
    const lo = spte_lo(kvm, sptep);
    if (!is_shadow_present_pte(lo) || is_last_spte(lo, level)) return sptep;
    sp = pages.idOfFrame(spte_to_pfn(lo, spte_hi(kvm, sptep)));
  }
}

const index_of = tableIndexOfFrame;

/** e5ed0fb01004 tdp_mmu.c kvm_tdp_mmu_map */
export function kvm_tdp_mmu_map(vcpu: kvm_vcpu, fault: kvm_page_fault): number {
  const { kvm } = vcpu;
  const { pages } = kvm.vm;
  kvm_mmu_hugepage_adjust(vcpu, fault);
  let sp = pages.idOfFrame(vcpu.mmu.root.hpa);
  for (let level = page_role.level(kvm, sp, 'tdp_iter_start'); level > fault.goal_level; level--) {
    const index = index_of(fault.gfn, level);
    if (is_shadow_present_pte(pages.entryLow(sp, index)) && is_large_pte(pages.entryLow(sp, index))) {
      // A large page in the way is dropped; the small pages fault in again one by one.
      tdp_mmu_zap_spte(kvm, sp, index, level);
      kvm_flush_remote_tlbs(kvm);
    }
    const lo = pages.entryLow(sp, index);
    if (is_shadow_present_pte(lo)) sp = pages.idOfFrame(spte_to_pfn(lo, pages.entryHigh(sp, index)));
    else sp = tdp_mmu_link_sp(vcpu, sp, index, base_gfn_of(fault.gfn, level));
  }
  return tdp_mmu_map_handle_target_level(vcpu, fault, sp);
}

/** e5ed0fb01004 tdp_mmu.c tdp_mmu_link_sp, tdp_mmu_init_child_sp: the child's role is the parent's, one level down. */
function tdp_mmu_link_sp(vcpu: kvm_vcpu, parent: number, index: number, gfn: number): number {
  const { kvm } = vcpu;
  const { pages } = kvm.vm;
  const role = page_role.word(kvm, parent, 'tdp_mmu_init_child_sp');
  const sp = tdp_mmu_alloc_sp(kvm, gfn, set(role, at.level, get(role, at.level) - 1));
  make_nonleaf_spte(vcpu, pages.frameOf(sp), spte_masks_of(kvm.vm.host).shadow_accessed_mask === 0);
  tdp_spte_set(kvm, parent, index, vcpu.new_spte.lo, vcpu.new_spte.hi);
  return sp;
}

/** e5ed0fb01004 tdp_mmu.c tdp_mmu_map_handle_target_level: installs the leaf. Neighbours are not mapped ahead. */
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
      handle_removed_pt(kvm, pages.idOfFrame(spte_to_pfn(old_lo, old_hi)));
      kvm_flush_remote_tlbs(kvm);
    }
  }
  if (wrprot && fault.write) ret = RET_PF_EMULATE;
  kvm.vm.counters.set_spte++;
  return ret;
}

/** e5ed0fb01004 tdp_mmu.c kvm_tdp_mmu_zap_leafs: every leaf of every tree; the tables above stay. */
export function kvm_tdp_mmu_zap_leafs(kvm: kvm): void {
  for (const root of kvm.tdp_mmu_roots) zap_leafs(kvm, root, page_role.level(kvm, root, 'tdp_iter_start'));
}

function zap_leafs(kvm: kvm, sp: number, level: number): void {
  const { pages } = kvm.vm;
  for (let index = 0; index < 512; index++) {
    const lo = pages.entryLow(sp, index);
    if (!is_shadow_present_pte(lo)) continue;
    if (is_last_spte(lo, level)) tdp_spte_set(kvm, sp, index, 0, 0);
    else zap_leafs(kvm, pages.idOfFrame(spte_to_pfn(lo, pages.entryHigh(sp, index))), level - 1);
  }
}
