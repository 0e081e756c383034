// SPDX-License-Identifier: GPL-2.0-only
/**
 * v4.20 arch/x86/kvm/paging_tmpl.h (the text is the same at 36d9594dfbf2): shadowing what a walk found - faults,
 * prefetch, sync, INVLPG.
 *
 * Left out: async page faults, MMIO SPTEs, the dirty log.
 */
import { CR4 } from '../../src/sim/registers.ts';
import {
  gpte_access,
  gpte_to_gfn_lvl,
  type guest_walker,
  have_accessed_dirty,
  is_present_gpte,
  protect_clean_gpte,
  type pttype,
  read_gpte,
} from './guest_walker.ts';
import {
  __direct_pte_prefetch,
  is_noslot,
  mapping_level,
  mmu_set_spte,
  PFERR_RSVD_MASK,
  PFERR_USER_MASK,
  PFERR_WRITE_MASK,
  page_fault_handle_page_track,
  SET_SPTE_NEED_REMOTE_TLB_FLUSH,
  set_spte,
} from './mmu_fault.ts';
import { inject_page_fault } from './mmu_handlers.ts';
import {
  kvm_mmu_get_page,
  link_shadow_page,
  make_mmu_pages_available,
  mmu_page_zap_pte,
  validate_direct_spte,
} from './mmu_pages.ts';
import { drop_large_spte, drop_spte } from './mmu_rmap.ts';
import { __is_rsvd_bits_set, is_write_protection, walk_addr } from './paging_tmpl.ts';
import { note_member, page_role, root_level } from './role.ts';
import { type kvm_shadow_walk_iterator, shadow_walk } from './shadow_walk.ts';
import {
  ACC_EXEC_MASK,
  ACC_USER_MASK,
  ACC_WRITE_MASK,
  gfn_round,
  is_last_spte,
  is_shadow_present_pte,
  PT_DIRECTORY_LEVEL,
  PT_PAGE_TABLE_LEVEL,
  PT32_ROOT_LEVEL,
  PT32E_ROOT_LEVEL,
  PTE_PREFETCH_NUM,
  spte_hi,
  spte_index,
  spte_lo,
  spte_to_pfn,
  sptep_of,
  sptep_to_sp,
} from './spte.ts';
import { kvm_flush_remote_tlbs } from './tlb.ts';
import { INVALID_PAGE, type kvm_vcpu, kvm_vcpu_memslots, RET_PF_EMULATE, RET_PF_RETRY } from './types.ts';

/** FNAME(prefetch_invalid_gpte): an entry that must not be shadowed ahead of its use; then the SPTE goes. */
function prefetch_invalid_gpte(vcpu: kvm_vcpu, type: pttype, sptep: number, lo: number, hi: number): boolean {
  const { mmu } = vcpu;
  note_member(mmu, 'prefetch_invalid_gpte', 'guest_rsvd_check');
  const usable =
    !__is_rsvd_bits_set(mmu.guest_rsvd_check, lo, hi, PT_PAGE_TABLE_LEVEL) &&
    is_present_gpte(type, lo) &&
    (!have_accessed_dirty(type, mmu, 'prefetch_invalid_gpte') || (lo & type.guest_accessed_mask) !== 0);
  if (!usable) drop_spte(vcpu.kvm, sptep);
  return !usable;
}

/** Rights of a last-level entry below a page: the page's, the entry's, and no write while it is clean. */
function access_of_gpte(vcpu: kvm_vcpu, type: pttype, sp: number, lo: number, hi: number, by: string): number {
  const access = page_role.access(vcpu.kvm.page(sp), by) & gpte_access(type, lo, hi);
  return protect_clean_gpte(type, vcpu.mmu, access, lo);
}

/** FNAME(prefetch_gpte) v4.20 ~499. False: the prefetch of a group ends here. */
function prefetch_gpte(vcpu: kvm_vcpu, type: pttype, sptep: number, lo: number, hi: number): boolean {
  if (prefetch_invalid_gpte(vcpu, type, sptep, lo, hi)) return false;
  const gfn = gpte_to_gfn_lvl(type, lo, hi, PT_PAGE_TABLE_LEVEL);
  const pte_access = access_of_gpte(vcpu, type, sptep_to_sp(sptep), lo, hi, 'prefetch_gpte');
  if (!kvm_vcpu_memslots(vcpu).memslots.isVisible(gfn)) return false;
  const leaf = { pte_access, level: PT_PAGE_TABLE_LEVEL, gfn };
  mmu_set_spte(vcpu, sptep, leaf, { write_fault: false, speculative: true });
  return true;
}

