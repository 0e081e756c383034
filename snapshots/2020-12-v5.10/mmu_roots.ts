// SPDX-License-Identifier: GPL-2.0-only
/**
 * v5.10.262 arch/x86/kvm/mmu/mmu.c: when roots are taken, kept, searched and dropped.
 *
 * Left out: the MMIO caches that switches of tables and syncs clear (noted only), locks, allocation failures.
 */
import { get } from '../../src/role/layout.ts';
import { probe } from '../../src/sim/log.ts';
import { kvm_init_mmu, kvm_mmu_calc_root_page_role } from './calc.ts';
import { kvm_mmu_load_pgd, tlb_flush_current } from './kvm_x86_ops.ts';
import { get_guest_pgd, get_pdptr } from './mmu_handlers.ts';
import {
  kvm_mmu_commit_zap_page,
  kvm_mmu_get_page,
  kvm_mmu_prepare_zap_page,
  make_mmu_pages_available,
} from './mmu_pages.ts';
import { mmu_sync_children } from './mmu_sync.ts';
import { direct_map, kvm_mmu_page_role, note_member, page_role, root_level, shadow_root_level } from './role.ts';
import {
  ACC_ALL,
  PT_PRESENT_MASK,
  PT32_ROOT_LEVEL,
  PT32E_ROOT_LEVEL,
  PT64_ROOT_4LEVEL,
  pfn_hi,
  pfn_lo,
} from './spte.ts';
import { kvm_tdp_mmu_free_root, kvm_tdp_mmu_get_vcpu_root_hpa } from './tdp_mmu.ts';
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
  type kvm_mmu_root_info,
  type kvm_vcpu,
} from './types.ts';

/** v5.10.262 mmu.c:3134 mmu_free_root_page: with its last user an invalid root goes, and any root of the TDP MMU. */
function mmu_free_root_page(kvm: kvm, hpa: number, invalid_list: number[]): void {
  const { pages } = kvm.vm;
  const sp = pages.idOfFrame(hpa);
  pages.rootCount[sp]!--;
  if (pages.rootCount[sp] !== 0) return;
  if (pages.isTreePage(sp)) kvm_tdp_mmu_free_root(kvm, sp);
  else if (page_role.invalid(kvm.page(sp), 'mmu_free_root_page') !== 0) kvm_mmu_prepare_zap_page(kvm, sp, invalid_list);
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
  mmu.root_pgd = 0;
}

/**
 * v5.10.262 mmu.c:3157 kvm_mmu_free_roots; `roots_to_free` is made of the KVM_MMU_ROOT_* flags. Previous roots keep
 * their pgd, and so does the current one where the early return is taken.
 */
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

/** v5.10.262 mmu.c mmu_check_root: a table outside guest RAM ends in a triple fault. True: bad. */
function mmu_check_root(vcpu: kvm_vcpu, root_gfn: number): boolean {
  if (vcpu.kvm.vm.memslots.isVisible(root_gfn)) return false;
  kvm_make_request(KVM_REQ.TRIPLE_FAULT, vcpu);
  return true;
}

/** v5.10.262 mmu.c:3217 mmu_alloc_root: frame of a page taken as a root, INVALID_PAGE when no page is left. */
const mmu_alloc_root = probe(
  'mmu_alloc_root',
  (vcpu: kvm_vcpu, gfn: number, gaddr: number, level: number, direct: boolean): number => {
    const { pages, counters } = vcpu.kvm.vm;
    counters.roots_allocated_shadow++;
    if (!make_mmu_pages_available(vcpu)) return INVALID_PAGE;
    const sp = kvm_mmu_get_page(vcpu, gfn, gaddr, level, direct, ACC_ALL);
    pages.rootCount[sp]!++;
    return pages.frameOf(sp);
  },
  { skipped: INVALID_PAGE },
);

/** Present, accessed, writable, user: entries of PAE roots that hardware reaches through lm_root. */
const LM_ROOT_MASK = PT_PRESENT_MASK | 0x26;

