// SPDX-License-Identifier: GPL-2.0-only
/**
 * 7a458f0e1ba1 arch/x86/kvm/mmu/paging_tmpl.h: walking the guest's own tables and shadowing what the walk found. C compiles
 * the file three times, for 64-bit, 32-bit and EPT entries; here the differences are values of a `pttype`.
 *
 * Left out: read-only memslots (all guest memory is RAM), MMIO (a frame outside RAM is emulated, nothing is installed),
 * async page faults, dirty logging, PML for L2, the note whether the guest writes its own table (it only
 * steers retries after a failed emulation), and the exit qualification that KVM makes up for an L1 that uses EPT.
 */
import { noteMember } from '../../src/role/reads.ts';
import { tableIndex, wordOf } from '../../src/sim/address-parts.ts';
import { PFEC } from '../../src/sim/paging-bits.ts';
import { __is_rsvd_bits_set, permission_fault } from './calc.ts';
import {
  __direct_pte_prefetch,
  gva_to_gpa,
  handle_abnormal_pfn,
  is_page_fault_stale,
  kvm_inject_emulated_page_fault,
  kvm_mmu_hugepage_adjust,
  type kvm_page_fault,
  mmu_set_spte,
  PTE_PREFETCH_NUM,
  page_fault_handle_page_track,
  RET_PF_EMULATE,
  RET_PF_RETRY,
  RET_PF_SPURIOUS,
  shadow_page_table_clear_flood,
  shadow_walk,
} from './mmu_fault.ts';
import {
  __clear_sp_write_flooding_count,
  kvm_mmu_get_page,
  link_shadow_page,
  make_mmu_pages_available,
  mmu_page_zap_pte,
  mmu_sync_children,
  validate_direct_spte,
} from './mmu_pages.ts';
import { drop_large_spte, drop_spte, kvm_flush_remote_tlbs, kvm_vcpu_memslots, mmu_spte_update } from './mmu_rmap.ts';
import { get_guest_pgd } from './mmu_roots.ts';
import {
  cpu_role,
  is_cr0_wp,
  is_cr4_pse,
  is_cr4_smep,
  is_efer_nx,
  kvm_mmu_page_role,
  page_role,
  root_level,
  root_role,
} from './role.ts';
import {
  ACC_EXEC_MASK,
  ACC_USER_MASK,
  ACC_WRITE_MASK,
  base_gfn_of,
  is_last_spte,
  is_shadow_present_pte,
  KVM_PAGES_PER_HPAGE,
  make_spte,
  PG_LEVEL_4K,
  PT_PAGE_SIZE_MASK,
  PT_PRESENT_MASK,
  PT_WRITABLE_MASK,
  PT32E_ROOT_LEVEL,
  spte_index,
  spte_lo,
  spte_to_pfn,
  sptep_of,
  sptep_to_sp,
} from './spte.ts';
import { type guest_walker, INVALID_PAGE, type kvm_mmu, type kvm_vcpu } from './types.ts';

import { kvm_pdptr_read } from './x86.ts';

const PFERR_WRITE_MASK = PFEC.W;
const PFERR_USER_MASK = PFEC.U;
const PFERR_FETCH_MASK = PFEC.ID;
const PFERR_RSVD_MASK = PFEC.RSVD;
const PFERR_PRESENT_MASK = PFEC.P;

/** UNMAPPED_GVA */
export const UNMAPPED_GVA = -1;

/** What PTTYPE stands for. */
export interface pttype {
  readonly name: '64' | '32' | 'ept';
  /** Bytes of an entry. */
  readonly bytes: 4 | 8;
  readonly present: number;
  readonly accessed: number;
  readonly dirty: number;
}

export const pttype64: pttype = { name: '64', bytes: 8, present: 1, accessed: 1 << 5, dirty: 1 << 6 };
export const pttype32: pttype = { name: '32', bytes: 4, present: 1, accessed: 1 << 5, dirty: 1 << 6 };
export const pttype_ept: pttype = { name: 'ept', bytes: 8, present: 7, accessed: 1 << 8, dirty: 1 << 9 };

/** PT_HAVE_ACCESSED_DIRTY */
const have_accessed_dirty = (pt: pttype, mmu: kvm_mmu, by: string): boolean =>
  pt.name !== 'ept' || cpu_role.base.ad_disabled(mmu, by) === 0;

