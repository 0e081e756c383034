// SPDX-License-Identifier: GPL-2.0-only
/**
 * v2.6.29 arch/x86/kvm/paging_tmpl.h: everything that reads the guest's tables, once for 8-byte and once for 4-byte
 * entries. The C file is compiled twice; here a function gets the entry size as `PTTYPE`.
 *
 * Left out: restarts after a lost race for an accessed or dirty bit (nobody else writes guest memory meanwhile), and
 * retries against the host's memory management.
 */
import { PFEC } from '../../src/sim/paging-bits.ts';
import { is_long_mode, is_nx, is_pse, is_write_protection } from './calc.ts';
import { FAULT_DONE, FAULT_EMULATE } from './mmu_fault.ts';
import {
  kvm_mmu_free_some_pages,
  kvm_mmu_get_page,
  kvm_mmu_put_page,
  type kvm_shadow_walk,
  nonpaging_prefetch_page,
  walk_shadow,
} from './mmu_pages.ts';
import { kvm_mmu_pte_write } from './mmu_pte_write.ts';
import { is_largepage_backed, KVM_PAGES_PER_HPAGE, rmap_remove } from './mmu_rmap.ts';
import { page_role, root_level } from './role.ts';
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
  ACC_ALL,
  ACC_EXEC_MASK,
  ACC_WRITE_MASK,
  PT_ACCESSED_MASK,
  PT_DIRECTORY_LEVEL,
  PT_DIRTY_MASK,
  PT_GLOBAL_MASK,
  PT_PAGE_SIZE_MASK,
  PT_PAGE_TABLE_LEVEL,
  PT_PRESENT_MASK,
  PT_USER_MASK,
  PT_WRITABLE_MASK,
} from './spte_format.ts';
import { type guest_walker, type kvm, type kvm_vcpu, UNMAPPED_GVA } from './types.ts';
import { kvm_flush_remote_tlbs, kvm_inject_page_fault } from './x86.ts';

/** Size of a guest entry in bits. */
type PTTYPE = 32 | 64;

const pte_bytes = (type: PTTYPE): number => type / 8;

/** PT32_INDEX, PT64_INDEX */
const PT_INDEX = (type: PTTYPE, addr: number, level: number): number =>
  type === 64
    ? Math.floor(addr / 2 ** (12 + 9 * (level - 1))) % 512
    : Math.floor(addr / 2 ** (12 + 10 * (level - 1))) % 1024;

/** v2.6.29 paging_tmpl.h gpte_to_gfn:89. The high half of a 4-byte entry is 0. */
const gpte_to_gfn = (lo: number, hi: number): number => (lo >>> 12) + (hi & 0xfffff) * 2 ** 20;

/** v2.6.29 paging_tmpl.h gpte_to_gfn_pde:94, and mmu.c pse36_gfn_delta: bits 16:13 of a 4 MiB entry are address bits 35:32 */
const gpte_to_gfn_pde = (type: PTTYPE, lo: number, hi: number): number =>
  type === 64 ? (lo >>> 21) * 2 ** 9 + (hi & 0xfffff) * 2 ** 20 : (lo >>> 22) * 2 ** 10 + ((lo >>> 13) & 0xf) * 2 ** 20;

/** v2.6.29 paging_tmpl.h gpte_access:120 */
function gpte_access(type: PTTYPE, vcpu: kvm_vcpu, lo: number, hi: number): number {
  const access = (lo & (PT_WRITABLE_MASK | PT_USER_MASK)) | ACC_EXEC_MASK;
  return type === 64 && is_nx(vcpu) && hi < 0 ? access & ~ACC_EXEC_MASK : access;
}

/** kvm_read_guest_atomic of one entry: false outside the slots. */
const readable = (kvm: kvm, gpa: number): boolean => kvm.gfn_to_memslot(Math.floor(gpa / 4096));

/**
 * v2.6.29 paging_tmpl.h walk_addr:132
 * Walks the guest's tables as hardware would, marks entries on the way, and leaves what it found in `vcpu.walker`.
 * False: a page fault with `walker.error_code`. No reserved bit is looked at in this era. A table outside the guest's
 * memory is not noticed either: the read fails and the entry of the level above is taken for the one below.
 */
function walk_addr(
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
      lo = memory.read32(pte_gpa) | 0;
      hi = type === 64 ? memory.read32(pte_gpa + 4) | 0 : 0;
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

/** v2.6.29 paging_tmpl.h update_pte:253. `lo`, `hi`: the guest entry; the frame was guessed before, by pte_write. */
function update_pte(type: PTTYPE, vcpu: kvm_vcpu, sptep: number, lo: number, hi: number): void {
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
    if ((memory.read32(gpa) | 0) !== this.#gw.ptes_lo[i]) return false;
    return this.#type === 32 || (memory.read32(gpa + 4) | 0) === this.#gw.ptes_hi[i];
  }
}

/** v2.6.29 paging_tmpl.h page_fault:387. FAULT_DONE: fixed, or reflected to the guest. */
function page_fault(type: PTTYPE, vcpu: kvm_vcpu, addr: number, error_code: number): number {
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
function invlpg(type: PTTYPE, vcpu: kvm_vcpu, gva: number): void {
  const { kvm } = vcpu;
  const walk = new invlpg_walk(type);
  walk_shadow(walk, vcpu, gva);
  if (walk.pte_gpa < 0 || !readable(kvm, walk.pte_gpa)) return;
  const lo = kvm.vm.memory.read32(walk.pte_gpa);
  if ((lo & PT_PRESENT_MASK) !== 0 && (lo & PT_ACCESSED_MASK) !== 0)
    kvm_mmu_pte_write(vcpu, walk.pte_gpa, pte_bytes(type), false);
}

/** v2.6.29 paging_tmpl.h gva_to_gpa:519: a walk for a supervisor's read, so the emulator's accesses are not checked here */
function gva_to_gpa(type: PTTYPE, vcpu: kvm_vcpu, vaddr: number): number {
  if (!walk_addr(type, vcpu, vaddr, { write: false, user: false, fetch: false })) return UNMAPPED_GVA;
  return vcpu.walker.gfn * 4096 + (vaddr % 4096);
}

/** First guest entry that a shadow page stands for: 4-byte tables have 1024, of which a page covers one half. */
function first_gpte(type: PTTYPE, { kvm }: kvm_vcpu, sp: number, by: string): number {
  const table = kvm.vm.pages.gfn[sp]! * 4096;
  return type === 64 ? table : table + page_role.quadrant(kvm.sp(sp), by) * 512 * 4;
}

/** v2.6.29 paging_tmpl.h prefetch_page:536: faults on entries that are not present in the guest need not come to KVM */
function prefetch_page(type: PTTYPE, vcpu: kvm_vcpu, sp: number): void {
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
function sync_page(type: PTTYPE, vcpu: kvm_vcpu, sp: number): boolean {
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
    const lo = memory.read32(pte_gpa) | 0;
    const hi = type === 64 ? memory.read32(pte_gpa + 4) | 0 : 0;
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
