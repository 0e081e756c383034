// SPDX-License-Identifier: GPL-2.0-only
/**
 * v4.20 arch/x86/kvm/paging_tmpl.h: the guest's tables walked in software.
 *
 * Left out: read-only memory slots (accessed and dirty bits can always be stored), the dirty log.
 */
import { CR0, CR4 } from '../../src/sim/registers.ts';
import {
  gpte_access,
  gpte_to_gfn_lvl,
  type guest_walker,
  have_accessed_dirty,
  is_present_gpte,
  offset_in_level,
  PT_INDEX,
  protect_clean_gpte,
  pse36_gfn_delta,
  type pttype,
  read_gpte,
} from './guest_walker.ts';
import {
  PFERR_FETCH_MASK,
  PFERR_PK_MASK,
  PFERR_PRESENT_MASK,
  PFERR_RSVD_MASK,
  PFERR_USER_MASK,
  PFERR_WRITE_MASK,
} from './mmu_fault.ts';
import { get_cr3, get_pdptr, translate_gpa, UNMAPPED_GVA } from './mmu_handlers.ts';
import { last_nonleaf_level, mmu_nx, note_member, root_level } from './role.ts';
import { PT_DIRECTORY_LEVEL, PT_PAGE_SIZE_MASK, PT_PAGE_TABLE_LEVEL, PT32E_ROOT_LEVEL } from './spte.ts';
import type { kvm_mmu, kvm_vcpu, rsvd_bits_validate } from './types.ts';

/** v4.20 mmu.c __is_rsvd_bits_set */
export function __is_rsvd_bits_set(check: rsvd_bits_validate, lo: number, hi: number, level: number): boolean {
  const at = (((lo >> 7) & 1) * 5 + level - 1) * 2;
  const low6 = lo & 0x3f;
  const { rsvd_bits_mask: mask, bad_mt_xwr } = check;
  return (lo & mask[at]!) !== 0 || (hi & mask[at + 1]!) !== 0 || ((bad_mt_xwr[low6 >> 5]! >>> (low6 & 31)) & 1) !== 0;
}

/**
 * v4.20 mmu.c:4239 is_last_gpte, inline in the walk: bit 7 counts below `last_nonleaf_level` only, level 1
 * always ends the walk.
 */
export function is_last_gpte(mmu: kvm_mmu, level: number, lo: number): boolean {
  if (level === PT_PAGE_TABLE_LEVEL) return true;
  return (lo & PT_PAGE_SIZE_MASK) !== 0 && level < last_nonleaf_level(mmu, 'walk_addr_generic');
}

/**
 * v4.20 arch/x86/kvm/mmu.h:156 permission_fault
 * Error code of the fault that the access takes on a page with these rights, 0 when it is allowed. EFLAGS.AC lifts SMAP
 * for explicit accesses of CPL below 3, which the index of `permissions` says with its third bit.
 */
export function permission_fault(
  vcpu: kvm_vcpu,
  mmu: kvm_mmu,
  pte_access: number,
  pte_pkey: number,
  pfec: number,
): number {
  const { cpl, rflagsAc, pkru } = vcpu.registers;
  const index = ((pfec >> 1) & 15) | (cpl < 3 && rflagsAc !== 0 ? 4 : 0);
  note_member(mmu, 'walk_addr_generic', 'permissions');
  note_member(mmu, 'walk_addr_generic', 'pkru_mask');
  let fault = ((mmu.permissions[index]! >> pte_access) & 1) !== 0;
  let errcode = PFERR_PRESENT_MASK;
  if (mmu.pkru_mask !== 0) {
    // PFEC.RSVD is never set here; its place in the index says whether the page is a user page.
    const offset = (pfec & ~1 & 31) + ((pte_access & 4) << 1);
    const pkru_bits = (pkru >>> (pte_pkey * 2)) & 3 & (mmu.pkru_mask >>> offset);
    if (pkru_bits !== 0) {
      errcode |= PFERR_PK_MASK;
      fault = true;
    }
  }
  return fault ? errcode : 0;
}

