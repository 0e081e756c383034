// SPDX-License-Identifier: GPL-2.0-only
/**
 * v7.3.4 arch/x86/kvm/mmu/mmu.c: the page-fault path shared by all kinds of MMU, direct mappings, INVLPG, and the
 * handlers that struct kvm_mmu names.
 *
 * Left out: MMIO (an access outside RAM is emulated every time and nothing is cached), async page faults, faults of the
 * host while it gets the page, MTRRs (memory has one type), NX huge pages, dirty logging, retries of other vCPUs.
 */
import type { FaultExit, FaultOutcome } from '../../src/era.ts';
import { tableIndex } from '../../src/sim/address-parts.ts';
import { probe } from '../../src/sim/log.ts';
import { EPT_VIOLATION, PFEC } from '../../src/sim/paging-bits.ts';
import { NO_PAGE } from '../../src/sim/shadow-pages.ts';
import {
  __clear_sp_write_flooding_count,
  is_obsolete_sp,
  kvm_mmu_get_child_sp,
  kvm_sync_spte,
  link_shadow_page,
  make_mmu_pages_available,
  mmu_page_zap_pte,
  unlink_child,
  unprotect_gfn,
} from './mmu_pages.ts';
import {
  drop_spte,
  KVM_MAX_HUGEPAGE_LEVEL,
  kvm_flush_remote_tlbs,
  kvm_mmu_max_mapping_level,
  kvm_mmu_page_set_access,
  kvm_vcpu_memslots,
  mmu_spte_set,
  mmu_spte_update,
  rmap_add,
} from './mmu_rmap.ts';
import { KVM_MMU_ROOT_CURRENT, KVM_MMU_ROOT_PREVIOUS, KVM_MMU_ROOTS_ALL, kvm_mmu_is_dummy_root } from './mmu_roots.ts';
import {
  kvm_translate_gpa,
  paging_gva_to_gpa,
  paging_page_fault,
  paging_sync_spte,
  pttype_ept,
  pttype32,
  pttype64,
  UNMAPPED_GVA,
} from './paging_tmpl.ts';
import { cpu_role, page_role, root_role } from './role.ts';
import {
  ACC_EXEC_MASK,
  ACC_READ_MASK,
  ACC_USER_EXEC_MASK,
  ACC_USER_MASK,
  ACC_WRITE_MASK,
  base_gfn_of,
  is_access_track_spte,
  is_large_pte,
  is_last_spte,
  is_mmu_writable_spte,
  is_shadow_present_pte,
  make_spte,
  PG_LEVEL_2M,
  PG_LEVEL_4K,
  PT_WRITABLE_MASK,
  PT32E_ROOT_LEVEL,
  PT64_ROOT_4LEVEL,
  restore_acc_track_spte,
  sp_ad_disabled,
  spte_hi,
  spte_index,
  spte_lo,
  type spte_masks,
  spte_masks_of,
  spte_to_pfn,
  sptep_of,
  sptep_to_sp,
} from './spte.ts';
import { kvm_tdp_mmu_map, tdp_mmu_walk } from './tdp_mmu.ts';
import {
  type guest_walker,
  INVALID_PAGE,
  KVM_REQ,
  type kvm_mmu,
  type kvm_pagewalk,
  type kvm_vcpu,
  type x86_exception,
} from './types.ts';
import { is_noncanonical_address, kvm_get_pcid } from './x86.ts';

/** Entries of an aligned run that are mapped ahead of use. */
export const PTE_PREFETCH_NUM = 8;

/** How the handling of a fault ended; below 0 is an error. */
export const RET_PF_RETRY = 0;
export const RET_PF_EMULATE = 1;
/** A write to a guest table that is shadowed. */
export const RET_PF_WRITE_PROTECTED = 2;
export const RET_PF_INVALID = 3;
export const RET_PF_FIXED = 4;
export const RET_PF_SPURIOUS = 5;

/** v7.3.4 mmu_internal.h struct kvm_page_fault. `error_code` holds the low half, as the handlers see it. */
export interface kvm_page_fault {
  readonly addr: number;
  readonly error_code: number;
  readonly exec: boolean;
  readonly write: boolean;
  readonly present: boolean;
  readonly rsvd: boolean;
  readonly user: boolean;
  /** Largest level the guest's mapping or the caller allows, and the one that is mapped in the end. */
  max_level: number;
  goal_level: number;
  gfn: number;
}

