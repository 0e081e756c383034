// SPDX-License-Identifier: GPL-2.0-only
/**
 * v4.20 arch/x86/kvm/mmu.c: when roots are taken, kept, searched and dropped.
 *
 * Left out: the MMIO caches that CR3 switches and syncs clear, locks, allocation failures.
 */
import { probe } from '../../src/sim/log.ts';
import { kvm_init_mmu, kvm_mmu_calc_root_page_role } from './calc.ts';
import { kvm_mmu_load_cr3, tlb_flush } from './kvm_x86_ops.ts';
import { get_cr3, get_pdptr } from './mmu_handlers.ts';
import {
  kvm_mmu_commit_zap_page,
  kvm_mmu_get_page,
  kvm_mmu_prepare_zap_page,
  make_mmu_pages_available,
} from './mmu_pages.ts';
import { mmu_sync_children } from './mmu_sync.ts';
import { direct_map, note_member, page_role, root_level, shadow_root_level } from './role.ts';
import {
  ACC_ALL,
  PT_PRESENT_MASK,
  PT32_ROOT_LEVEL,
  PT32E_ROOT_LEVEL,
  PT64_ROOT_4LEVEL,
  pfn_hi,
  pfn_lo,
} from './spte.ts';
import { kvm_make_request } from './tlb.ts';
import {
  INVALID_PAGE,
  KVM_MMU_NUM_PREV_ROOTS,
  KVM_MMU_ROOT_CURRENT,
  KVM_MMU_ROOT_PREVIOUS,
  KVM_MMU_ROOTS_ALL,
  KVM_REQ,
  type kvm,
  type kvm_mmu,
  type kvm_vcpu,
} from './types.ts';

/** v4.20 mmu.c mmu_free_root_page: an invalid root goes with its last user. */
function mmu_free_root_page(kvm: kvm, hpa: number, invalid_list: number[]): void {
  const { pages } = kvm.vm;
  const sp = pages.idOfFrame(hpa);
  pages.rootCount[sp]!--;
  if (pages.rootCount[sp] === 0 && page_role.invalid(kvm.page(sp), 'mmu_free_root_page') !== 0) {
    kvm_mmu_prepare_zap_page(kvm, sp, invalid_list);
  }
}

/** Whether the current root is one page: else it is four, behind a table of PAE form. */
const has_single_root = (mmu: kvm_mmu, by: string): boolean =>
  shadow_root_level(mmu, by) >= PT64_ROOT_4LEVEL &&
  (root_level(mmu, by) >= PT64_ROOT_4LEVEL || direct_map(mmu, by) !== 0);

/** What kvm_mmu_free_roots does to the current root. */
function free_current_root(kvm: kvm, mmu: kvm_mmu, invalid_list: number[]): void {
  const { pages } = kvm.vm;
  if (has_single_root(mmu, 'kvm_mmu_free_roots')) {
    if (mmu.root_hpa !== INVALID_PAGE) mmu_free_root_page(kvm, mmu.root_hpa, invalid_list);
  } else if (mmu.pae_root !== null) {
    for (let i = 0; i < 4; i++) {
      const root = mmu.pae_root[i]!;
      if (root <= 0) continue;
      mmu_free_root_page(kvm, root, invalid_list);
      mmu.pae_root[i] = INVALID_PAGE;
      pages.setEntry(mmu.pae_root_table, i, 0, 0);
    }
  }
  mmu.root_hpa = INVALID_PAGE;
}