/** PT_INDEX of an address. `| 0` keeps the low 32 bits of any address that a double holds exactly. */
function pt_index(pt: pttype, addr: number, level: number): number {
  if (pt.bytes === 4) return level === 1 ? (addr >>> 12) & 0x3ff : addr >>> 22;
  return tableIndex(addr, level);
}

/** FNAME(gpte_to_gfn_lvl): the first frame of the page of `level` that an entry maps, or of the table it points to. */
function gpte_to_gfn_lvl(pt: pttype, lo: number, hi: number, level: number): number {
  if (pt.bytes === 4) return (lo >>> 12) & -(1 << (10 * (level - 1)));
  return base_gfn_of(spte_to_pfn(lo, hi), level);
}

/** pse36_gfn_delta: bits 16:13 of a 4 MiB entry are address bits 35:32. */
const pse36_gfn_delta = (lo: number): number => ((lo >>> 13) & 0xf) * 2 ** 20;

/** FNAME(protect_clean_gpte): no write right before the guest's entry is dirty, or KVM would never learn of the write. */
function protect_clean_gpte(pt: pttype, mmu: kvm_mmu, access: number, lo: number): number {
  return have_accessed_dirty(pt, mmu, 'protect_clean_gpte') && !(lo & pt.dirty) ? access & ~ACC_WRITE_MASK : access;
}

/** FNAME(gpte_access): the rights in an entry, or in the AND of several with `nx` the OR of their NX bits. */
function gpte_access(pt: pttype, lo: number, nx: number): number {
  if (pt.name !== 'ept') return (lo & (PT_WRITABLE_MASK | ACC_USER_MASK)) | (nx < 0 ? 0 : lo & ACC_EXEC_MASK);
  const write = lo & ACC_WRITE_MASK;
  return write | (lo & 4 ? ACC_EXEC_MASK : 0) | (lo & 1 ? ACC_USER_MASK : 0);
}

/** FNAME(is_last_gpte):266 */
function is_last_gpte(pt: pttype, mmu: kvm_mmu, level: number, lo: number): boolean {
  if (level === PG_LEVEL_4K) return true;
  if (!(lo & PT_PAGE_SIZE_MASK)) return false;
  // Without CR4.PSE bit 7 of a 32-bit PDE is ignored, not reserved.
  return pt.bytes === 8 || is_cr4_pse(mmu, 'is_last_gpte');
}

/** The key of a 64-bit leaf: bits 62:59. */
const gpte_pkeys = (pt: pttype, hi: number): number => (pt.name === '64' ? (hi >>> 27) & 0xf : 0);

/**
 * mmu->get_pdptr: PDPTE `index` of PAE paging, low half. The cached ones, as hardware does; but L1's nested tables on AMD
 * (nested_svm_get_tdp_pdptr), and the guest's own under NPT (svm_cache_reg), have theirs in memory.
 */
export function get_pdptr(vcpu: kvm_vcpu, mmu: kvm_mmu, index: number): { readonly lo: number; readonly hi: number } {
  const { host, memory } = vcpu.kvm.vm;
  if (mmu.get_guest_pgd === 'nested_svm_get_tdp_cr3' || host.tdp === 'npt') {
    const pgd = get_guest_pgd(vcpu, mmu);
    const gpa = pgd - (pgd & 0x1f) + index * 8;
    const real = kvm_translate_gpa(vcpu, mmu, gpa);
    if (real === UNMAPPED_GVA) return { lo: 0, hi: 0 };
    return { lo: memory.read64lo(real), hi: memory.read64hi(real) };
  }
  return kvm_pdptr_read(vcpu, index);
}

/**
 * 7a458f0e1ba1 mmu.h kvm_translate_gpa:347: an address in L2's memory as one in L1's. Only the walker of L2's tables on
 * nested paging needs that. -1 when L1's tables refuse; `vcpu.nested_walker.fault` says why.
 */
export function kvm_translate_gpa(
  vcpu: kvm_vcpu,
  mmu: kvm_mmu,
  gpa: number,
  access: number = PFERR_USER_MASK | PFERR_WRITE_MASK,
): number {
  if (mmu !== vcpu.nested_mmu) return gpa;
  return gva_to_gpa(vcpu, vcpu.mmu, gpa, access | PFERR_USER_MASK, vcpu.nested_walker);
}

