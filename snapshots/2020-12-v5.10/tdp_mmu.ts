// SPDX-License-Identifier: GPL-2.0-only
/**
 * v5.10.262 arch/x86/kvm/mmu/tdp_mmu.c: guest-physical memory as one tree for each root role, outside the hash of
 * shadow pages, for direct roots of root_mmu alone. Off by default (module parameter kvm.tdp_mmu). A root is counted by
 * its users; with the last of them the whole tree goes.
 *
 * Left out: the iterator's restarts, MMIO, NX huge pages, dirty logging, ageing.
 */
import { get, set } from '../../src/role/layout.ts';
import { kvm_mmu_hugepage_adjust, make_spte } from './mmu_fault.ts';
import { kvm_mmu_page_role, mmu_role, shadow_root_level } from './role.ts';
import {
  ACC_ALL,
  gfn_round,
  is_large_pte,
  is_last_spte,
  is_shadow_present_pte,
  nonleaf_spte,
  SHADOW_PT_INDEX,
  spte_to_pfn,
} from './spte.ts';
import { kvm_flush_remote_tlbs, kvm_make_request } from './tlb.ts';
import { KVM_REQ, type kvm, type kvm_vcpu, RET_PF_EMULATE, RET_PF_FIXED, RET_PF_SPURIOUS } from './types.ts';

const { at } = kvm_mmu_page_role;

/**
 * v5.10.262 tdp_mmu.c:108 kvm_tdp_mmu_free_root: nobody uses the root any more, and nothing of its tree is found again.
 */
export function kvm_tdp_mmu_free_root(kvm: kvm, root: number): void {
  kvm.vm.log.note('tdp_mmu_free_root', root);
  kvm.tdp_mmu_roots.splice(kvm.tdp_mmu_roots.indexOf(root), 1);
  zap_gfn_range_all(kvm, root);
  kvm.vm.pages.destroy(root);
}

/** v5.10.262 tdp_mmu.c page_role_for_level: made from the MMU's role, for the root and for every table below it. */
export function page_role_for_level(vcpu: kvm_vcpu, level: number): number {
  let role = mmu_role.base.word(vcpu.mmu, 'page_role_for_level');
  role = set(role, at.level, level);
  role = set(role, at.direct, 1);
  role = set(role, at.gpte_is_8_bytes, 1);
  return set(role, at.access, ACC_ALL);
}

/**
 * v5.10.262 tdp_mmu.c:155 get_tdp_mmu_vcpu_root
 * The root of exactly the wanted role, with one more user; a new one when there is none. Returns its page id.
 */
function get_tdp_mmu_vcpu_root(vcpu: kvm_vcpu): number {
  const { kvm } = vcpu;
  const { pages } = kvm.vm;
  const role = page_role_for_level(vcpu, shadow_root_level(vcpu.mmu, 'get_tdp_mmu_vcpu_root'));
  let root = kvm.tdp_mmu_roots.find((id) => pages.role[id] === role);
  if (root === undefined) {
    root = pages.createTreePage(0, role);
    kvm.tdp_mmu_roots.unshift(root);
  }
  pages.rootCount[root]!++;
  return root;
}

/** v5.10.262 tdp_mmu.c kvm_tdp_mmu_get_vcpu_root_hpa. Returns a page id, where C returns the address. */
export function kvm_tdp_mmu_get_vcpu_root_hpa(vcpu: kvm_vcpu): number {
  vcpu.kvm.vm.counters.roots_allocated_tdp_mmu++;
  return get_tdp_mmu_vcpu_root(vcpu);
}

/** A table of the tree: page id, and its level. The level in a page's role is that of the entry above it, one more. */
interface table {
  readonly sp: number;
  readonly level: number;
}

/**
 * v5.10.262 tdp_mmu.c __handle_changed_spte for an entry that becomes empty: the table below goes with it, entry by
 * entry. C goes by the level of the walk, as the level in the role of a page is that of the entry above.
 */
function zap_spte(kvm: kvm, { sp, level }: table, index: number): void {
  const { pages } = kvm.vm;
  const lo = pages.entryLow(sp, index);
  const hi = pages.entryHigh(sp, index);
  set_spte(kvm, sp, index, 0, 0);
  if (is_last_spte(lo, level)) return;
  const child = { sp: pages.idOfFrame(spte_to_pfn(lo, hi)), level: level - 1 };
  zap_table(kvm, child);
  pages.destroy(child.sp);
}

/** Empties every entry of a table. True when there was one. */
function zap_table(kvm: kvm, table: table): boolean {
  const { pages } = kvm.vm;
  let zapped = false;
  for (let index = 0; index < 512; index++) {
    if (!is_shadow_present_pte(pages.entryLow(table.sp, index), pages.entryHigh(table.sp, index))) continue;
    zap_spte(kvm, table, index);
    zapped = true;
  }
  return zapped;
}