/** v4.20 mmu.c:3480 kvm_mmu_free_roots; `roots_to_free` is made of the KVM_MMU_ROOT_* flags. */
export const kvm_mmu_free_roots = probe(
  'kvm_mmu_free_roots',
  (vcpu: kvm_vcpu, mmu: kvm_mmu, roots_to_free: number): void => {
    const { kvm } = vcpu;
    const free_active_root = (roots_to_free & KVM_MMU_ROOT_CURRENT) !== 0;
    if (roots_to_free === KVM_MMU_ROOTS_ALL && mmu === vcpu.root_mmu) kvm.vm.counters.full_unloads++;
    if (free_active_root && mmu === vcpu.mmu && mmu.root_hpa !== INVALID_PAGE) vcpu.log.rootLost();
    const chosen = mmu.prev_roots.filter(
      ({ hpa }, i) => hpa !== INVALID_PAGE && (roots_to_free & KVM_MMU_ROOT_PREVIOUS(i)) !== 0,
    );
    if (chosen.length === 0 && !(free_active_root && mmu.root_hpa !== INVALID_PAGE)) return;
    const invalid_list: number[] = [];
    for (const root of chosen) {
      mmu_free_root_page(kvm, root.hpa, invalid_list);
      root.hpa = INVALID_PAGE;
    }
    if (free_active_root) free_current_root(kvm, mmu, invalid_list);
    kvm_mmu_commit_zap_page(kvm, invalid_list);
  },
  { skipped: undefined, detail: (_mmu, roots_to_free) => roots_to_free.toString(16) },
);

/** v4.20 mmu.c mmu_check_root: a table outside guest RAM ends in a triple fault. True: bad. */
function mmu_check_root(vcpu: kvm_vcpu, root_gfn: number): boolean {
  if (vcpu.kvm.vm.memslots.isVisible(root_gfn)) return false;
  kvm_make_request(KVM_REQ.TRIPLE_FAULT, vcpu);
  return true;
}

/** Takes a page as a root. */
function root_page(vcpu: kvm_vcpu, gfn: number, gaddr: number, level: number, direct: boolean): number {
  const { pages, counters } = vcpu.kvm.vm;
  counters.roots_allocated_shadow++;
  const sp = kvm_mmu_get_page(vcpu, gfn, gaddr, level, direct, ACC_ALL);
  pages.rootCount[sp]!++;
  return pages.frameOf(sp);
}

/** Puts a root into slot `i` of the table that hardware reads PDPTEs from. */
function set_pae_root(vcpu: kvm_vcpu, i: number, root: number): void {
  const { mmu } = vcpu;
  mmu.pae_root![i] = root;
  const lo = root === 0 ? 0 : pfn_lo(root) | PT_PRESENT_MASK;
  vcpu.kvm.vm.pages.setEntry(mmu.pae_root_table, i, lo, root === 0 ? 0 : pfn_hi(root));
}

/** v4.20 mmu.c:3539 mmu_alloc_direct_roots. True: failed. */
function mmu_alloc_direct_roots(vcpu: kvm_vcpu): boolean {
  const { mmu } = vcpu;
  const level = shadow_root_level(mmu, 'mmu_alloc_direct_roots');
  if (level >= PT64_ROOT_4LEVEL) {
    if (!make_mmu_pages_available(vcpu)) return true;
    mmu.root_hpa = root_page(vcpu, 0, 0, level, true);
    return false;
  }
  for (let i = 0; i < 4; i++) {
    if (!make_mmu_pages_available(vcpu)) return true;
    set_pae_root(vcpu, i, root_page(vcpu, i * 2 ** 18, i * 2 ** 30, PT32_ROOT_LEVEL, true));
  }
  mmu.root_hpa = vcpu.kvm.vm.pages.frameOf(mmu.pae_root_table);
  return false;
}

