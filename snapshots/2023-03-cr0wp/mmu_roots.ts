// SPDX-License-Identifier: GPL-2.0-only
/**
 * Roots of 01b31714bd90 arch/x86/kvm/mmu/mmu.c: when one is built, cached, looked up and dropped.
 *
 * Left out: memory caches (topped up here in C) and mmu_lock, as nothing runs beside a vCPU; the first allocation of
 * rmaps and write tracking, as the reverse map always exists; RCU.
 */
import { get, set } from '../../src/role/layout.ts';
import { probe } from '../../src/sim/log.ts';
import { NO_PAGE } from '../../src/sim/shadow-pages.ts';
import { kvm_init_mmu, kvm_mmu_get_tdp_level } from './calc.ts';
import {
  is_obsolete_sp,
  kvm_mmu_commit_zap_page,
  kvm_mmu_get_shadow_page,
  kvm_mmu_prepare_zap_page,
  mmu_sync_children,
} from './mmu_pages.ts';
import { get_pdptr } from './paging_tmpl.ts';
import { cpu_role, kvm_mmu_page_role, page_role, root_role } from './role.ts';
import { kvm_tdp_mmu_get_vcpu_root, kvm_tdp_mmu_put_root } from './tdp_mmu.ts';
import { INVALID_PAGE, KVM_REQ, type kvm, type kvm_mmu, type kvm_mmu_root_info, type kvm_vcpu } from './types.ts';
import { kvm_make_request } from './x86.ts';

/** 01b31714bd90 kvm_host.h: bits of `roots_to_free`. */
export const KVM_MMU_ROOT_CURRENT = 1 << 0;
export const KVM_MMU_ROOT_PREVIOUS = (i: number): number => 1 << (1 + i);
export const KVM_MMU_NUM_PREV_ROOTS = 3;
export const KVM_MMU_ROOTS_ALL = 0xf;

const PT64_ROOT_4LEVEL = 4;
const PT64_ROOT_5LEVEL = 5;
const PT32E_ROOT_LEVEL = 3;
const PT32_ROOT_LEVEL = 2;
const PT_PRESENT_MASK = 1;
/** Present, accessed, writable, user: what a table above pae_root points with. */
const SPECIAL_TABLE_BITS = 0x27;

const VALID_PAGE = (hpa: number): boolean => hpa !== INVALID_PAGE;

/** 01b31714bd90 mmu_internal.h to_shadow_page: the page behind a host frame, NO_PAGE for a table without a header. */
export function to_shadow_page(kvm: kvm, hpa: number): number {
  const id = kvm.vm.pages.idOfFrame(hpa);
  return id !== NO_PAGE && kvm.vm.pages.isSpecial(id) ? NO_PAGE : id;
}

/** Frame that entry `i` of a table without header points to, INVALID_PAGE for none (INVALID_PAE_ROOT is 0). */
function pae_root_frame(kvm: kvm, table: number, i: number): number {
  const { pages } = kvm.vm;
  const low = pages.entryLow(table, i);
  if ((low & PT_PRESENT_MASK) === 0) return INVALID_PAGE;
  return (low >>> 12) + (pages.entryHigh(table, i) & 0xfffff) * 0x100000;
}

function set_special_entry(kvm: kvm, table: number, i: number, frame: number, bits: number): void {
  kvm.vm.pages.setEntry(table, i, (frame * 4096) | bits, Math.floor(frame / 0x100000));
}

// --- freeing --------------------------------------------------------------------------------------------------------

/** 01b31714bd90 mmu.c:3484 mmu_free_root_page: a root loses one user. */
function mmu_free_root_page(kvm: kvm, root_hpa: number, invalid_list: number[]): void {
  if (!VALID_PAGE(root_hpa)) return;
  const { pages, log } = kvm.vm;
  const sp = to_shadow_page(kvm, root_hpa);
  if (sp === NO_PAGE) throw new Error(`mmu_free_root_page: frame ${root_hpa} is no shadow page`);
  log.note('put', sp);
  if (pages.isTreePage(sp)) kvm_tdp_mmu_put_root(kvm, sp);
  else if (--pages.rootCount[sp]! === 0 && page_role.invalid(kvm, sp, 'mmu_free_root_page') === 1)
    kvm_mmu_prepare_zap_page(kvm, sp, invalid_list);
}