/** v7.3.4 mmu.c struct kvm_shadow_walk_iterator: an entry on the way from a root to the leaf for an address. */
export interface kvm_shadow_walk_iterator {
  level: number;
  /** Page of the entry, its index there, and both in one. */
  sp: number;
  index: number;
  sptep: number;
  /** shadow_walk_okay: the walk has an entry. */
  okay(): boolean;
  /** shadow_walk_next */
  next(): void;
}

/**
 * v7.3.4 mmu.c shadow_walk_init_using_root
 * Starts at the table hardware starts at, with one exception: a guest of fewer than four levels shadowed below a deeper
 * table is entered at its four PAE sub-roots.
 */
export function shadow_walk(vcpu: kvm_vcpu, root: number, addr: number): kvm_shadow_walk_iterator {
  const by = 'shadow_walk_init_using_root';
  const { kvm, mmu } = vcpu;
  const { pages } = kvm.vm;
  if (root === INVALID_PAGE || kvm_mmu_is_dummy_root(kvm, root)) return new shadow_walk_state(vcpu, addr, 0, NO_PAGE);
  let sp = pages.idOfFrame(root);
  let level = root_role.level(mmu, by);
  if (
    level >= PT64_ROOT_4LEVEL &&
    cpu_role.base.level(mmu.w, by) < PT64_ROOT_4LEVEL &&
    root_role.direct(mmu, by) === 0
  ) {
    level = PT32E_ROOT_LEVEL;
  }
  if (level === PT32E_ROOT_LEVEL) {
    if (root !== mmu.root.hpa) throw new Error('shadow walk: PAE roots exist for the current root only');
    const pdpte = sptep_of(mmu.pae_root, (addr >>> 30) & 3);
    sp = pages.idOfFrame(spte_to_pfn(spte_lo(kvm, pdpte), spte_hi(kvm, pdpte)));
    level = sp === 0 ? 0 : level - 1;
  }
  return new shadow_walk_state(vcpu, addr, level, sp);
}

class shadow_walk_state implements kvm_shadow_walk_iterator {
  level: number;
  sp: number;
  index = 0;
  sptep = 0;
  readonly #vcpu: kvm_vcpu;
  readonly #addr: number;

  constructor(vcpu: kvm_vcpu, addr: number, level: number, sp: number) {
    this.#vcpu = vcpu;
    this.#addr = addr;
    this.level = level;
    this.sp = sp;
  }