/** v4.20 mmu.c:3579 mmu_alloc_shadow_roots. True: failed. */
function mmu_alloc_shadow_roots(vcpu: kvm_vcpu): boolean {
  const { mmu } = vcpu;
  let root_gfn = Math.floor(get_cr3(vcpu, mmu) / 4096) % 2 ** 40;
  if (mmu_check_root(vcpu, root_gfn)) return true;
  const level = root_level(mmu, 'mmu_alloc_shadow_roots');
  const host_level = shadow_root_level(mmu, 'mmu_alloc_shadow_roots');
  if (level >= PT64_ROOT_4LEVEL) {
    if (!make_mmu_pages_available(vcpu)) return true;
    mmu.root_hpa = root_page(vcpu, root_gfn, 0, host_level, false);
    return false;
  }
  // Nested NPT of a PAE or 2-level L1: C dereferences the pae_root that alloc_mmu_pages did not allocate.
  if (mmu.pae_root === null || host_level === PT64_ROOT_4LEVEL) {
    throw new Error('unsupported: v4.20 oopses when a PAE or 2-level L1 uses nested paging');
  }
  for (let i = 0; i < 4; i++) {
    if (level === PT32E_ROOT_LEVEL) {
      const pdptr = get_pdptr(vcpu, mmu, i);
      if ((pdptr.lo & PT_PRESENT_MASK) === 0) {
        set_pae_root(vcpu, i, 0);
        continue;
      }
      root_gfn = (pdptr.lo >>> 12) + (pdptr.hi & 0xfffff) * 2 ** 20;
      if (mmu_check_root(vcpu, root_gfn)) return true;
    }
    if (!make_mmu_pages_available(vcpu)) return true;
    set_pae_root(vcpu, i, root_page(vcpu, root_gfn, i * 2 ** 30, PT32_ROOT_LEVEL, false));
  }
  mmu.root_hpa = vcpu.kvm.vm.pages.frameOf(mmu.pae_root_table);
  return false;
}

/** v4.20 mmu.c:3688 kvm_mmu_sync_roots */
export const kvm_mmu_sync_roots = probe(
  'kvm_mmu_sync_roots',
  (vcpu: kvm_vcpu): void => {
    const { mmu } = vcpu;
    const { pages, counters } = vcpu.kvm.vm;
    const by = 'kvm_mmu_sync_roots';
    counters.sync_roots++;
    if (direct_map(mmu, by) !== 0 || mmu.root_hpa === INVALID_PAGE) return;
    if (root_level(mmu, by) >= PT64_ROOT_4LEVEL) {
      const sp = pages.idOfFrame(mmu.root_hpa);
      if (pages.unsync[sp] !== 0 || pages.unsyncChildren[sp]! > 0) mmu_sync_children(vcpu, sp);
      return;
    }
    for (const root of mmu.pae_root!) if (root > 0) mmu_sync_children(vcpu, pages.idOfFrame(root));
  },
  { skipped: undefined },
);

/**
 * v4.20 mmu.c:4121 cached_root_available
 * Looks through the previous roots for one of this CR3 whose page has exactly this role. The outgoing root is put in
 * front under what get_cr3 says now, valid or not; without a match the oldest becomes current, for the caller to free.
 */
function cached_root_available(vcpu: kvm_vcpu, new_cr3: number, new_role: number): boolean {
  const { kvm, mmu } = vcpu;
  note_member(mmu, 'cached_root_available', 'prev_roots');
  note_member(mmu, 'cached_root_available', 'get_cr3');
  let root = { cr3: get_cr3(vcpu, mmu), hpa: mmu.root_hpa };
  let found = false;
  for (let i = 0; i < KVM_MMU_NUM_PREV_ROOTS && !found; i++) {
    const swapped = mmu.prev_roots[i]!;
    mmu.prev_roots[i] = root;
    root = swapped;
    if (new_cr3 !== root.cr3 || root.hpa === INVALID_PAGE) continue;
    const page = kvm.page(kvm.vm.pages.idOfFrame(root.hpa));
    found = page_role.word(page, 'cached_root_available') === new_role;
  }
  mmu.root_hpa = root.hpa;
  return found;
}

/** v4.20 mmu.c:4145 fast_cr3_switch: for guests with 4- or 5-level tables only, direct or not. */
function fast_cr3_switch(vcpu: kvm_vcpu, new_cr3: number, new_role: number, skip_tlb_flush: boolean): boolean {
  const { kvm, mmu } = vcpu;
  const by = 'fast_cr3_switch';
  if (shadow_root_level(mmu, by) < PT64_ROOT_4LEVEL || root_level(mmu, by) < PT64_ROOT_4LEVEL) return false;
  if (mmu_check_root(vcpu, Math.floor(new_cr3 / 4096))) return false;
  if (!cached_root_available(vcpu, new_cr3, new_role)) return false;
  kvm_make_request(KVM_REQ.LOAD_CR3, vcpu);
  if (!skip_tlb_flush) {
    kvm_make_request(KVM_REQ.MMU_SYNC, vcpu);
    tlb_flush(vcpu);
  }
  kvm.vm.pages.writeFlooding[kvm.vm.pages.idOfFrame(mmu.root_hpa)] = 0;
  return true;
}