/** FNAME(update_pte) v4.20 ~529 */
export function update_pte(vcpu: kvm_vcpu, type: pttype, sptep: number, lo: number, hi: number): void {
  prefetch_gpte(vcpu, type, sptep, lo, type.pte_size === 8 ? hi : 0);
}

/**
 * FNAME(gpte_changed): whether the entry that the walk read is another by now. On one vCPU that happens where a walk's
 * own accessed bits fall into a table that it reads twice (tables that map themselves). Keeps the leaf's neighbours.
 */
function gpte_changed(vcpu: kvm_vcpu, type: pttype, gw: guest_walker, level: number): boolean {
  const { gpte } = vcpu;
  const pte_gpa = gw.pte_gpa[level - 1]!;
  if (level === PT_PAGE_TABLE_LEVEL) {
    const base_gpa = pte_gpa - (pte_gpa & (PTE_PREFETCH_NUM * type.pte_size - 1));
    for (let i = 0; i < PTE_PREFETCH_NUM; i++) {
      if (!read_gpte(vcpu, type, base_gpa + i * type.pte_size, gpte)) return true;
      gw.prefetch_lo[i] = gpte.lo;
      gw.prefetch_hi[i] = gpte.hi;
    }
  }
  if (!read_gpte(vcpu, type, pte_gpa, gpte)) return true;
  return gpte.lo !== gw.ptes_lo[level - 1] || gpte.hi !== gw.ptes_hi[level - 1];
}

/** FNAME(pte_prefetch): the absent neighbours of the entry just set, in its group of eight. */
function pte_prefetch(vcpu: kvm_vcpu, type: pttype, gw: guest_walker, sptep: number): void {
  const { kvm } = vcpu;
  const sp = sptep_to_sp(sptep);
  const page = kvm.page(sp);
  if (page_role.level(page, 'pte_prefetch') > PT_PAGE_TABLE_LEVEL) return;
  if (page_role.direct(page, 'pte_prefetch') !== 0) {
    __direct_pte_prefetch(vcpu, sptep);
    return;
  }
  const first = spte_index(sptep) & ~(PTE_PREFETCH_NUM - 1);
  for (let i = 0; i < PTE_PREFETCH_NUM; i++) {
    const at = sptep_of(sp, first + i);
    if (at === sptep || is_shadow_present_pte(spte_lo(kvm, at), spte_hi(kvm, at))) continue;
    if (!prefetch_gpte(vcpu, type, at, gw.prefetch_lo[i]!, gw.prefetch_hi[i]!)) break;
  }
}

/**
 * First loop of FNAME(fetch): pages that shadow the guest's tables. False: the guest's tables changed under the walk.
 */
function fetch_indirect(
  vcpu: kvm_vcpu,
  type: pttype,
  gw: guest_walker,
  it: kvm_shadow_walk_iterator,
  addr: number,
): boolean {
  const { kvm } = vcpu;
  for (; it.okay() && it.level > gw.level; it.next()) {
    kvm.vm.pages.writeFlooding[sptep_to_sp(it.sptep)] = 0;
    drop_large_spte(vcpu, it.sptep);
    let sp = 0;
    if (!is_shadow_present_pte(spte_lo(kvm, it.sptep), spte_hi(kvm, it.sptep))) {
      sp = kvm_mmu_get_page(vcpu, gw.table_gfn[it.level - 2]!, addr, it.level - 1, false, gw.pt_access);
    }
    if (gpte_changed(vcpu, type, gw, it.level - 1)) return false;
    if (sp !== 0) link_shadow_page(vcpu, it.sptep, sp);
  }
  return true;
}

/**
 * FNAME(fetch) v4.20 paging_tmpl.h ~596
 * Shadow pages down to the guest's leaf, direct pages from there to the level that KVM can map, then the leaf.
 */