  okay(): boolean {
    if (this.level < PG_LEVEL_4K) return false;
    this.index = tableIndex(this.#addr, this.level);
    this.sptep = sptep_of(this.sp, this.index);
    return true;
  }

  next(): void {
    const { kvm } = this.#vcpu;
    const lo = spte_lo(kvm, this.sptep);
    if (!is_shadow_present_pte(lo) || is_last_spte(lo, this.level)) {
      this.level = 0;
      return;
    }
    this.sp = kvm.vm.pages.idOfFrame(spte_to_pfn(lo, spte_hi(kvm, this.sptep)));
    this.level--;
  }
}

/**
 * v7.3.4 mmu.c mmu_set_spte
 * Installs a leaf for `gfn`. `fault` is null for an entry that is mapped ahead of use.
 */
export function mmu_set_spte(
  vcpu: kvm_vcpu,
  sptep: number,
  pte_access: number,
  gfn: number,
  fault: kvm_page_fault | null,
): number {
  const { kvm, new_spte } = vcpu;
  const sp = sptep_to_sp(sptep);
  let flush = false;
  let was_rmapped = false;
  let old_lo = spte_lo(kvm, sptep);
  let old_hi = spte_hi(kvm, sptep);
  if (is_shadow_present_pte(old_lo)) {
    const level = page_role.level(kvm, sp, 'mmu_set_spte');
    const same_leaf = is_last_spte(old_lo, level) && spte_to_pfn(old_lo, old_hi) === gfn;
    if (fault === null && same_leaf) return RET_PF_SPURIOUS;
    if (level > PG_LEVEL_4K && !is_large_pte(old_lo)) {
      unlink_child(kvm, sptep);
      flush = true;
    } else if (spte_to_pfn(old_lo, old_hi) !== gfn) {
      drop_spte(kvm, sptep);
      flush = true;
    } else was_rmapped = true;
    old_lo = spte_lo(kvm, sptep);
    old_hi = spte_hi(kvm, sptep);
  }
  const wrprot = make_spte(vcpu, sp, pte_access, gfn, { old_lo, prefetch: fault === null, synchronizing: false });
  let ret = RET_PF_FIXED;
  if (old_lo === new_spte.lo && old_hi === new_spte.hi) ret = RET_PF_SPURIOUS;
  else {
    if (mmu_spte_update(kvm, sptep, new_spte.lo, new_spte.hi)) flush = true;
    kvm.vm.counters.set_spte++;
  }
  if (wrprot && fault?.write) ret = RET_PF_WRITE_PROTECTED;
  if (flush) kvm_flush_remote_tlbs(kvm);
  if (!was_rmapped) rmap_add(kvm, kvm_vcpu_memslots(vcpu), sptep, gfn, pte_access);
  else kvm_mmu_page_set_access(kvm, sptep, pte_access);
  return ret;
}

/** v7.3.4 mmu.c __direct_pte_prefetch: the neighbours in an aligned run of eight that are not mapped yet. */
export function __direct_pte_prefetch(vcpu: kvm_vcpu, sptep: number): void {
  const { kvm } = vcpu;
  const sp = sptep_to_sp(sptep);
  const { memslots } = kvm_vcpu_memslots(vcpu);
  const start = sptep - (spte_index(sptep) & (PTE_PREFETCH_NUM - 1));
  for (let at = start; at < start + PTE_PREFETCH_NUM; at++) {
    if (at === sptep || is_shadow_present_pte(spte_lo(kvm, at))) continue;
    const gfn = kvm.vm.pages.gfn[sp]! + spte_index(at);
    if (!memslots.isVisible(gfn)) return;
    mmu_set_spte(vcpu, at, page_role.access(kvm, sp, '__direct_pte_prefetch'), gfn, null);
  }
}

/** v7.3.4 mmu.c direct_pte_prefetch: without accessed bits a prefetched entry would look used. */
function direct_pte_prefetch(vcpu: kvm_vcpu, sptep: number): void {
  const sp = sptep_to_sp(sptep);
  if (sp_ad_disabled(vcpu.kvm, sp) || page_role.level(vcpu.kvm, sp, 'direct_pte_prefetch') > PG_LEVEL_4K) return;
  __direct_pte_prefetch(vcpu, sptep);
}

/** v7.3.4 mmu.c kvm_mmu_hugepage_adjust */
export function kvm_mmu_hugepage_adjust(vcpu: kvm_vcpu, fault: kvm_page_fault): void {
  if (fault.max_level === PG_LEVEL_4K) return;
  fault.goal_level = kvm_mmu_max_mapping_level(vcpu.kvm, kvm_vcpu_memslots(vcpu), fault.gfn, fault.max_level);
}

/** v7.3.4 mmu.c direct_map: guest-physical memory by the older MMU, and linear memory without guest paging. */
function direct_map(vcpu: kvm_vcpu, fault: kvm_page_fault): number {
  kvm_mmu_hugepage_adjust(vcpu, fault);
  // All rights, but for the user's where the host's nested tables have SMEP.
  const access = root_role.access(vcpu.mmu, 'direct_map');
  const it = shadow_walk(vcpu, vcpu.mmu.root.hpa, fault.addr);
  let base_gfn = fault.gfn;
  for (; it.okay(); it.next()) {
    base_gfn = base_gfn_of(fault.gfn, it.level);
    if (it.level === fault.goal_level) break;
    const sp = kvm_mmu_get_child_sp(vcpu, it.sptep, base_gfn, true, access);
    if (sp !== NO_PAGE) link_shadow_page(vcpu, it.sptep, sp);
  }
  if (it.level !== fault.goal_level) throw new Error(`direct_map: shadow walk ended at level ${it.level}`);
  const ret = mmu_set_spte(vcpu, it.sptep, access, base_gfn, fault);
  if (ret !== RET_PF_SPURIOUS) direct_pte_prefetch(vcpu, it.sptep);
  return ret;
}

/** v7.3.4 mmu.c kvm_handle_noslot_fault: a frame outside RAM is a device to emulate. */
export function kvm_handle_noslot_fault(vcpu: kvm_vcpu, fault: kvm_page_fault): boolean {
  return !kvm_vcpu_memslots(vcpu).memslots.isBacked(fault.gfn);
}

/**
 * v7.3.4 mmu.c page_fault_can_be_fast: an entry that is not present can be one whose rights were parked only where
 * there are no accessed bits (54275f74cf38, v5.19), kvm_ad_enabled.
 */
function page_fault_can_be_fast(vcpu: kvm_vcpu, fault: kvm_page_fault): boolean {
  if (fault.rsvd) return false;
  return fault.present ? fault.write : !vcpu.kvm.vm.host.adBits;
}

/** The rights in an SPTE as ACC_*_MASK: what role.access has of the pages above. */
function spte_access(masks: spte_masks, lo: number, hi: number): number {
  const same = lo & (ACC_READ_MASK | ACC_WRITE_MASK);
  if (masks.shadow_nx_mask_hi !== 0) {
    return (
      same | (lo & masks.shadow_user_mask ? ACC_USER_MASK : 0) | (hi & masks.shadow_nx_mask_hi ? 0 : ACC_EXEC_MASK)
    );
  }
  const user_exec = lo & masks.shadow_xu_mask ? ACC_USER_EXEC_MASK : 0;
  return same | user_exec | (lo & masks.shadow_xs_mask ? ACC_EXEC_MASK : 0);
}

/**
 * v7.3.4 spte.h spte_permission_fault: whether an SPTE forbids the access of a fault. It asks the same kind of table as
 * a walk of the guest's entries does.
 */
export function spte_permission_fault(vcpu: kvm_vcpu, fault: kvm_page_fault, lo: number, hi: number): boolean {
  const { fmt } = vcpu.mmu;
  const pfec = fault.error_code & (PFEC.W | PFEC.U | PFEC.ID);
  const access = spte_access(spte_masks_of(vcpu.kvm.vm.host), lo, hi);
  return ((fmt.permissions[pfec >> 1]! >> access) & 1) !== 0;
}

/**
 * v7.3.4 mmu.c fast_page_fault
 * Faults that need no shadow page: an entry that allows the access already, or whose rights were parked to track
 * accesses.
 */
function fast_page_fault(vcpu: kvm_vcpu, fault: kvm_page_fault): number {
  const { kvm, new_spte } = vcpu;
  const masks = spte_masks_of(kvm.vm.host);
  if (!page_fault_can_be_fast(vcpu, fault)) return RET_PF_INVALID;
  kvm.vm.counters.fast_page_fault++;
  const sptep = is_tdp_mmu_active(vcpu) ? tdp_mmu_walk(vcpu, fault.gfn) : fast_pf_get_last_sptep(vcpu, fault.addr);
  if (sptep < 0) return RET_PF_INVALID;
  const lo = spte_lo(kvm, sptep);
  const hi = spte_hi(kvm, sptep);
  if (!is_shadow_present_pte(lo) || !is_last_spte(lo, page_role.level(kvm, sptep_to_sp(sptep), 'fast_page_fault')))
    return RET_PF_INVALID;
  if (!spte_permission_fault(vcpu, fault, lo, hi)) return RET_PF_SPURIOUS;
  new_spte.lo = lo;
  new_spte.hi = hi;
  if (!kvm.vm.host.adBits && is_access_track_spte(masks, lo, hi)) {
    restore_acc_track_spte(masks, new_spte);
    new_spte.lo |= masks.shadow_accessed_mask;
  }
  if (fault.write && is_mmu_writable_spte(masks, lo, hi)) new_spte.lo |= PT_WRITABLE_MASK;
  if (new_spte.lo === lo && new_spte.hi === hi) return RET_PF_INVALID;
  if (spte_permission_fault(vcpu, fault, new_spte.lo, new_spte.hi)) return RET_PF_INVALID;
  mmu_spte_set(kvm, sptep, new_spte.lo, new_spte.hi);
  return RET_PF_FIXED;
}

/** v7.3.4 mmu.c fast_pf_get_last_sptep: the last entry on the way, -1 when there is none. */
function fast_pf_get_last_sptep(vcpu: kvm_vcpu, addr: number): number {
  let sptep = -1;
  for (const it = shadow_walk(vcpu, vcpu.mmu.root.hpa, addr); it.okay(); it.next()) sptep = it.sptep;
  return sptep;
}

/** v7.3.4 mmu.c page_fault_handle_page_track: a write to a guest table that must be seen is emulated. */
export function page_fault_handle_page_track(vcpu: kvm_vcpu, fault: kvm_page_fault): boolean {
  if (fault.rsvd || !fault.present || !fault.write) return false;
  return kvm_vcpu_memslots(vcpu).memslots.isTracked(fault.gfn);
}

/** v7.3.4 mmu.c shadow_page_table_clear_flood: the tables on the way to an address are in use. */
export function shadow_page_table_clear_flood(vcpu: kvm_vcpu, addr: number): void {
  for (const it = shadow_walk(vcpu, vcpu.mmu.root.hpa, addr); it.okay(); it.next()) {
    __clear_sp_write_flooding_count(vcpu.kvm, it.sp);
  }
}

/** v7.3.4 mmu.c is_tdp_mmu_active: decided for the whole module; direct MMUs use the TDP MMU then. */
export function is_tdp_mmu_active(vcpu: kvm_vcpu): boolean {
  const { host } = vcpu.kvm.vm;
  return host.tdp !== 'none' && host.tdpMmu && root_role.direct(vcpu.mmu, 'is_tdp_mmu_active') !== 0;
}

/** v7.3.4 mmu.c is_page_fault_stale: the root must be replaced before anything is built below it. */
export function is_page_fault_stale(vcpu: kvm_vcpu): boolean {
  const { pages } = vcpu.kvm.vm;
  const sp = pages.idOfFrame(vcpu.mmu.root.hpa);
  if (sp !== 0 && !pages.isSpecial(sp)) return is_obsolete_sp(vcpu.kvm, sp);
  return (vcpu.requests & KVM_REQ.MMU_FREE_OBSOLETE_ROOTS) !== 0;
}

/** v7.3.4 mmu.c direct_page_fault */
function direct_page_fault(vcpu: kvm_vcpu, fault: kvm_page_fault): number {
  if (page_fault_handle_page_track(vcpu, fault)) return RET_PF_WRITE_PROTECTED;
  const fast = fast_page_fault(vcpu, fault);
  if (fast !== RET_PF_INVALID) return fast;
  if (kvm_handle_noslot_fault(vcpu, fault)) return RET_PF_EMULATE;
  if (is_page_fault_stale(vcpu)) return RET_PF_RETRY;
  const r = make_mmu_pages_available(vcpu);
  if (r < 0) return r;
  return is_tdp_mmu_active(vcpu) ? kvm_tdp_mmu_map(vcpu, fault) : direct_map(vcpu, fault);
}

/** v7.3.4 mmu.c nonpaging_page_fault: the table built is of PAE form, whose largest page is 2 MiB. */
function nonpaging_page_fault(vcpu: kvm_vcpu, fault: kvm_page_fault): number {
  fault.max_level = PG_LEVEL_2M;
  return direct_page_fault(vcpu, fault);
}

// --- handlers by name -----------------------------------------------------------------------------------------------

type page_fault_function = (vcpu: kvm_vcpu, fault: kvm_page_fault) => number;

const missing = (name: string) => (): never => {
  throw new Error(`kvm_mmu: ${name} called before it was set`);
};

/** mmu->page_fault */
const page_fault_handlers: Readonly<Record<kvm_mmu['page_fault'], page_fault_function>> = {
  none: missing('page_fault'),
  nonpaging_page_fault,
  paging64_page_fault: (vcpu, fault) => paging_page_fault(pttype64, vcpu, fault),
  paging32_page_fault: (vcpu, fault) => paging_page_fault(pttype32, vcpu, fault),
  ept_page_fault: (vcpu, fault) => paging_page_fault(pttype_ept, vcpu, fault),
  kvm_tdp_page_fault: direct_page_fault,
};

/**
 * w->gva_to_gpa: an address that `w` walks tables for as a guest-physical one of L1, or -1 with the reason in
 * `walker.fault`. `access` is of PFERR bits.
 */
export function gva_to_gpa(
  vcpu: kvm_vcpu,
  w: kvm_pagewalk,
  addr: number,
  access: number,
  walker: guest_walker = vcpu.walker,
): number {
  switch (w.gva_to_gpa) {
    case 'none':
      return missing('gva_to_gpa')();
    case 'nonpaging_gva_to_gpa': {
      const gpa = kvm_translate_gpa(vcpu, w, addr, access);
      if (gpa === UNMAPPED_GVA) Object.assign(walker.fault, vcpu.nested_walker.fault);
      return gpa;
    }
    case 'paging64_gva_to_gpa':
      return paging_gva_to_gpa(pttype64, vcpu, w, addr, access, walker);
    case 'paging32_gva_to_gpa':
      return paging_gva_to_gpa(pttype32, vcpu, w, addr, access, walker);
    case 'ept_gva_to_gpa':
      return paging_gva_to_gpa(pttype_ept, vcpu, w, addr, access, walker);
  }
}

/**
 * vcpu->arch.mmu->sync_spte: brings one SPTE up to what the guest's entry says now. 1: TLBs must be flushed, below 0:
 * it could not be done.
 */
export function sync_spte(vcpu: kvm_vcpu, sp: number, index: number): number {
  switch (vcpu.mmu.sync_spte) {
    case 'none':
      return missing('sync_spte')();
    case 'paging64_sync_spte':
      return paging_sync_spte(pttype64, vcpu, sp, index);
    case 'paging32_sync_spte':
      return paging_sync_spte(pttype32, vcpu, sp, index);
    case 'ept_sync_spte':
      return paging_sync_spte(pttype_ept, vcpu, sp, index);
  }
}

// --- entry points ---------------------------------------------------------------------------------------------------

/** v7.3.4 mmu.c kvm_mmu_do_page_fault */
function kvm_mmu_do_page_fault(vcpu: kvm_vcpu, addr: number, error_code: number): number {
  return page_fault_handlers[vcpu.mmu.page_fault](vcpu, {
    addr,
    error_code,
    exec: (error_code & PFEC.ID) !== 0,
    write: (error_code & PFEC.W) !== 0,
    present: (error_code & PFEC.P) !== 0,
    rsvd: (error_code & PFEC.RSVD) !== 0,
    user: (error_code & PFEC.U) !== 0,
    max_level: KVM_MAX_HUGEPAGE_LEVEL,
    goal_level: PG_LEVEL_4K,
    gfn: root_role.direct(vcpu.mmu, 'kvm_mmu_do_page_fault') !== 0 ? Math.floor(addr / 4096) : 0,
  });
}

/** High half of PFERR_NESTED_GUEST_PAGE (with P and W in the low half): a guest table, written by the walk itself. */
const PFERR_GUEST_PAGE_HI = 2;
const NESTED_GUEST_PAGE_LO = PFEC.P | PFEC.W;

/**
 * v7.3.4 vmx/vmx.c handle_ept_violation: an exit qualification as an error code of NPT's form. What is neither a write
 * nor a fetch is a read. Left out: the bit for user code, which only mode-based execute control asks for.
 */
function ept_violation_error_code(qualification: number): number {
  const low =
    (qualification & EPT_VIOLATION.WRITE ? PFEC.W : 0) |
    (qualification & EPT_VIOLATION.FETCH ? PFEC.ID : 0) |
    ((qualification >>> EPT_VIOLATION.ALLOWED_SHIFT) & 7 ? PFEC.P : 0);
  return low + (qualification & EPT_VIOLATION.FINAL ? 1 : PFERR_GUEST_PAGE_HI) * 2 ** 32;
}

/** v7.3.4 x86.c x86_emulate_instruction, for an instruction that does not write page tables. */
export function retry_instruction(vcpu: kvm_vcpu, eip: number): boolean {
  return vcpu.retry.allowed && kvm_mmu_unprotect_gfn_and_retry(vcpu, eip);
}

/**
 * v7.3.4 mmu.c kvm_handle_page_fault, kvm_mmu_page_fault, and the exit handlers of the vendor modules that lead
 * there. Fixes what can be fixed; 'injected' leaves the guest's own fault in `vcpu.injected`.
 */
export function kvm_mmu_page_fault(vcpu: kvm_vcpu, exit: FaultExit): FaultOutcome {
  const { kvm, mmu } = vcpu;
  const { host } = kvm.vm;
  if (mmu.root.hpa === INVALID_PAGE) return 'retry';
  const error_code = host.tdp === 'ept' ? ept_violation_error_code(exit.code) : exit.code;
  const low = error_code >>> 0;
  vcpu.exception_pending = false;
  vcpu.retry.write_pf_to_sp = false;
  const r = kvm_mmu_do_page_fault(vcpu, exit.address, low);
  if (vcpu.exception_pending) return 'injected';
  if (r < 0) return 'failed';
  let outcome: FaultOutcome = r === RET_PF_EMULATE ? 'emulate' : 'retry';
  if (r === RET_PF_WRITE_PROTECTED) outcome = kvm_mmu_write_protect_fault(vcpu, exit, error_code);
  else vcpu.retry.allowed = false;
  if (outcome !== 'emulate' || !exit.namesEvent) return outcome;
  return kvm_unprotect_and_retry_on_failure(vcpu, exit);
}

/**
 * v7.3.4 mmu.c kvm_mmu_write_protect_fault. Unprotecting the table is tried where emulation cannot help: when hardware's
 * own walk writes L1's table, and when an event waits to be delivered again. Not twice in a row for the same instruction
 * at the same address: that is emulated for certain.
 */
function kvm_mmu_write_protect_fault(vcpu: kvm_vcpu, exit: FaultExit, error_code: number): FaultOutcome {
  const direct = root_role.direct(vcpu.mmu, 'kvm_mmu_write_protect_fault') !== 0;
  const guest_page = (Math.floor(error_code / 2 ** 32) & PFERR_GUEST_PAGE_HI) !== 0;
  const table_write = guest_page && (error_code & NESTED_GUEST_PAGE_LO) === NESTED_GUEST_PAGE_LO;
  const { retry } = vcpu;
  const eip = exit.instruction ?? Number.NaN;
  const again = retry.last_eip === eip && retry.last_addr === exit.address;
  retry.allowed = false;
  retry.cr2_or_gpa = exit.address;
  if (again) return 'emulate';
  retry.last_eip = -1;
  const unprotect = direct ? table_write : exit.duringDelivery === true;
  if (unprotect && kvm_mmu_unprotect_gfn_and_retry(vcpu, eip)) return 'retry';
  retry.allowed = !vcpu.is_guest_mode;
  return 'emulate';
}

/**
 * v7.3.4 mmu.c __kvm_mmu_unprotect_gfn_and_retry, for the fault of kvm_mmu_write_protect_fault: true when a table was there,
 * and the instruction at `eip` runs in the guest again.
 */
function kvm_mmu_unprotect_gfn_and_retry(vcpu: kvm_vcpu, eip: number): boolean {
  const { retry } = vcpu;
  let gpa = retry.cr2_or_gpa;
  if (root_role.direct(vcpu.mmu, '__kvm_mmu_unprotect_gfn_and_retry') === 0) {
    const user = vcpu.registers.cpl === 3 ? PFEC.U : 0;
    gpa = gva_to_gpa(vcpu, vcpu.gva_walk, gpa, PFEC.W | user);
  }
  if (gpa === UNMAPPED_GVA || !unprotect_gfn(vcpu.kvm, Math.floor(gpa / 4096))) return false;
  retry.last_eip = eip;
  retry.last_addr = retry.cr2_or_gpa;
  return true;
}

/**
 * v7.3.4 x86.c kvm_unprotect_and_retry_on_failure: no emulation when the exit names an event that would have to be delivered
 * again (kvm_can_emulate_event_vectoring). svm_check_emulate_instruction looks at its type, not whether it is valid.
 */
function kvm_unprotect_and_retry_on_failure(vcpu: kvm_vcpu, exit: FaultExit): FaultOutcome {
  const { retry } = vcpu;
  if (!retry.allowed || retry.write_pf_to_sp) return 'failed';
  const eip = exit.instruction ?? Number.NaN;
  kvm_mmu_unprotect_gfn_and_retry(vcpu, eip);
  retry.last_eip = eip;
  retry.last_addr = retry.cr2_or_gpa;
  return 'retry';
}

/**
 * v7.3.4 x86.h kvm_inject_emulated_page_fault
 * Hands a fault that KVM's own walk found to the guest. What a TLB or SPTE still holds for the address goes first, as
 * hardware does it.
 */
export function kvm_inject_emulated_page_fault(vcpu: kvm_vcpu, fault: x86_exception): void {
  const fault_walk = fault.nested_page_fault ? vcpu.ngpa_walk : vcpu.gva_walk;
  if (fault.error_code & PFEC.P && !(fault.error_code & PFEC.RSVD)) {
    kvm_mmu_invalidate_addr(vcpu, fault_walk, fault.address, KVM_MMU_ROOT_CURRENT);
  }
  const { injected } = vcpu;
  injected.error_code = fault.error_code;
  injected.address = fault.address;
  injected.nested_page_fault = fault.nested_page_fault;
  vcpu.exception_pending = true;
  vcpu.kvm.vm.counters.injected_page_faults++;
}

/**
 * v7.3.4 mmu.c __kvm_mmu_invalidate_addr: forgets one address below one root, by syncing the entries that are not in
 * sync.
 */
function __kvm_mmu_invalidate_addr(vcpu: kvm_vcpu, addr: number, root_hpa: number): void {
  const { kvm } = vcpu;
  const { pages } = kvm.vm;
  if (root_hpa === INVALID_PAGE) return;
  for (const it = shadow_walk(vcpu, root_hpa, addr); it.okay(); it.next()) {
    const { sp, sptep } = it;
    if (pages.unsync[sp] === 1) {
      const ret = kvm_sync_spte(vcpu, sp, it.index);
      if (ret < 0) mmu_page_zap_pte(kvm, sp, sptep, null);
      if (ret !== 0) kvm_flush_remote_tlbs(kvm);
    }
    if (pages.unsyncChildren[sp] === 0) return;
  }
}

/**
 * v7.3.4 mmu.c kvm_mmu_invalidate_addr: forgets one address, in hardware and below the roots of the mask: of root_mmu,
 * which shadows what gva_walk walks unless two-dimensional paging is used, or of guest_mmu.
 */
export function kvm_mmu_invalidate_addr(vcpu: kvm_vcpu, w: kvm_pagewalk, addr: number, roots: number): void {
  if (w === vcpu.gva_walk) {
    if (is_noncanonical_address(vcpu, addr)) return;
    vcpu.kvm.vm.counters.tlb_flush_gva++;
    vcpu.cpu.flushAddress(addr);
    if (vcpu.kvm.vm.host.tdp !== 'none') return;
  }
  const mmu = w === vcpu.gva_walk ? vcpu.root_mmu : vcpu.guest_mmu;
  if (mmu.sync_spte === 'none') return;
  if ((roots & KVM_MMU_ROOT_CURRENT) !== 0) __kvm_mmu_invalidate_addr(vcpu, addr, mmu.root.hpa);
  mmu.prev_roots.forEach(({ hpa }, i) => {
    if ((roots & KVM_MMU_ROOT_PREVIOUS(i)) !== 0) __kvm_mmu_invalidate_addr(vcpu, addr, hpa);
  });
}

/** v7.3.4 mmu.c kvm_mmu_invlpg */
export const kvm_mmu_invlpg = probe(
  'kvm_mmu_invlpg',
  (vcpu: kvm_vcpu, gva: number): void => {
    vcpu.kvm.vm.counters.invlpg++;
    kvm_mmu_invalidate_addr(vcpu, vcpu.gva_walk, gva, KVM_MMU_ROOTS_ALL);
  },
  { skipped: undefined },
);

/**
 * v7.3.4 mmu.c kvm_mmu_invpcid_gva: one address in the roots of one PCID. Below a direct MMU there is nothing
 * to sync.
 */
export const kvm_mmu_invpcid_gva = probe(
  'kvm_mmu_invpcid_gva',
  (vcpu: kvm_vcpu, gva: number, pcid: number): void => {
    const { mmu, registers } = vcpu;
    let roots = pcid === kvm_get_pcid(vcpu, registers.cr3) ? KVM_MMU_ROOT_CURRENT : 0;
    mmu.prev_roots.forEach(({ pgd, hpa }, i) => {
      if (hpa !== INVALID_PAGE && pcid === kvm_get_pcid(vcpu, pgd)) roots |= KVM_MMU_ROOT_PREVIOUS(i);
    });
    if (roots !== 0) kvm_mmu_invalidate_addr(vcpu, vcpu.gva_walk, gva, roots);
  },
  { skipped: undefined, detail: (_gva, pcid) => pcid.toString(16) },
);
