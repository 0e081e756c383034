// SPDX-License-Identifier: GPL-2.0-only
/**
 * v2.6.29 arch/x86/kvm/paging_tmpl.h: everything that reads the guest's tables, once for 8-byte and once for 4-byte
 * entries. The C file is compiled twice; here a function gets the entry size as `PTTYPE`.
 *
 * Left out: restarts after a lost race for an accessed or dirty bit (nobody else writes guest memory meanwhile), and
 * retries against the host's memory management.
 */
import { tableIndex } from '../../src/sim/address-parts.ts';
import { PFEC } from '../../src/sim/paging-bits.ts';
import { is_long_mode, is_nx, is_pse, is_write_protection } from './calc.ts';
import { kvm_mmu_pte_write } from './mmu_write.ts';
import { invlpg, page_fault, prefetch_page, sync_page, update_pte } from './paging_tmpl_fetch.ts';
import { root_level } from './role.ts';
import { is_dirty_pte } from './spte.ts';
import {
  ACC_ALL,
  ACC_EXEC_MASK,
  PT_ACCESSED_MASK,
  PT_DIRECTORY_LEVEL,
  PT_DIRTY_MASK,
  PT_PAGE_SIZE_MASK,
  PT_PAGE_TABLE_LEVEL,
  PT_PRESENT_MASK,
  PT_USER_MASK,
  PT_WRITABLE_MASK,
} from './spte_format.ts';
import { type kvm, type kvm_vcpu, UNMAPPED_GVA } from './types.ts';

/** Size of a guest entry in bits. */
export type PTTYPE = 32 | 64;

export const pte_bytes = (type: PTTYPE): number => type / 8;

/** PT32_INDEX, PT64_INDEX */
const PT_INDEX = (type: PTTYPE, addr: number, level: number): number =>
  type === 64 ? tableIndex(addr, level) : (addr >>> (12 + 10 * (level - 1))) & 1023;

/** v2.6.29 paging_tmpl.h gpte_to_gfn:89. The high half of a 4-byte entry is 0. */
export const gpte_to_gfn = (lo: number, hi: number): number => (lo >>> 12) + (hi & 0xfffff) * 2 ** 20;

/** v2.6.29 paging_tmpl.h gpte_to_gfn_pde:94, and mmu.c pse36_gfn_delta: bits 16:13 of a 4 MiB entry are address bits 35:32 */
const gpte_to_gfn_pde = (type: PTTYPE, lo: number, hi: number): number =>
  type === 64 ? (lo >>> 21) * 2 ** 9 + (hi & 0xfffff) * 2 ** 20 : (lo >>> 22) * 2 ** 10 + ((lo >>> 13) & 0xf) * 2 ** 20;

/** v2.6.29 paging_tmpl.h gpte_access:120 */
export function gpte_access(type: PTTYPE, vcpu: kvm_vcpu, lo: number, hi: number): number {
  const access = (lo & (PT_WRITABLE_MASK | PT_USER_MASK)) | ACC_EXEC_MASK;
  return type === 64 && is_nx(vcpu) && hi < 0 ? access & ~ACC_EXEC_MASK : access;
}

/** kvm_read_guest_atomic of one entry: false outside the slots. */
export const readable = (kvm: kvm, gpa: number): boolean => kvm.gfn_to_memslot(Math.floor(gpa / 4096));

/**
 * v2.6.29 paging_tmpl.h walk_addr:132
 * Walks the guest's tables as hardware would, marks entries on the way, and leaves what it found in `vcpu.walker`.
 * False: a page fault with `walker.error_code`. No reserved bit is looked at in this era. A table outside the guest's
 * memory is not noticed either: the read fails and the entry of the level above is taken for the one below.
 */