/** Puts a root into slot `i` of the table that hardware reads PDPTEs from. */
function set_pae_root(vcpu: kvm_vcpu, i: number, root: number, pm_mask: number): void {
  const { mmu } = vcpu;
  mmu.pae_root![i] = root;
  const lo = root === 0 ? 0 : pfn_lo(root) | pm_mask;
  vcpu.kvm.vm.pages.setEntry(mmu.pae_root_table, i, lo, root === 0 ? 0 : pfn_hi(root));
}

/** v5.10.262 mmu.c:3235 mmu_alloc_direct_roots. True: failed. */
function mmu_alloc_direct_roots(vcpu: kvm_vcpu): boolean {
  const { mmu, kvm } = vcpu;
  const level = shadow_root_level(mmu, 'mmu_alloc_direct_roots');
  if (kvm.vm.host.tdp !== 'none' && kvm.vm.host.tdpMmu) {
    mmu.root_hpa = kvm.vm.pages.frameOf(kvm_tdp_mmu_get_vcpu_root_hpa(vcpu));
  } else if (level >= PT64_ROOT_4LEVEL) {
    const root = mmu_alloc_root(vcpu, 0, 0, level, true);
    if (root === INVALID_PAGE) return true;
    mmu.root_hpa = root;
  } else {
    for (let i = 0; i < 4; i++) {
      const root = mmu_alloc_root(vcpu, i * 2 ** 18, i * 2 ** 30, PT32_ROOT_LEVEL, true);
      if (root === INVALID_PAGE) return true;
      set_pae_root(vcpu, i, root, PT_PRESENT_MASK);
    }
    mmu.root_hpa = kvm.vm.pages.frameOf(mmu.pae_root_table);
  }
  mmu.root_pgd = 0;
  return false;
}

/**
 * v5.10.262 mmu.c mmu_alloc_shadow_roots, what its end does: a table above the PAE roots, for an L1 of 32 bits that uses
 * nested paging. The kernel has the table of PAE roots itself since it made the MMU (kvm_mmu_create).
 */
function alloc_lm_root(vcpu: kvm_vcpu): void {
  const by = 'mmu_alloc_shadow_roots';
  const { mmu, kvm } = vcpu;
  if (root_level(mmu, by) >= PT64_ROOT_4LEVEL || shadow_root_level(mmu, by) < PT64_ROOT_4LEVEL || mmu.lm_root !== 0)
    return;
  alloc_pae_root(vcpu, mmu);
  mmu.lm_root = kvm.vm.pages.createSpecial();
}

/** v5.10.262 mmu.c:3274 mmu_alloc_shadow_roots. True: failed. */
function mmu_alloc_shadow_roots(vcpu: kvm_vcpu): boolean {
  const { mmu, kvm } = vcpu;
  const by = 'mmu_alloc_shadow_roots';
  alloc_lm_root(vcpu);
  const root_pgd = get_guest_pgd(vcpu, mmu);
  let root_gfn = Math.floor(root_pgd / 4096) % 2 ** 40;
  if (mmu_check_root(vcpu, root_gfn)) return true;
  const level = root_level(mmu, by);
  const host_level = shadow_root_level(mmu, by);
  if (level >= PT64_ROOT_4LEVEL) {
    const root = mmu_alloc_root(vcpu, root_gfn, 0, host_level, false);
    if (root === INVALID_PAGE) return true;
    mmu.root_hpa = root;
    mmu.root_pgd = root_pgd;
    return false;
  }
  const pm_mask = host_level === PT64_ROOT_4LEVEL ? LM_ROOT_MASK : PT_PRESENT_MASK;
  for (let i = 0; i < 4; i++) {
    if (level === PT32E_ROOT_LEVEL) {
      const pdptr = get_pdptr(vcpu, mmu, i);
      if ((pdptr.lo & PT_PRESENT_MASK) === 0) {
        set_pae_root(vcpu, i, 0, 0);
        continue;
      }
      root_gfn = (pdptr.lo >>> 12) + (pdptr.hi & 0xfffff) * 2 ** 20;
      if (mmu_check_root(vcpu, root_gfn)) return true;
    }
    const root = mmu_alloc_root(vcpu, root_gfn, i * 2 ** 30, PT32_ROOT_LEVEL, false);
    if (root === INVALID_PAGE) return true;
    set_pae_root(vcpu, i, root, pm_mask);
  }
  const { pages } = kvm.vm;
  mmu.root_hpa = pages.frameOf(mmu.pae_root_table);
  if (host_level === PT64_ROOT_4LEVEL) {
    pages.setEntry(mmu.lm_root, 0, pfn_lo(mmu.root_hpa) | pm_mask, pfn_hi(mmu.root_hpa));
    mmu.root_hpa = pages.frameOf(mmu.lm_root);
  }
  mmu.root_pgd = root_pgd;
  return false;
}