/**
 * 01b31714bd90 mmu.c:3509 kvm_mmu_free_roots. Previous roots keep their pgd. Whether the current root is one page or
 * four is told by the page behind it.
 */
export const kvm_mmu_free_roots = probe(
  'kvm_mmu_free_roots',
  (kvm: kvm, mmu: kvm_mmu, roots_to_free: number): void => {
    if (mmu.name === 'root_mmu' && roots_to_free === KVM_MMU_ROOTS_ALL) kvm.vm.counters.full_unloads++;
    const free_active_root = (roots_to_free & KVM_MMU_ROOT_CURRENT) !== 0 && VALID_PAGE(mmu.root.hpa);
    if (!free_active_root && !selects_valid_prev(mmu, roots_to_free)) return;

    const invalid_list: number[] = [];
    for (let i = 0; i < KVM_MMU_NUM_PREV_ROOTS; i++) {
      if ((roots_to_free & KVM_MMU_ROOT_PREVIOUS(i)) === 0) continue;
      const prev = mmu.prev_roots[i]!;
      mmu_free_root_page(kvm, prev.hpa, invalid_list);
      prev.hpa = INVALID_PAGE;
    }
    if (free_active_root) {
      for (const vcpu of kvm.vcpus) if (vcpu.mmu === mmu) kvm.log.rootLost();
      if (to_shadow_page(kvm, mmu.root.hpa) !== NO_PAGE) mmu_free_root_page(kvm, mmu.root.hpa, invalid_list);
      else if (mmu.pae_root !== 0) free_pae_roots(kvm, mmu, invalid_list);
      mmu.root.hpa = INVALID_PAGE;
      mmu.root.pgd = 0;
    }
    kvm_mmu_commit_zap_page(kvm, invalid_list);
  },
  { skipped: undefined, detail: (_mmu, roots_to_free) => roots_to_free.toString(16) },
);

function selects_valid_prev(mmu: kvm_mmu, roots_to_free: number): boolean {
  for (let i = 0; i < KVM_MMU_NUM_PREV_ROOTS; i++)
    if ((roots_to_free & KVM_MMU_ROOT_PREVIOUS(i)) !== 0 && VALID_PAGE(mmu.prev_roots[i]!.hpa)) return true;
  return false;
}

function free_pae_roots(kvm: kvm, mmu: kvm_mmu, invalid_list: number[]): void {
  for (let i = 0; i < 4; i++) {
    mmu_free_root_page(kvm, pae_root_frame(kvm, mmu.pae_root, i), invalid_list);
    kvm.vm.pages.setEntry(mmu.pae_root, i, 0, 0);
  }
}

/**
 * 01b31714bd90 mmu.c:3561 kvm_mmu_free_guest_mode_roots: previous roots of L2, or without a page; never the current
 * one.
 */
export function kvm_mmu_free_guest_mode_roots(kvm: kvm, mmu: kvm_mmu): void {
  const by = 'kvm_mmu_free_guest_mode_roots';
  if (root_role.guest_mode(mmu, by) === 1) throw new Error(`${by}: the MMU itself is in guest mode`);
  let roots_to_free = 0;
  for (let i = 0; i < KVM_MMU_NUM_PREV_ROOTS; i++) {
    const { hpa } = mmu.prev_roots[i]!;
    if (!VALID_PAGE(hpa)) continue;
    const sp = to_shadow_page(kvm, hpa);
    if (sp === NO_PAGE || page_role.guest_mode(kvm, sp, by) === 1) roots_to_free |= KVM_MMU_ROOT_PREVIOUS(i);
  }
  kvm_mmu_free_roots(kvm, mmu, roots_to_free);
}

// --- building -------------------------------------------------------------------------------------------------------

/**
 * 01b31714bd90 mmu.c:3588 mmu_check_root: a root outside the guest's memory ends in a triple fault; there is no dummy
 * root yet.
 */
function mmu_check_root(vcpu: kvm_vcpu, root_gfn: number): boolean {
  if (vcpu.kvm.vm.memslots.isVisible(root_gfn)) return true;
  kvm_make_request(KVM_REQ.TRIPLE_FAULT, vcpu);
  return false;
}

/**
 * 01b31714bd90 mmu.c:3600 mmu_alloc_root: frame of a page taken as root from the hash, or new. The role is that of the
 * MMU, with level and quadrant of the caller; a quadrant belongs to a 32-bit guest table alone.
 */