export function walk_addr(
  type: PTTYPE,
  vcpu: kvm_vcpu,
  addr: number,
  access: { readonly write: boolean; readonly user: boolean; readonly fetch: boolean },
): boolean {
  const { kvm, walker, registers } = vcpu;
  const { memory, counters } = kvm.vm;
  const { write: write_fault, user: user_fault, fetch: fetch_fault } = access;
  const fault = (present: number): boolean => {
    walker.error_code = present | (write_fault ? PFEC.W : 0) | (user_fault ? PFEC.U : 0) | (fetch_fault ? PFEC.ID : 0);
    counters.guest_walk_errors++;
    return false;
  };
  counters.guest_walks++;
  let level = root_level(vcpu.mmu, 'walk_addr');
  let lo = registers.cr3 | 0;
  let hi = type === 64 ? Math.floor(registers.cr3 / 2 ** 32) | 0 : 0;
  if (type === 64 && !is_long_mode(vcpu)) {
    const i = Math.floor(addr / 2 ** 30) % 4;
    lo = registers.pdptes[2 * i]!;
    hi = registers.pdptes[2 * i + 1]!;
    if ((lo & PT_PRESENT_MASK) === 0) return fault(0);
    level--;
  }
  let pt_access = ACC_ALL;
  let pte_access = ACC_ALL;
  let pte_gpa = 0;
  for (; ; level--) {
    const table_gfn = gpte_to_gfn(lo, hi);
    pte_gpa = table_gfn * 4096 + PT_INDEX(type, addr, level) * pte_bytes(type);
    walker.table_gfn[level - 1] = table_gfn;
    walker.pte_gpa[level - 1] = pte_gpa;
    if (readable(kvm, pte_gpa)) {
      const at = memory.wordAt(pte_gpa);
      lo = memory.words[at]!;
      hi = type === 64 ? memory.words[at + 1]! : 0;
    }
    counters.guest_walk_elements++;
    if ((lo & PT_PRESENT_MASK) === 0) return fault(0);
    if (write_fault && (lo & PT_WRITABLE_MASK) === 0 && (user_fault || is_write_protection(vcpu))) return fault(PFEC.P);
    if (user_fault && (lo & PT_USER_MASK) === 0) return fault(PFEC.P);
    if (fetch_fault && type === 64 && is_nx(vcpu) && hi < 0) return fault(PFEC.P);
    if ((lo & PT_ACCESSED_MASK) === 0) {
      lo |= PT_ACCESSED_MASK;
      memory.write32(pte_gpa, lo);
    }
    pte_access = pt_access & gpte_access(type, vcpu, lo, hi);
    walker.ptes_lo[level - 1] = lo;
    walker.ptes_hi[level - 1] = hi;
    if (level === PT_PAGE_TABLE_LEVEL) {
      walker.gfn = gpte_to_gfn(lo, hi);
      break;
    }
    if (level === PT_DIRECTORY_LEVEL && (lo & PT_PAGE_SIZE_MASK) !== 0 && (type === 64 || is_pse(vcpu))) {
      walker.gfn = gpte_to_gfn_pde(type, lo, hi) + PT_INDEX(type, addr, PT_PAGE_TABLE_LEVEL);
      break;
    }
    pt_access = pte_access;
  }
  if (write_fault && !is_dirty_pte(kvm, lo)) {
    lo |= PT_DIRTY_MASK;
    memory.write32(pte_gpa, lo);
    kvm_mmu_pte_write(vcpu, pte_gpa, pte_bytes(type), false);
    walker.ptes_lo[level - 1] = lo;
  }
  walker.level = level;
  walker.pt_access = pt_access;
  walker.pte_access = pte_access;
  return true;
}

/** v2.6.29 paging_tmpl.h gva_to_gpa:519: a walk for a supervisor's read, so the emulator's accesses are not checked here */
function gva_to_gpa(type: PTTYPE, vcpu: kvm_vcpu, vaddr: number): number {
  if (!walk_addr(type, vcpu, vaddr, { write: false, user: false, fetch: false })) return UNMAPPED_GVA;
  return vcpu.walker.gfn * 4096 + (vaddr & 0xfff);
}

/** One instance of the template. */
const instance = (type: PTTYPE) => ({
  walk_addr: (vcpu: kvm_vcpu, addr: number, access: { write: boolean; user: boolean; fetch: boolean }): boolean =>
    walk_addr(type, vcpu, addr, access),
  update_pte: (vcpu: kvm_vcpu, sptep: number, lo: number, hi: number): void => update_pte(type, vcpu, sptep, lo, hi),
  page_fault: (vcpu: kvm_vcpu, addr: number, code: number): number => page_fault(type, vcpu, addr, code),
  invlpg: (vcpu: kvm_vcpu, gva: number): void => invlpg(type, vcpu, gva),
  gva_to_gpa: (vcpu: kvm_vcpu, vaddr: number): number => gva_to_gpa(type, vcpu, vaddr),
  prefetch_page: (vcpu: kvm_vcpu, sp: number): void => prefetch_page(type, vcpu, sp),
  sync_page: (vcpu: kvm_vcpu, sp: number): boolean => sync_page(type, vcpu, sp),
});

export const paging64 = instance(64);
export const paging32 = instance(32);
