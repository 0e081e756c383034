// SPDX-License-Identifier: GPL-2.0-only
/**
 * v5.10.262 arch/x86/kvm/mmu/mmu.c: the guest's tables change under KVM's eyes - emulated writes, INVLPG, INVPCID.
 */
import { powerOf2 } from '../../src/sim/address-parts.ts';
import { probe } from '../../src/sim/log.ts';
import { CR3_PCID, CR4 } from '../../src/sim/registers.ts';
import { NO_PAGE } from '../../src/sim/shadow-pages.ts';
import { is_pae } from './calc.ts';
import { tlb_flush_gva } from './kvm_x86_ops.ts';
import { invlpg } from './mmu_handlers.ts';
import { is_indirect_valid_sp, kvm_mmu_flush_or_zap, kvm_mmu_prepare_zap_page, mmu_page_zap_pte } from './mmu_pages.ts';
import { page_role } from './role.ts';
import {
  is_shadow_present_pte,
  PT_PAGE_TABLE_LEVEL,
  PT_PRESENT_MASK,
  PT_WRITABLE_MASK,
  PT32_ROOT_LEVEL,
  spte_hi,
  spte_lo,
  spte_to_pfn,
  sptep_of,
} from './spte.ts';
import { INVALID_PAGE, type kvm, type kvm_mmu, type kvm_vcpu } from './types.ts';

/** PT64_PERM_MASK: present, writable, and the bits that say user, executable, not executable in this format. */
const perm_lo = ({ shadow_user_mask, shadow_x_mask }: kvm['masks']): number =>
  PT_PRESENT_MASK | PT_WRITABLE_MASK | shadow_user_mask | shadow_x_mask;

/** v5.10.262 mmu.c need_remote_flush: a mapping, its frame or one of its rights is gone. */
function need_remote_flush(kvm: kvm, old: { lo: number; hi: number }, lo: number, hi: number): boolean {
  if (!is_shadow_present_pte(old.lo, old.hi)) return false;
  if (!is_shadow_present_pte(lo, hi)) return true;
  if (spte_to_pfn(old.lo, old.hi) !== spte_to_pfn(lo, hi)) return true;
  const { shadow_nx_mask_hi } = kvm.masks;
  return (
    (old.lo & ~lo & perm_lo(kvm.masks)) !== 0 || ((old.hi ^ shadow_nx_mask_hi) & ~(hi ^ shadow_nx_mask_hi)) >>> 31 !== 0
  );
}

/**
 * v5.10.262 mmu.c mmu_pte_write_fetch_gpte: the entry as it is after the write. A PAE guest that writes half of
 * one counts as having written all of it. Memory holds the new value already.
 */
function mmu_pte_write_fetch_gpte(vcpu: kvm_vcpu, gpa: number, bytes: number) {
  const { memory } = vcpu.kvm.vm;
  if (is_pae(vcpu) && bytes === 4) {
    const base = gpa - (gpa & 7);
    return { gpa: base, bytes: 8, lo: memory.read32(base) | 0, hi: memory.read32(base + 4) | 0 };
  }
  if (bytes === 4) return { gpa, bytes, lo: read_unaligned(vcpu, gpa), hi: 0 };
  if (bytes === 8) return { gpa, bytes, lo: read_unaligned(vcpu, gpa), hi: read_unaligned(vcpu, gpa + 4) };
  return { gpa, bytes, lo: 0, hi: 0 };
}

/** The four bytes just written at any address. */
function read_unaligned(vcpu: kvm_vcpu, gpa: number): number {
  const { memory } = vcpu.kvm.vm;
  const shift = (gpa % 4) * 8;
  const base = gpa - (gpa % 4);
  if (shift === 0) return memory.read32(base) | 0;
  return (memory.read32(base) >>> shift) | (memory.read32(base + 4) << (32 - shift));
}

