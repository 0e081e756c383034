// SPDX-License-Identifier: GPL-2.0-only
/**
 * 36d9594dfbf2 arch/x86/kvm/mmu.c: the guest's tables change under KVM's eyes - emulated writes, INVLPG, INVPCID.
 *
 * Left out: the memory caches that could keep a written entry from being prefetched.
 */
import { powerOf2 } from '../../src/sim/address-parts.ts';
import { probe } from '../../src/sim/log.ts';
import { CR3_PCID, CR4 } from '../../src/sim/registers.ts';
import { NO_PAGE } from '../../src/sim/shadow-pages.ts';
import { is_pae } from './calc.ts';
import { tlb_flush_gva } from './kvm_x86_ops.ts';
import { invlpg, update_pte } from './mmu_handlers.ts';
import { is_indirect_valid_sp, kvm_mmu_flush_or_zap, kvm_mmu_prepare_zap_page, mmu_page_zap_pte } from './mmu_pages.ts';
import { mmu_base_role_mask, mmu_role, page_role } from './role.ts';
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
import { INVALID_PAGE, type kvm, type kvm_vcpu } from './types.ts';

/** PT64_PERM_MASK: present, writable, and the bits that say user, executable, not executable in this format. */
const perm_lo = ({ shadow_user_mask, shadow_x_mask }: kvm['masks']): number =>
  PT_PRESENT_MASK | PT_WRITABLE_MASK | shadow_user_mask | shadow_x_mask;

/** 36d9594dfbf2 mmu.c need_remote_flush: a mapping, its frame or one of its rights is gone. */
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
 * 36d9594dfbf2 mmu.c:5023 mmu_pte_write_fetch_gpte: the entry as it is after the write. A PAE guest that writes half of
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

/** 36d9594dfbf2 mmu.c:5063 detect_write_flooding: a page that sees many writes may be a table no more. */
function detect_write_flooding(kvm: kvm, sp: number): boolean {
  const { pages } = kvm.vm;
  // Last-level pages go unsync instead.
  if (page_role.level(kvm.page(sp), 'detect_write_flooding') === PT_PAGE_TABLE_LEVEL) return false;
  pages.writeFlooding[sp]!++;
  return pages.writeFlooding[sp]! >= 3;
}

/** 36d9594dfbf2 mmu.c:5080 detect_write_misaligned. Single bytes at the start of an entry are status bits, and fine. */
export function detect_write_misaligned(kvm: kvm, sp: number, gpa: number, bytes: number): boolean {
  const offset = gpa & 0xfff;
  const pte_size = page_role.cr4_pae(kvm.page(sp), 'detect_write_misaligned') !== 0 ? 8 : 4;
  if ((offset & (pte_size - 1)) === 0 && bytes === 1) return false;
  return ((offset ^ (offset + bytes - 1)) & ~(pte_size - 1)) !== 0 || bytes < 4;
}

/**
 * 36d9594dfbf2 mmu.c:5104 get_written_sptes: the entries behind the written one, `index` -1 when they are in another
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
  if (page_role.cr4_pae(page, 'get_written_sptes') === 0) {
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

/** Drops one SPTE behind a written entry, and fills it again where that is right away possible. True: remote flush. */
function rewrite_spte(vcpu: kvm_vcpu, sp: number, sptep: number, gentry: { lo: number; hi: number }): boolean {
  const { kvm } = vcpu;
  const { counters } = kvm.vm;
  const entry = { lo: spte_lo(kvm, sptep), hi: spte_hi(kvm, sptep) };
  mmu_page_zap_pte(kvm, sp, sptep);
  const page = kvm.page(sp);
  const differ = page_role.word(page, 'kvm_mmu_pte_write') ^ mmu_role.base.word(vcpu.mmu, 'kvm_mmu_pte_write');
  if ((gentry.lo | gentry.hi) !== 0 && (differ & mmu_base_role_mask) === 0) {
    // 36d9594dfbf2 mmu.c:4997 mmu_pte_write_new_pte
    if (page_role.level(page, 'mmu_pte_write_new_pte') !== PT_PAGE_TABLE_LEVEL) counters.mmu_pde_zapped++;
    else {
      counters.mmu_pte_updated++;
      update_pte(vcpu, sptep, gentry.lo, gentry.hi);
    }
  }
  return need_remote_flush(kvm, entry, spte_lo(kvm, sptep), spte_hi(kvm, sptep));
}

/**
 * 36d9594dfbf2 mmu.c:5135 kvm_mmu_pte_write: called by write tracking after KVM wrote `bytes` at `gpa` for the guest.
 */
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
    kvm.stat.mmu_pte_write++;
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
        if (rewrite_spte(vcpu, sp, sptep_of(sp, index + i), written)) remote_flush = true;
      }
    }
    kvm_mmu_flush_or_zap(vcpu, invalid_list, remote_flush, local_flush);
  },
  { skipped: undefined },
);

/** v4.20 x86.h is_noncanonical_address, for an address given as the double of its 64-bit value. */
export function is_noncanonical_address(gva: number, vcpu: kvm_vcpu): boolean {
  const bits = (vcpu.registers.cr4 & CR4.LA57) !== 0 ? 57 : 48;
  return gva >= powerOf2(bits - 1) && gva < 2 ** 64 - powerOf2(bits - 1);
}

/** 36d9594dfbf2 mmu.c:5323 kvm_mmu_invlpg: global entries go whatever the PCID, so all cached roots are looked at. */
export const kvm_mmu_invlpg = probe(
  'kvm_mmu_invlpg',
  (vcpu: kvm_vcpu, gva: number): void => {
    const { mmu } = vcpu;
    vcpu.kvm.vm.counters.invlpg++;
    if (is_noncanonical_address(gva, vcpu)) return;
    invlpg(vcpu, mmu, gva, mmu.root_hpa);
    for (const { hpa } of mmu.prev_roots) if (hpa !== INVALID_PAGE) invlpg(vcpu, mmu, gva, hpa);
    tlb_flush_gva(vcpu, gva);
  },
  { skipped: undefined },
);

/** v4.20 mmu.h:84 kvm_get_pcid: 0 while CR4.PCIDE is off. */
export const kvm_get_pcid = (vcpu: kvm_vcpu, cr3: number): number =>
  (vcpu.registers.cr4 & CR4.PCIDE) !== 0 ? cr3 & CR3_PCID : 0;
/** v4.20 mmu.h kvm_get_active_pcid */
export const kvm_get_active_pcid = (vcpu: kvm_vcpu): number => kvm_get_pcid(vcpu, vcpu.registers.cr3);

/** 36d9594dfbf2 mmu.c:5354 kvm_mmu_invpcid_gva */
export const kvm_mmu_invpcid_gva = probe(
  'kvm_mmu_invpcid_gva',
  (vcpu: kvm_vcpu, gva: number, pcid: number): void => {
    const { mmu } = vcpu;
    let flush = false;
    if (pcid === kvm_get_active_pcid(vcpu)) {
      invlpg(vcpu, mmu, gva, mmu.root_hpa);
      flush = true;
    }
    for (const { cr3, hpa } of mmu.prev_roots) {
      if (hpa === INVALID_PAGE || pcid !== kvm_get_pcid(vcpu, cr3)) continue;
      invlpg(vcpu, mmu, gva, hpa);
      flush = true;
    }
    if (flush) tlb_flush_gva(vcpu, gva);
  },
  { skipped: undefined, detail: (_gva, pcid) => String(pcid) },
);