/** v5.10.262 mmu.c:3383 kvm_mmu_sync_roots */
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

/** v5.10.262 mmu.c:3831 is_root_usable: direct roots go by their role alone. */
function is_root_usable(kvm: kvm, root: kvm_mmu_root_info, pgd: number, role: number): boolean {
  const direct = get(role, kvm_mmu_page_role.at.direct) !== 0;
  if (!(direct || root.pgd === pgd) || root.hpa === INVALID_PAGE) return false;
  const sp = kvm.vm.pages.idOfFrame(root.hpa);
  return !kvm.vm.pages.isSpecial(sp) && page_role.word(kvm.page(sp), 'is_root_usable') === role >>> 0;
}

/**
 * v5.10.262 mmu.c:3847 cached_root_available
 * The current root may be the wanted one. Else it is put in front of the previous roots, valid or not, and they move on
 * until one is usable; without a match the oldest becomes current with its pgd, for the caller to free.
 */
function cached_root_available(vcpu: kvm_vcpu, new_pgd: number, new_role: number): boolean {
  const { kvm, mmu } = vcpu;
  note_member(mmu, 'cached_root_available', 'prev_roots');
  let root = { pgd: mmu.root_pgd, hpa: mmu.root_hpa };
  if (is_root_usable(kvm, root, new_pgd, new_role)) return true;
  let found = false;
  for (let i = 0; i < KVM_MMU_NUM_PREV_ROOTS && !found; i++) {
    const swapped = mmu.prev_roots[i]!;
    mmu.prev_roots[i] = root;
    root = swapped;
    found = is_root_usable(kvm, root, new_pgd, new_role);
  }
  mmu.root_hpa = root.hpa;
  mmu.root_pgd = root.pgd;
  return found;
}

/**
 * v5.10.262 mmu.c:3873 fast_pgd_switch: for guests with 4- or 5-level tables only, by the levels the context has now.
 */
function fast_pgd_switch(vcpu: kvm_vcpu, new_pgd: number, new_role: number): boolean {
  const { mmu } = vcpu;
  const by = 'fast_pgd_switch';
  if (shadow_root_level(mmu, by) < PT64_ROOT_4LEVEL || root_level(mmu, by) < PT64_ROOT_4LEVEL) return false;
  return cached_root_available(vcpu, new_pgd, new_role);
}

/**
 * v5.10.262 mmu.c:3890 __kvm_mmu_new_pgd. A root that is found again is used as it is; syncs and flushes are requests.
 */
export function __kvm_mmu_new_pgd(
  vcpu: kvm_vcpu,
  new_pgd: number,
  new_role: number,
  skip_tlb_flush: boolean,
  skip_mmu_sync: boolean,
): void {
  const { log, kvm, mmu } = vcpu;
  if (!fast_pgd_switch(vcpu, new_pgd, new_role)) {
    log.rootLost();
    kvm_mmu_free_roots(vcpu, mmu, KVM_MMU_ROOT_CURRENT);
    return;
  }
  log.rootFound();
  const { pages, host } = kvm.vm;
  kvm_make_request(KVM_REQ.LOAD_MMU_PGD, vcpu);
  if (!skip_mmu_sync || host.flushOnReuse) kvm_make_request(KVM_REQ.MMU_SYNC, vcpu);
  if (!skip_tlb_flush || host.flushOnReuse) kvm_make_request(KVM_REQ.TLB_FLUSH_CURRENT, vcpu);
  log.note('clear_mmio');
  if (get(new_role, kvm_mmu_page_role.at.direct) !== 0) return;
  log.note('clear_write_flooding');
  pages.writeFlooding[pages.idOfFrame(mmu.root_hpa)] = 0;
}