/** v5.10.262 mmu.c:4914 detect_write_flooding: a page that sees many writes may be a table no more. */
function detect_write_flooding(kvm: kvm, sp: number): boolean {
  const { pages } = kvm.vm;
  // Last-level pages go unsync instead.
  if (page_role.level(kvm.page(sp), 'detect_write_flooding') === PT_PAGE_TABLE_LEVEL) return false;
  pages.writeFlooding[sp]!++;
  return pages.writeFlooding[sp]! >= 3;
}

/** v5.10.262 mmu.c:4931 detect_write_misaligned. Single bytes at the start of an entry are status bits, and fine. */
export function detect_write_misaligned(kvm: kvm, sp: number, gpa: number, bytes: number): boolean {
  const offset = gpa & 0xfff;
  const pte_size = page_role.gpte_is_8_bytes(kvm.page(sp), 'detect_write_misaligned') !== 0 ? 8 : 4;
  if ((offset & (pte_size - 1)) === 0 && bytes === 1) return false;
  return ((offset ^ (offset + bytes - 1)) & ~(pte_size - 1)) !== 0 || bytes < 4;
}

/**
 * v5.10.262 mmu.c:4955 get_written_sptes: the entries behind the written one, `index` -1 when they are in another
 * quadrant. A 4-byte PDE maps 4 MiB, which takes two entries of 2 MiB.
 */
export function get_written_sptes(
  kvm: kvm,
  sp: number,
  gpa: number,
): { readonly index: number; readonly nspte: number } {
  const page = kvm.page(sp);
  let page_offset = gpa & 0xfff;
  let nspte = 1;
  if (page_role.gpte_is_8_bytes(page, 'get_written_sptes') === 0) {
    page_offset *= 2;
    if (page_role.level(page, 'get_written_sptes') === PT32_ROOT_LEVEL) {
      page_offset = (page_offset & ~7) * 2;
      nspte = 2;
    }
    const quadrant = page_offset >> 12;
    page_offset &= 4095;
    if (quadrant !== page_role.quadrant(page, 'get_written_sptes')) return { index: -1, nspte };
  }
  return { index: page_offset >> 3, nspte };
}

/** v5.10.262 mmu.c:4986 kvm_mmu_pte_write: called by write tracking after KVM wrote `bytes` at `gpa` for the guest. */
export const kvm_mmu_pte_write = probe(
  'kvm_mmu_pte_write',
  (vcpu: kvm_vcpu, gpa: number, bytes: number): void => {
    const { kvm } = vcpu;
    const { counters } = kvm.vm;
    counters.pte_write++;
    if (kvm.indirect_shadow_pages === 0) return;
    const invalid_list: number[] = [];
    let remote_flush = false;
    let local_flush = false;
    const written = mmu_pte_write_fetch_gpte(vcpu, gpa, bytes);
    vcpu.log.because('kvm_mmu_pte_write', '');
    for (let sp = kvm.vm.pages.firstOf(Math.floor(gpa / 4096)); sp !== NO_PAGE; sp = kvm.vm.pages.nextOf(sp)) {
      if (!is_indirect_valid_sp(kvm, sp, 'kvm_mmu_pte_write')) continue;
      if (detect_write_misaligned(kvm, sp, written.gpa, written.bytes) || detect_write_flooding(kvm, sp)) {
        kvm_mmu_prepare_zap_page(kvm, sp, invalid_list);
        counters.mmu_flooded++;
        continue;
      }
      const { index, nspte } = get_written_sptes(kvm, sp, written.gpa);
      if (index < 0) continue;
      local_flush = true;
      for (let i = 0; i < nspte; i++) {
        const sptep = sptep_of(sp, index + i);
        const entry = { lo: spte_lo(kvm, sptep), hi: spte_hi(kvm, sptep) };
        mmu_page_zap_pte(kvm, sp, sptep, null);
        // The new entry is shadowed when it is used; only the count of lost tables looks at it.
        const leaf = page_role.level(kvm.page(sp), 'kvm_mmu_pte_write') === PT_PAGE_TABLE_LEVEL;
        if ((written.lo | written.hi) !== 0 && !leaf) counters.mmu_pde_zapped++;
        if (need_remote_flush(kvm, entry, spte_lo(kvm, sptep), spte_hi(kvm, sptep))) remote_flush = true;
      }
    }
    kvm_mmu_flush_or_zap(vcpu, invalid_list, remote_flush, local_flush);
  },
  { skipped: undefined },
);