export const mmu_alloc_root = probe(
  'mmu_alloc_root',
  (vcpu: kvm_vcpu, gfn: number, quadrant: number, level: number): number => {
    const { pages, counters } = vcpu.kvm.vm;
    counters.roots_allocated_shadow++;
    let role = root_role.word(vcpu.mmu, 'mmu_alloc_root');
    role = set(role, kvm_mmu_page_role.at.level, level);
    role = set(role, kvm_mmu_page_role.at.quadrant, quadrant);
    if (quadrant !== 0 && get(role, kvm_mmu_page_role.at.has_4_byte_gpte) === 0)
      throw new Error(`mmu_alloc_root: quadrant ${quadrant} of a table with 8-byte entries`);
    const sp = kvm_mmu_get_shadow_page(vcpu, gfn, role);
    pages.rootCount[sp]!++;
    vcpu.log.note('root', sp);
    return pages.frameOf(sp);
  },
  { skipped: INVALID_PAGE },
);

/** 01b31714bd90 mmu.c tdp_mmu_enabled: two-dimensional paging with the TDP MMU, for every VM of the module. */
const tdp_mmu_enabled = ({ vm }: kvm): boolean => vm.host.tdp !== 'none' && vm.host.tdpMmu;

/** 01b31714bd90 mmu.c:3618 mmu_alloc_direct_roots. False when there is no root. */
function mmu_alloc_direct_roots(vcpu: kvm_vcpu): boolean {
  const { mmu, kvm } = vcpu;
  const level = root_role.level(mmu, 'mmu_alloc_direct_roots');
  if (tdp_mmu_enabled(kvm)) {
    kvm.vm.counters.roots_allocated_tdp_mmu++;
    const root = kvm_tdp_mmu_get_vcpu_root(vcpu);
    vcpu.log.note('root', root);
    mmu.root.hpa = kvm.vm.pages.frameOf(root);
  } else if (level >= PT64_ROOT_4LEVEL) {
    mmu.root.hpa = mmu_alloc_root(vcpu, 0, 0, level);
  } else if (level === PT32E_ROOT_LEVEL) {
    if (mmu.pae_root === 0) throw new Error('mmu_alloc_direct_roots: no pae_root');
    for (let i = 0; i < 4; i++) {
      const root = mmu_alloc_root(vcpu, i * 2 ** 18, 0, PT32_ROOT_LEVEL);
      set_special_entry(kvm, mmu.pae_root, i, root, PT_PRESENT_MASK);
    }
    mmu.root.hpa = kvm.vm.pages.frameOf(mmu.pae_root);
  } else throw new Error(`mmu_alloc_direct_roots: level ${level}`);
  mmu.root.pgd = 0;
  return true;
}

/** 01b31714bd90 mmu.c:3726 mmu_alloc_shadow_roots. False when a root lies outside the guest's memory. */
function mmu_alloc_shadow_roots(vcpu: kvm_vcpu): boolean {
  const by = 'mmu_alloc_shadow_roots';
  const { mmu, kvm } = vcpu;
  const root_pgd = get_guest_pgd(vcpu, mmu);
  const root_gfn = Math.floor(root_pgd / 4096);
  if (!mmu_check_root(vcpu, root_gfn)) return false;

  const guest_level = cpu_role.base.level(mmu, by);
  const host_level = root_role.level(mmu, by);
  const pdptrs: number[] = [];
  if (guest_level === PT32E_ROOT_LEVEL) {
    for (let i = 0; i < 4; i++) {
      pdptrs[i] = pdptr_gfn(vcpu, mmu, i);
      if (pdptrs[i] !== INVALID_PAGE && !mmu_check_root(vcpu, pdptrs[i]!)) return false;
    }
  }
  if (guest_level >= PT64_ROOT_4LEVEL) {
    mmu.root.hpa = mmu_alloc_root(vcpu, root_gfn, 0, host_level);
    mmu.root.pgd = root_pgd;
    return true;
  }
  if (mmu.pae_root === 0) throw new Error(`${by}: no pae_root`);
  const pm_mask = host_level >= PT64_ROOT_4LEVEL ? SPECIAL_TABLE_BITS : PT_PRESENT_MASK;
  if (host_level >= PT64_ROOT_4LEVEL) link_special_tables(kvm, mmu, host_level);
  for (let i = 0; i < 4; i++) {
    const gfn = guest_level === PT32E_ROOT_LEVEL ? pdptrs[i]! : root_gfn;
    if (gfn === INVALID_PAGE) {
      kvm.vm.pages.setEntry(mmu.pae_root, i, 0, 0);
      continue;
    }
    const root = mmu_alloc_root(vcpu, gfn, guest_level === PT32_ROOT_LEVEL ? i : 0, PT32_ROOT_LEVEL);
    set_special_entry(kvm, mmu.pae_root, i, root, pm_mask);
  }
  const top =
    host_level === PT64_ROOT_5LEVEL ? mmu.pml5_root : host_level === PT64_ROOT_4LEVEL ? mmu.pml4_root : mmu.pae_root;
  mmu.root.hpa = kvm.vm.pages.frameOf(top);
  mmu.root.pgd = root_pgd;
  return true;
}