/** FNAME(update_accessed_dirty_bits) v4.20 ~203: from the top entry to the leaf. */
function update_accessed_dirty_bits(
  vcpu: kvm_vcpu,
  type: pttype,
  have_ad: boolean,
  walker: guest_walker,
  write_fault: boolean,
): void {
  if (!have_ad) return;
  const { memory } = vcpu.kvm.vm;
  for (let level = walker.max_level; level >= walker.level; level--) {
    const old = walker.ptes_lo[level - 1]!;
    let pte = old | type.guest_accessed_mask;
    if (level === walker.level && write_fault) pte |= type.guest_dirty_mask;
    if (pte === old) continue;
    memory.write32(walker.ptep_user[level - 1]!, pte);
    walker.ptes_lo[level - 1] = pte;
  }
}

/** Stores the fault that a walk ends with; the mmu that is not the one L2's own tables belong to is L1's. */
function walk_fault(
  vcpu: kvm_vcpu,
  type: pttype,
  mmu: kvm_mmu,
  fault: { readonly addr: number; readonly access: number; readonly errcode: number; readonly rights: number },
): false {
  let errcode = fault.errcode | (fault.access & (PFERR_WRITE_MASK | PFERR_USER_MASK));
  const { cr4 } = vcpu.registers;
  if (fault.access & PFERR_FETCH_MASK && (mmu_nx(mmu, 'walk_addr_generic') !== 0 || cr4 & CR4.SMEP)) {
    errcode |= PFERR_FETCH_MASK;
  }
  if (type.name === 'ept' && (errcode & PFERR_RSVD_MASK) === 0) {
    vcpu.exit_qualification = (vcpu.exit_qualification & 0x187) | ((fault.rights & 7) << 3);
  }
  vcpu.fault.error_code = errcode;
  vcpu.fault.address = fault.addr;
  vcpu.fault.nested_page_fault = mmu !== vcpu.walk_mmu;
  vcpu.kvm.vm.counters.guest_walk_errors++;
  return false;
}

/** Lowest bits of the protection key in the high half of a 64-bit entry. */
const PKEY_SHIFT_HI = 27;

/**
 * FNAME(walk_addr_generic) v4.20 paging_tmpl.h ~279
 * All levels are collected first; rights are judged once, at the end. False: `vcpu.fault` says why.
 */