/**
 * gpa_to_gfn(kvm_translate_gpa()) of a byte in a frame: the frame itself, but for L2's. Below 0 when L1's tables refuse.
 */
const translate_gfn = (vcpu: kvm_vcpu, mmu: kvm_mmu, gfn: number, offset: number, access: number): number =>
  mmu !== vcpu.nested_mmu ? gfn : Math.floor(kvm_translate_gpa(vcpu, mmu, gfn * 4096 + offset, access) / 4096);

/** FNAME(update_accessed_dirty_bits): stores A in every entry used, and D in the leaf for a write. */
function update_accessed_dirty_bits(pt: pttype, walker: guest_walker, vcpu: kvm_vcpu, write_fault: number): void {
  const { memory } = vcpu.kvm.vm;
  for (let level = walker.max_level; level >= walker.level; level--) {
    const pte = walker.ptes_lo[level - 1]!;
    const marked = pte | pt.accessed | (level === walker.level && write_fault ? pt.dirty : 0);
    if (marked === pte) continue;
    const ptep_user = walker.ptep_user[level - 1]!;
    memory.words[ptep_user] = marked;
    memory.written(ptep_user);
    walker.ptes_lo[level - 1] = marked;
  }
}

/**
 * FNAME(walk_addr_generic):298
 * Walks the guest's tables for an access (PFERR bits W, U, F), judges it, and marks entries accessed and dirty as hardware
 * would. True: `walker` has the frame and the rights. False: `walker.fault` is what the guest must get.
 */
export function walk_addr_generic(
  pt: pttype,
  walker: guest_walker,
  vcpu: kvm_vcpu,
  mmu: kvm_mmu,
  addr: number,
  access: number,
): boolean {
  const by = 'walk_addr_generic';
  const { counters, memory } = vcpu.kvm.vm;
  const { memslots } = kvm_vcpu_memslots(vcpu);
  const have_ad = have_accessed_dirty(pt, mmu, by);
  const nested_access = (have_ad ? PFERR_WRITE_MASK : 0) | PFERR_USER_MASK;
  const write_fault = access & PFERR_WRITE_MASK;
  counters.guest_walks++;
  let level = root_level(mmu, by);
  let pte_lo: number;
  let pte_hi = 0;
  if (pt.name === '64' && level === PT32E_ROOT_LEVEL) {
    const pdpte = get_pdptr(vcpu, mmu, (addr >>> 30) & 3);
    counters.guest_walk_elements++;
    if (!(pdpte.lo & PT_PRESENT_MASK)) return walk_error(walker, vcpu, mmu, addr, access, 0);
    pte_lo = pdpte.lo;
    pte_hi = pdpte.hi;
    level--;
  } else {
    const pgd = get_guest_pgd(vcpu, mmu);
    pte_lo = pgd | 0;
    pte_hi = Math.floor(pgd / 2 ** 32);
  }
  walker.max_level = level;
  let all_lo = -1;
  let any_nx = 0;
  for (; ; level--) {
    const table_gfn = gpte_to_gfn_lvl(pt, pte_lo, pte_hi, PG_LEVEL_4K);
    const offset = pt_index(pt, addr, level) * pt.bytes;
    walker.level = level;
    walker.table_gfn[level - 1] = table_gfn;
    const real_gfn = translate_gfn(vcpu, mmu, table_gfn, offset, nested_access);
    if (real_gfn < 0) return nested_error(walker, vcpu);
    if (!memslots.isVisible(real_gfn)) return walk_error(walker, vcpu, mmu, addr, access, 0);
    const ptep_user = wordOf(memory.slotOrZero(real_gfn), offset);
    walker.ptep_user[level - 1] = ptep_user;
    pte_lo = memory.words[ptep_user]!;
    pte_hi = pt.bytes === 8 ? memory.words[ptep_user + 1]! : 0;
    counters.guest_walk_elements++;
    walker.pt_access[level - 1] = gpte_access(pt, all_lo, any_nx);
    if (!(pte_lo & pt.present)) return walk_error(walker, vcpu, mmu, addr, access, 0);
    noteMember(mmu, by, 'guest_rsvd_check');
    if (__is_rsvd_bits_set(mmu.guest_rsvd_check, pte_lo, pte_hi, level)) {
      return walk_error(walker, vcpu, mmu, addr, access, PFERR_RSVD_MASK | PFERR_PRESENT_MASK);
    }
    all_lo &= pte_lo;
    any_nx |= pte_hi;
    walker.ptes_lo[level - 1] = pte_lo;
    walker.ptes_hi[level - 1] = pte_hi;
    if (is_last_gpte(pt, mmu, level, pte_lo)) break;
  }
  walker.pte_access = gpte_access(pt, all_lo, any_nx);
  const errcode = permission_fault(vcpu, mmu, walker.pte_access, gpte_pkeys(pt, pte_hi), access, by);
  if (errcode !== 0) return walk_error(walker, vcpu, mmu, addr, access, errcode);
  let gfn = gpte_to_gfn_lvl(pt, pte_lo, pte_hi, level);
  gfn += pt.bytes === 4 ? (addr >>> 12) & (level === 1 ? 0 : 0x3ff) : page_within(addr, level);
  if (pt.bytes === 4 && level > PG_LEVEL_4K) gfn += pse36_gfn_delta(pte_lo);
  const real_gfn = translate_gfn(vcpu, mmu, gfn, 0, access);
  if (real_gfn < 0) return nested_error(walker, vcpu);
  walker.gfn = real_gfn;
  if (write_fault === 0) walker.pte_access = protect_clean_gpte(pt, mmu, walker.pte_access, pte_lo);
  const marked = (all_lo & pt.accessed) !== 0 && (write_fault === 0 || (pte_lo & pt.dirty) !== 0);
  if (have_ad && !marked) update_accessed_dirty_bits(pt, walker, vcpu, write_fault);
  return true;
}

