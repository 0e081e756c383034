// SPDX-License-Identifier: GPL-2.0-only
/**
 * v2.6.29 arch/x86/kvm/mmu.c: what a write to a shadowed guest table does to its shadow pages. The write is in
 * memory already, so the new entry is read from there in place of being handed down.
 *
 * Left out: kvm_mmu_audit (debugging).
 */
import { is_pae } from './calc.ts';
import { kvm_mmu_free_some_pages, kvm_mmu_put_page, kvm_mmu_zap_page } from './mmu_pages.ts';
import { is_largepage_backed, KVM_PAGES_PER_HPAGE, rmap_remove } from './mmu_rmap.ts';
import { paging32, paging64 } from './paging_tmpl.ts';
import { page_role } from './role.ts';
import {
  child_of,
  is_large_pte,
  is_present_spte,
  need_remote_flush,
  pfn_of,
  set_shadow_pte,
  set_trap_nonpresent,
  sp_of,
  spte_hi,
  spte_lo,
  sptep_of,
} from './spte.ts';
import { PT_ACCESSED_MASK, PT_PAGE_TABLE_LEVEL, PT_PRESENT_MASK, PT32_ROOT_LEVEL } from './spte_format.ts';
import { type kvm_vcpu, NO_SPTE } from './types.ts';
import { kvm_flush_remote_tlbs, kvm_mmu_flush_tlb } from './x86.ts';

/** Writes in a row to one page that zap its shadow: `last_pt_write_count >= 3`. */
const FLOODED = 3;

/** v2.6.29 mmu.c mmu_pte_write_zap_pte */
function mmu_pte_write_zap_pte(vcpu: kvm_vcpu, sptep: number): void {
  const { kvm } = vcpu;
  const lo = spte_lo(kvm, sptep);
  const leaf_table = page_role.level(kvm.sp(sp_of(sptep)), 'mmu_pte_write_zap_pte') === PT_PAGE_TABLE_LEVEL;
  if (is_present_spte(kvm, sptep)) {
    if (leaf_table || is_large_pte(lo)) rmap_remove(kvm, sptep);
    else kvm_mmu_put_page(kvm, child_of(kvm, sptep), sptep);
  }
  set_trap_nonpresent(kvm, sptep);
  if (is_large_pte(lo)) kvm.stat.lpages--;
}

/** v2.6.29 mmu.c mmu_pte_write_new_pte */
function mmu_pte_write_new_pte(
  vcpu: kvm_vcpu,
  sptep: number,
  gpte: { readonly lo: number; readonly hi: number },
): void {
  const { kvm } = vcpu;
  const { counters } = kvm.vm;
  const sp = kvm.sp(sp_of(sptep));
  const by = 'mmu_pte_write_new_pte';
  const narrow = page_role.glevels(sp, by) === PT32_ROOT_LEVEL;
  if (page_role.level(sp, by) !== PT_PAGE_TABLE_LEVEL && (!vcpu.update_pte.largepage || narrow)) {
    counters.mmu_pde_zapped++;
    return;
  }
  counters.mmu_pte_updated++;
  (narrow ? paging32 : paging64).update_pte(vcpu, sptep, gpte.lo, gpte.hi);
}

/** v2.6.29 mmu.c last_updated_pte_accessed. Never under EPT, whose accessed mask is 0. */
function last_updated_pte_accessed({ kvm, last_pte_updated }: kvm_vcpu): boolean {
  return last_pte_updated !== NO_SPTE && (spte_lo(kvm, last_pte_updated) & kvm.spte.accessed_mask) !== 0;
}

/**
 * v2.6.29 mmu.c mmu_guess_page_from_pte_write
 * Looks the frame up before the write is applied, as if every page had entries of the vCPU's own size.
 */
function mmu_guess_page_from_pte_write(vcpu: kvm_vcpu, gpa: number, bytes: number): void {
  const { kvm, update_pte } = vcpu;
  const { memory } = kvm.vm;
  update_pte.largepage = false;
  if (bytes !== 4 && bytes !== 8) return;
  let lo = 0;
  let hi = 0;
  if (is_pae(vcpu)) {
    if (gpa % bytes !== 0) return;
    const entry = gpa - (gpa & 7);
    lo = memory.read32(entry) | 0;
    hi = memory.read32(entry + 4) | 0;
  } else if (bytes === 4 && gpa % 4 === 0) lo = memory.read32(gpa) | 0;
  if ((lo & PT_PRESENT_MASK) === 0) return;
  let gfn = pfn_of(lo, hi);
  if (is_large_pte(lo) && is_largepage_backed(kvm, gfn)) {
    gfn -= gfn % KVM_PAGES_PER_HPAGE;
    update_pte.largepage = true;
  }
  if (!kvm.gfn_to_memslot(gfn)) return;
  update_pte.gfn = gfn;
  update_pte.valid = true;
}