function fetch(
  vcpu: kvm_vcpu,
  type: pttype,
  gw: guest_walker,
  fault: { readonly addr: number; readonly write_fault: boolean; readonly hlevel: number },
): number {
  const { kvm, mmu } = vcpu;
  const { addr, write_fault, hlevel } = fault;
  const direct_access = gw.pte_access;
  let top_level = root_level(mmu, 'fetch');
  if (top_level === PT32E_ROOT_LEVEL) top_level = PT32_ROOT_LEVEL;
  if (gpte_changed(vcpu, type, gw, top_level) || mmu.root_hpa === INVALID_PAGE) return RET_PF_RETRY;
  const it = shadow_walk(vcpu, mmu.root_hpa, addr);
  if (!fetch_indirect(vcpu, type, gw, it, addr)) return RET_PF_RETRY;
  for (; it.okay() && it.level > hlevel; it.next()) {
    kvm.vm.pages.writeFlooding[sptep_to_sp(it.sptep)] = 0;
    validate_direct_spte(vcpu, it.sptep, direct_access);
    drop_large_spte(vcpu, it.sptep);
    if (is_shadow_present_pte(spte_lo(kvm, it.sptep), spte_hi(kvm, it.sptep))) continue;
    const direct_gfn = gfn_round(gw.gfn, it.level);
    link_shadow_page(vcpu, it.sptep, kvm_mmu_get_page(vcpu, direct_gfn, addr, it.level - 1, true, direct_access));
  }
  kvm.vm.pages.writeFlooding[sptep_to_sp(it.sptep)] = 0;
  const leaf = { pte_access: gw.pte_access, level: it.level, gfn: gw.gfn };
  const emulate = mmu_set_spte(vcpu, it.sptep, leaf, { write_fault, speculative: false });
  pte_prefetch(vcpu, type, gw, it.sptep);
  return emulate;
}

/**
 * FNAME(is_self_change_mapping) v4.20 ~699: the mapping would let the guest write one of the tables that lead to it.
 */
function is_self_change_mapping(vcpu: kvm_vcpu, walker: guest_walker, user_fault: boolean): boolean {
  const writable = (walker.pte_access & ACC_WRITE_MASK) !== 0 || (!is_write_protection(vcpu) && !user_fault);
  if (!writable) return false;
  for (let level = walker.level; level <= walker.max_level; level++) {
    if (gfn_round(walker.gfn, walker.level) === gfn_round(walker.table_gfn[level - 1]!, walker.level)) return true;
  }
  return false;
}

/** mmu.c shadow_page_table_clear_flood */
function shadow_page_table_clear_flood(vcpu: kvm_vcpu, addr: number): void {
  const { kvm, mmu } = vcpu;
  if (mmu.root_hpa === INVALID_PAGE) return;
  for (const it = shadow_walk(vcpu, mmu.root_hpa, addr); it.okay(); it.next()) {
    kvm.vm.pages.writeFlooding[sptep_to_sp(it.sptep)] = 0;
    if (!is_shadow_present_pte(spte_lo(kvm, it.sptep), spte_hi(kvm, it.sptep))) return;
  }
}

/** FNAME(page_fault) v4.20 paging_tmpl.h ~735 */
export function page_fault(vcpu: kvm_vcpu, type: pttype, addr: number, code: number): number {
  const error_code = code & ~PFERR_RSVD_MASK;
  const write_fault = (error_code & PFERR_WRITE_MASK) !== 0;
  const user_fault = (error_code & PFERR_USER_MASK) !== 0;
  const walker = walk_addr(vcpu, type, addr, error_code);
  if (walker === null) {
    inject_page_fault(vcpu);
    return RET_PF_RETRY;
  }
  if (page_fault_handle_page_track(vcpu, error_code, walker.gfn)) {
    shadow_page_table_clear_flood(vcpu, addr);
    return RET_PF_EMULATE;
  }
  let level = PT_PAGE_TABLE_LEVEL;
  if (walker.level >= PT_DIRECTORY_LEVEL && !is_self_change_mapping(vcpu, walker, user_fault)) {
    level = Math.min(walker.level, mapping_level(vcpu, walker.gfn));
    walker.gfn = gfn_round(walker.gfn, level);
  }
  if (is_noslot(vcpu, walker.gfn)) return RET_PF_EMULATE;
  // Without CR0.WP the kernel writes read-only pages: the mapping becomes writable, for the kernel alone, and must not
  // be executable as a kernel page where SMEP would have forbidden the user page. Hence the two *_andnot_wp role bits.
  if (write_fault && (walker.pte_access & ACC_WRITE_MASK) === 0 && !is_write_protection(vcpu) && !user_fault) {
    walker.pte_access = (walker.pte_access | ACC_WRITE_MASK) & ~ACC_USER_MASK;
    if (vcpu.registers.cr4 & CR4.SMEP) walker.pte_access &= ~ACC_EXEC_MASK;
  }
  if (!make_mmu_pages_available(vcpu)) return RET_PF_RETRY;
  return fetch(vcpu, type, walker, { addr, write_fault, hlevel: level });
}