/** Number of the small page that an address hits within its page of `level`. */
const page_within = (addr: number, level: number): number =>
  level === PG_LEVEL_4K ? 0 : (addr >>> 12) & (KVM_PAGES_PER_HPAGE(level) - 1);

/** The error exit of walk_addr_generic: completes the error code, and says whose fault it is. */
function walk_error(
  walker: guest_walker,
  vcpu: kvm_vcpu,
  mmu: kvm_mmu,
  addr: number,
  access: number,
  errcode: number,
): false {
  const { fault } = walker;
  let error_code = errcode | (access & (PFERR_WRITE_MASK | PFERR_USER_MASK));
  if (access & PFERR_FETCH_MASK) {
    const by = 'walk_addr_generic';
    if (is_efer_nx(mmu, by) || is_cr4_smep(mmu, by)) error_code |= PFERR_FETCH_MASK;
  }
  fault.error_code = error_code;
  fault.address = addr;
  fault.nested_page_fault = mmu !== vcpu.walk_mmu;
  vcpu.kvm.vm.counters.guest_walk_errors++;
  return false;
}

/** L1's nested tables refused an address that L2's tables gave: the fault is theirs. */
function nested_error(walker: guest_walker, vcpu: kvm_vcpu): false {
  Object.assign(walker.fault, vcpu.nested_walker.fault);
  return false;
}

/** FNAME(gva_to_gpa):955: guest-physical address, or -1 with the reason in `walker.fault`. */
export function paging_gva_to_gpa(
  pt: pttype,
  vcpu: kvm_vcpu,
  mmu: kvm_mmu,
  addr: number,
  access: number,
  walker: guest_walker,
): number {
  if (!walk_addr_generic(pt, walker, vcpu, mmu, addr, access)) return UNMAPPED_GVA;
  return walker.gfn * 4096 + (addr & 0xfff);
}

/** FNAME(prefetch_invalid_gpte): drops the SPTE when the guest's entry may not be used ahead of time. */
function prefetch_invalid_gpte(pt: pttype, vcpu: kvm_vcpu, sptep: number, lo: number, hi: number): boolean {
  const { kvm, mmu } = vcpu;
  noteMember(mmu, 'prefetch_invalid_gpte', 'guest_rsvd_check');
  const usable =
    (lo & pt.present) !== 0 &&
    ((lo & pt.accessed) !== 0 || !have_accessed_dirty(pt, mmu, 'prefetch_invalid_gpte')) &&
    !__is_rsvd_bits_set(mmu.guest_rsvd_check, lo, hi, PG_LEVEL_4K);
  if (!usable) drop_spte(kvm, sptep);
  return !usable;
}

