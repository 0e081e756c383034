// SPDX-License-Identifier: GPL-2.0-only
/**
 * v2.6.29 arch/x86/kvm/paging_tmpl.h, the part that sets shadow PTEs from guest entries; paging_tmpl.ts has the walk and
 * says what is left out.
 */
import { PFEC } from '../../src/sim/paging-bits.ts';
import { FAULT_DONE, FAULT_EMULATE } from './mmu_fault.ts';
import { kvm_mmu_free_some_pages, kvm_mmu_get_page, kvm_mmu_put_page, nonpaging_prefetch_page } from './mmu_pages.ts';
import { is_largepage_backed, KVM_PAGES_PER_HPAGE, rmap_remove } from './mmu_rmap.ts';
import { kvm_mmu_pte_write } from './mmu_write.ts';
import { gpte_access, gpte_to_gfn, type PTTYPE, pte_bytes, readable, walk_addr } from './paging_tmpl.ts';
import { page_role } from './role.ts';
import { type kvm_shadow_walk, walk_shadow } from './shadow_walk.ts';
import {
  gpte_is_dirty,
  index_of,
  is_dirty_pte,
  is_large_pte,
  is_present_spte,
  mmu_set_spte,
  set_notrap_nonpresent,
  set_spte,
  set_table_pte,
  set_trap_nonpresent,
  sp_of,
  spte_lo,
  spte_to_pfn,
  sptep_of,
} from './spte.ts';
import {
  ACC_WRITE_MASK,
  PT_ACCESSED_MASK,
  PT_DIRECTORY_LEVEL,
  PT_GLOBAL_MASK,
  PT_PAGE_TABLE_LEVEL,
  PT_PRESENT_MASK,
  PT_USER_MASK,
  PT_WRITABLE_MASK,
} from './spte_format.ts';
import type { guest_walker, kvm_vcpu } from './types.ts';
import { kvm_flush_remote_tlbs, kvm_inject_page_fault } from './x86.ts';

/** v2.6.29 paging_tmpl.h update_pte:253. `lo`, `hi`: the guest entry; the frame was guessed before, by pte_write. */
export function update_pte(type: PTTYPE, vcpu: kvm_vcpu, sptep: number, lo: number, hi: number): void {
  const { kvm, update_pte: guess } = vcpu;
  if ((~lo & (PT_PRESENT_MASK | PT_ACCESSED_MASK)) !== 0) {
    if ((lo & PT_PRESENT_MASK) === 0) set_notrap_nonpresent(kvm, sptep);
    return;
  }
  const gfn = gpte_to_gfn(lo, hi);
  if (gfn !== guess.gfn || !guess.valid) return;
  const role_access = page_role.access(kvm.sp(sp_of(sptep)), 'update_pte');
  mmu_set_spte(vcpu, sptep, {
    gfn,
    pte_access: role_access & gpte_access(type, vcpu, lo, hi),
    user_fault: false,
    write_fault: false,
    dirty: gpte_is_dirty(lo),
    largepage: guess.largepage,
    global: (lo & PT_GLOBAL_MASK) !== 0,
    speculative: true,
  });
}

/**
 * v2.6.29 paging_tmpl.h fetch:347 with shadow_walk_entry:286
 * Every page made in one fetch gets the same access: the product of all guest levels above the leaf, also where a page
 * stands for a level whose own product is wider.
 */
class shadow_walker implements kvm_shadow_walk {
  ptwrite = false;
  readonly #type: PTTYPE;
  readonly #gw: guest_walker;
  readonly #user_fault: boolean;
  readonly #write_fault: boolean;
  readonly #largepage: boolean;

  constructor(
    type: PTTYPE,
    gw: guest_walker,
    how: { readonly user_fault: boolean; readonly write_fault: boolean; readonly largepage: boolean },
  ) {
    this.#type = type;
    this.#gw = gw;
    this.#user_fault = how.user_fault;
    this.#write_fault = how.write_fault;
    this.#largepage = how.largepage;
  }