/** FNAME(get_level1_sp_gpa) v4.20 ~848: where the guest entries behind a last-level page begin. */
function get_level1_sp_gpa(vcpu: kvm_vcpu, type: pttype, sp: number): number {
  const quadrant = type.name === '32' ? page_role.quadrant(vcpu.kvm.page(sp), 'get_level1_sp_gpa') : 0;
  return vcpu.kvm.vm.pages.gfn[sp]! * 4096 + quadrant * 512 * type.pte_size;
}

/** FNAME(invlpg) v4.20 ~860: only entries of unsync pages can be out of date. */
export function invlpg(vcpu: kvm_vcpu, type: pttype, gva: number, root_hpa: number): void {
  const { kvm, gpte } = vcpu;
  const { pages } = kvm.vm;
  if (root_hpa === INVALID_PAGE) return;
  for (const it = shadow_walk(vcpu, root_hpa, gva); it.okay(); it.next()) {
    const { sptep, level } = it;
    const sp = sptep_to_sp(sptep);
    if (is_last_spte(spte_lo(kvm, sptep), level)) {
      if (pages.unsync[sp] === 0) return;
      const pte_gpa = get_level1_sp_gpa(vcpu, type, sp) + spte_index(sptep) * type.pte_size;
      if (mmu_page_zap_pte(kvm, sp, sptep)) kvm_flush_remote_tlbs(kvm);
      if (!read_gpte(vcpu, type, pte_gpa, gpte)) return;
      update_pte(vcpu, type, sptep, gpte.lo, gpte.hi);
    }
    if (!is_shadow_present_pte(spte_lo(kvm, sptep), spte_hi(kvm, sptep)) || pages.unsyncChildren[sp] === 0) return;
  }
}

/**
 * FNAME(sync_page) v4.20 ~967
 * Brings every entry of a last-level page in line with the guest's table. Returns how many are left.
 */
export function sync_page(vcpu: kvm_vcpu, type: pttype, sp: number): number {
  const { kvm, gpte } = vcpu;
  const first_pte_gpa = get_level1_sp_gpa(vcpu, type, sp);
  let nr_present = 0;
  let set_spte_ret = 0;
  for (let i = 0; i < 512; i++) {
    const sptep = sptep_of(sp, i);
    const old_lo = spte_lo(kvm, sptep);
    const old_hi = spte_hi(kvm, sptep);
    if (!is_shadow_present_pte(old_lo, old_hi)) continue;
    if (!read_gpte(vcpu, type, first_pte_gpa + i * type.pte_size, gpte)) return 0;
    const { lo, hi } = gpte;
    if (prefetch_invalid_gpte(vcpu, type, sptep, lo, hi)) {
      kvm.tlbs_dirty++;
      continue;
    }
    const gfn = gpte_to_gfn_lvl(type, lo, hi, PT_PAGE_TABLE_LEVEL);
    if (gfn !== spte_to_pfn(old_lo, old_hi)) {
      drop_spte(kvm, sptep);
      kvm.tlbs_dirty++;
      continue;
    }
    nr_present++;
    const leaf = { pte_access: access_of_gpte(vcpu, type, sp, lo, hi, 'sync_page'), level: PT_PAGE_TABLE_LEVEL, gfn };
    set_spte_ret |= set_spte(vcpu, sptep, leaf, { speculative: true, can_unsync: false });
  }
  if ((set_spte_ret & SET_SPTE_NEED_REMOTE_TLB_FLUSH) !== 0) kvm_flush_remote_tlbs(kvm);
  return nr_present;
}