/** FNAME(prefetch_gpte): maps what the guest's entry says before it is used. False when that was not possible. */
function prefetch_gpte(pt: pttype, vcpu: kvm_vcpu, sptep: number, lo: number, hi: number): boolean {
  if (prefetch_invalid_gpte(pt, vcpu, sptep, lo, hi)) return false;
  const gfn = gpte_to_gfn_lvl(pt, lo, hi, PG_LEVEL_4K);
  const access = page_role.access(vcpu.kvm, sptep_to_sp(sptep), 'prefetch_gpte') & gpte_access(pt, lo, hi);
  if (!kvm_vcpu_memslots(vcpu).memslots.isVisible(gfn)) return false;
  mmu_set_spte(vcpu, sptep, protect_clean_gpte(pt, vcpu.mmu, access, lo), gfn, null);
  return true;
}

/**
 * FNAME(gpte_changed): whether the entry of `level` is no longer the one walked. C reads the neighbours of a leaf as well,
 * for pte_prefetch; as nothing runs beside, they are read when they are wanted.
 */
function gpte_changed(pt: pttype, vcpu: kvm_vcpu, gw: guest_walker, level: number): boolean {
  const { words } = vcpu.kvm.vm.memory;
  const pte = gw.ptep_user[level - 1]!;
  if (words[pte] !== gw.ptes_lo[level - 1]) return true;
  return pt.bytes === 8 && words[pte + 1] !== gw.ptes_hi[level - 1];
}

/** FNAME(pte_prefetch): the seven neighbours in an aligned run of eight, up to the first that cannot be mapped. */
function pte_prefetch(pt: pttype, vcpu: kvm_vcpu, gw: guest_walker, sptep: number): void {
  const { kvm } = vcpu;
  const sp = sptep_to_sp(sptep);
  if (page_role.level(kvm, sp, 'pte_prefetch') > PG_LEVEL_4K) return;
  if (page_role.direct(kvm, sp, 'pte_prefetch') !== 0) {
    __direct_pte_prefetch(vcpu, sptep);
    return;
  }
  const { memory } = kvm.vm;
  const pte_words = pt.bytes >>> 2;
  const ptes = gw.ptep_user[PG_LEVEL_4K - 1]! & ~(PTE_PREFETCH_NUM * pte_words - 1);
  const start = sptep - (spte_index(sptep) & (PTE_PREFETCH_NUM - 1));
  for (let i = 0; i < PTE_PREFETCH_NUM; i++) {
    const at = start + i;
    if (at === sptep || is_shadow_present_pte(spte_lo(kvm, at))) continue;
    const pte = ptes + i * pte_words;
    if (!prefetch_gpte(pt, vcpu, at, memory.words[pte]!, pte_words === 2 ? memory.words[pte + 1]! : 0)) break;
  }
}

/**
 * FNAME(fetch):612
 * Builds the shadow of what the walk found: pages for the guest's tables, pages of its own below a guest's large page that
 * cannot be mapped large, and the leaf.
 */