/** v5.10.262 tdp_mmu.c zap_gfn_range, of everything. A root's role has its own level. */
function zap_gfn_range_all(kvm: kvm, root: number): void {
  if (zap_table(kvm, root_table(kvm, root))) kvm_flush_remote_tlbs(kvm);
}

const root_table = ({ vm }: kvm, root: number): table => ({
  sp: root,
  level: get(vm.pages.role[root]!, at.level),
});

/** v5.10.262 tdp_mmu.c tdp_mmu_set_spte */
function set_spte(kvm: kvm, sp: number, index: number, lo: number, hi: number): void {
  kvm.vm.counters.tdp_spte_changed++;
  kvm.vm.pages.setEntry(sp, index, lo, hi);
}

/** v5.10.262 tdp_mmu.c kvm_tdp_mmu_zap_all: the roots stay with their users, empty. */
export function kvm_tdp_mmu_zap_all(kvm: kvm): void {
  for (const root of kvm.tdp_mmu_roots) zap_gfn_range_all(kvm, root);
}

/** v5.10.262 tdp_mmu.c:573 kvm_tdp_mmu_map. Returns RET_PF_*. */
export function kvm_tdp_mmu_map(vcpu: kvm_vcpu, gfn: number, write: boolean, max_level: number): number {
  const { kvm } = vcpu;
  const { pages } = kvm.vm;
  const level = kvm_mmu_hugepage_adjust(vcpu, gfn, max_level);
  let table = root_table(kvm, pages.idOfFrame(vcpu.mmu.root_hpa));
  while (table.level > level) {
    const index = SHADOW_PT_INDEX(gfn * 4096, table.level);
    const large = pages.entryLow(table.sp, index);
    if (is_large_pte(large)) {
      // A large page in the way is dropped; the small pages fault in again one by one.
      zap_spte(kvm, table, index);
      kvm_flush_remote_tlbs(kvm);
    }
    table = { sp: next_table(vcpu, table, index, gfn), level: table.level - 1 };
  }
  return tdp_mmu_map_handle_target_level(vcpu, { table, gfn, write });
}

/** The table below an entry, made where there is none: its role says the level of the entry (alloc_tdp_mmu_page). */
function next_table(vcpu: kvm_vcpu, { sp, level }: table, index: number, gfn: number): number {
  const { kvm } = vcpu;
  const { pages, counters, newByRole } = kvm.vm;
  const lo = pages.entryLow(sp, index);
  const hi = pages.entryHigh(sp, index);
  if (is_shadow_present_pte(lo, hi)) return pages.idOfFrame(spte_to_pfn(lo, hi));
  const role = page_role_for_level(vcpu, level);
  const child = pages.createTreePage(gfn_round(gfn, level), role);
  counters.get_page_new++;
  newByRole.add(role);
  const spte = nonleaf_spte(kvm.masks, pages.frameOf(child), kvm.masks.shadow_accessed_mask === 0);
  set_spte(kvm, sp, index, spte.lo, spte.hi);
  return child;
}

/** v5.10.262 tdp_mmu.c tdp_mmu_map_handle_target_level: installs the leaf. Neighbours are not mapped ahead. */
function tdp_mmu_map_handle_target_level(
  vcpu: kvm_vcpu,
  target: { readonly table: table; readonly gfn: number; readonly write: boolean },
): number {
  const { kvm } = vcpu;
  const { pages, counters } = kvm.vm;
  const { table, write } = target;
  const { sp, level } = table;
  const gfn = gfn_round(target.gfn, level);
  const index = SHADOW_PT_INDEX(gfn * 4096, level);
  const old_lo = pages.entryLow(sp, index);
  const old_hi = pages.entryHigh(sp, index);
  const ad_disabled = kvm.masks.shadow_accessed_mask === 0;
  const request = { pte_access: ACC_ALL, level, gfn, ad_disabled, old_lo, speculative: false, can_unsync: true };
  const { spte, write_protected } = make_spte(vcpu, request);
  let ret = RET_PF_FIXED;
  if (spte.lo === old_lo && spte.hi === old_hi) ret = RET_PF_SPURIOUS;
  else {
    if (is_shadow_present_pte(old_lo, old_hi) && !is_last_spte(old_lo, level)) {
      zap_spte(kvm, table, index);
      kvm_flush_remote_tlbs(kvm);
    }
    set_spte(kvm, sp, index, spte.lo, spte.hi);
  }
  if (write_protected) {
    if (write) ret = RET_PF_EMULATE;
    kvm_make_request(KVM_REQ.TLB_FLUSH_CURRENT, vcpu);
  }
  counters.set_spte++;
  return ret;
}