/** v2.6.29 mmu.c kvm_mmu_access_page: a write through the shadow PTE set last shows that it is in use */
function kvm_mmu_access_page({ kvm, last_pte_updated, last_pte_gfn }: kvm_vcpu, gfn: number): void {
  const sptep = last_pte_updated;
  if (sptep === NO_SPTE || last_pte_gfn !== gfn || kvm.spte.accessed_mask === 0) return;
  const lo = spte_lo(kvm, sptep);
  if ((lo & kvm.spte.accessed_mask) === 0 && is_present_spte(kvm, sptep))
    set_shadow_pte(kvm, sptep, lo | PT_ACCESSED_MASK, spte_hi(kvm, sptep));
}

/** The flood detector of kvm_mmu_pte_write:2484: of the vCPU, not of the page. True: zap instead of following the write. */
function flooded(vcpu: kvm_vcpu, gfn: number): boolean {
  if (gfn === vcpu.last_pt_write_gfn && !last_updated_pte_accessed(vcpu)) {
    vcpu.last_pt_write_count++;
    return vcpu.last_pt_write_count >= FLOODED;
  }
  vcpu.last_pt_write_gfn = gfn;
  vcpu.last_pt_write_count = 1;
  vcpu.last_pte_updated = NO_SPTE;
  return false;
}

/**
 * v2.6.29 mmu.c kvm_mmu_pte_write
 * `guest_initiated` counts for the flood detector. Every shadow page of the frame is told, whatever mode it was made in.
 */
export function kvm_mmu_pte_write(vcpu: kvm_vcpu, gpa: number, bytes: number, guest_initiated: boolean): void {
  const { kvm } = vcpu;
  const { pages, counters, log } = kvm.vm;
  const gfn = Math.floor(gpa / 4096);
  const offset = gpa & 0xfff;
  const by = 'kvm_mmu_pte_write';
  mmu_guess_page_from_pte_write(vcpu, gpa, bytes);
  kvm_mmu_access_page(vcpu, gfn);
  kvm_mmu_free_some_pages(vcpu);
  counters.pte_write++;
  const flood = guest_initiated && flooded(vcpu, gfn);
  for (let sp = pages.firstOf(gfn), next = 0; sp !== 0; sp = next) {
    next = pages.nextOf(sp);
    const role = kvm.sp(sp);
    if (page_role.metaphysical(role, by) !== 0 || page_role.invalid(role, by) !== 0) continue;
    const pte_size = page_role.glevels(role, by) === PT32_ROOT_LEVEL ? 4 : 8;
    const misaligned = ((offset ^ (offset + bytes - 1)) & ~(pte_size - 1)) !== 0 || bytes < 4;
    if (misaligned || flood) {
      if (pages.rootCount[sp]! > 0) log.because(by, '');
      if (kvm_mmu_zap_page(kvm, sp)) next = pages.firstOf(gfn);
      counters.mmu_flooded++;
      continue;
    }
    update_page(vcpu, sp, gpa, pte_size);
  }
  vcpu.update_pte.valid = false;
}

/** The part of kvm_mmu_pte_write from :2525 on: finds the shadow PTEs in one page and sets them anew. */
function update_page(vcpu: kvm_vcpu, sp: number, gpa: number, pte_size: number): void {
  const { kvm } = vcpu;
  const { memory } = kvm.vm;
  const role = kvm.sp(sp);
  let page_offset = gpa & 0xfff;
  let npte = 1;
  if (pte_size === 4) {
    page_offset *= 2;
    if (page_role.level(role, 'kvm_mmu_pte_write') === PT32_ROOT_LEVEL) {
      // A 4 MiB entry of the guest is two of 2 MiB here.
      page_offset = (page_offset & ~7) * 2;
      npte = 2;
    }
    const quadrant = page_offset >>> 12;
    page_offset &= 0xfff;
    if (quadrant !== page_role.quadrant(role, 'kvm_mmu_pte_write')) return;
  }
  const entry = gpa - (gpa % pte_size);
  const gpte = { lo: memory.read32(entry) | 0, hi: pte_size === 8 ? memory.read32(entry + 4) | 0 : 0 };
  const first = sptep_of(sp, page_offset >>> 3);
  for (let sptep = first; sptep < first + npte; sptep++) {
    const old_lo = spte_lo(kvm, sptep);
    const old_hi = spte_hi(kvm, sptep);
    mmu_pte_write_zap_pte(vcpu, sptep);
    mmu_pte_write_new_pte(vcpu, sptep, gpte);
    if (need_remote_flush(kvm, old_lo, old_hi, sptep)) kvm_flush_remote_tlbs(kvm);
    else kvm_mmu_flush_tlb(vcpu);
  }
}