/** v4.20 mmu.c:4195 __kvm_mmu_new_cr3 */
export function __kvm_mmu_new_cr3(vcpu: kvm_vcpu, new_cr3: number, new_role: number, skip_tlb_flush: boolean): void {
  if (fast_cr3_switch(vcpu, new_cr3, new_role, skip_tlb_flush)) {
    vcpu.log.rootFound();
    return;
  }
  vcpu.log.rootLost();
  kvm_mmu_free_roots(vcpu, vcpu.mmu, KVM_MMU_ROOT_CURRENT);
}

/** v4.20 mmu.c:4204 kvm_mmu_new_cr3 */
export const kvm_mmu_new_cr3 = probe(
  'kvm_mmu_new_cr3',
  (vcpu: kvm_vcpu, new_cr3: number, skip_tlb_flush: boolean): void => {
    vcpu.kvm.vm.counters.new_pgd++;
    vcpu.new_cr3_pending = true;
    __kvm_mmu_new_cr3(vcpu, new_cr3, kvm_mmu_calc_root_page_role(vcpu), skip_tlb_flush);
  },
  {
    skipped: undefined,
    detail: (new_cr3, skip_tlb_flush) => `${new_cr3.toString(16)}${skip_tlb_flush ? ',skip_flush' : ''}`,
  },
);

/** v4.20 mmu.c:5016 kvm_mmu_reset_context */
export const kvm_mmu_reset_context = probe(
  'kvm_mmu_reset_context',
  (vcpu: kvm_vcpu): void => {
    vcpu.kvm.vm.counters.reset_context++;
    kvm_mmu_unload(vcpu);
    kvm_init_mmu(vcpu, true);
  },
  { skipped: undefined },
);

/** v4.20 mmu.c:5023 kvm_mmu_load. True: failed, and with a bad root a triple fault is requested. */
export const kvm_mmu_load = probe(
  'kvm_mmu_load',
  (vcpu: kvm_vcpu): boolean => {
    const { counters } = vcpu.kvm.vm;
    counters.mmu_load++;
    if (vcpu.new_cr3_pending) counters.new_pgd_miss++;
    vcpu.new_cr3_pending = false;
    const failed =
      direct_map(vcpu.mmu, 'mmu_alloc_roots') !== 0 ? mmu_alloc_direct_roots(vcpu) : mmu_alloc_shadow_roots(vcpu);
    kvm_mmu_sync_roots(vcpu);
    if (failed) return true;
    kvm_mmu_load_cr3(vcpu);
    tlb_flush(vcpu);
    vcpu.log.rootLoaded();
    return false;
  },
  { skipped: false },
);

/** v4.20 mmu.c:5041 kvm_mmu_unload: every root of both MMUs that have roots. */
export const kvm_mmu_unload = probe(
  'kvm_mmu_unload',
  (vcpu: kvm_vcpu): void => {
    vcpu.kvm.vm.counters.mmu_unload++;
    kvm_mmu_free_roots(vcpu, vcpu.root_mmu, KVM_MMU_ROOTS_ALL);
    kvm_mmu_free_roots(vcpu, vcpu.guest_mmu, KVM_MMU_ROOTS_ALL);
  },
  { skipped: undefined },
);

/** v4.20 mmu.c alloc_mmu_pages with kvm_mmu_create: PAE roots for root_mmu, and without TDP only. */
export function kvm_mmu_create(vcpu: kvm_vcpu): void {
  const { vm } = vcpu.kvm;
  if (vm.host.tdp !== 'none') return;
  vcpu.root_mmu.pae_root = [INVALID_PAGE, INVALID_PAGE, INVALID_PAGE, INVALID_PAGE];
  vcpu.root_mmu.pae_root_table = vm.pages.createSpecial();
}