function link_special_tables(kvm: kvm, mmu: kvm_mmu, host_level: number): void {
  if (mmu.pml4_root === 0) throw new Error('mmu_alloc_shadow_roots: no pml4_root');
  set_special_entry(kvm, mmu.pml4_root, 0, kvm.vm.pages.frameOf(mmu.pae_root), SPECIAL_TABLE_BITS);
  if (host_level !== PT64_ROOT_5LEVEL) return;
  if (mmu.pml5_root === 0) throw new Error('mmu_alloc_shadow_roots: no pml5_root');
  set_special_entry(kvm, mmu.pml5_root, 0, kvm.vm.pages.frameOf(mmu.pml4_root), SPECIAL_TABLE_BITS);
}

/** The guest frame PDPTE i points to, INVALID_PAGE when it is not present. */
function pdptr_gfn(vcpu: kvm_vcpu, mmu: kvm_mmu, i: number): number {
  const { lo, hi } = get_pdptr(vcpu, mmu, i);
  return (lo & PT_PRESENT_MASK) === 0 ? INVALID_PAGE : (lo >>> 12) + (hi & 0xfffff) * 0x100000;
}

/** 01b31714bd90 kvm_mmu.get_guest_pgd: the guest's table pointer, with PCID bits. */
export function get_guest_pgd(vcpu: kvm_vcpu, mmu: kvm_mmu): number {
  return mmu.get_guest_pgd === 'get_guest_cr3' ? vcpu.registers.cr3 : vcpu.nested_pgd;
}

/**
 * 01b31714bd90 mmu.c:3842 mmu_alloc_special_roots: tables above the PAE roots, for an L1 that gives a 32-bit L2
 * nested paging.
 */
function mmu_alloc_special_roots(vcpu: kvm_vcpu): void {
  const by = 'mmu_alloc_special_roots';
  const { mmu, kvm } = vcpu;
  if (
    root_role.direct(mmu, by) === 1 ||
    cpu_role.base.level(mmu, by) >= PT64_ROOT_4LEVEL ||
    root_role.level(mmu, by) < PT64_ROOT_4LEVEL
  )
    return;
  if (mmu.pae_root === 0) mmu.pae_root = kvm.vm.pages.createSpecial();
  if (mmu.pml4_root === 0) mmu.pml4_root = kvm.vm.pages.createSpecial();
  if (root_role.level(mmu, by) > PT64_ROOT_4LEVEL && mmu.pml5_root === 0) mmu.pml5_root = kvm.vm.pages.createSpecial();
}

// --- sync ------------------------------------------------------------------------------------------------------------

/** 01b31714bd90 mmu.c:3914 is_unsync_root: the page, or one below it, is out of sync. */
function is_unsync_root(kvm: kvm, root: number): boolean {
  if (!VALID_PAGE(root)) return false;
  const sp = to_shadow_page(kvm, root);
  return sp !== NO_PAGE && (kvm.vm.pages.unsync[sp] === 1 || kvm.vm.pages.unsyncChildren[sp]! > 0);
}

function sync_children(vcpu: kvm_vcpu, sp: number): void {
  vcpu.log.note('sync_children', sp);
  mmu_sync_children(vcpu, sp, true);
}

