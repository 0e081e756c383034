// SPDX-License-Identifier: GPL-2.0-only
/**
 * 01b31714bd90 arch/x86/kvm/mmu/mmu.c: the page-fault path shared by all kinds of MMU, direct mappings, INVLPG, and the
 * handlers that struct kvm_mmu names.
 *
 * Left out: MMIO (an access outside RAM is emulated every time and nothing is cached), async page faults, faults of the host
 * while it gets the page, MTRRs (memory has one type), NX huge pages, dirty logging, retries of other vCPUs.
 */
import type { FaultExit, FaultOutcome } from '../../src/era.ts';
import { get } from '../../src/role/layout.ts';
import { tableIndex } from '../../src/sim/address-parts.ts';
import { probe } from '../../src/sim/log.ts';
import { EPT_VIOLATION, PFEC } from '../../src/sim/paging-bits.ts';
import { NO_PAGE } from '../../src/sim/shadow-pages.ts';
import {
  __clear_sp_write_flooding_count,
  is_obsolete_sp,
  kvm_mmu_get_child_sp,
  kvm_mmu_unprotect_page,
  link_shadow_page,
  make_mmu_pages_available,
  unlink_child,
} from './mmu_pages.ts';
import {
  drop_spte,
  KVM_MAX_HUGEPAGE_LEVEL,
  kvm_flush_remote_tlbs,
  kvm_mmu_max_mapping_level,
  kvm_vcpu_memslots,
  mmu_spte_set,
  mmu_spte_update,
  rmap_add,
} from './mmu_rmap.ts';
import {
  kvm_translate_gpa,
  paging_gva_to_gpa,
  paging_invlpg,
  paging_page_fault,
  paging_sync_page,
  pttype_ept,
  pttype32,
  pttype64,
  UNMAPPED_GVA,
} from './paging_tmpl.ts';
import { cpu_role, kvm_mmu_page_role, page_role, root_role } from './role.ts';
import {
  ACC_ALL,
  base_gfn_of,
  is_access_track_spte,
  is_large_pte,
  is_last_spte,
  is_mmu_writable_spte,
  is_shadow_present_pte,
  is_writable_pte,
  make_spte,
  PG_LEVEL_2M,
  PG_LEVEL_4K,
  PT_PRESENT_MASK,
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
import { kvm_tdp_mmu_map, kvm_tdp_mmu_zap_leafs, tdp_mmu_walk } from './tdp_mmu.ts';
import { type guest_walker, INVALID_PAGE, KVM_REQ, type kvm_mmu, type kvm_vcpu, type x86_exception } from './types.ts';
import { is_noncanonical_address, kvm_get_pcid } from './x86.ts';

/** Entries of an aligned run that are mapped ahead of use. */
export const PTE_PREFETCH_NUM = 8;

/** How the handling of a fault ended; below 0 is an error. */
export const RET_PF_RETRY = 0;
export const RET_PF_EMULATE = 1;
export const RET_PF_INVALID = 2;
export const RET_PF_FIXED = 3;
export const RET_PF_SPURIOUS = 4;

/** 01b31714bd90 mmu_internal.h struct kvm_page_fault. `error_code` holds the low half, as the handlers see it. */
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

/** 01b31714bd90 mmu.c struct kvm_shadow_walk_iterator: an entry on the way from a root to the leaf for an address. */
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
 * 01b31714bd90 mmu.c shadow_walk_init_using_root:2296
 * Starts at the table hardware starts at, with one exception: a guest of fewer than four levels shadowed below a deeper
 * table is entered at its four PAE sub-roots.
 */
export function shadow_walk(vcpu: kvm_vcpu, root: number, addr: number): kvm_shadow_walk_iterator {
  const by = 'shadow_walk_init_using_root';
  const { kvm, mmu } = vcpu;
  const { pages } = kvm.vm;
  let sp = pages.idOfFrame(root);
  let level = root_role.level(mmu, by);
  if (level >= PT64_ROOT_4LEVEL && cpu_role.base.level(mmu, by) < PT64_ROOT_4LEVEL && root_role.direct(mmu, by) === 0) {
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
 * 01b31714bd90 mmu.c mmu_set_spte:2839
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
    if (page_role.level(kvm, sp, 'mmu_set_spte') > PG_LEVEL_4K && !is_large_pte(old_lo)) {
      unlink_child(kvm, sptep);
      flush = true;
    } else if (spte_to_pfn(old_lo, old_hi) !== gfn) {
      drop_spte(kvm, sptep);
      flush = true;
    } else was_rmapped = true;
    old_lo = spte_lo(kvm, sptep);
    old_hi = spte_hi(kvm, sptep);
  }
  const wrprot = make_spte(vcpu, sp, pte_access, gfn, { old_lo, prefetch: fault === null, can_unsync: true });
  let ret = RET_PF_FIXED;
  if (old_lo === new_spte.lo && old_hi === new_spte.hi) ret = RET_PF_SPURIOUS;
  else {
    if (mmu_spte_update(kvm, sptep, new_spte.lo, new_spte.hi)) flush = true;
    kvm.vm.counters.set_spte++;
  }
  if (wrprot && fault?.write) ret = RET_PF_EMULATE;
  if (flush) kvm_flush_remote_tlbs(kvm);
  if (!was_rmapped) rmap_add(kvm, kvm_vcpu_memslots(vcpu), sptep, gfn);
  return ret;
}

/** 01b31714bd90 mmu.c __direct_pte_prefetch: the neighbours in an aligned run of eight that are not mapped yet. */
export function __direct_pte_prefetch(vcpu: kvm_vcpu, sptep: number): void {
  const { kvm } = vcpu;
  const sp = sptep_to_sp(sptep);
  const { memslots } = kvm_vcpu_memslots(vcpu);
  const start = sptep - (spte_index(sptep) & (PTE_PREFETCH_NUM - 1));
  for (let at = start; at < start + PTE_PREFETCH_NUM; at++) {
    if (at === sptep || is_shadow_present_pte(spte_lo(kvm, at))) continue;
    const gfn = kvm.vm.pages.gfn[sp]! + spte_index(at);
    if (!memslots.isVisible(gfn)) return;
    mmu_set_spte(vcpu, at, page_role.access(kvm, sp, 'direct_pte_prefetch_many'), gfn, null);
  }
}

/** 01b31714bd90 mmu.c direct_pte_prefetch: without accessed bits a prefetched entry would look used. */
function direct_pte_prefetch(vcpu: kvm_vcpu, sptep: number): void {
  const sp = sptep_to_sp(sptep);
  if (sp_ad_disabled(vcpu.kvm, sp) || page_role.level(vcpu.kvm, sp, 'direct_pte_prefetch') > PG_LEVEL_4K) return;
  __direct_pte_prefetch(vcpu, sptep);
}

/** 01b31714bd90 mmu.c kvm_mmu_hugepage_adjust */
export function kvm_mmu_hugepage_adjust(vcpu: kvm_vcpu, fault: kvm_page_fault): void {
  if (fault.max_level === PG_LEVEL_4K) return;
  fault.goal_level = kvm_mmu_max_mapping_level(vcpu.kvm, kvm_vcpu_memslots(vcpu), fault.gfn, fault.max_level);
}

/** 01b31714bd90 mmu.c direct_map:3163: guest-physical memory by the older MMU, and linear memory without guest paging. */
function direct_map(vcpu: kvm_vcpu, fault: kvm_page_fault): number {
  kvm_mmu_hugepage_adjust(vcpu, fault);
  const it = shadow_walk(vcpu, vcpu.mmu.root.hpa, fault.addr);
  let base_gfn = fault.gfn;
  for (; it.okay(); it.next()) {
    base_gfn = base_gfn_of(fault.gfn, it.level);
    if (it.level === fault.goal_level) break;
    const sp = kvm_mmu_get_child_sp(vcpu, it.sptep, base_gfn, true, ACC_ALL);
    if (sp !== NO_PAGE) link_shadow_page(vcpu, it.sptep, sp);
  }
  if (it.level !== fault.goal_level) throw new Error(`direct_map: shadow walk ended at level ${it.level}`);
  const ret = mmu_set_spte(vcpu, it.sptep, ACC_ALL, base_gfn, fault);
  if (ret !== RET_PF_SPURIOUS) direct_pte_prefetch(vcpu, it.sptep);
  return ret;
}

/** 01b31714bd90 mmu.c handle_abnormal_pfn: a frame outside RAM is a device to emulate. */
export function handle_abnormal_pfn(vcpu: kvm_vcpu, fault: kvm_page_fault): boolean {
  return !kvm_vcpu_memslots(vcpu).memslots.isBacked(fault.gfn);
}

/**
 * 01b31714bd90 mmu.c page_fault_can_be_fast: EPT alone is no reason any more, as it was in v5.18; a missing entry can only
 * be one whose rights were parked when hardware has no accessed bit.
 */
function page_fault_can_be_fast(masks: spte_masks, fault: kvm_page_fault): boolean {
  if (fault.rsvd) return false;
  return fault.present ? fault.write : masks.shadow_accessed_mask === 0;
}

/** 01b31714bd90 mmu.c is_access_allowed, spte.h is_executable_pte */
function is_access_allowed(masks: spte_masks, fault: kvm_page_fault, lo: number, hi: number): boolean {
  const { shadow_x_mask, shadow_nx_mask_hi } = masks;
  if (fault.exec) return shadow_nx_mask_hi === 0 ? (lo & shadow_x_mask) !== 0 : (hi & shadow_nx_mask_hi) === 0;
  return fault.write ? is_writable_pte(lo) : (lo & PT_PRESENT_MASK) !== 0;
}

/**
 * 01b31714bd90 mmu.c fast_page_fault
 * Faults that need no shadow page: an entry that allows the access already, or whose rights were parked to track accesses.
 */
function fast_page_fault(vcpu: kvm_vcpu, fault: kvm_page_fault): number {
  const { kvm, new_spte } = vcpu;
  const masks = spte_masks_of(kvm.vm.host);
  if (!page_fault_can_be_fast(masks, fault)) return RET_PF_INVALID;
  kvm.vm.counters.fast_page_fault++;
  const sptep = is_tdp_mmu_active(vcpu) ? tdp_mmu_walk(vcpu, fault.gfn) : fast_pf_get_last_sptep(vcpu, fault.addr);
  if (sptep < 0) return RET_PF_INVALID;
  const lo = spte_lo(kvm, sptep);
  const hi = spte_hi(kvm, sptep);
  if (!is_shadow_present_pte(lo) || !is_last_spte(lo, page_role.level(kvm, sptep_to_sp(sptep), 'fast_page_fault')))
    return RET_PF_INVALID;
  if (is_access_allowed(masks, fault, lo, hi)) return RET_PF_SPURIOUS;
  new_spte.lo = lo;
  new_spte.hi = hi;
  if (is_access_track_spte(masks, lo, hi)) restore_acc_track_spte(masks, new_spte);
  if (fault.write && is_mmu_writable_spte(masks, lo, hi)) new_spte.lo |= PT_WRITABLE_MASK;
  if (new_spte.lo === lo && new_spte.hi === hi) return RET_PF_INVALID;
  if (!is_access_allowed(masks, fault, new_spte.lo, new_spte.hi)) return RET_PF_INVALID;
  mmu_spte_set(kvm, sptep, new_spte.lo, new_spte.hi);
  return RET_PF_FIXED;
}

/** 01b31714bd90 mmu.c fast_pf_get_last_sptep: the last entry on the way, -1 when there is none. */
function fast_pf_get_last_sptep(vcpu: kvm_vcpu, addr: number): number {
  let sptep = -1;
  for (const it = shadow_walk(vcpu, vcpu.mmu.root.hpa, addr); it.okay(); it.next()) sptep = it.sptep;
  return sptep;
}

/** 01b31714bd90 mmu.c page_fault_handle_page_track: a write to a guest table that must be seen is emulated. */
export function page_fault_handle_page_track(vcpu: kvm_vcpu, fault: kvm_page_fault): boolean {
  if (fault.rsvd || !fault.present || !fault.write) return false;
  return kvm_vcpu_memslots(vcpu).memslots.isTracked(fault.gfn);
}

/** 01b31714bd90 mmu.c shadow_page_table_clear_flood: the tables on the way to an address are in use. */
export function shadow_page_table_clear_flood(vcpu: kvm_vcpu, addr: number): void {
  for (const it = shadow_walk(vcpu, vcpu.mmu.root.hpa, addr); it.okay(); it.next()) {
    __clear_sp_write_flooding_count(vcpu.kvm, it.sp);
  }
}

/** 01b31714bd90 mmu.c is_tdp_mmu_active:632: decided for the whole module; direct MMUs use the TDP MMU then. */
export function is_tdp_mmu_active(vcpu: kvm_vcpu): boolean {
  const { host } = vcpu.kvm.vm;
  return host.tdp !== 'none' && host.tdpMmu && root_role.direct(vcpu.mmu, 'is_tdp_mmu_active') !== 0;
}

/** 01b31714bd90 mmu.c is_page_fault_stale:4295: the root must be replaced before anything is built below it. */
export function is_page_fault_stale(vcpu: kvm_vcpu): boolean {
  const { pages } = vcpu.kvm.vm;
  const sp = pages.idOfFrame(vcpu.mmu.root.hpa);
  if (sp !== 0 && !pages.isSpecial(sp)) return is_obsolete_sp(vcpu.kvm, sp);
  return (vcpu.requests & KVM_REQ.MMU_FREE_OBSOLETE_ROOTS) !== 0;
}

/** 01b31714bd90 mmu.c direct_page_fault:4319 */
function direct_page_fault(vcpu: kvm_vcpu, fault: kvm_page_fault): number {
  if (page_fault_handle_page_track(vcpu, fault)) return RET_PF_EMULATE;
  const fast = fast_page_fault(vcpu, fault);
  if (fast !== RET_PF_INVALID) return fast;
  if (handle_abnormal_pfn(vcpu, fault)) return RET_PF_EMULATE;
  if (is_page_fault_stale(vcpu)) return RET_PF_RETRY;
  const r = make_mmu_pages_available(vcpu);
  if (r < 0) return r;
  return is_tdp_mmu_active(vcpu) ? kvm_tdp_mmu_map(vcpu, fault) : direct_map(vcpu, fault);
}

/** 01b31714bd90 mmu.c nonpaging_page_fault: the table built is of PAE form, whose largest page is 2 MiB. */
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
 * mmu->gva_to_gpa: an address of `mmu`'s guest as a guest-physical one of L1, or -1 with the reason in `walker.fault`.
 * `access` is of PFERR bits.
 */
export function gva_to_gpa(
  vcpu: kvm_vcpu,
  mmu: kvm_mmu,
  addr: number,
  access: number,
  walker: guest_walker = vcpu.walker,
): number {
  switch (mmu.gva_to_gpa) {
    case 'none':
      return missing('gva_to_gpa')();
    case 'nonpaging_gva_to_gpa': {
      const gpa = kvm_translate_gpa(vcpu, mmu, addr, access);
      if (gpa === UNMAPPED_GVA) Object.assign(walker.fault, vcpu.nested_walker.fault);
      return gpa;
    }
    case 'paging64_gva_to_gpa':
      return paging_gva_to_gpa(pttype64, vcpu, mmu, addr, access, walker);
    case 'paging32_gva_to_gpa':
      return paging_gva_to_gpa(pttype32, vcpu, mmu, addr, access, walker);
    case 'ept_gva_to_gpa':
      return paging_gva_to_gpa(pttype_ept, vcpu, mmu, addr, access, walker);
  }
}

/** vcpu->arch.mmu->sync_page. nonpaging_sync_page:1792 always has the page zapped. */
export function sync_page(vcpu: kvm_vcpu, sp: number): number {
  switch (vcpu.mmu.sync_page) {
    case 'none':
      return missing('sync_page')();
    case 'nonpaging_sync_page':
      return -1;
    case 'paging64_sync_page':
      return paging_sync_page(pttype64, vcpu, sp);
    case 'paging32_sync_page':
      return paging_sync_page(pttype32, vcpu, sp);
    case 'ept_sync_page':
      return paging_sync_page(pttype_ept, vcpu, sp);
  }
}

/** mmu->invlpg. Nothing where it is NULL (direct MMUs). */
export function mmu_invlpg(vcpu: kvm_vcpu, mmu: kvm_mmu, gva: number, root_hpa: number): void {
  switch (mmu.invlpg) {
    case 'none':
      return;
    case 'paging64_invlpg':
      paging_invlpg(pttype64, vcpu, gva, root_hpa);
      return;
    case 'paging32_invlpg':
      paging_invlpg(pttype32, vcpu, gva, root_hpa);
      return;
    case 'ept_invlpg':
      paging_invlpg(pttype_ept, vcpu, gva, root_hpa);
      return;
  }
}

// --- entry points ---------------------------------------------------------------------------------------------------

/** 01b31714bd90 mmu_internal.h kvm_mmu_do_page_fault */
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
 * 01b31714bd90 vmx/vmx.c handle_ept_violation: an exit qualification as an error code of NPT's form. EPT has no user
 * pages; the bit says that the access was a read.
 */
function ept_violation_error_code(qualification: number): number {
  const low =
    (qualification & EPT_VIOLATION.READ ? PFEC.U : 0) |
    (qualification & EPT_VIOLATION.WRITE ? PFEC.W : 0) |
    (qualification & EPT_VIOLATION.FETCH ? PFEC.ID : 0) |
    ((qualification >>> EPT_VIOLATION.ALLOWED_SHIFT) & 7 ? PFEC.P : 0);
  return low + (qualification & EPT_VIOLATION.FINAL ? 1 : PFERR_GUEST_PAGE_HI) * 2 ** 32;
}

/**
 * 01b31714bd90 mmu.c kvm_mmu_unprotect_page_virt: found by a plain read at the privilege level of the guest, so it finds
 * nothing when ring 3 was interrupted and the page is the kernel's.
 */
function kvm_mmu_unprotect_page_virt(vcpu: kvm_vcpu, gva: number): void {
  const { mmu, registers } = vcpu;
  if (root_role.direct(mmu, 'kvm_mmu_unprotect_page_virt') !== 0) return;
  const gpa = gva_to_gpa(vcpu, vcpu.walk_mmu, gva, registers.cpl === 3 ? PFEC.U : 0);
  if (gpa !== UNMAPPED_GVA) kvm_mmu_unprotect_page(vcpu.kvm, Math.floor(gpa / 4096));
}

/**
 * 01b31714bd90 x86.c retry_instruction and, for an instruction that the emulator lacks, reexecute_instruction: what it hit is
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
  const user = vcpu.registers.cpl === 3 ? PFEC.U : 0;
  const direct = root_role.direct(vcpu.mmu, 'retry_instruction') !== 0;
  const gpa = direct ? cr2_or_gpa : gva_to_gpa(vcpu, vcpu.walk_mmu, cr2_or_gpa, PFEC.W | user);
  if (gpa !== UNMAPPED_GVA) kvm_mmu_unprotect_page(vcpu.kvm, Math.floor(gpa / 4096));
  return true;
}

/**
 * 01b31714bd90 mmu.c kvm_handle_page_fault, kvm_mmu_page_fault:5649, and the exit handlers of the vendor modules that lead
 * there. Fixes what can be fixed; 'injected' leaves the guest's own fault in `vcpu.injected`.
 */
export function kvm_mmu_page_fault(vcpu: kvm_vcpu, exit: FaultExit): FaultOutcome {
  const { kvm, mmu } = vcpu;
  const { host } = kvm.vm;
  if (mmu.root.hpa === INVALID_PAGE) return 'retry';
  const error_code = host.tdp === 'ept' ? ept_violation_error_code(exit.code) : exit.code;
  const low = error_code >>> 0;
  vcpu.exception_pending = false;
  // An event is lost for the guest if its delivery writes a guest table: whatever is shadowed there goes first.
  if (host.tdp === 'none' && exit.duringDelivery) kvm_mmu_unprotect_page_virt(vcpu, exit.address);
  const direct = root_role.direct(mmu, 'kvm_mmu_page_fault') !== 0;
  const r = kvm_mmu_do_page_fault(vcpu, exit.address, low);
  if (vcpu.exception_pending) return 'injected';
  if (r < 0) return 'failed';
  if (r !== RET_PF_EMULATE) return 'retry';
  const guest_page = (Math.floor(error_code / 2 ** 32) & PFERR_GUEST_PAGE_HI) !== 0;
  if (direct && guest_page && (low & NESTED_GUEST_PAGE_LO) === NESTED_GUEST_PAGE_LO) {
    // L1's own table is one of the nested tables that KVM shadows for it: hardware cannot walk it read-only.
    kvm_mmu_unprotect_page(kvm, Math.floor(exit.address / 4096));
    return 'retry';
  }
  // Devices (mmio_info_in_cache) and L2 get no retry.
  const { retry, walker } = vcpu;
  const gfn = direct ? Math.floor(exit.address / 4096) : walker.gfn;
  retry.allowed = !vcpu.is_guest_mode && kvm_vcpu_memslots(vcpu).memslots.isBacked(gfn);
  retry.cr2_or_gpa = exit.address;
  return 'emulate';
}

/**
 * 01b31714bd90 x86.c kvm_inject_emulated_page_fault
 * Hands a fault that KVM's own walk found to the guest. What a TLB or SPTE still holds for the address goes first, as
 * hardware does it.
 */
export function kvm_inject_emulated_page_fault(vcpu: kvm_vcpu, fault: x86_exception): void {
  const fault_mmu = fault.nested_page_fault ? vcpu.mmu : vcpu.walk_mmu;
  if (fault.error_code & PFEC.P && !(fault.error_code & PFEC.RSVD)) {
    kvm_mmu_invalidate_gva(vcpu, fault_mmu, fault.address, fault_mmu.root.hpa);
  }
  const { injected } = vcpu;
  injected.error_code = fault.error_code;
  injected.address = fault.address;
  injected.nested_page_fault = fault.nested_page_fault;
  vcpu.exception_pending = true;
  vcpu.kvm.vm.counters.injected_page_faults++;
}

/**
 * 01b31714bd90 mmu.c kvm_mmu_invalidate_gva:5709
 * Forgets one address: in hardware, and in unsync tables below the given root, or below the current and every previous root
 * when that is INVALID_PAGE.
 */
export function kvm_mmu_invalidate_gva(vcpu: kvm_vcpu, mmu: kvm_mmu, gva: number, root_hpa: number): void {
  if (mmu !== vcpu.guest_mmu) {
    if (is_noncanonical_address(vcpu, gva)) return;
    vcpu.kvm.vm.counters.tlb_flush_gva++;
    vcpu.cpu.flushAddress(gva);
  }
  if (mmu.invlpg === 'none') return;
  if (root_hpa !== INVALID_PAGE) {
    mmu_invlpg(vcpu, mmu, gva, root_hpa);
    return;
  }
  mmu_invlpg(vcpu, mmu, gva, mmu.root.hpa);
  for (const { hpa } of mmu.prev_roots) if (hpa !== INVALID_PAGE) mmu_invlpg(vcpu, mmu, gva, hpa);
}

/** 01b31714bd90 mmu.c kvm_mmu_invlpg:5748 */
export const kvm_mmu_invlpg = probe(
  'kvm_mmu_invlpg',
  (vcpu: kvm_vcpu, gva: number): void => {
    vcpu.kvm.vm.counters.invlpg++;
    kvm_mmu_invalidate_gva(vcpu, vcpu.walk_mmu, gva, INVALID_PAGE);
  },
  { skipped: undefined },
);

/**
 * 01b31714bd90 mmu.c kvm_mmu_invpcid_gva:5756: one address in the roots of one PCID. Nothing for a direct MMU, which has
 * no invlpg.
 */
export const kvm_mmu_invpcid_gva = probe(
  'kvm_mmu_invpcid_gva',
  (vcpu: kvm_vcpu, gva: number, pcid: number): void => {
    const { mmu, registers } = vcpu;
    let tlb_flush = false;
    if (pcid === kvm_get_pcid(vcpu, registers.cr3)) {
      mmu_invlpg(vcpu, mmu, gva, mmu.root.hpa);
      tlb_flush = true;
    }
    for (const { pgd, hpa } of mmu.prev_roots) {
      if (hpa === INVALID_PAGE || pcid !== kvm_get_pcid(vcpu, pgd)) continue;
      mmu_invlpg(vcpu, mmu, gva, hpa);
      tlb_flush = true;
    }
    if (!tlb_flush) return;
    vcpu.kvm.vm.counters.tlb_flush_gva++;
    vcpu.cpu.flushAddress(gva);
  },
  { skipped: undefined, detail: (_gva, pcid) => pcid.toString(16) },
);

/** 01b31714bd90 mmu.c kvm_zap_gfn_range, for all of memory: every leaf goes, the tables above stay. */
export const kvm_zap_gfn_range = probe(
  'kvm_zap_gfn_range',
  ({ kvm }: kvm_vcpu): void => {
    const { pages } = kvm.vm;
    // C comes here through the rmaps of every level, so the level is known and no role is read.
    for (const sp of pages.live()) {
      if (pages.isTreePage(sp)) continue;
      for (let index = 0; index < 512; index++) {
        const lo = pages.entryLow(sp, index);
        if (is_shadow_present_pte(lo) && is_last_spte(lo, get(pages.role[sp]!, kvm_mmu_page_role.at.level)))
          drop_spte(kvm, sptep_of(sp, index));
      }
    }
    kvm_tdp_mmu_zap_leafs(kvm);
    kvm_flush_remote_tlbs(kvm);
  },
  { skipped: undefined },
);