  entry(vcpu: kvm_vcpu, addr: number, sptep: number, level: number): number {
    const { kvm } = vcpu;
    const gw = this.#gw;
    if (level === PT_PAGE_TABLE_LEVEL || (this.#largepage && level === PT_DIRECTORY_LEVEL)) {
      const gpte = gw.ptes_lo[gw.level - 1]!;
      this.ptwrite = mmu_set_spte(vcpu, sptep, {
        gfn: gw.gfn,
        pte_access: gw.pte_access & gw.pt_access,
        user_fault: this.#user_fault,
        write_fault: this.#write_fault,
        dirty: gpte_is_dirty(gpte),
        largepage: this.#largepage,
        global: (gpte & PT_GLOBAL_MASK) !== 0,
        speculative: false,
      });
      return 1;
    }
    const large = is_large_pte(spte_lo(kvm, sptep));
    if (is_present_spte(kvm, sptep) && !large) return 0;
    if (large) {
      // The era's order: the entry is gone before rmap_remove looks at it, so the reverse map keeps it.
      set_trap_nonpresent(kvm, sptep);
      kvm_flush_remote_tlbs(kvm);
      rmap_remove(kvm, sptep);
    }
    return this.#make_table(vcpu, addr, sptep, level);
  }

  #make_table(vcpu: kvm_vcpu, addr: number, sptep: number, level: number): number {
    const { kvm } = vcpu;
    const gw = this.#gw;
    const i = level - 1;
    const split = level === PT_DIRECTORY_LEVEL && gw.level === PT_DIRECTORY_LEVEL;
    const clean = split && !is_dirty_pte(kvm, gw.ptes_lo[i]!);
    const sp = kvm_mmu_get_page(vcpu, {
      gfn: split ? gpte_to_gfn(gw.ptes_lo[i]!, gw.ptes_hi[i]!) : gw.table_gfn[i - 1]!,
      gaddr: addr,
      level: level - 1,
      metaphysical: split,
      access: clean ? gw.pt_access & ~ACC_WRITE_MASK : gw.pt_access,
      parent_pte: sptep,
    });
    if (!split && !this.#unchanged(vcpu, i - 1)) {
      kvm_mmu_put_page(kvm, sp, sptep);
      return 1;
    }
    set_table_pte(kvm, sptep, sp, PT_PRESENT_MASK | PT_ACCESSED_MASK | PT_WRITABLE_MASK | PT_USER_MASK);
    return 0;
  }

  /** Whether the guest entry still is what the walk saw: in the C another vCPU may have written to it meanwhile. */
  #unchanged({ kvm }: kvm_vcpu, i: number): boolean {
    const gpa = this.#gw.pte_gpa[i]!;
    if (!readable(kvm, gpa)) return false;
    const { memory } = kvm.vm;
    const at = memory.wordAt(gpa);
    if (memory.words[at] !== this.#gw.ptes_lo[i]) return false;
    return this.#type === 32 || memory.words[at + 1] === this.#gw.ptes_hi[i];
  }
}

/** v2.6.29 paging_tmpl.h page_fault:387. FAULT_DONE: fixed, or reflected to the guest. */
export function page_fault(type: PTTYPE, vcpu: kvm_vcpu, addr: number, error_code: number): number {
  const { kvm, walker } = vcpu;
  const write_fault = (error_code & PFEC.W) !== 0;
  const user_fault = (error_code & PFEC.U) !== 0;
  const fetch_fault = (error_code & PFEC.ID) !== 0;
  if (!walk_addr(type, vcpu, addr, { write: write_fault, user: user_fault, fetch: fetch_fault })) {
    kvm_inject_page_fault(vcpu, addr, walker.error_code);
    vcpu.last_pt_write_count = 0;
    return FAULT_DONE;
  }
  let largepage = false;
  if (walker.level === PT_DIRECTORY_LEVEL) {
    const large_gfn = walker.gfn - (walker.gfn % KVM_PAGES_PER_HPAGE);
    if (is_largepage_backed(kvm, large_gfn)) {
      walker.gfn = large_gfn;
      largepage = true;
    }
  }
  if (!kvm.gfn_to_memslot(walker.gfn)) return FAULT_EMULATE;
  kvm_mmu_free_some_pages(vcpu);
  const walk = new shadow_walker(type, walker, { user_fault, write_fault, largepage });
  walk_shadow(walk, vcpu, addr);
  if (!walk.ptwrite) vcpu.last_pt_write_count = 0;
  return walk.ptwrite ? FAULT_EMULATE : FAULT_DONE;
}

/** v2.6.29 paging_tmpl.h shadow_invlpg_entry:468: drops the leaf, and remembers where the guest's entry should be */
class invlpg_walk implements kvm_shadow_walk {
  pte_gpa = -1;
  readonly #type: PTTYPE;

  constructor(type: PTTYPE) {
    this.#type = type;
  }