/** 01b31714bd90 mmu.c:3949 kvm_mmu_sync_roots. */
export const kvm_mmu_sync_roots = probe(
  'kvm_mmu_sync_roots',
  (vcpu: kvm_vcpu): void => {
    const by = 'kvm_mmu_sync_roots';
    const { mmu, kvm } = vcpu;
    kvm.vm.counters.sync_roots++;
    if (root_role.direct(mmu, by) === 1 || !VALID_PAGE(mmu.root.hpa)) return;
    vcpu.log.note('clear_mmio');
    if (cpu_role.base.level(mmu, by) >= PT64_ROOT_4LEVEL) {
      if (is_unsync_root(kvm, mmu.root.hpa)) sync_children(vcpu, to_shadow_page(kvm, mmu.root.hpa));
      return;
    }
    for (let i = 0; i < 4; i++) {
      const root = pae_root_frame(kvm, mmu.pae_root, i);
      if (VALID_PAGE(root)) sync_children(vcpu, to_shadow_page(kvm, root));
    }
  },
  { skipped: undefined },
);

/** 01b31714bd90 mmu.c:3989 kvm_mmu_sync_prev_roots: previous roots with unsync pages are freed, not synced. */
export const kvm_mmu_sync_prev_roots = probe(
  'kvm_mmu_sync_prev_roots',
  (vcpu: kvm_vcpu): void => {
    const { mmu, kvm } = vcpu;
    kvm.vm.counters.sync_prev_roots++;
    let roots_to_free = 0;
    for (let i = 0; i < KVM_MMU_NUM_PREV_ROOTS; i++)
      if (is_unsync_root(kvm, mmu.prev_roots[i]!.hpa)) roots_to_free |= KVM_MMU_ROOT_PREVIOUS(i);
    kvm_mmu_free_roots(kvm, mmu, roots_to_free);
  },
  { skipped: undefined },
);

// --- the cache of previous roots ------------------------------------------------------------------------------------

/** 01b31714bd90 mmu.c:4476 is_root_usable. The generation is not tested: obsolete roots are freed on request. */
function is_root_usable(kvm: kvm, root: kvm_mmu_root_info, pgd: number, new_role: number): boolean {
  const direct = (new_role & DIRECT) !== 0;
  if (!(direct || root.pgd === pgd) || !VALID_PAGE(root.hpa)) return false;
  const sp = to_shadow_page(kvm, root.hpa);
  return sp !== NO_PAGE && page_role.word(kvm, sp, 'is_root_usable') === new_role >>> 0;
}

/** `direct` of a page role. */
const DIRECT = 1 << 7;

/**
 * 01b31714bd90 mmu.c:4492 cached_root_find_and_keep_current: rotates the current root through the cache until a
 * usable one is current. After a miss the oldest entry is current; it is freed.
 */
function cached_root_find_and_keep_current(kvm: kvm, mmu: kvm_mmu, new_pgd: number, new_role: number): boolean {
  if (is_root_usable(kvm, mmu.root, new_pgd, new_role)) return true;
  for (let i = 0; i < KVM_MMU_NUM_PREV_ROOTS; i++) {
    const prev = mmu.prev_roots[i]!;
    mmu.prev_roots[i] = mmu.root;
    mmu.root = prev;
    if (is_root_usable(kvm, mmu.root, new_pgd, new_role)) return true;
  }
  kvm.log.rootLost();
  kvm_mmu_free_roots(kvm, mmu, KVM_MMU_ROOT_CURRENT);
  return false;
}

/**
 * 01b31714bd90 mmu.c:4526 cached_root_find_without_current: takes the first usable entry out; later ones move up. A
 * miss moves nothing.
 */
function cached_root_find_without_current(kvm: kvm, mmu: kvm_mmu, new_pgd: number, new_role: number): boolean {
  let i = 0;
  while (i < KVM_MMU_NUM_PREV_ROOTS && !is_root_usable(kvm, mmu.prev_roots[i]!, new_pgd, new_role)) i++;
  if (i === KVM_MMU_NUM_PREV_ROOTS) return false;
  const vacated = mmu.root;
  mmu.root = mmu.prev_roots[i]!;
  mmu.prev_roots[i] = vacated;
  for (; i < KVM_MMU_NUM_PREV_ROOTS - 1; i++) mmu.prev_roots[i] = mmu.prev_roots[i + 1]!;
  // Only the hpa of the last entry is invalidated; the pgd of what was there stays.
  mmu.prev_roots[i] = { pgd: mmu.prev_roots[i]!.pgd, hpa: INVALID_PAGE };
  return true;
}

