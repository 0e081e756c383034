// SPDX-License-Identifier: GPL-2.0-only
/**
 * v4.20 arch/x86/kvm/paging_tmpl.h (the text is the same at 36d9594dfbf2): the three kinds of guest table that the
 * template is compiled for, as a table of what differs, and the small functions that depend on nothing else.
 */
import { firstFrame, tableIndex } from '../../src/sim/address-parts.ts';
import { ept_ad } from './role.ts';
import { ACC_EXEC_MASK, ACC_USER_MASK, ACC_WRITE_MASK, PT_WRITABLE_MASK, PTE_PREFETCH_NUM } from './spte.ts';
import type { kvm_mmu, kvm_vcpu } from './types.ts';

/** What PTTYPE decides. */
export interface pttype {
  readonly name: '64' | '32' | 'ept';
  /** Bytes of a guest entry. */
  readonly pte_size: 4 | 8;
  /** Address bits that one level translates: 9 or 10. */
  readonly level_bits: number;
  readonly guest_accessed_mask: number;
  readonly guest_dirty_mask: number;
  /** Bits one of which makes an entry present. */
  readonly present_mask: number;
  /** Entries have an NX bit in bit 63. */
  readonly has_nx: boolean;
}

export const PTTYPE_64: pttype = {
  name: '64',
  pte_size: 8,
  level_bits: 9,
  guest_accessed_mask: 1 << 5,
  guest_dirty_mask: 1 << 6,
  present_mask: 1,
  has_nx: true,
};

export const PTTYPE_32: pttype = { ...PTTYPE_64, name: '32', pte_size: 4, level_bits: 10, has_nx: false };

export const PTTYPE_EPT: pttype = {
  ...PTTYPE_64,
  name: 'ept',
  guest_accessed_mask: 1 << 8,
  guest_dirty_mask: 1 << 9,
  present_mask: 7,
  has_nx: false,
};

/** struct guest_walker: a walk down the guest's tables. Arrays are indexed by level - 1. */
export class guest_walker {
  level = 0;
  max_level = 0;
  readonly table_gfn = new Float64Array(5);
  readonly ptes_lo = new Int32Array(5);
  readonly ptes_hi = new Int32Array(5);
  readonly prefetch_lo = new Int32Array(PTE_PREFETCH_NUM);
  readonly prefetch_hi = new Int32Array(PTE_PREFETCH_NUM);
  /** Address of each entry as the guest's tables have it, and in the memory of L1 (they differ in L2's tables). */
  readonly pte_gpa = new Float64Array(5);
  readonly ptep_user = new Float64Array(5);
  /** Product of the rights above the leaf, and with it. */
  pt_access = 0;
  pte_access = 0;
  gfn = 0;
}

/** PT_HAVE_ACCESSED_DIRTY: EPT has accessed and dirty bits only if L1 asked for them. */
export const have_accessed_dirty = (type: pttype, mmu: kvm_mmu, by: string): boolean =>
  type.name !== 'ept' || ept_ad(mmu, by) !== 0;

/** FNAME(is_present_gpte) */
export const is_present_gpte = (type: pttype, lo: number): boolean => (lo & type.present_mask) !== 0;

/** PT_INDEX */
export const PT_INDEX = (type: pttype, addr: number, level: number): number =>
  type.level_bits === 9 ? tableIndex(addr, level) : (addr >>> (12 + 10 * (level - 1))) & 1023;

/** gpte_to_gfn_lvl: frame an entry of a level points to, without the bits below a large page. */
export function gpte_to_gfn_lvl(type: pttype, lo: number, hi: number, level: number): number {
  if (type.pte_size === 4) return (lo >>> 12) & -(1 << (10 * (level - 1)));
  return firstFrame((lo >>> 12) + (hi & 0xfffff) * 2 ** 20, level);
}

/** Frames between the start of a page of the level and the address (PT_LVL_OFFSET_MASK). */
export const offset_in_level = (type: pttype, addr: number, level: number): number =>
  (addr >>> 12) & ((1 << (type.level_bits * (level - 1))) - 1);

/** mmu.c pse36_gfn_delta: bits 16:13 of a 4 MiB entry are bits 35:32 of the address. */
export const pse36_gfn_delta = (gpte: number): number => (gpte & (0xf << 13)) << 7;

/**
 * FNAME(gpte_access) v4.20: rights of an entry as ACC bits. EPT entries can be executable but not readable, so ACC_USER
 * stands for readable there, which it has no other use for.
 */
export function gpte_access(type: pttype, lo: number, hi: number): number {
  if (type.name === 'ept') {
    return (lo & 2 ? ACC_WRITE_MASK : 0) | (lo & 4 ? ACC_EXEC_MASK : 0) | (lo & 1 ? ACC_USER_MASK : 0);
  }
  // NX combines with P, which is set here, to the right to execute.
  return (lo & 7) ^ (hi >>> 31);
}

/** FNAME(protect_clean_gpte): the first write must come to KVM's notice, for the guest's dirty bit. */
export function protect_clean_gpte(type: pttype, mmu: kvm_mmu, access: number, lo: number): number {
  return !have_accessed_dirty(type, mmu, 'protect_clean_gpte') || (lo & type.guest_dirty_mask) !== 0
    ? access
    : access & ~PT_WRITABLE_MASK;
}

/** Reads one guest entry of L1's memory; `hi` is 0 for 4-byte entries. False where there is no RAM. */
export function read_gpte(vcpu: kvm_vcpu, type: pttype, gpa: number, into: { lo: number; hi: number }): boolean {
  const { vm } = vcpu.kvm;
  if (!vm.memslots.isVisible(Math.floor(gpa / 4096))) return false;
  const { memory } = vm;
  const at = memory.wordAt(gpa);
  into.lo = memory.words[at]!;
  into.hi = type.pte_size === 8 ? memory.words[at + 1]! : 0;
  return true;
}