/** v5.10.262 x86.h is_noncanonical_address, for an address given as the double of its 64-bit value. */
export function is_noncanonical_address(gva: number, vcpu: kvm_vcpu): boolean {
  const bits = (vcpu.registers.cr4 & CR4.LA57) !== 0 ? 57 : 48;
  return gva >= powerOf2(bits - 1) && gva < 2 ** 64 - powerOf2(bits - 1);
}

/**
 * v5.10.262 mmu.c:5126 kvm_mmu_invalidate_gva
 * Forgets one address: in hardware, and in unsync tables below the given
 * root, or below the current and every previous root when that is INVALID_PAGE (global entries go whatever the PCID).
 */
export function kvm_mmu_invalidate_gva(vcpu: kvm_vcpu, mmu: kvm_mmu, gva: number, root_hpa: number): void {
  // An address of guest_mmu is no linear address.
  if (mmu !== vcpu.guest_mmu) {
    if (is_noncanonical_address(gva, vcpu)) return;
    tlb_flush_gva(vcpu, gva);
  }
  if (mmu.invlpg === 'none') return;
  if (root_hpa !== INVALID_PAGE) {
    invlpg(vcpu, mmu, gva, root_hpa);
    return;
  }
  invlpg(vcpu, mmu, gva, mmu.root_hpa);
  for (const { hpa } of mmu.prev_roots) if (hpa !== INVALID_PAGE) invlpg(vcpu, mmu, gva, hpa);
}

/** v5.10.262 mmu.c kvm_mmu_invlpg */
export const kvm_mmu_invlpg = probe(
  'kvm_mmu_invlpg',
  (vcpu: kvm_vcpu, gva: number): void => {
    vcpu.kvm.vm.counters.invlpg++;
    kvm_mmu_invalidate_gva(vcpu, vcpu.walk_mmu, gva, INVALID_PAGE);
  },
  { skipped: undefined },
);

/** v5.10.262 mmu.h kvm_get_pcid: 0 while CR4.PCIDE is off. */
export const kvm_get_pcid = (vcpu: kvm_vcpu, cr3: number): number =>
  (vcpu.registers.cr4 & CR4.PCIDE) !== 0 ? cr3 & CR3_PCID : 0;
/** v5.10.262 mmu.h kvm_get_active_pcid */
export const kvm_get_active_pcid = (vcpu: kvm_vcpu): number => kvm_get_pcid(vcpu, vcpu.registers.cr3);

/** v5.10.262 mmu.c:5174 kvm_mmu_invpcid_gva */
export const kvm_mmu_invpcid_gva = probe(
  'kvm_mmu_invpcid_gva',
  (vcpu: kvm_vcpu, gva: number, pcid: number): void => {
    const { mmu } = vcpu;
    let flush = false;
    if (pcid === kvm_get_active_pcid(vcpu)) {
      invlpg(vcpu, mmu, gva, mmu.root_hpa);
      flush = true;
    }
    for (const { pgd, hpa } of mmu.prev_roots) {
      if (hpa === INVALID_PAGE || pcid !== kvm_get_pcid(vcpu, pgd)) continue;
      invlpg(vcpu, mmu, gva, hpa);
      flush = true;
    }
    if (flush) tlb_flush_gva(vcpu, gva);
  },
  { skipped: undefined, detail: (_gva, pcid) => String(pcid) },
);