/** 01b31714bd90 mmu.c:4547 fast_pgd_switch: a root without a page cannot be cached, so it goes first. */
function fast_pgd_switch(kvm: kvm, mmu: kvm_mmu, new_pgd: number, new_role: number): boolean {
  if (VALID_PAGE(mmu.root.hpa) && to_shadow_page(kvm, mmu.root.hpa) === NO_PAGE)
    kvm_mmu_free_roots(kvm, mmu, KVM_MMU_ROOT_CURRENT);
  return VALID_PAGE(mmu.root.hpa)
    ? cached_root_find_and_keep_current(kvm, mmu, new_pgd, new_role)
    : cached_root_find_without_current(kvm, mmu, new_pgd, new_role);
}

/** 01b31714bd90 mmu.c:4564 kvm_mmu_new_pgd: the wanted role is the one stored in the MMU, so roles come first. */
export const kvm_mmu_new_pgd = probe(
  'kvm_mmu_new_pgd',
  (vcpu: kvm_vcpu, new_pgd: number): void => {
    const { mmu, kvm, log } = vcpu;
    const { counters, host } = kvm.vm;
    counters.new_pgd++;
    vcpu.new_pgd_pending = true;
    const new_role = root_role.word(mmu, 'kvm_mmu_new_pgd');
    const hit = fast_pgd_switch(kvm, mmu, new_pgd, new_role);
    note_lookup(vcpu, hit, new_pgd, new_role);
    if (!hit) {
      log.rootLost();
      return;
    }
    log.rootFound();
    kvm_make_request(KVM_REQ.LOAD_MMU_PGD, vcpu);
    if (host.flushOnReuse) {
      kvm_make_request(KVM_REQ.MMU_SYNC, vcpu);
      kvm_make_request(KVM_REQ.TLB_FLUSH_CURRENT, vcpu);
    }
    log.note('clear_mmio');
    if (root_role.direct(mmu, 'kvm_mmu_new_pgd') === 0) clear_write_flooding(vcpu, to_shadow_page(kvm, mmu.root.hpa));
  },
  { skipped: undefined, detail: (new_pgd) => new_pgd.toString(16) },
);

function note_lookup(vcpu: kvm_vcpu, hit: boolean, pgd: number, role: number): void {
  if (!vcpu.log.keep) return;
  vcpu.log.note(hit ? 'lookup_hit' : 'lookup_miss', `${pgd.toString(16)}:${role.toString(16).padStart(8, '0')}`);
}

/** 01b31714bd90 mmu.c __clear_sp_write_flooding_count, of the root that was found. */
function clear_write_flooding(vcpu: kvm_vcpu, sp: number): void {
  vcpu.log.note('clear_write_flooding');
  vcpu.kvm.vm.pages.writeFlooding[sp] = 0;
}

// --- loading ---------------------------------------------------------------------------------------------------------

/** 01b31714bd90 mmu.c:5399 kvm_mmu_reset_context: every root goes, whether or not the role changes. */
export const kvm_mmu_reset_context = probe(
  'kvm_mmu_reset_context',
  (vcpu: kvm_vcpu): void => {
    vcpu.kvm.vm.counters.reset_context++;
    kvm_mmu_unload(vcpu);
    kvm_init_mmu(vcpu);
  },
  { skipped: undefined },
);

/** 01b31714bd90 mmu.c:5406 kvm_mmu_load: builds or finds the root of the current MMU and hands it to hardware. */
export const kvm_mmu_load = probe(
  'kvm_mmu_load',
  (vcpu: kvm_vcpu): boolean => {
    const { mmu, log } = vcpu;
    const { counters } = vcpu.kvm.vm;
    counters.mmu_load++;
    if (vcpu.new_pgd_pending) {
      counters.new_pgd_miss++;
      vcpu.new_pgd_pending = false;
    }
    mmu_alloc_special_roots(vcpu);
    const direct = root_role.direct(mmu, 'kvm_mmu_load') === 1;
    if (!(direct ? mmu_alloc_direct_roots(vcpu) : mmu_alloc_shadow_roots(vcpu))) return false;
    log.rootLoaded();
    kvm_mmu_sync_roots(vcpu);
    kvm_mmu_load_pgd(vcpu);
    kvm_x86_flush_tlb_current(vcpu);
    return true;
  },
  { skipped: true },
);