function fetch(pt: pttype, vcpu: kvm_vcpu, fault: kvm_page_fault, gw: guest_walker): number {
  const { kvm, mmu } = vcpu;
  const { pages } = kvm.vm;
  const direct_access = gw.pte_access;
  let top_level = root_level(mmu, 'fetch');
  if (top_level === PT32E_ROOT_LEVEL) top_level = 2;
  if (gpte_changed(pt, vcpu, gw, top_level)) return RET_PF_RETRY;
  if (mmu.root.hpa === INVALID_PAGE) return RET_PF_RETRY;
  const it = shadow_walk(vcpu, mmu.root.hpa, fault.addr);
  for (; it.okay() && it.level > gw.level; it.next()) {
    __clear_sp_write_flooding_count(kvm, it.sp);
    drop_large_spte(kvm, it.sptep);
    let sp = 0;
    if (!is_shadow_present_pte(spte_lo(kvm, it.sptep))) {
      const table_gfn = gw.table_gfn[it.level - 2]!;
      const access = gw.pt_access[it.level - 2]!;
      sp = kvm_mmu_get_page(vcpu, table_gfn, fault.addr, it.level - 1, false, access);
      // The guest need not flush for an entry that becomes present, so the table must be current before it is used.
      if (pages.unsyncChildren[sp]! > 0 && mmu_sync_children(vcpu, sp, false) !== 0) return RET_PF_RETRY;
    }
    if (gpte_changed(pt, vcpu, gw, it.level - 1)) return RET_PF_RETRY;
    if (sp !== 0) link_shadow_page(vcpu, it.sptep, sp);
  }
  kvm_mmu_hugepage_adjust(vcpu, fault);
  let base_gfn = fault.gfn;
  for (; it.okay(); it.next()) {
    __clear_sp_write_flooding_count(kvm, it.sp);
    base_gfn = base_gfn_of(fault.gfn, it.level);
    if (it.level === fault.goal_level) break;
    validate_direct_spte(vcpu, it.sptep, direct_access);
    drop_large_spte(kvm, it.sptep);
    if (!is_shadow_present_pte(spte_lo(kvm, it.sptep))) {
      const sp = kvm_mmu_get_page(vcpu, base_gfn, fault.addr, it.level - 1, true, direct_access);
      link_shadow_page(vcpu, it.sptep, sp);
    }
  }
  if (it.level !== fault.goal_level) throw new Error(`fetch: shadow walk ended at level ${it.level}`);
  const ret = mmu_set_spte(vcpu, it.sptep, gw.pte_access, base_gfn, fault);
  if (ret !== RET_PF_SPURIOUS) pte_prefetch(pt, vcpu, gw, it.sptep);
  return ret;
}

/** FNAME(is_self_change_mapping):751: whether a large mapping would cover a table that the walk went through. */
function is_self_change_mapping(vcpu: kvm_vcpu, walker: guest_walker, user_fault: boolean): boolean {
  const writable =
    (walker.pte_access & ACC_WRITE_MASK) !== 0 || (!is_cr0_wp(vcpu.mmu, 'is_self_change_mapping') && !user_fault);
  if (!writable) return false;
  const first = base_gfn_of(walker.gfn, walker.level);
  for (let level = walker.level; level <= walker.max_level; level++) {
    if (base_gfn_of(walker.table_gfn[level - 1]!, walker.level) === first) return true;
  }
  return false;
}

/** FNAME(page_fault):787 */
export function paging_page_fault(pt: pttype, vcpu: kvm_vcpu, fault: kvm_page_fault): number {
  const { mmu, walker } = vcpu;
  // A reserved bit was KVM's own in an SPTE: the guest's tables are judged without it.
  const access = fault.error_code & ~PFERR_RSVD_MASK;
  if (!walk_addr_generic(pt, walker, vcpu, mmu, fault.addr, access)) {
    kvm_inject_emulated_page_fault(vcpu, walker.fault);
    return RET_PF_RETRY;
  }
  fault.gfn = walker.gfn;
  if (page_fault_handle_page_track(vcpu, fault)) {
    shadow_page_table_clear_flood(vcpu, fault.addr);
    return RET_PF_EMULATE;
  }
  fault.max_level = is_self_change_mapping(vcpu, walker, fault.user) ? PG_LEVEL_4K : walker.level;
  if (handle_abnormal_pfn(vcpu, fault)) return RET_PF_EMULATE;
  const wp = is_cr0_wp(mmu, 'page_fault');
  if (fault.write && !(walker.pte_access & ACC_WRITE_MASK) && !wp && !fault.user) {
    // Hardware runs with CR0.WP set. The kernel's write is let through by a page that only the kernel may use; and where
    // SMEP forbids the kernel to execute user pages, a user page in that guise must not become executable to it.
    walker.pte_access = (walker.pte_access | ACC_WRITE_MASK) & ~ACC_USER_MASK;
    if (is_cr4_smep(mmu, 'page_fault')) walker.pte_access &= ~ACC_EXEC_MASK;
  }
  if (is_page_fault_stale(vcpu)) return RET_PF_RETRY;
  const r = make_mmu_pages_available(vcpu);
  if (r < 0) return r;
  return fetch(pt, vcpu, fault, walker);
}