/** v5.10.262 mmu.c:3929 kvm_mmu_new_pgd */
export const kvm_mmu_new_pgd = probe(
  'kvm_mmu_new_pgd',
  (vcpu: kvm_vcpu, new_pgd: number, skip_tlb_flush: boolean, skip_mmu_sync: boolean): void => {
    vcpu.kvm.vm.counters.new_pgd++;
    vcpu.new_pgd_pending = true;
    __kvm_mmu_new_pgd(vcpu, new_pgd, kvm_mmu_calc_root_page_role(vcpu), skip_tlb_flush, skip_mmu_sync);
  },
  {
    skipped: undefined,
    detail: (new_pgd, skip_tlb_flush, skip_mmu_sync) =>
      `${new_pgd.toString(16)}${skip_tlb_flush ? ',skip_flush' : ''}${skip_mmu_sync ? ',skip_sync' : ''}`,
  },
);

/** v5.10.262 mmu.c:4837 kvm_mmu_reset_context */
export const kvm_mmu_reset_context = probe(
  'kvm_mmu_reset_context',
  (vcpu: kvm_vcpu): void => {
    vcpu.kvm.vm.counters.reset_context++;
    kvm_mmu_unload(vcpu);
    kvm_init_mmu(vcpu, true);
  },
  { skipped: undefined },
);

/** v5.10.262 mmu.c:4844 kvm_mmu_load. True: failed, and with a bad root a triple fault is requested. */
export const kvm_mmu_load = probe(
  'kvm_mmu_load',
  (vcpu: kvm_vcpu): boolean => {
    const { counters } = vcpu.kvm.vm;
    counters.mmu_load++;
    if (vcpu.new_pgd_pending) counters.new_pgd_miss++;
    vcpu.new_pgd_pending = false;
    const failed =
      direct_map(vcpu.mmu, 'mmu_alloc_roots') !== 0 ? mmu_alloc_direct_roots(vcpu) : mmu_alloc_shadow_roots(vcpu);
    kvm_mmu_sync_roots(vcpu);
    if (failed) return true;
    kvm_mmu_load_pgd(vcpu);
    tlb_flush_current(vcpu);
    vcpu.log.rootLoaded();
    return false;
  },
  { skipped: false },
);

/** v5.10.262 mmu.c:4862 kvm_mmu_unload: every root of both MMUs that have roots. */
export const kvm_mmu_unload = probe(
  'kvm_mmu_unload',
  (vcpu: kvm_vcpu): void => {
    vcpu.kvm.vm.counters.mmu_unload++;
    kvm_mmu_free_roots(vcpu, vcpu.root_mmu, KVM_MMU_ROOTS_ALL);
    kvm_mmu_free_roots(vcpu, vcpu.guest_mmu, KVM_MMU_ROOTS_ALL);
  },
  { skipped: undefined },
);

/** A place for PAE roots and the table that hardware reads them from. */
function alloc_pae_root({ kvm }: kvm_vcpu, mmu: kvm_mmu): void {
  mmu.pae_root = [INVALID_PAGE, INVALID_PAGE, INVALID_PAGE, INVALID_PAGE];
  mmu.pae_root_table = kvm.vm.pages.createSpecial();
}

/** v5.10.262 mmu.c __kvm_mmu_create:5308, of root_mmu: PAE roots are had from the start without TDP only. */
export function kvm_mmu_create(vcpu: kvm_vcpu): void {
  if (vcpu.kvm.vm.host.tdp === 'none') alloc_pae_root(vcpu, vcpu.root_mmu);
}