/** 01b31714bd90 mmu.h kvm_mmu_load_pgd: nothing without a root. */
export function kvm_mmu_load_pgd(vcpu: kvm_vcpu): void {
  const { mmu, kvm } = vcpu;
  if (!VALID_PAGE(mmu.root.hpa)) return;
  vcpu.log.note('hw_load_pgd', mmu.root.hpa);
  kvm.vm.counters.load_pgd++;
  vcpu.cpu.loadRoot(mmu.root.hpa, root_role.level(mmu, 'kvm_mmu_load_pgd'));
}

/**
 * 01b31714bd90 kvm_x86_ops.flush_tlb_current: hardware only. VMX names the context by an EPTP, which holds the depth; the CPU here
 * knows what it was given.
 */
export function kvm_x86_flush_tlb_current(vcpu: kvm_vcpu): void {
  const { mmu, kvm } = vcpu;
  if (kvm.vm.host.tdp === 'ept' && VALID_PAGE(mmu.root.hpa)) root_role.level(mmu, 'vmx_flush_tlb_current');
  vcpu.log.note('hw_flush_current');
  vcpu.cpu.flushCurrent();
}

/** 01b31714bd90 mmu.h kvm_mmu_reload. False when the root cannot be built. */
export function kvm_mmu_reload(vcpu: kvm_vcpu): boolean {
  return VALID_PAGE(vcpu.mmu.root.hpa) || kvm_mmu_load(vcpu);
}

/** 01b31714bd90 mmu.c:5439 kvm_mmu_unload */
export const kvm_mmu_unload = probe(
  'kvm_mmu_unload',
  (vcpu: kvm_vcpu): void => {
    const { kvm } = vcpu;
    kvm.vm.counters.mmu_unload++;
    kvm_mmu_free_roots(kvm, vcpu.root_mmu, KVM_MMU_ROOTS_ALL);
    kvm_mmu_free_roots(kvm, vcpu.guest_mmu, KVM_MMU_ROOTS_ALL);
    vcpu.log.note('clear_mmio');
  },
  { skipped: undefined },
);

// --- obsolescence ----------------------------------------------------------------------------------------------------

/**
 * 01b31714bd90 mmu.c:5450 is_obsolete_root. A root without a page is taken as obsolete: only special roots are such,
 * and they are never cached.
 */
function is_obsolete_root(kvm: kvm, root_hpa: number): boolean {
  if (!VALID_PAGE(root_hpa)) return false;
  const sp = to_shadow_page(kvm, root_hpa);
  return sp === NO_PAGE || is_obsolete_sp(kvm, sp);
}

/** 01b31714bd90 mmu.c:5472 __kvm_mmu_free_obsolete_roots: each previous root is asked for itself now. */
function __kvm_mmu_free_obsolete_roots(kvm: kvm, mmu: kvm_mmu): void {
  let roots_to_free = is_obsolete_root(kvm, mmu.root.hpa) ? KVM_MMU_ROOT_CURRENT : 0;
  for (let i = 0; i < KVM_MMU_NUM_PREV_ROOTS; i++)
    if (is_obsolete_root(kvm, mmu.prev_roots[i]!.hpa)) roots_to_free |= KVM_MMU_ROOT_PREVIOUS(i);
  if (roots_to_free !== 0) kvm_mmu_free_roots(kvm, mmu, roots_to_free);
}

/** 01b31714bd90 mmu.c kvm_mmu_free_obsolete_roots: a memslot went, or a page used as root was zapped. */
export const kvm_mmu_free_obsolete_roots = probe(
  'kvm_mmu_free_obsolete_roots',
  ({ kvm, root_mmu, guest_mmu }: kvm_vcpu): void => {
    kvm.vm.counters.free_obsolete_roots++;
    __kvm_mmu_free_obsolete_roots(kvm, root_mmu);
    __kvm_mmu_free_obsolete_roots(kvm, guest_mmu);
  },
  { skipped: undefined },
);

// --- creation --------------------------------------------------------------------------------------------------------

/**
 * 01b31714bd90 mmu.c __kvm_mmu_create: pae_root exists where 32-bit roots can: without TDP, or when TDP itself is 3
 * levels.
 */
export function __kvm_mmu_create(vcpu: kvm_vcpu, mmu: kvm_mmu): void {
  const { host, pages } = vcpu.kvm.vm;
  if (host.tdp !== 'none' && kvm_mmu_get_tdp_level(vcpu) > PT32E_ROOT_LEVEL) return;
  mmu.pae_root = pages.createSpecial();
}