function walk_addr_generic(
  walker: guest_walker,
  vcpu: kvm_vcpu,
  type: pttype,
  mmu: kvm_mmu,
  addr: number,
  access: number,
): boolean {
  const { gpte } = vcpu;
  const { counters } = vcpu.kvm.vm;
  const write_fault = (access & PFERR_WRITE_MASK) !== 0;
  const have_ad = have_accessed_dirty(type, mmu, 'walk_addr_generic');
  const nx_hi = type.has_nx ? 0x80000000 | 0 : 0;
  counters.guest_walks++;
  note_member(mmu, 'walk_addr_generic', 'guest_rsvd_check');
  walker.level = root_level(mmu, 'walk_addr_generic');
  let table = Math.floor(get_cr3(vcpu, mmu) / 4096) % (type.pte_size === 8 ? 2 ** 40 : 2 ** 20);
  if (type.name === '64' && walker.level === PT32E_ROOT_LEVEL) {
    const pdpte = get_pdptr(vcpu, mmu, Math.floor(addr / 2 ** 30) % 4);
    counters.guest_walk_elements++;
    if (!is_present_gpte(type, pdpte.lo)) return walk_fault(vcpu, type, mmu, { addr, access, errcode: 0, rights: -1 });
    table = gpte_to_gfn_lvl(type, pdpte.lo, pdpte.hi, PT_PAGE_TABLE_LEVEL);
    walker.level--;
  }
  walker.max_level = walker.level;
  // A walk of the tables that L1 translates through is a user access, and a write where accessed bits may be set.
  const nested_access = (have_ad ? PFERR_WRITE_MASK : 0) | PFERR_USER_MASK;
  let pt_lo = -1;
  let pt_hi = -1;
  let acc_lo = -1;
  let acc_hi = -1;
  walker.level++;
  do {
    pt_lo = acc_lo;
    pt_hi = acc_hi;
    walker.level--;
    const i = walker.level - 1;
    const offset = PT_INDEX(type, addr, walker.level) * type.pte_size;
    walker.table_gfn[i] = table;
    walker.pte_gpa[i] = table * 4096 + offset;
    const real_gpa = translate_gpa(vcpu, mmu, table * 4096, nested_access);
    if (real_gpa === UNMAPPED_GVA) return false;
    walker.ptep_user[i] = real_gpa - (real_gpa & 4095) + offset;
    if (!read_gpte(vcpu, type, walker.ptep_user[i]!, gpte)) {
      return walk_fault(vcpu, type, mmu, { addr, access, errcode: 0, rights: acc_lo });
    }
    counters.guest_walk_elements++;
    acc_lo = pt_lo & gpte.lo;
    acc_hi = pt_hi & (gpte.hi ^ nx_hi);
    if (!is_present_gpte(type, gpte.lo)) {
      return walk_fault(vcpu, type, mmu, { addr, access, errcode: 0, rights: acc_lo });
    }
    if (__is_rsvd_bits_set(mmu.guest_rsvd_check, gpte.lo, gpte.hi, walker.level)) {
      const errcode = PFERR_RSVD_MASK | PFERR_PRESENT_MASK;
      return walk_fault(vcpu, type, mmu, { addr, access, errcode, rights: acc_lo });
    }
    walker.ptes_lo[i] = gpte.lo;
    walker.ptes_hi[i] = gpte.hi;
    table = gpte_to_gfn_lvl(type, gpte.lo, gpte.hi, PT_PAGE_TABLE_LEVEL);
  } while (!is_last_gpte(mmu, walker.level, gpte.lo));

  const { lo, hi } = gpte;
  const pkey = type.name === '64' ? (hi >>> PKEY_SHIFT_HI) & 15 : 0;
  walker.pt_access = gpte_access(type, pt_lo, pt_hi ^ nx_hi);
  walker.pte_access = gpte_access(type, acc_lo, acc_hi ^ nx_hi);
  const errcode = permission_fault(vcpu, mmu, walker.pte_access, pkey, access);
  if (errcode !== 0) return walk_fault(vcpu, type, mmu, { addr, access, errcode, rights: acc_lo });

  let gfn = gpte_to_gfn_lvl(type, lo, hi, walker.level) + offset_in_level(type, addr, walker.level);
  if (type.name === '32' && walker.level === PT_DIRECTORY_LEVEL) gfn += pse36_gfn_delta(lo);
  const real_gpa = translate_gpa(vcpu, mmu, gfn * 4096, access);
  if (real_gpa === UNMAPPED_GVA) return false;
  walker.gfn = Math.floor(real_gpa / 4096);

  let accessed_dirty = have_ad && (acc_lo & type.guest_accessed_mask) !== 0;
  if (write_fault) accessed_dirty &&= (lo & type.guest_dirty_mask) !== 0;
  else walker.pte_access = protect_clean_gpte(type, mmu, walker.pte_access, lo);
  if (!accessed_dirty) update_accessed_dirty_bits(vcpu, type, have_ad, walker, write_fault);
  return true;
}

/** FNAME(walk_addr): the result is valid until the next walk. Null: `vcpu.fault` says why. */
export function walk_addr(vcpu: kvm_vcpu, type: pttype, addr: number, access: number): guest_walker | null {
  return walk_addr_generic(vcpu.walker, vcpu, type, vcpu.mmu, addr, access) ? vcpu.walker : null;
}

/** FNAME(gva_to_gpa): guest-physical address, or UNMAPPED_GVA with `vcpu.fault`. */
export function gva_to_gpa(vcpu: kvm_vcpu, type: pttype, addr: number, access: number): number {
  const walker = walk_addr(vcpu, type, addr, access);
  return walker === null ? UNMAPPED_GVA : walker.gfn * 4096 + (addr & 0xfff);
}

/** FNAME(gva_to_gpa_nested): L2's address to L1's, through L2's tables and then L1's nested ones. */
export function gva_to_gpa_nested(vcpu: kvm_vcpu, type: pttype, addr: number, access: number): number {
  const walker = vcpu.nested_walker;
  return walk_addr_generic(walker, vcpu, type, vcpu.nested_mmu, addr, access)
    ? walker.gfn * 4096 + (addr & 0xfff)
    : UNMAPPED_GVA;
}

/** x86.h is_write_protection */
export const is_write_protection = (vcpu: kvm_vcpu): boolean => (vcpu.registers.cr0 & CR0.WP) !== 0;