  entry({ kvm }: kvm_vcpu, _addr: number, sptep: number, level: number): number {
    const large = is_large_pte(spte_lo(kvm, sptep));
    if (level === PT_PAGE_TABLE_LEVEL || (level === PT_DIRECTORY_LEVEL && large)) {
      // For 4-byte entries the quadrant is missing, so upper quadrants name the entry of another address.
      this.pte_gpa = kvm.vm.pages.gfn[sp_of(sptep)]! * 4096 + index_of(sptep) * pte_bytes(this.#type);
      if (is_present_spte(kvm, sptep)) {
        rmap_remove(kvm, sptep);
        if (large) kvm.stat.lpages--;
      }
      set_trap_nonpresent(kvm, sptep);
      return 1;
    }
    return is_present_spte(kvm, sptep) ? 0 : 1;
  }
}

/** v2.6.29 paging_tmpl.h invlpg:496 */
export function invlpg(type: PTTYPE, vcpu: kvm_vcpu, gva: number): void {
  const { kvm } = vcpu;
  const walk = new invlpg_walk(type);
  walk_shadow(walk, vcpu, gva);
  if (walk.pte_gpa < 0 || !readable(kvm, walk.pte_gpa)) return;
  const lo = kvm.vm.memory.read32(walk.pte_gpa);
  if ((lo & PT_PRESENT_MASK) !== 0 && (lo & PT_ACCESSED_MASK) !== 0)
    kvm_mmu_pte_write(vcpu, walk.pte_gpa, pte_bytes(type), false);
}

/** First guest entry that a shadow page stands for: 4-byte tables have 1024, of which a page covers one half. */
function first_gpte(type: PTTYPE, { kvm }: kvm_vcpu, sp: number, by: string): number {
  const table = kvm.vm.pages.gfn[sp]! * 4096;
  return type === 64 ? table : table + page_role.quadrant(kvm.sp(sp), by) * 512 * 4;
}

/** v2.6.29 paging_tmpl.h prefetch_page:536: faults on entries that are not present in the guest need not come to KVM */
export function prefetch_page(type: PTTYPE, vcpu: kvm_vcpu, sp: number): void {
  const { kvm } = vcpu;
  const { memory } = kvm.vm;
  const role = kvm.sp(sp);
  const upper = type === 32 && page_role.level(role, 'prefetch_page') > PT_PAGE_TABLE_LEVEL;
  if (page_role.metaphysical(role, 'prefetch_page') !== 0 || upper) {
    nonpaging_prefetch_page(kvm, sp);
    return;
  }
  const pte_gpa = first_gpte(type, vcpu, sp, 'prefetch_page');
  const visible = readable(kvm, pte_gpa);
  for (let i = 0; i < 512; i++) {
    const present = !visible || (memory.read32(pte_gpa + i * pte_bytes(type)) & PT_PRESENT_MASK) !== 0;
    if (present) set_trap_nonpresent(kvm, sptep_of(sp, i));
    else set_notrap_nonpresent(kvm, sptep_of(sp, i));
  }
}

/** v2.6.29 paging_tmpl.h sync_page:572. True: no entry is left, and the caller zaps the page. */
export function sync_page(type: PTTYPE, vcpu: kvm_vcpu, sp: number): boolean {
  const { kvm } = vcpu;
  const { memory } = kvm.vm;
  const first = first_gpte(type, vcpu, sp, 'sync_page');
  if (!readable(kvm, first)) return true;
  let nr_present = 0;
  for (let i = 0; i < 512; i++) {
    const sptep = sptep_of(sp, i);
    if (!is_present_spte(kvm, sptep)) continue;
    const gfn = spte_to_pfn(kvm, sptep);
    const pte_gpa = first + i * pte_bytes(type);
    const at = memory.wordAt(pte_gpa);
    const lo = memory.words[at]!;
    const hi = type === 64 ? memory.words[at + 1]! : 0;
    if (gpte_to_gfn(lo, hi) !== gfn || (lo & PT_PRESENT_MASK) === 0 || (lo & PT_ACCESSED_MASK) === 0) {
      rmap_remove(kvm, sptep);
      if ((lo & PT_PRESENT_MASK) !== 0) set_trap_nonpresent(kvm, sptep);
      else set_notrap_nonpresent(kvm, sptep);
      continue;
    }
    nr_present++;
    const pte_access = page_role.access(kvm.sp(sp), 'sync_page') & gpte_access(type, vcpu, lo, hi);
    set_spte(
      vcpu,
      sptep,
      {
        gfn,
        pte_access,
        user_fault: false,
        write_fault: false,
        dirty: is_dirty_pte(kvm, lo),
        largepage: false,
        global: (lo & PT_GLOBAL_MASK) !== 0,
        speculative: true,
      },
      false,
    );
  }
  return nr_present === 0;
}