/** FNAME(get_level1_sp_gpa):883: where the guest entries begin that a leaf page shadows. */
function get_level1_sp_gpa(pt: pttype, vcpu: kvm_vcpu, sp: number): number {
  const { kvm } = vcpu;
  const quadrant = pt.bytes === 4 ? page_role.quadrant(kvm, sp, 'get_level1_sp_gpa') : 0;
  return kvm.vm.pages.gfn[sp]! * 4096 + quadrant * 512 * pt.bytes;
}

/** FNAME(invlpg):895: the guest flushed one address; the leaf is rebuilt when its table is out of sync. */
export function paging_invlpg(pt: pttype, vcpu: kvm_vcpu, gva: number, root_hpa: number): void {
  const { kvm } = vcpu;
  const { memory, pages } = kvm.vm;
  if (root_hpa === INVALID_PAGE) return;
  for (const it = shadow_walk(vcpu, root_hpa, gva); it.okay(); it.next()) {
    const { sp, sptep } = it;
    const old_lo = spte_lo(kvm, sptep);
    if (is_last_spte(old_lo, it.level)) {
      if (pages.unsync[sp] === 0) return;
      const gpa = get_level1_sp_gpa(pt, vcpu, sp) + it.index * pt.bytes;
      mmu_page_zap_pte(kvm, sp, sptep, null);
      if (is_shadow_present_pte(old_lo)) kvm_flush_remote_tlbs(kvm);
      prefetch_gpte(pt, vcpu, sptep, memory.read32(gpa) | 0, pt.bytes === 8 ? memory.read32(gpa + 4) | 0 : 0);
    }
    if (pages.unsyncChildren[sp] === 0) return;
  }
}

/** Role bits that may differ between a page and the MMU that syncs it. */
const sync_role_ign = [kvm_mmu_page_role.at.level, kvm_mmu_page_role.at.access, kvm_mmu_page_role.at.quadrant].reduce(
  (bits, { mask, shift }) => bits | (mask << shift),
  0,
);

/**
 * FNAME(sync_page):989
 * Brings every SPTE of a leaf page up to what the guest's table says now. Below 0: the page is of another kind than this
 * MMU can judge and must be zapped. Above 0: TLBs must be flushed.
 */
export function paging_sync_page(pt: pttype, vcpu: kvm_vcpu, sp: number): number {
  const { kvm, mmu } = vcpu;
  const { memory, pages } = kvm.vm;
  const role = page_role.word(kvm, sp, 'sync_page');
  const root_word = root_role.word(mmu, 'sync_page');
  if (page_role.direct(kvm, sp, 'sync_page') !== 0 || ((role ^ root_word) & ~sync_role_ign) !== 0) return -1;
  const first_pte_gpa = get_level1_sp_gpa(pt, vcpu, sp);
  const access = page_role.access(kvm, sp, 'sync_page');
  let flush = false;
  for (let i = 0; i < 512; i++) {
    const old_lo = pages.entryLow(sp, i);
    const old_hi = pages.entryHigh(sp, i);
    if (old_lo === 0 && old_hi === 0) continue;
    const sptep = sptep_of(sp, i);
    const at = memory.wordAt(first_pte_gpa + i * pt.bytes);
    const lo = memory.words[at]!;
    const hi = pt.bytes === 8 ? memory.words[at + 1]! : 0;
    if (prefetch_invalid_gpte(pt, vcpu, sptep, lo, hi)) {
      flush = true;
      continue;
    }
    const gfn = gpte_to_gfn_lvl(pt, lo, hi, PG_LEVEL_4K);
    if (gfn !== spte_to_pfn(old_lo, old_hi)) {
      drop_spte(kvm, sptep);
      flush = true;
      continue;
    }
    const pte_access = protect_clean_gpte(pt, mmu, access & gpte_access(pt, lo, hi), lo);
    make_spte(vcpu, sp, pte_access, gfn, { old_lo, prefetch: true, can_unsync: false });
    if (mmu_spte_update(kvm, sptep, vcpu.new_spte.lo, vcpu.new_spte.hi)) flush = true;
  }
  return flush ? 1 : 0;
}
